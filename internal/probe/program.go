// Package probe makes a tiny program of any architecture, and runs it. The
// program reads one byte from its standard input and exits with [ExitCode]. It
// has no libraries and no loader; nothing but the kernel, or an emulator, can
// keep it from running.
package probe

import (
	"debug/elf"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/elfexec"
)

// Program returns an executable for the architecture.
func Program(arch *elfmagic.Arch) ([]byte, error) { return program(arch, byte(elf.EV_CURRENT)) }

// NativeProgram returns an executable for the architecture that the kernel's
// own loader takes, and that no emulator's entry in binfmt_misc is for.
func NativeProgram(arch *elfmagic.Arch) ([]byte, error) { return program(arch, elfexec.ForeignVersion) }

// program returns an executable whose instructions come after the given ones.
func program(arch *elfmagic.Arch, version byte, first ...uint32) ([]byte, error) {
	recipe, ok := recipes()[arch.Name]
	if !ok {
		return nil, fmt.Errorf("no program is known for %s", arch)
	}
	recipe.instructions = append(first, recipe.instructions...)
	code := recipe.code(elfexec.Order(arch))
	return elfexec.Program{Arch: arch, Version: version, Flags: recipe.flags, Code: code}.File()
}
