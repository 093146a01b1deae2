//go:build !linux

package binfmt

import (
	"context"
	"errors"
	"os"
	"time"
)

func openFile(path string, flags int) (*os.File, error) { return os.OpenFile(path, flags, 0) }

func openToWrite(path string) (*os.File, error) { return openFile(path, os.O_WRONLY) }

// All of these fail: only Linux has binfmt_misc, and such versions.

func (fs FS) unsupported(op string) error {
	return &Error{Op: op, Path: fs.Dir(), Err: errors.ErrUnsupported}
}

func (fs FS) State() (State, error)                { return NotMounted, fs.unsupported("look at") }
func (fs FS) Made() (time.Time, error)             { return time.Time{}, fs.unsupported("look at") }
func (fs FS) Mount() (bool, error)                 { return false, fs.unsupported("mount") }
func (fs FS) Mountable() error                     { return fs.unsupported("look at") }
func (fs FS) MountOver() error                     { return fs.unsupported("mount") }
func (fs FS) MountIn(string) (bool, error)         { return false, fs.unsupported("mount") }
func (fs FS) Unmount() error                       { return fs.unsupported("unmount") }
func (fs FS) UnmountIn(string) error               { return fs.unsupported("unmount") }
func (fs FS) Lock(context.Context) (func(), error) { return nil, fs.unsupported("open") }
func RunningKernel() (KernelVersion, error)        { return KernelVersion{}, errors.ErrUnsupported }
