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

// A beginning is a file of which the first bytes have been read: its headers, in
// one system call.
type beginning struct {
	head []byte
	file io.ReaderAt
}

func newBeginning(f io.ReaderAt) (*beginning, error) {
	head := make([]byte, 1<<10)
	n, err := f.ReadAt(head, 0)
	if err == io.EOF {
		err = nil
	}
	return &beginning{head[:n], f}, err
}

// ReadAt implements io.ReaderAt.
func (b *beginning) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= 0 && offset+int64(len(p)) <= int64(len(b.head)) {
		return copy(p, b.head[offset:]), nil
	}
	return b.file.ReadAt(p, offset)
}
