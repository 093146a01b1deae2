package tinyelf

import (
	"debug/elf"
	"fmt"
	"strings"

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

// Stub returns a program for the architecture that makes the calls, and
// executes the path that is its second argument, with the arguments that follow
// it and its own environment: its argument list is {ignored, path, argv[0], …}.
// If a call fails it writes callFailed to the descriptor, if execve does,
// execFailed: both followed by the errno, as a number, and the end of the line.
// No entry of binfmt_misc is for the program itself.
func Stub(arch *elfmagic.Arch, calls []Call, descriptor uint32, callFailed, execFailed string) ([]byte, error) {
	newMachine := machines[arch.Name]
	if newMachine == nil {
		return nil, fmt.Errorf("no stub is known for %s", arch)
	}
	// Addresses are known once the lengths are: the first pass finds these.
	var code []byte
	var failed uint32       // where the code for a failed call is
	var addresses [3]uint32 // of the texts
	texts := [3]string{callFailed, execFailed, errnos()}
	start := uint32(entry(arch))
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
			m.branchIfError(int(failed))
		}
		m.exec(numbers["execve"].on(arch))
		write := func(address uint32, length int, more func()) {
			m.load(0, descriptor)
			m.load(1, address)
			more()
			m.load(2, uint32(length))
			m.call(numbers["write"].on(arch))
		}
		fail := func(text int) {
			m.keep()
			write(addresses[text], len(texts[text]), func() {})
			write(addresses[2], errnoSize, m.add)
			m.load(0, ExitFailed)
			m.call(numbers["exit_group"].on(arch))
		}
		fail(1)
		failed = uint32(len(*m.code()))
		fail(0)
		code = *m.code()
		for i, text := range texts {
			addresses[i] = start + uint32(len(code))
			code = append(code, text...)
		}
	}
	return Executable{Arch: arch, Version: ForeignVersion, Flags: flags[arch.Name], Code: code}.File()
}

// errnoSize is how long each of errnos is: machine.add multiplies by it.
const errnoSize = 4

// errnos returns the text of each errno, for a program that cannot divide. The
// largest that Linux returns is 133 (include/uapi/asm-generic/errno.h).
func errnos() string {
	var all strings.Builder
	for errno := range 134 {
		fmt.Fprintf(&all, "%3d\n", errno)
	}
	return all.String()
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
