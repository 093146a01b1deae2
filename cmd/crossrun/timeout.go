package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{watcher, strconv.Itoa(os.Getpid()), timeout.String()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("--timeout: cannot start what watches: %w: %s", err, out)
	}
	return nil
}

// watch is the watcher's main. Asked with a process and a time it starts itself
// once more, and ends: its child is then nobody's.
func watch(args []string) error {
	if len(args) != 3 && len(args) != 4 {
		return errors.New("this name is for the program's own use")
	}
	pid, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	timeout, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	if len(args) == 3 {
		process, err := unix.PidfdOpen(pid, 0) // 5.3
		if err != nil {
			return fmt.Errorf("pidfd_open: %w", err)
		}
		file := os.NewFile(uintptr(process), "process")
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = append(args, "again")
		cmd.Dir = "/"
		cmd.ExtraFiles = []*os.File{file}
		return cmd.Start()
	}
	const process = 3
	for _, step := range []struct {
		signal unix.Signal
		wait   time.Duration
	}{{unix.SIGTERM, timeout}, {unix.SIGKILL, grace}} {
		if ended(process, step.wait) {
			return nil
		}
		if err := unix.PidfdSendSignal(process, step.signal, nil, 0); err != nil {
			return err
		}
	}
	return nil
}

// ended waits for a process to end, but no longer than wait.
func ended(process int, wait time.Duration) bool {
	deadline := time.Now().Add(wait)
	for {
		fds := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
		left := max(time.Until(deadline), 0)
		n, err := unix.Poll(fds, int(min(left.Milliseconds()+1, 1<<30)))
		switch {
		case err == nil && n > 0:
			return true
		case err != nil && !errors.Is(err, unix.EINTR):
			return true
		case !time.Now().Before(deadline):
			return false
		}
	}
}
