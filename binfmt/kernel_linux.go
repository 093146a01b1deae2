package binfmt

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// RunningKernel returns the version of the kernel that runs.
func RunningKernel() (KernelVersion, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return KernelVersion{}, fmt.Errorf("cannot ask for the kernel's version: %w", err)
	}
	return ParseKernelVersion(strings.TrimRight(string(name.Release[:]), "\x00"))
}
