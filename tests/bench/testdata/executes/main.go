// Executes is the least that a Go program does which only executes another.
package main

import (
	"os"
	"syscall"
)

func main() {
	_ = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	os.Exit(1)
}
