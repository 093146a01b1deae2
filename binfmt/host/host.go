// Package host finds out which architectures' programs run here, by the kernel
// itself or by an entry of binfmt_misc, and why others do not. It gives the kernel
// a tiny program of each architecture: nothing is assumed.
package host

import (
	"errors"

	"github.com/projectcalico/go-build/elfmagic"
)

// ErrEmulated says that this very process is run by an emulator, so that what
// it learns about the host is about an emulated one.
var ErrEmulated = errors.New("this program is for another architecture than the host's and runs under emulation")

// relativesOf lists, for architectures that this program can be built for, those
// that a kernel of that architecture may run besides its own. Whether it does
// depends on its configuration (CONFIG_IA32_EMULATION, CONFIG_COMPAT, MIPS32_O32
// and N32) and on the CPU (64-bit-only Arm cores), so it is asked.
func relativesOf(name string) []string {
	switch name {
	case "aarch64":
		return []string{"arm"}
	case "mips64":
		return []string{"mips", "mipsn32"}
	case "mips64el":
		return []string{"mipsel", "mipsn32el"}
	case "ppc64":
		return []string{"ppc"}
	case "riscv64":
		return []string{"riscv32"}
	case "x86_64":
		return []string{"i386"}
	}
	return nil
}

// Relatives returns the architectures that a kernel of the given one may run
// besides its own.
func Relatives(arch *elfmagic.Arch) []*elfmagic.Arch {
	var archs []*elfmagic.Arch
	for _, name := range relativesOf(arch.Name) {
		if relative, err := elfmagic.Lookup(name); err == nil {
			archs = append(archs, relative)
		}
	}
	return archs
}
