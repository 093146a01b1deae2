package emulator

import (
	"io"

	"golang.org/x/sys/unix"
)

// A descriptor is an open regular file, for the few reads of one of dozens of
// emulators. An os.File takes five more system calls and a finalizer.
type descriptor int

// openFile opens a file to be read. It does not wait for the other end of a pipe.
func openFile(path string) (descriptor, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != unix.EINTR { // a file system such as FUSE was interrupted
			return descriptor(fd), err
		}
	}
}

func (d descriptor) close() { _ = unix.Close(int(d)) }

// ReadAt implements io.ReaderAt.
func (d descriptor) ReadAt(p []byte, offset int64) (n int, err error) {
	for n < len(p) {
		m, err := unix.Pread(int(d), p[n:], offset+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case m == 0:
			return n, io.EOF
		default:
			n += m
		}
	}
	return n, nil
}
