// Alarm executes its arguments in its place with a timer running that sends SIGALRM, as
// alarm(2) does, once and again: whoever is executed has it, too.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	often := unix.NsecToTimeval((100 * time.Millisecond).Nanoseconds())
	_, err := unix.Setitimer(unix.ItimerReal, unix.Itimerval{Value: often, Interval: often})
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
