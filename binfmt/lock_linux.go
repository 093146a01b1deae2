package binfmt

import (
	"context"

	"github.com/projectcalico/go-build/internal/file"
)

// Lock keeps other callers of Lock, in any container that sees the same
// instance, from changing it until unlock is called or this process ends. It
// waits as long as ctx allows.
func (fs FS) Lock(ctx context.Context) (unlock func(), err error) {
	// Only who may register can open this file, so that nobody else can keep
	// the lock.
	path := fs.path("register")
	f, err := fs.openToWrite(path)
	if err == nil {
		err = file.LockOpen(ctx, f, func() {})
	}
	if err != nil {
		f.Close() // nil is not closed
		return nil, fs.failure("open", "", path, err)
	}
	return func() { f.Close() }, nil
}
