package keep

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
)

// Claims say to other keepers of the same instance, in whatever container, which
// architectures this one keeps, until it ends in whatever way. A claim is a lock of one
// byte of the file "register", which only those can open who may register: an open file
// description's (fcntl_locking(2), Linux 3.15), far behind the bytes of others.
type claims struct {
	file   *os.File
	device uint64 // of the instance
	byte   int64  // the same in each architecture's range
}

// perArch is how many bytes are each architecture's: so many keepers are told apart.
const perArch = 1 << 32

// first returns the first byte of an architecture's range: by its name, so that all
// versions of this package agree.
func first(arch *elfmagic.Arch) int64 {
	h := fnv.New32a()
	h.Write([]byte(arch.Name))
	return int64(h.Sum32()>>2) * perArch
}

// claim makes claims while nobody else changes the instance.
func claim(ctx context.Context, fs binfmt.FS) (*claims, error) {
	unlock, err := fs.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f, err := openRegister(fs)
	if err != nil {
		return nil, err
	}
	return &claims{f, file.Device(f.Name()), rand.Int64N(perArch)}, nil
}

// openRegister opens the file that has the locks, and no other file system's.
func openRegister(fs binfmt.FS) (*os.File, error) {
	path := filepath.Join(fs.Dir(), "register")
	state, err := fs.State()
	if err == nil && state != binfmt.Mounted {
		return nil, &binfmt.Error{Op: "open", Path: path, Err: fmt.Errorf("%w (%s)", binfmt.ErrNotMounted, state)}
	}
	f, err := file.OpenFile(path, os.O_WRONLY)
	if err != nil {
		return nil, &binfmt.Error{Op: "open", Path: path, Err: errors.Unwrap(err)}
	}
	return f, nil
}

func (c *claims) lock(kind int16, command int, start, length int64) (unix.Flock_t, error) {
	l := unix.Flock_t{Type: kind, Start: start, Len: length}
	err := unix.FcntlFlock(c.file.Fd(), command, &l)
	return l, err
}

// Claimed returns the architectures that a keeper of the instance keeps, in whatever process: who
// removes an entry of theirs will see it come back. Only who may register can ask. A keeper
// of all claims each one, also those that it has no emulator for.
func Claimed(fs binfmt.FS) (archs []*elfmagic.Arch, err error) {
	f, err := openRegister(fs)
	if err != nil {
		return nil, err
	}
	asking := &claims{file: f}
	defer asking.close()
	for _, arch := range elfmagic.Archs() {
		if asking.others(arch) {
			archs = append(archs, arch)
		}
	}
	return archs, nil
}

// add claims an architecture.
func (c *claims) add(arch *elfmagic.Arch) error {
	_, err := c.lock(unix.F_WRLCK, unix.F_OFD_SETLK, first(arch)+c.byte, 1)
	return err
}

// drop takes a claim back.
func (c *claims) drop(arch *elfmagic.Arch) error {
	_, err := c.lock(unix.F_UNLCK, unix.F_OFD_SETLK, first(arch)+c.byte, 1)
	return err
}

// others reports whether another keeper claims the architecture.
func (c *claims) others(arch *elfmagic.Arch) bool {
	l, err := c.lock(unix.F_WRLCK, unix.F_OFD_GETLK, first(arch), perArch)
	return err == nil && l.Type != unix.F_UNLCK
}

// of reports whether these are claims in the instance that is mounted there.
func (c *claims) of(fs binfmt.FS) bool { return c.device == file.Device(fs.Dir()) }

func (c *claims) close() {
	if c != nil {
		c.file.Close()
	}
}
