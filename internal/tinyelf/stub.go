package tinyelf

import (
	"debug/elf"
	"fmt"
	"slices"
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
	m := machineOf(arch)
	if m == nil {
		return nil, fmt.Errorf("no stub is known for %s", arch)
	}
	var code []byte
	add := func(instructions []byte) { code = append(code, instructions...) }
	load := func(argument int, value uint32) { add(m.set(m.registers[argument], value)) }
	call := func(name string) {
		load(3, numberOf(name).on(arch))
		add(m.call)
	}
	// Addresses are known once the lengths are: the first pass finds these.
	var failed int          // where the code for a failed call is
	var addresses [3]uint32 // of the texts
	texts := [3]string{callFailed, execFailed, errnos()}
	for range 2 {
		code = nil
		for _, c := range calls {
			if numberOf(c.Name) == nil {
				return nil, fmt.Errorf("no number of the system call %s is known", c.Name)
			}
			for i, arg := range c.Args {
				load(i, arg)
			}
			call(c.Name)
			add(m.branch(failed - len(code)))
		}
		add(m.exec)
		call("execve")
		write := func(address uint32, length int, more []byte) {
			load(0, descriptor)
			load(1, address)
			add(more)
			load(2, uint32(length))
			call("write")
		}
		fail := func(text int) {
			add(m.keep)
			write(addresses[text], len(texts[text]), nil)
			write(addresses[2], errnoSize, m.add)
			load(0, ExitFailed)
			call("exit_group")
		}
		fail(1)
		failed = len(code)
		fail(0)
		for i, text := range texts {
			addresses[i] = uint32(loadAddress+start(arch)) + uint32(len(code))
			code = append(code, text...)
		}
	}
	return executable{arch: arch, version: ForeignVersion, flags: recipeOf(arch).flags, code: code}.file(), nil
}

// Below is how far below the stack pointer an Asker finds what it is told to execute:
// the five arguments of execveat(2), as words. The kernel has the stack reach 128 KiB
// further down than what it puts there (setup_arg_pages in fs/exec.c, Linux 2.6.23).
const Below = 512

// Asker returns a program for the architecture that asks which other one it shall
// become. It calls execve with its stack pointer and two numbers below 1<<31 as
// arguments, which mean nothing to the kernel. If that returns 0, somebody has put the
// answer Below its stack, and it is executed. Else, and if that fails, the exit
// status is ExitFailed. No entry of binfmt_misc is for the program itself.
func Asker(arch *elfmagic.Arch, first, second uint32) ([]byte, error) {
	m := machineOf(arch)
	if m == nil {
		return nil, fmt.Errorf("no stub is known for %s", arch)
	}
	load := func(argument int, value uint32) []byte { return m.set(m.registers[argument], value) }
	call := func(name string) []byte { return append(load(3, numberOf(name).on(arch)), m.call...) }
	execute := append(append([]byte{}, m.below...), call("execveat")...)
	code := slices.Concat(m.stack, load(1, first), load(2, second), call("execve"))
	code = append(code, m.branch(len(m.branch(0))+len(execute))...)
	code = append(code, execute...)
	code = append(append(code, load(0, ExitFailed)...), call("exit_group")...)
	return executable{arch: arch, version: ForeignVersion, flags: recipeOf(arch).flags, code: code}.file(), nil
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

// numberOf returns the number of a system call. They are from
// arch/*/kernel/syscalls/syscall.tbl, arch/x86/entry/syscalls and
// include/uapi/asm-generic/unistd.h in Linux.
func numberOf(call string) *number {
	for i := range numbers {
		if numbers[i].call == call {
			return &numbers[i].number
		}
	}
	return nil
}

var numbers = []struct {
	call   string
	number number
}{
	{"close", number{3, 57, 6, 6}},
	{"execve", number{59, 221, 11, 11}},
	{"execveat", number{322, 281, 362, 354}},
	{"exit_group", number{231, 94, 234, 248}},
	{"fchdir", number{81, 50, 133, 133}},
	{"flock", number{73, 32, 143, 143}},
	{"setgroups", number{116, 159, 81, 206}},
	{"setns", number{308, 268, 350, 339}},
	{"setresgid", number{119, 149, 169, 210}},
	{"setresuid", number{117, 147, 164, 208}},
	{"write", number{1, 64, 4, 4}},
}
