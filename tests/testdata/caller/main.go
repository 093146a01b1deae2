// Caller executes a program: its arguments are the way, the path, and all of the
// program's own, argv[0] too.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	path, argv := os.Args[2], os.Args[3:]
	if found, err := exec.LookPath(path); err == nil {
		path = found
	}
	var err error
	switch os.Args[1] {
	case "itself": // takes the caller's place
		err = unix.Exec(path, argv, os.Environ())
	case "child":
		err = child(path, argv)
	case "descriptor":
		err = execDescriptor(path, 0, argv)
	case "closing": // which is closed when the program is executed
		err = execDescriptor(path, unix.O_CLOEXEC, argv)
	case "link": // of such a descriptor
		var fd int
		if fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
			err = unix.Exec(fmt.Sprint("/proc/self/fd/", fd), argv, os.Environ())
		}
	case "memory": // a copy of the program, which has no name
		var fd int
		if fd, err = inMemory(path); err == nil {
			err = unix.Exec(fmt.Sprint("/proc/self/fd/", fd), argv, os.Environ())
		}
	case "look": // at the link of itself, from elsewhere
		err = look(path)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(99)
	}
}

func child(path string, argv []string) error {
	cmd := exec.Cmd{Path: path, Args: argv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	return err
}

func inMemory(path string) (int, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC)
	if err == nil {
		_, err = unix.Write(fd, content)
	}
	return fd, err
}

// execDescriptor does what C libraries' fexecve does. QEMU before 8 does not know
// the system call.
func execDescriptor(path string, flag int, argv []string) error {
	fd, err := unix.Open(path, unix.O_PATH|flag, 0)
	if err != nil {
		return err
	}
	words, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	environment, err := syscall.SlicePtrFromStrings(os.Environ())
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(new(byte))),
		uintptr(unsafe.Pointer(&words[0])), uintptr(unsafe.Pointer(&environment[0])), unix.AT_EMPTY_PATH, 0)
	if errno != unix.ENOSYS {
		return errno
	}
	return unix.Exec(fmt.Sprint("/proc/self/fd/", fd), argv, os.Environ())
}

func look(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	name, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	content, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	named, err := os.ReadFile(name)
	fmt.Println(name, bytes.Equal(content, named))
	return err
}
