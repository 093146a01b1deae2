// Privileged is a program that somebody makes set-user-ID root although it
// imports the package. Without the variable PRIVILEGED_NO_MAIN it calls Main
// first. It then says who it is, or attacks another such program: as its name
// for itself, and with the arguments and descriptors that the helper has.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/projectcalico/go-build/binfmt/private"
)

func main() {
	if os.Getenv("PRIVILEGED_NO_MAIN") == "" {
		private.Main()
	}
	if len(os.Args) != 3 || os.Args[1] != "attack" {
		fmt.Printf("real %d, effective %d\n", os.Getuid(), os.Geteuid())
		return
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	victim := exec.Command(os.Args[2])
	victim.Args = []string{"binfmt-private", "3", "/", "0", "0"}
	victim.ExtraFiles = []*os.File{theirs}
	victim.Stdout, victim.Stderr = os.Stdout, os.Stderr
	err = victim.Run()
	theirs.Close()
	answer := make([]byte, 1000)
	n, _ := ours.Read(answer)
	fmt.Printf("victim: %v; answer: %q\n", err, answer[:n])
}
