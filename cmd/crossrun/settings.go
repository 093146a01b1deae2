package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

var variable = strings.NewReplacer("-", "_", ".", "_")

// setting returns what the environment has for one architecture, and in which
// variable: CROSSRUN_EMULATOR_ARM64 for one. ARCH is any of its names, in
// capitals, with underscores for what variables cannot have.
func setting(arch *elfmagic.Arch, what string) (name, value string) {
	for _, n := range arch.Names() {
		name := "CROSSRUN_" + what + "_" + strings.ToUpper(variable.Replace(n))
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// namedEmulator returns the emulator that the flag or the environment names, if
// one is named.
func namedEmulator(flag string, arch *elfmagic.Arch) (string, error) {
	what, named := setting(arch, "EMULATOR")
	what += "="
	if flag != "" {
		what, named = "--emulator ", flag
	}
	if named == "" {
		return "", nil
	}
	path, err := exec.LookPath(named)
	if err != nil {
		return "", cli.WithHint(fmt.Errorf("%s%s: %w", what, named, errors.Unwrap(err)), "name a file, or a command in PATH")
	}
	return path, nil
}

// namedSysroot returns the sysroot that the flag or the environment names, if one
// is named.
func namedSysroot(flag string, arch *elfmagic.Arch) (string, error) {
	if flag != "" {
		return flag, nil
	}
	name, value := setting(arch, "SYSROOT")
	return value, existingDirectory(name, value)
}

// namedCPU returns the variable that makes QEMU emulate the CPU that is named, or
// nothing. It is inherited by what the program starts, as QEMU's own is.
func namedCPU(arch *elfmagic.Arch) []string {
	_, value := setting(arch, "CPU")
	if value == "" || os.Getenv("QEMU_CPU") != "" {
		return nil
	}
	return []string{"QEMU_CPU=" + value}
}
