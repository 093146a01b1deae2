package file

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// retry is how often a lock that another process holds is tried again.
const retry = 10 * time.Millisecond

// Lock makes a file and takes its lock, for which it waits: waiting is called once,
// before. The lock goes with unlock, or with the process.
func Lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := LockOpen(ctx, f, waiting); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// LockOpen takes the lock of an open file (flock(2)), as Lock does.
func LockOpen(ctx context.Context, f *os.File, waiting func()) error {
	for first := true; ; first = false {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another process has the lock: %w", context.Cause(ctx))
		case <-time.After(retry):
		}
	}
}
