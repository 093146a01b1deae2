package emulator

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// A descriptor is an open regular file, for the few reads of one of dozens of
// emulators. An os.File takes five more system calls and a finalizer.
type descriptor int

// openFile opens a regular file to be read.
func openFile(path string) (descriptor, error) {
	fd, err := file.Regular(path)
	if err == file.ErrNotRegular {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return descriptor(fd), err
}

// fuseMagic is FUSE_SUPER_MAGIC in the kernel's fs/fuse/inode.c.
const fuseMagic = 0x65735546

// fileSystem reports whether a process serves the open file, as fuse-overlayfs does for
// containers of Docker and Podman, and whether programs may be executed where it is.
func (d descriptor) fileSystem() (fuse, execs bool) {
	var fs unix.Statfs_t
	if unix.Fstatfs(int(d), &fs) != nil {
		return false, false
	}
	return uint32(fs.Type) == fuseMagic, fs.Flags&unix.ST_NOEXEC == 0
}

func (d descriptor) close() { _ = unix.Close(int(d)) }

// A beginning is an open file of which the first bytes were read: the headers of most
// programs. That is one system call in place of several.
type beginning struct {
	descriptor
	bytes []byte
}

// headers is how many bytes of a file are read at once: a 64-bit header and some 17
// program headers.
const headers = 1 << 10

// begin reads the beginning of a file into a buffer.
func begin(f descriptor, buffer []byte) (beginning, error) {
	n, err := f.ReadAt(buffer, 0)
	if err == io.EOF {
		err = nil
	}
	return beginning{f, buffer[:n]}, err
}

// ReadAt implements io.ReaderAt.
func (b *beginning) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= 0 && offset+int64(len(p)) <= int64(len(b.bytes)) {
		return copy(p, b.bytes[offset:]), nil
	}
	return b.descriptor.ReadAt(p, offset)
}

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
