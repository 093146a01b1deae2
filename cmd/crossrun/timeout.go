package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// watcher is the name under which this program watches another.
const watcher = "crossrun-timeout"

// grace is how long a program has between SIGTERM and SIGKILL.
const grace = 10 * time.Second

// limit has this process, which is about to become the program, ended when its
// time is up. A process that is nobody's child waits for that: the program has
// no parent of ours, and no child that it does not know of. It ends with the
// program, and holds none of its files.
func limit(timeout time.Duration) error {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0) // 5.3
	if err != nil {
		return fmt.Errorf("--timeout: pidfd_open: %w", err)
	}
	process := os.NewFile(uintptr(pidfd), "process")
	defer process.Close()
	cmd := watching(process, timeout.String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.Output()
	switch {
	case err == nil:
		return nil
	case len(out) > 0:
		err = errors.New(string(out))
	}
	return fmt.Errorf("--timeout: cannot start what watches: %w", err)
}

// watching returns a command that watches a process.
func watching(process *os.File, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{watcher}, args...)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{process}
	return cmd
}

// keepTime is the watcher's main. Asked with a time it starts itself once more, and
// ends: its child is then nobody's.
func keepTime(args []string) error {
	const process = 3
	if len(args) < 2 {
		return errors.New("this name is for the program's own use")
	}
	timeout, err := time.ParseDuration(args[1])
	switch {
	case err != nil:
		return err
	case len(args) == 2:
		file.LetGo(slices.DeleteFunc(file.Inherited(), func(fd int) bool { return fd == process }), -1, 0)
		return watching(os.NewFile(process, "process"), args[1], "again").Start()
	}
	go func() {
		for ready := 0; ready <= 0; {
			ready, _ = unix.Poll([]unix.PollFd{{Fd: process, Events: unix.POLLIN}}, -1)
		}
		os.Exit(0) // the program has ended
	}()
	time.Sleep(timeout)
	if err := unix.PidfdSendSignal(process, unix.SIGTERM, nil, 0); err != nil {
		return err
	}
	time.Sleep(grace)
	return unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0)
}
