// Package file opens files that are read once, in a program that is over soon,
// and makes programs in memory.
package file

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Open is os.Open without the run-time poller: the first file that is offered
// to that sets it up, each file takes five more system calls, and a regular
// file is refused in the end.
func Open(path string) (*os.File, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR: // a file system such as FUSE was interrupted
		default:
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// Memory makes an executable file in memory that has no name: nothing is left
// of it when the last who has it open ends. Kernels before 3.17 have no
// memfd_create, and vm.memfd_noexec=2 (6.3) forbids to execute what is in one.
func Memory(name string, program []byte) (*os.File, error) {
	// Linux 6.3 and newer want to be told that it will be executed
	// (105ff5339f49); older ones do not know the flag.
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.Write(program); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
