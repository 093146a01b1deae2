// Terminal is a program that uses a terminal: it asks for a password without
// showing it, and says how large the window is, whenever that changes, until a
// signal ends it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"
)

func main() {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fd := int(tty.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	silent := *old
	silent.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprint(tty, "password: ")
	password, err := bufio.NewReader(tty).ReadString('\n')
	unix.IoctlSetTermios(fd, unix.TCSETS, old)
	fmt.Fprintf(tty, "\r\n%s got %d bytes, %v\r\n", runtime.GOARCH, len(password)-1, err)

	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	for {
		size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("window %d x %d\n", size.Col, size.Row)
		<-changed
	}
}
