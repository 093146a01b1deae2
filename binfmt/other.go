//go:build !linux

package binfmt

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// binfmt_misc is Linux's: what speaks to a kernel fails with an error that wraps
// errors.ErrUnsupported.

func (fs FS) unsupported(op string) error {
	return &Error{Op: op, Path: fs.dir, Err: errors.ErrUnsupported}
}

// RunningKernel fails.
func RunningKernel() (KernelVersion, error) {
	return KernelVersion{}, fmt.Errorf("cannot ask for the version of Linux: %w", errors.ErrUnsupported)
}

// State fails.
func (fs FS) State() (State, error) { return NotMounted, fs.unsupported("look at") }

// Mount fails.
func (fs FS) Mount() (mounted bool, err error) { return false, fs.unsupported("mount") }

// MountIn fails.
func (fs FS) MountIn(namespace string) (mounted bool, err error) {
	return false, fs.unsupported("mount")
}

// UnmountIn fails.
func (fs FS) UnmountIn(namespace string) error { return fs.unsupported("unmount") }

// Made fails.
func (fs FS) Made() (time.Time, error) { return time.Time{}, fs.unsupported("look at") }

// Unmount fails.
func (fs FS) Unmount() error { return fs.unsupported("unmount") }

// Lock fails.
func (fs FS) Lock(context.Context) (unlock func(), err error) { return nil, fs.unsupported("open") }
