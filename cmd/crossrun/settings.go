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

// A setting is what the environment has for one architecture:
// CROSSRUN_EMULATOR_ARM64 for one. ARCH is any of its names, in capitals, with
// underscores for what variables cannot have.
type setting struct{ arch *elfmagic.Arch }

func settings(arch *elfmagic.Arch) setting { return setting{arch} }

var variable = strings.NewReplacer("-", "_", ".", "_")

// lookup returns a variable's name and value; the name is empty if it is unset.
func (s setting) lookup(what string) (name, value string) {
	for _, n := range s.arch.Names() {
		name := "CROSSRUN_" + what + "_" + strings.ToUpper(variable.Replace(n))
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// emulator returns the emulator that is to be used, if one is named.
func (s setting) emulator() (string, error) {
	name, value := s.lookup("EMULATOR")
	if name == "" {
		return "", nil
	}
	return namedEmulator(name+"="+value, value)
}

// namedEmulator looks up an emulator that is named: as what, for messages.
func namedEmulator(what, emulator string) (string, error) {
	path, err := exec.LookPath(emulator)
	if err != nil {
		return "", cli.WithHint(fmt.Errorf("%s: %w", what, errors.Unwrap(err)), "name a file, or a command in PATH")
	}
	return path, nil
}

// sysroot returns the sysroot that is named, if one is.
func (s setting) sysroot() (string, error) {
	name, value := s.lookup("SYSROOT")
	if name == "" {
		return "", nil
	}
	return value, existingDirectory(name, value)
}

// cpu returns the variable that makes QEMU emulate the CPU that is named, or
// nothing. It is inherited by what the program starts, as QEMU's own is.
func (s setting) cpu() []string {
	_, value := s.lookup("CPU")
	if value == "" || os.Getenv("QEMU_CPU") != "" {
		return nil
	}
	return []string{"QEMU_CPU=" + value}
}
