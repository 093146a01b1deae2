package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// init has this program told when the go command that runs it has ended, as go run hands no
// signal on, and a Makefile's targets are sent SIGTERM with it: Docker and compilers would go on.
// Who ends in that moment is told by Getppid.
//
// The kernel sends the signal when the parent's thread ends that started this program, and keeps it for the
// thread that asks (PR_SET_PDEATHSIG(2const)). Threads of Go programs end before the program only with a
// goroutine that is locked to one, which the go command (1.26) has none of; and an init runs on
// the main thread, which never ends before.
func init() {
	parent := os.Getppid()
	if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent)); string(name) != "go\n" {
		return
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return // it is as it would be without
	}
	if os.Getppid() != parent {
		_ = unix.Kill(os.Getpid(), unix.SIGTERM)
	}
}
