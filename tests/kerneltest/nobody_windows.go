package kerneltest

import "os/exec"

// runAsNobody is not called: nothing that requires a kernel of Linux's runs here.
func runAsNobody(*exec.Cmd) { panic("there is no such user on Windows") }
