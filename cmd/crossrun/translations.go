package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// Emulators of ours can keep what they have translated in a directory, for the next
// program that executes the same code. They make no directory; others ignore the
// variable that names it.
const tbCache = "QEMU_TB_CACHE"

// translationsVariable says whether they do: on, off, or a directory.
const translationsVariable = "CROSSRUN_TRANSLATIONS"

// translationsDefault is what it is if it is not set.
const translationsDefault = "off"

var errNoSetting = errors.New("neither on, off nor an absolute path")

// translationsDirectory returns where translations are kept, and whether they are.
func translationsDirectory() (dir string, on bool, err error) {
	setting := cmp.Or(os.Getenv(translationsVariable), translationsDefault)
	switch {
	case filepath.IsAbs(setting):
		return setting, true, nil
	case setting != "on" && setting != "off":
		err := fmt.Errorf("%s=%s: %w", translationsVariable, setting, errNoSetting)
		return "", false, cli.WithHint(err, "--cache-translations=DIRECTORY names one from /")
	case embedded.UserCache() == "":
		return "", setting == "on", fmt.Errorf("nothing is kept here: %s=off, or there is no directory for it (XDG_CACHE_HOME, HOME)", embedded.CacheVariable)
	}
	dir, err = file.UserCacheDir()
	return filepath.Join(dir, "crossrun", "translations"), setting == "on", err
}

// translations returns the directory that emulators of ours are told of, which is made
// if it is missing, or nothing. What the caller says to them is left as it is.
func translations(mkdir bool) (string, error) {
	dir, on, err := translationsDirectory()
	switch {
	case !on || os.Getenv(tbCache) != "":
		return "", nil
	case err != nil:
		return "", err
	case os.Geteuid() != os.Getuid():
		return "", errors.New("this process has the rights of another user")
	}
	if mkdir {
		if err := file.MakeDir(dir); err != nil {
			return "", err
		}
	}
	real, err := emulator.OwnDirectory(dir)
	if !mkdir && errors.Is(err, os.ErrNotExist) {
		return dir, nil
	}
	return real, err
}

// keepTranslations has the way's emulators keep translations, or says why they do not.
func (w *way) keepTranslations(o *options) {
	dir, err := translations(!o.print)
	if err != nil {
		w.why += fmt.Sprintf("; translations are not kept: %v", err)
	} else if dir != "" {
		w.env = append(w.env[:len(w.env):len(w.env)], tbCache+"="+dir)
	}
}

// What may be asked of --cache.
const (
	showCache  = "show"
	clearCache = "clear"
)

// cache shows which translations are kept, or removes them.
func cache(what string, stdout io.Writer) error {
	if what != showCache && what != clearCache {
		return cli.WithHint(fmt.Errorf("--cache=%s: unknown", what), "--cache shows which translations are kept, --cache=clear removes them")
	}
	dir, on, err := translationsDirectory()
	if err != nil {
		return err
	}
	real, err := emulator.OwnDirectory(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil // nothing has been kept
	}
	var files []os.FileInfo
	if err == nil && real != "" {
		files, err = translationFiles(real)
	}
	if err != nil {
		return cli.WithHint(fmt.Errorf("translations: %w", err), "--cache-translations=DIRECTORY, or %s, names another directory", translationsVariable)
	}
	if what == clearCache {
		for _, f := range files {
			// An emulator may remove it, too.
			if err := os.Remove(filepath.Join(real, f.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		_, err = fmt.Fprintf(stdout, "removed: %s\n", amount(files))
		return err
	}
	state := "no: --cache-translations, or " + translationsVariable + "=on"
	if on {
		state = "yes"
	}
	_, err = fmt.Fprintf(stdout, "directory: %s\nkept:      %s\nfiles:     %s\n", cmp.Or(real, dir), state, amount(files))
	return err
}

// translationFiles returns emulators' files in a directory, the one that was used last
// at the end.
func translationFiles(dir string) (files []os.FileInfo, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && strings.HasSuffix(info.Name(), ".tb") {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	return files, err
}

// amount says how many files there are, how large they are, and when they were used.
func amount(files []os.FileInfo) string {
	var size int64
	for _, f := range files {
		size += f.Size()
	}
	text := fmt.Sprintf("%d, %.1f MB", len(files), float64(size)/1e6)
	if len(files) > 0 {
		text += fmt.Sprintf(", used %s to %s ago", age(files[len(files)-1]), age(files[0]))
	}
	return text
}

// age is how long ago a file was changed, in its largest unit.
func age(f os.FileInfo) string {
	d := max(0, time.Since(f.ModTime()))
	for _, unit := range []struct {
		time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d >= 2*unit.Duration {
			return fmt.Sprintf("%d %s", d/unit.Duration, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}
