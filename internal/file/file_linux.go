package file

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Open is os.Open without the run-time poller: the first file that is offered
// to that sets it up, each file takes five more system calls, and a regular
// file is refused in the end.
func Open(path string) (*os.File, error) { return OpenFile(path, os.O_RDONLY) }

// OpenFile is to os.OpenFile what Open is to os.Open. It makes no file.
func OpenFile(path string, flags int) (*os.File, error) {
	fd, err := Descriptor(path, flags)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Descriptor opens a file for the few system calls for which an os.File is too much.
func Descriptor(path string, flags int) (fd int, err error) {
	err = IgnoringEINTR(func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// ErrNotRegular is returned for what is no regular file.
var ErrNotRegular = errors.New("not a regular file")

// OpenRegular opens a regular file whose name comes from data: an ELF header, a #!
// line, an entry. A pipe would wait for its other end, and opening a device does
// things, so that nothing else is opened. Should one have come into the file's place
// meanwhile, it does not wait either.
func OpenRegular(path string) (*os.File, error) {
	fd, err := Regular(path)
	var st unix.Stat_t
	if err == nil {
		// It was not to wait for being opened. What stays so os.NewFile offers to the poller.
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0)
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = ErrNotRegular
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Regular returns a descriptor of what was a regular file just before, for callers that
// ask fstat(2) themselves. Of what is missing it takes one system call to know.
func Regular(path string) (fd int, err error) {
	var st unix.Stat_t
	if err := IgnoringEINTR(func() error { return unix.Stat(path, &st) }); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, ErrNotRegular
	}
	return Descriptor(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
}

// IgnoringEINTR repeats what a signal interrupted, as on a file system such as FUSE.
func IgnoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// Memory makes an executable file in memory that has no name: nothing is left
// of it when the last who has it open ends. Kernels before 3.17 have no
// memfd_create, and vm.memfd_noexec=2 (6.3) forbids to execute what is in one.
func Memory(name string, program []byte) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// Linux 6.3 and newer want to be told that it will be executed
	// (105ff5339f49); older ones do not know the flag.
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(program); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Seal forbids all changes of a file in memory.
func Seal(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	return os.NewSyscallError("fcntl F_ADD_SEALS", err)
}

// Exec executes an open file in this process's place. It needs no /proc, and
// nothing that is put into the place of the file's name meanwhile is executed.
// It returns only if the kernel refuses.
func Exec(f *os.File, argv, env []string) error {
	// Go has raised the limit of open files, and syscall.Exec puts it back, also
	// if, as here, there is nothing that it could execute.
	_ = syscall.Exec("", nil, nil)
	argvp, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	envp, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty := []byte{0}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, f.Fd(), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&argvp[0])), uintptr(unsafe.Pointer(&envp[0])), unix.AT_EMPTY_PATH, 0)
	if errno == unix.ENOSYS || errno == unix.EPERM {
		// Before 3.19, in an old QEMU, or denied by what does not know it. An
		// emulator that runs this program's architecture opens the file by that name
		// when it has been executed: it stays open.
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
			return err
		}
		err := syscall.Exec("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), argv, env)
		unix.CloseOnExec(int(f.Fd()))
		return err
	}
	return os.NewSyscallError("execveat", errno)
}
