// Crowd runs many processes of a command at once: crowd COUNT COMMAND [ARG…].
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(98)
	}
	var wait sync.WaitGroup
	for range count {
		wait.Go(func() {
			cmd := exec.Command(os.Args[2], os.Args[3:]...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	wait.Wait()
}
