// Forker starts the command that its arguments name, in a session of its own, leaves
// it behind and exits with status 3.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		os.Exit(99)
	}
	fmt.Println("left behind")
	os.Exit(3)
}
