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

	entry   *Entry // that was to be registered
	written bool
}

func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("cannot %s %s: %v", e.Op, e.Path, e.Err)
	}
	return fmt.Sprintf("cannot %s entry %s: %s: %v", e.Op, e.Name, e.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what the error may come from, and what to do about it.
func (e *Error) Hint() string {
	const least = "root of the host has it; in a container: docker run --privileged"
	switch {
	case errors.Is(e.Err, ErrNotMounted):
		return "mount -t binfmt_misc binfmt_misc " + e.Path
	case errors.Is(e.Err, syscall.EROFS):
		return "/proc/sys is read-only in an unprivileged container: docker run --privileged, or --security-opt systempaths=unconfined --cap-add SYS_ADMIN"
	case e.Op == "mount" && (errors.Is(e.Err, syscall.ENODEV) || errors.Is(e.Err, syscall.ENOENT)):
		return "this kernel has no binfmt_misc: neither built in (CONFIG_BINFMT_MISC) nor as a module that can be loaded (modprobe binfmt_misc, on the host)"
	case e.Op == "mount" && isPermission(e.Err):
		return "it takes CAP_SYS_ADMIN: " + least
	case e.Op == "register" && errors.Is(e.Err, syscall.ENOENT):
		return fmt.Sprintf("with the F flag the kernel opens the interpreter when it is registered, and %s is not there", e.entry.Interpreter)
	case e.Op == "register" && errors.Is(e.Err, syscall.EEXIST):
		return "an entry of this name is there already: remove it first, or let register replace it"
	case e.Op == "register" && errors.Is(e.Err, syscall.EINVAL):
		return e.invalidHint()
	case e.Op == "register" && errors.Is(e.Err, syscall.EACCES) && e.Written():
		return fmt.Sprintf("the interpreter %s cannot be executed: see its mode, and whether its file system is mounted noexec", e.entry.Interpreter)
	case isPermission(e.Err):
		return "it takes CAP_SYS_ADMIN over the user namespace in which this binfmt_misc was mounted: " + least
	}
	return ""
}

// Written reports whether the file that is written to could be opened, so that
// the error is about what was written: the interpreter of an entry, for one.
func (e *Error) Written() bool { return e.written }

// invalidHint says which of the limits or flags of the entry the running kernel
// may not have: Validate has checked those of new ones.
func (e *Error) invalidHint() string {
	kernel, err := RunningKernel()
	if err != nil || e.entry == nil {
		return ""
	}
	line, _ := e.entry.MarshalText()
	window := e.entry.Pattern.Offset + len(e.entry.Pattern.Magic)
	switch {
	case e.entry.Flags&^known != 0:
		return fmt.Sprintf("Linux %s may not know the flags %s", kernel, e.entry.Flags&^known)
	case e.entry.Flags.Has(FixBinary) && FeatureFixBinary.Supported(kernel) != nil:
		return FeatureFixBinary.Supported(kernel).Error()
	case len(line) > 255 && FeatureLine1920.Supported(kernel) != nil:
		return FeatureLine1920.Supported(kernel).Error()
	case window > 128 && FeatureWindow256.Supported(kernel) != nil:
		return FeatureWindow256.Supported(kernel).Error()
	}
	return ""
}

func isPermission(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
}

// failure makes an *Error; the path that os put into err is not repeated.
func (fs FS) failure(op, name, path string, err error) error {
	if err == nil {
		return nil
	}
	failed := &Error{Op: op, Name: name, Path: path, Err: err}
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		failed.Err, failed.written = pathError.Err, pathError.Op == "write"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && errno == syscall.ENOENT && op != "mount" {
		if state, stateErr := fs.State(); stateErr == nil && state != Mounted {
			failed.Path, failed.Err = fs.dir, fmt.Errorf("%w: %w", ErrNotMounted, failed.Err)
		}
	}
	return failed
}
