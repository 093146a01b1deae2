// Package tinyelf writes the smallest programs that a kernel accepts, for any
// architecture: one segment, no libraries, no loader. [Program] reads one byte
// from its standard input and exits with [ExitCode], and [Run] shows whether it
// runs; [Stub] makes some system calls and then executes another program.
package tinyelf

import (
	"debug/elf"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
)

// Program returns an executable for the architecture.
func Program(arch *elfmagic.Arch) ([]byte, error) { return program(arch, byte(elf.EV_CURRENT)) }

// NativeProgram returns an executable for the architecture that the kernel's
// own loader takes, and that no emulator's entry in binfmt_misc is for.
func NativeProgram(arch *elfmagic.Arch) ([]byte, error) { return program(arch, ForeignVersion) }

// unloadable returns an executable that the kernel's own loader takes for one of
// the architecture, and then refuses for its loader's name: no file system that
// Linux has allows one that is as long.
func unloadable(arch *elfmagic.Arch) []byte {
	name := make([]byte, 4001)
	for i := range name[:4000] {
		name[i] = 'n'
	}
	name[0] = '/'
	e := executable{arch: arch, version: ForeignVersion, code: name, interp: true}
	if r := recipeOf(arch); r != nil {
		e.flags = r.flags
	}
	return e.file()
}

// program returns an executable whose instructions come after the given ones.
func program(arch *elfmagic.Arch, version byte, first ...byte) ([]byte, error) {
	recipe := recipeOf(arch)
	if recipe == nil {
		return nil, fmt.Errorf("no program is known for %s", arch)
	}
	code := append(first, recipe.program(arch.Data)...)
	return executable{arch: arch, version: version, flags: recipe.flags, code: code}.file(), nil
}
