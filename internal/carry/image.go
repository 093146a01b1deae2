package carry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// An Image is an open file that becomes an emulator: one of the cache, which is
// to be checked, or one that is to be written. Finish does that; it is apart
// from Prepare so that a process can inherit the file meanwhile.
type Image struct {
	File *os.File

	// Where says where the file is; why it is not in the cache, if it is not.
	Where string

	finish func() error
	give   func() // up what is half done
}

// ErrAgain is what Finish returns if the cache was at fault: the file in it was
// damaged, or none could be written. Preparing another image does without.
var ErrAgain = errors.New("the cache of emulators cannot be used")

// Finish makes the file what it is to be. It must not be executed before.
func (i *Image) Finish() error { return i.finish() }

// Close closes the file.
func (i *Image) Close() {
	i.give()
	i.File.Close()
}

// Open prepares an image and finishes it.
func (e *Emulator) Open(cache Cache) (*Image, error) {
	for {
		i, err := e.Prepare(cache)
		if err != nil {
			return nil, err
		}
		err = i.Finish()
		if err == nil {
			return i, nil
		}
		i.Close()
		if !errors.Is(err, ErrAgain) {
			return nil, err
		}
	}
}

// Prepare opens the emulator's file in the cache, or makes it there, or, where
// that cannot be had, in memory.
func (e *Emulator) Prepare(cache Cache) (*Image, error) {
	if e.uncached {
		return e.memory(errors.New("the cache cannot be written"))
	}
	dir, err := cache.open()
	if err != nil {
		return e.memory(err)
	}
	defer unix.Close(dir)
	path := filepath.Join(string(cache), e.fileName())
	switch f, err := openIn(dir, e.fileName()); {
	case err == nil:
		return &Image{File: f, Where: path, give: func() {}, finish: func() error {
			if err := e.Is(f); err != nil {
				// Another run may have put a good one there meanwhile: that one is
				// made again, too.
				e.uncached = os.Remove(path) != nil
				return fmt.Errorf("%s: %w: %w", path, err, ErrAgain)
			}
			return nil
		}}, nil
	case !errors.Is(err, unix.ENOENT):
		return e.memory(fmt.Errorf("%s: %w", path, err))
	}
	i, err := e.write(dir, path)
	if err != nil {
		return e.memory(err)
	}
	return i, nil
}

// fileName is the emulator's name in the cache: another content has another.
func (e *Emulator) fileName() string {
	return "qemu-" + e.Arch.Name + "-" + e.SHA256[:digestLength]
}

const digestLength = 32

// memory returns an image in memory, and says why it is there.
func (e *Emulator) memory(reason error) (*Image, error) {
	f, err := file.Sealable("qemu-" + e.Arch.Name)
	if err != nil {
		return nil, fmt.Errorf("no place for the emulator that is carried for %s: %w; %w", e.Arch, reason, err)
	}
	return &Image{File: f, Where: "memory: " + reason.Error(), give: func() {}, finish: func() error {
		if err := e.unpack(f); err != nil {
			return err
		}
		return file.Seal(f)
	}}, nil
}

// write returns an image that is written into the cache. It comes to its name as
// a whole, or not at all.
func (e *Emulator) write(dir int, path string) (*Image, error) {
	sweep(filepath.Dir(path), "qemu-"+e.Arch.Name+"-")
	out, err := os.CreateTemp(filepath.Dir(path), temporary+"*")
	if err != nil {
		return nil, err
	}
	open := true
	give := func() {
		if open {
			open = false
			out.Close()
			os.Remove(out.Name())
		}
	}
	err = out.Chmod(0o500)
	var f *os.File
	if err == nil {
		f, err = openIn(dir, filepath.Base(out.Name()))
	}
	if err != nil {
		give()
		return nil, err
	}
	return &Image{File: f, Where: path, give: give, finish: func() error {
		err := e.unpack(out)
		// Who has it open for writing keeps it from being executed (ETXTBSY).
		err = errors.Join(err, out.Close())
		if err == nil {
			err = os.Rename(out.Name(), path)
		}
		open = false
		if err != nil {
			os.Remove(out.Name())
			e.uncached = true
			return fmt.Errorf("%w: %w", err, ErrAgain)
		}
		return nil
	}}, nil
}

// A Cache is the directory that unpacked emulators are kept in; an empty one
// keeps nothing.
//
// What is in it is executed. It is therefore used only if it, and the file, are
// the user's, and nobody else may write there; and a file is executed by the
// descriptor by which it was checked. The user, whom it belongs to, could still
// change it between the two: and could as well execute something else.
type Cache string

// cacheVariable names the cache, or is "off".
const cacheVariable = "CROSSRUN_CACHE"

// UserCache returns the user's cache.
func UserCache() Cache {
	switch dir := os.Getenv(cacheVariable); {
	case dir == "off":
		return ""
	case filepath.IsAbs(dir):
		return Cache(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return Cache(filepath.Join(dir, "crossrun", "emulators"))
}

// open opens the directory, which is made if it is missing.
func (c Cache) open() (int, error) {
	if c == "" {
		return 0, errors.New("there is no directory for a cache (XDG_CACHE_HOME, HOME), or CROSSRUN_CACHE=off")
	}
	fail := func(err error) (int, error) { return 0, fmt.Errorf("%s: %w", string(c), err) }
	const flags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_RDONLY | unix.O_CLOEXEC
	fd, err := unix.Open(string(c), flags, 0)
	if errors.Is(err, unix.ENOENT) {
		if err := os.MkdirAll(string(c), 0o700); err != nil {
			return 0, err
		}
		fd, err = unix.Open(string(c), flags, 0)
	}
	if err != nil {
		return fail(err)
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	err = unix.Fstat(fd, &st)
	if err == nil {
		err = unix.Fstatfs(fd, &fs)
	}
	if err == nil {
		err = private(&st)
	}
	if err == nil && fs.Flags&unix.ST_NOEXEC != 0 {
		err = errors.New("nothing can be executed there (noexec)")
	}
	if err != nil {
		unix.Close(fd)
		return fail(err)
	}
	return fd, nil
}

// private returns an error if anybody but the user may change a file.
func private(st *unix.Stat_t) error {
	switch {
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("belongs to user %d, not to %d", st.Uid, os.Geteuid())
	case st.Mode&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %04o)", st.Mode&0o7777)
	}
	return nil
}

// openIn opens a file that is in a directory, if it may be executed.
func openIn(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = errors.New("not a regular file")
	case st.Mode&0o100 == 0:
		err = errors.New("not executable")
	default:
		err = private(&st)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// temporary is what the names of files begin with that are being written.
const temporary = "unpacking-"

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

// sweep removes what is too old. Programs that run by it are not disturbed.
func sweep(dir, prefix string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		limit := versionAge
		// The user may have named a directory with files of others: qemu-arm-static.
		if named(entry.Name(), temporary, "0123456789") {
			limit = temporaryAge
		} else if len(entry.Name()) != len(prefix)+digestLength || !named(entry.Name(), prefix, "0123456789abcdef") {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > limit {
			os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}
