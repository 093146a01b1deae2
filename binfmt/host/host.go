// Package host finds out which architectures' programs run here, by the kernel
// itself or by an entry of binfmt_misc, and why others do not. It runs a tiny
// program of each architecture: nothing is assumed.
package host

import (
	"errors"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
)

// ErrEmulated says that this very process is run by an emulator, so that what
// it learns about the host is about an emulated one.
var ErrEmulated = errors.New("this program is for another architecture than the host's and runs under emulation")

// relatives lists, for each architecture that this program can be built for,
// those that a kernel of that architecture may run besides its own. Whether it
// does depends on its configuration (CONFIG_IA32_EMULATION, CONFIG_COMPAT,
// MIPS32_O32 and N32) and on the CPU (64-bit-only Arm cores), so it is asked.
var relatives = map[string][]string{
	"aarch64":     {"arm"},
	"arm":         {},
	"i386":        {},
	"loongarch64": {},
	"mips":        {},
	"mips64":      {"mips", "mipsn32"},
	"mips64el":    {"mipsel", "mipsn32el"},
	"mipsel":      {},
	"ppc64":       {"ppc"},
	"ppc64le":     {},
	"riscv64":     {"riscv32"},
	"s390x":       {},
	"x86_64":      {"i386"},
}

// Relatives returns the architectures that a kernel of the given one may run
// besides its own.
func Relatives(arch *elfmagic.Arch) []*elfmagic.Arch {
	var archs []*elfmagic.Arch
	for _, name := range relatives[arch.Name] {
		relative, err := elfmagic.Lookup(name)
		if err == nil {
			archs = append(archs, relative)
		}
	}
	return archs
}

// A Cause is why programs of an architecture do not run.
type Cause string

// Causes, and the errno of execve(2) that they go with.
const (
	NoEntry       Cause = "no entry is for them"                                 // ENOEXEC
	Disabled      Cause = "the entry is disabled"                                // ENOEXEC
	AllDisabled   Cause = "all entries are disabled"                             // ENOEXEC
	OtherInstance Cause = "the entry is in another instance of binfmt_misc"      // ENOEXEC
	NoInterpreter Cause = "the entry's interpreter is missing"                   // ENOENT
	Loop          Cause = "the entry's interpreter is itself taken by an entry"  // ELOOP
	Unseen        Cause = "binfmt_misc is not mounted here: why, cannot be seen" // any
	Failed        Cause = "the program failed"                                   // none
	Unknown       Cause = "the cause is not known"                               // any other
)

// An Error says why programs of an architecture do not run. It wraps the errno of
// execve, or what the program, or its emulator, ended with.
type Error struct {
	Arch  *elfmagic.Arch
	Cause Cause
	Entry string // name of the entry that it is about; empty if about none
	Err   error
}

func (e *Error) Error() string {
	if e.Entry != "" {
		return fmt.Sprintf("%s programs do not run: %s: %s: %v", e.Arch, e.Entry, e.Cause, e.Err)
	}
	return fmt.Sprintf("%s programs do not run: %s: %v", e.Arch, e.Cause, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
