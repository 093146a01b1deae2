package binfmt

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrNotMounted says that a directory is not the mount point of a binfmt_misc.
var ErrNotMounted = errors.New("binfmt_misc is not mounted")

// An Error says which operation on a binfmt_misc failed. Err wraps the errno.
// EINVAL, EEXIST and ENOENT are conclusive; EPERM, EACCES and EROFS say
// something of the caller and its container, not of the kernel.
type Error struct {
	Op   string // mount, unmount, list, get, register, remove, enable, disable, open, look at
	Name string // of the entry; empty where the operation is about none
	Path string // of the file or directory
	Err  error

	// Entry is what was to be registered; nil for the other operations.
	Entry *Entry

	// Written says that the file that is written to could be opened: the error
	// is about what was written, the interpreter of an entry, for one.
	Written bool
}

func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("cannot %s %s: %v", e.Op, e.Path, e.Err)
	}
	return fmt.Sprintf("cannot %s entry %s: %s: %v", e.Op, e.Name, e.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is errors.ErrUnsupported and the kernel has no
// binfmt_misc to mount.
func (e *Error) Is(target error) bool {
	return target == errors.ErrUnsupported && e.Op == "mount" && errors.Is(e.Err, syscall.ENODEV)
}

// failure makes an *Error; the path that os put into err is not repeated.
func (fs FS) failure(op, name, path string, err error) error {
	if err == nil {
		return nil
	}
	failed := &Error{Op: op, Name: name, Path: path, Err: err}
	if pathError, ok := errors.AsType[*os.PathError](err); ok {
		failed.Err, failed.Written = pathError.Err, pathError.Op == "write"
	}
	if errors.Is(err, os.ErrNotExist) && op != "mount" {
		switch state, err := fs.State(); {
		case errors.Is(err, errors.ErrUnsupported):
			failed.Path, failed.Err = fs.Dir(), errors.ErrUnsupported
		case err == nil && state != Mounted:
			failed.Path, failed.Err = fs.Dir(), fmt.Errorf("%w: %w", ErrNotMounted, failed.Err)
		}
	}
	return failed
}
