// Package probe makes a tiny program of any architecture, and runs it. The
// program reads one byte from its standard input and exits with [ExitCode]. It
// has no libraries and no loader; nothing but the kernel, or an emulator, can
// keep it from running.
package probe

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
)

// Program returns an executable for the architecture.
func Program(arch *elfmagic.Arch) ([]byte, error) { return program(arch, byte(elf.EV_CURRENT)) }

// foreignVersion is a version of ELF that does not exist. The kernel's loader
// does not look at the version (load_elf_binary in fs/binfmt_elf.c, and the
// architectures' elf_check_arch); patterns of emulators do.
const foreignVersion = 0x7f

// NativeProgram returns an executable for the architecture that the kernel's
// own loader takes, and that no emulator's entry in binfmt_misc is for.
func NativeProgram(arch *elfmagic.Arch) ([]byte, error) { return program(arch, foreignVersion) }

// Where the program is loaded: apart from what kernels keep for themselves
// (vm.mmap_min_addr), on a multiple of every page size.
const (
	loadAddress = 0x400000
	pageSize    = 0x10000
)

// program returns an executable whose instructions come after the given ones.
func program(arch *elfmagic.Arch, version byte, first ...uint32) ([]byte, error) {
	recipe, ok := recipes[arch.Name]
	if !ok {
		return nil, fmt.Errorf("no program is known for %s", arch)
	}
	recipe.instructions = append(first, recipe.instructions...)
	var order binary.AppendByteOrder = binary.LittleEndian
	if arch.Data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	ident := [elf.EI_NIDENT]byte{elf.EI_CLASS: byte(arch.Class), elf.EI_DATA: byte(arch.Data), elf.EI_VERSION: version}
	copy(ident[:], elf.ELFMAG)
	code := recipe.code(order)
	header := elf.Header32{
		Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(arch.Machine),
		Version: uint32(elf.EV_CURRENT), Flags: recipe.flags, Phnum: 2,
	}
	if arch.Class == elf.ELFCLASS64 {
		return executable64(order, header, code)
	}
	return executable32(order, header, code)
}

// Sizes of an ELF header and of a program header.
const (
	header32, program32 = 52, 32
	header64, program64 = 64, 56
)

// executable32 puts a header, a segment with everything in it, and the mark of
// a program whose stack need not be executable before the code.
func executable32(order binary.AppendByteOrder, h elf.Header32, code []byte) ([]byte, error) {
	const start = header32 + 2*program32
	h.Ehsize, h.Phentsize, h.Phoff, h.Entry = header32, program32, header32, loadAddress+start
	size := uint32(start + len(code))
	return assemble(order, code, h,
		elf.Prog32{Type: uint32(elf.PT_LOAD), Vaddr: loadAddress, Paddr: loadAddress, Filesz: size, Memsz: size, Flags: uint32(elf.PF_R | elf.PF_X), Align: pageSize},
		elf.Prog32{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W)})
}

// executable64 is executable32 for 64-bit programs.
func executable64(order binary.AppendByteOrder, h elf.Header32, code []byte) ([]byte, error) {
	const start = header64 + 2*program64
	wide := elf.Header64{
		Ident: h.Ident, Type: h.Type, Machine: h.Machine, Version: h.Version, Flags: h.Flags, Phnum: h.Phnum,
		Ehsize: header64, Phentsize: program64, Phoff: header64, Entry: loadAddress + start,
	}
	size := uint64(start + len(code))
	return assemble(order, code, wide,
		elf.Prog64{Type: uint32(elf.PT_LOAD), Vaddr: loadAddress, Paddr: loadAddress, Filesz: size, Memsz: size, Flags: uint32(elf.PF_R | elf.PF_X), Align: pageSize},
		elf.Prog64{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W)})
}

func assemble(order binary.AppendByteOrder, code []byte, parts ...any) ([]byte, error) {
	var file []byte
	for _, part := range parts {
		var err error
		if file, err = binary.Append(file, order.(binary.ByteOrder), part); err != nil {
			return nil, err
		}
	}
	return append(file, code...), nil
}
