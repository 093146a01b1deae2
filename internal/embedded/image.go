package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// An Image is an open file that is an emulator.
type Image struct {
	*os.File

	// Where says where the file is; why it is not in the cache, if it is not.
	Where string
}

// Open opens the emulator's file in the cache, where it is checked, or made, or,
// where that cannot be had, one in memory.
func (e *Emulator) Open(cache Cache) (*Image, error) {
	f, reason := e.cached(cache)
	if reason == nil {
		return &Image{f, filepath.Join(string(cache), e.fileName())}, nil
	}
	f, err := file.Memory("qemu-"+e.Arch.Name, nil)
	if err != nil {
		return nil, fmt.Errorf("no place for the emulator that is embedded for %s: %w; %w", e.Arch, reason, err)
	}
	if err = e.unpack(f); err == nil {
		err = file.Seal(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Image{f, "memory: " + reason.Error()}, nil
}

// fileName is the emulator's name in the cache: another content has another.
func (e *Emulator) fileName() string {
	return "qemu-" + e.Arch.Name + "-" + e.SHA256[:digestLength]
}

const digestLength = 32

// cached opens the emulator's file in the cache.
func (e *Emulator) cached(cache Cache) (*os.File, error) {
	dir, err := cache.open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	path := filepath.Join(string(cache), e.fileName())
	f, err := openIn(dir, e.fileName())
	if err == nil {
		if err = e.Is(f); err == nil {
			return f, nil
		}
		f.Close()
		if !errors.Is(err, errDiffers) {
			return nil, err // it cannot be read: that is no reason to remove it
		}
		// Another run may have put a good one there meanwhile: that one is made
		// again, too.
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", cache, err)
	}
	sweep(string(cache), "qemu-"+e.Arch.Name+"-")
	err = file.Replace(path, 0o500, func(w io.Writer) error { return e.unpack(w.(io.WriterAt)) })
	if err != nil {
		return nil, err
	}
	return openIn(dir, e.fileName())
}

// A Cache is the directory that unpacked emulators are kept in; an empty one
// keeps nothing.
//
// What is in it is executed. It is therefore used only if it, and the file, are
// the user's, and nobody else may write there; and a file is executed by the
// descriptor by which it was checked. The user, whom it belongs to, could still
// change it between the two: and could as well execute something else.
type Cache string

// CacheVariable names the cache, or is "off".
const CacheVariable = "CROSSRUN_CACHE"

// nothing is kept by this process.
var nothing bool

// KeepNothing makes UserCache empty, unless the user names a directory. What it
// returns undoes that.
func KeepNothing() (undo func()) {
	nothing = true
	return func() { nothing = false }
}

// UserCache returns the user's cache.
func UserCache() Cache {
	switch dir := os.Getenv(CacheVariable); {
	case dir == "off", dir == "" && nothing:
		return ""
	case filepath.IsAbs(dir):
		return Cache(dir)
	}
	dir, err := file.UserCacheDir()
	if err != nil {
		return ""
	}
	return Cache(filepath.Join(dir, "crossrun", "emulators"))
}

// open opens the directory, which is made if it is missing.
func (c Cache) open() (*os.File, error) {
	if c == "" {
		return nil, errors.New("there is no directory for a cache (XDG_CACHE_HOME, HOME), or CROSSRUN_CACHE=off")
	}
	if err := file.MakeDir(string(c)); err != nil {
		return nil, err
	}
	return private(unix.AT_FDCWD, string(c), unix.O_DIRECTORY, func(dir *os.File, _ os.FileInfo) error {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil {
			return err
		}
		if fs.Flags&unix.ST_NOEXEC != 0 {
			return errors.New("nothing can be executed there (noexec)")
		}
		return nil
	})
}

// openIn opens a file that is in the directory, if it may be executed.
func openIn(dir *os.File, name string) (*os.File, error) {
	return private(int(dir.Fd()), name, unix.O_NONBLOCK, func(_ *os.File, info os.FileInfo) error {
		switch {
		case !info.Mode().IsRegular():
			return errors.New("not a regular file")
		case info.Mode()&0o100 == 0:
			return errors.New("not executable")
		}
		return nil
	})
}

// private opens what only the user may change, and what passes a check.
func private(dir int, name string, flags int, check func(*os.File, os.FileInfo) error) (*os.File, error) {
	fd, err := unix.Openat(dir, name, flags|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	info, err := f.Stat()
	if err == nil {
		err = check(f, info)
	}
	if err == nil {
		err = owned(info)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// owned returns an error if anybody but the user may change a file.
func owned(info os.FileInfo) error {
	switch uid := info.Sys().(*syscall.Stat_t).Uid; {
	case int(uid) != os.Geteuid():
		return fmt.Errorf("belongs to user %d, not to %d", uid, os.Geteuid())
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %04o)", info.Mode().Perm())
	}
	return nil
}

// Files that runs left that were killed, and emulators of other versions, are
// removed when another is written and they have reached an age.
const (
	temporaryAge = time.Hour
	versionAge   = 30 * 24 * time.Hour
)

// named reports whether a name is a prefix and digits.
func named(name, prefix, digits string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && strings.Trim(rest, digits) == ""
}

// sweep removes what is too old, of names with the prefix. Programs that run by it
// are not disturbed.
func sweep(dir, prefix string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		name, limit := entry.Name(), versionAge
		// The user may have named a directory with files of others: qemu-arm-static.
		if named(name, "."+prefix, "0123456789") {
			limit = temporaryAge
		} else if len(name) != len(prefix)+digestLength || !named(name, prefix, "0123456789abcdef") {
			continue
		}
		info, err := entry.Info()
		if err == nil && time.Since(info.ModTime()) > limit {
			os.Remove(filepath.Join(dir, name))
		}
	}
}
