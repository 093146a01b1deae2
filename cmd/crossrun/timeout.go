package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/entry"
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

// runAsChild has this command run once more, as a child, passes signals on and ends as that does. It is for
// process 1 of a container: what watches the time would be the program's child there, and the
// kernel lets no signal from inside end that process.
func runAsChild(stderr io.Writer) int {
	inherited := file.Inherited()
	null, _ := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	tty, _ := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	signals := make(chan os.Signal, 64)
	for n := unix.SIGHUP; n <= 64; n++ {
		switch n {
		case unix.SIGCHLD, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
			continue
		}
		if entry.Own(n) {
			continue
		}
		if entry.Ignored()>>(n-1)&1 != 0 {
			signal.Ignore(n) // the child inherits it
		} else {
			signal.Notify(signals, n)
		}
	}
	runtime.LockOSThread()
	_, _ = entry.Block()
	child, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return exitStatus(fmt.Errorf("--timeout: cannot start the command again, below process 1: %w", err), stderr)
	}
	file.LetGo(inherited, null, unix.Stderr+1)
	go func() {
		for s := range signals {
			// What the terminal sends, the child gets, too.
			front, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
			if err != nil || front != unix.Getpgrp() || s != unix.SIGINT && s != unix.SIGQUIT {
				_ = syscall.Kill(child, s.(syscall.Signal))
			}
		}
	}()
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil) // orphans, too
		switch {
		case err == syscall.EINTR || err == nil && ended != child:
		case err != nil:
			return exitFailed
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
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
