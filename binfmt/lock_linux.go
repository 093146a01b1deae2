package binfmt

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockRetry is how often a lock that another process holds is tried again.
const lockRetry = 10 * time.Millisecond

// Lock keeps other callers of Lock, in any container that sees the same
// instance, from changing it until unlock is called or this process ends. It
// waits as long as ctx allows.
func (fs FS) Lock(ctx context.Context) (unlock func(), err error) {
	// Only who may register can open this file, so that nobody else can keep
	// the lock.
	path := fs.path("register")
	f, err := openFile(path, os.O_WRONLY)
	if err != nil {
		return nil, fs.failure("open", "", path, err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return func() { f.Close() }, nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
			select {
			case <-ctx.Done():
				err = fmt.Errorf("another process is changing it: %w", context.Cause(ctx))
			case <-time.After(lockRetry):
				continue
			}
		}
		f.Close()
		return nil, fs.failure("open", "", path, err)
	}
}
