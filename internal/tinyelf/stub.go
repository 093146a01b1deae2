package tinyelf

import (
	"debug/elf"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
)

// A Call is a system call that returns 0. Its arguments are constants below
// 1<<31.
type Call struct {
	Name string // in numbers below
	Args []uint32
}

// ExitFailed is the stub's exit status when a call, or the execve in the end,
// fails.
const ExitFailed = 126

// Supported reports whether there are stubs for an architecture.
func StubSupported(arch *elfmagic.Arch) bool { return machines[arch.Name] != nil }

// Program returns a program for the architecture that makes the calls, and
// executes the path that is its second argument, with the arguments that follow
// it and its own environment: its argument list is {ignored, path, argv[0], …}.
// If a call fails it writes callFailed to standard error, if execve does,
// execFailed. No entry of binfmt_misc is for the program itself.
func Stub(arch *elfmagic.Arch, calls []Call, callFailed, execFailed string) ([]byte, error) {
	newMachine := machines[arch.Name]
	if newMachine == nil {
		return nil, fmt.Errorf("no stub is known for %s", arch)
	}
	// Addresses are known once the lengths are: the first pass finds these.
	var code []byte
	var at [3]uint32 // of what fails, and of the texts
	for range 2 {
		m := newMachine()
		for _, c := range calls {
			number, ok := numbers[c.Name]
			if !ok {
				return nil, fmt.Errorf("no number of the system call %s is known", c.Name)
			}
			for i, arg := range c.Args {
				m.load(i, arg)
			}
			m.call(number.on(arch))
			m.branchIfError(int(at[0]))
		}
		m.exec(numbers["execve"].on(arch))
		fail := func(address, length uint32) {
			m.load(0, 2) // standard error
			m.load(1, address)
			m.load(2, length)
			m.call(numbers["write"].on(arch))
			m.load(0, ExitFailed)
			m.call(numbers["exit_group"].on(arch))
		}
		start := uint32(entry(arch))
		fail(start+at[2], uint32(len(execFailed)))
		at[0] = uint32(len(*m.code()))
		fail(start+at[1], uint32(len(callFailed)))
		at[1] = uint32(len(*m.code()))
		at[2] = at[1] + uint32(len(callFailed))
		code = append(append(*m.code(), callFailed...), execFailed...)
	}
	return Executable{Arch: arch, Version: ForeignVersion, Flags: flags[arch.Name], Code: code}.File()
}

// flags are the e_flags that kernels or emulators want.
var flags = map[string]uint32{"ppc64le": 2 /* EF_PPC64_ABI: the entry is code, not a descriptor */}

// A number is that of a system call on each architecture.
type number struct {
	x86_64, generic, powerpc, s390 uint32 // generic: arm64 and riscv64
}

func (n number) on(arch *elfmagic.Arch) uint32 {
	switch arch.Machine {
	case elf.EM_X86_64:
		return n.x86_64
	case elf.EM_PPC64:
		return n.powerpc
	case elf.EM_S390:
		return n.s390
	}
	return n.generic
}

// numbers are from arch/*/kernel/syscalls/syscall.tbl, arch/x86/entry/syscalls
// and include/uapi/asm-generic/unistd.h in Linux.
var numbers = map[string]number{
	"close":      {3, 57, 6, 6},
	"execve":     {59, 221, 11, 11},
	"exit_group": {231, 94, 234, 248},
	"fchdir":     {81, 50, 133, 133},
	"setns":      {308, 268, 350, 339},
	"write":      {1, 64, 4, 4},
}
