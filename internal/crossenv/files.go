package crossenv

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// What writeFiles makes, below its directory.
const (
	cmakeFile = "toolchain.cmake"
	mesonFile = "cross.ini"
	linkDir   = "bin" // in it the link that the go command looks for
)

// Prepare writes the files with which CMake, Meson and Go build for the
// architecture, and returns what a POSIX shell evaluates to use them and the rest
// of the environment. Errors have hints.
func Prepare(arch *elfmagic.Arch, o Options) (shell string, err error) {
	t, err := newTarget(arch, o)
	if err != nil {
		return "", err
	}
	dir, err := t.dir()
	if err != nil {
		return "", err
	}
	if shell, err = t.environment(dir); err != nil {
		return "", err
	}
	if err := t.writeFiles(dir); err != nil {
		return "", err
	}
	return shell, nil
}

// dir returns the directory for the files of a target: one below crossrun/ in
// the user's cache directory. Another sysroot has another directory, for builds
// read the files again whenever they are configured.
func (t *target) dir() (string, error) {
	cache, err := file.UserCacheDir()
	if err != nil {
		return "", cli.WithHint(fmt.Errorf("no directory for the toolchain files: %w", err), "set HOME or XDG_CACHE_HOME")
	}
	id := t.id()
	if t.Sysroot != "" {
		// To tell sysroots apart no more is needed, and no start is slower for it.
		hash := fnv.New64a()
		hash.Write([]byte(filepath.Clean(t.Sysroot)))
		id += fmt.Sprintf("-%016x", hash.Sum64())
	}
	return filepath.Join(cache, "crossrun", id), nil
}

// writeFiles writes the CMake toolchain file and the Meson cross file into a
// directory, which is made if it is missing, and the link for the go command.
// Each appears as a whole or not at all, and stays as it is if it would not
// change.
func (t *target) writeFiles(dir string) error {
	meson, err := t.mesonCrossFile()
	if err != nil {
		return err
	}
	if err := file.MakeDir(dir); err != nil {
		return cli.WithHint(err, "set XDG_CACHE_HOME to a directory of your own")
	}
	if err := replaceFile(filepath.Join(dir, cmakeFile), t.cmakeToolchain()); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, mesonFile), meson); err != nil || !linked(t.arch) {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, linkDir), 0o755); err != nil {
		return err
	}
	return replaceLink(filepath.Join(dir, linkDir, linkName(t.arch)), t.Runner)
}

// replaceFile writes a file, unless it is the same.
func replaceFile(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	return file.ReplaceWith(path, 0o644, content)
}

// replaceLink makes a symbolic link beside its place and renames it, unless it is
// the same. What is no link stays.
func replaceLink(path, target string) error {
	switch old, err := os.Readlink(path); {
	case errors.Is(err, syscall.EINVAL):
		return cli.WithHint(fmt.Errorf("%s: is there, and is no symbolic link", path), "rm %s", cli.Quote(path))
	case err == nil && old == target:
		return nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".link-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, filepath.Base(path))
	if err := os.Symlink(target, made); err != nil {
		return err
	}
	return os.Rename(made, path)
}
