//go:build !linux

package binfmt

import (
	"context"
	"errors"
	"os"
	"time"
)

func (fs FS) unsupported(op string) error {
	return &Error{Op: op, Path: fs.dir, Err: errors.ErrUnsupported}
}

func openFile(path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0) }

// State fails: only Linux has binfmt_misc.
func (fs FS) State() (State, error) { return NotMounted, fs.unsupported("look at") }

// Mount fails: only Linux has binfmt_misc.
func (fs FS) Mount() (mounted bool, err error) { return false, fs.unsupported("mount") }

// MountIn fails: only Linux has binfmt_misc.
func (fs FS) MountIn(namespace string) (mounted bool, err error) {
	return false, fs.unsupported("mount")
}

// Unmount fails: only Linux has binfmt_misc.
func (fs FS) Unmount() error { return fs.unsupported("unmount") }

// UnmountIn fails: only Linux has binfmt_misc.
func (fs FS) UnmountIn(namespace string) error { return fs.unsupported("unmount") }

// Made fails: only Linux has binfmt_misc.
func (fs FS) Made() (time.Time, error) { return time.Time{}, fs.unsupported("look at") }

// Lock fails: only Linux has binfmt_misc.
func (fs FS) Lock(ctx context.Context) (unlock func(), err error) {
	return nil, fs.unsupported("open")
}

// RunningKernel fails: only Linux has such versions.
func RunningKernel() (KernelVersion, error) { return KernelVersion{}, errors.ErrUnsupported }
