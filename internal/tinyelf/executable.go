package tinyelf

import (
	"debug/elf"
	"encoding/binary"

	"github.com/projectcalico/go-build/elfmagic"
)

// ForeignVersion is a version of ELF that does not exist. The kernel's loader
// does not look at the version (load_elf_binary in fs/binfmt_elf.c, and the
// architectures' elf_check_arch); patterns of emulators do. A program that has
// it is the kernel's own to run, whatever is registered.
const ForeignVersion = 0x7f

// Where the program is loaded: apart from what kernels keep for themselves
// (vm.mmap_min_addr), on a multiple of every page size.
const (
	loadAddress = 0x400000
	pageSize    = 0x10000
)

// An Executable is what goes into the file.
type Executable struct {
	Arch    *elfmagic.Arch
	Version byte   // elf.EV_CURRENT or ForeignVersion
	Flags   uint32 // e_flags
	Code    []byte // starts at entry
	Interp  bool   // Code is the path of its loader instead, with a NUL byte
}

// entry returns the address at which an architecture's code starts.
func entry(arch *elfmagic.Arch) uint64 {
	if arch.Class == elf.ELFCLASS64 {
		return loadAddress + header64 + 2*program64
	}
	return loadAddress + header32 + 2*program32
}

// Order returns the byte order of the architecture's data.
func Order(arch *elfmagic.Arch) interface {
	binary.ByteOrder
	binary.AppendByteOrder
} {
	if arch.Data == elf.ELFDATA2MSB {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// File returns the executable.
func (p Executable) File() ([]byte, error) {
	ident := [elf.EI_NIDENT]byte{elf.EI_CLASS: byte(p.Arch.Class), elf.EI_DATA: byte(p.Arch.Data), elf.EI_VERSION: p.Version}
	copy(ident[:], elf.ELFMAG)
	header := elf.Header32{
		Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(p.Arch.Machine),
		Version: uint32(elf.EV_CURRENT), Flags: p.Flags, Phnum: 2,
	}
	if p.Arch.Class == elf.ELFCLASS64 {
		return p.file64(header)
	}
	return p.file32(header)
}

// Sizes of an ELF header and of a program header.
const (
	header32, program32 = 52, 32
	header64, program64 = 64, 56
)

// file32 puts a header, a segment with everything in it, and the mark of a
// program whose stack need not be executable, or the loader, before the code.
func (p Executable) file32(h elf.Header32) ([]byte, error) {
	const start = header32 + 2*program32
	h.Ehsize, h.Phentsize, h.Phoff, h.Entry = header32, program32, header32, loadAddress+start
	size := uint32(start + len(p.Code))
	second := elf.Prog32{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W)}
	if p.Interp {
		second = elf.Prog32{Type: uint32(elf.PT_INTERP), Off: start, Filesz: uint32(len(p.Code))}
	}
	return assemble(Order(p.Arch), p.Code, h,
		elf.Prog32{Type: uint32(elf.PT_LOAD), Vaddr: loadAddress, Paddr: loadAddress, Filesz: size, Memsz: size, Flags: uint32(elf.PF_R | elf.PF_X), Align: pageSize},
		second)
}

// file64 is file32 for 64-bit programs.
func (p Executable) file64(h elf.Header32) ([]byte, error) {
	const start = header64 + 2*program64
	wide := elf.Header64{
		Ident: h.Ident, Type: h.Type, Machine: h.Machine, Version: h.Version, Flags: h.Flags, Phnum: h.Phnum,
		Ehsize: header64, Phentsize: program64, Phoff: header64, Entry: loadAddress + start,
	}
	size := uint64(start + len(p.Code))
	second := elf.Prog64{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W)}
	if p.Interp {
		second = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: start, Filesz: uint64(len(p.Code))}
	}
	return assemble(Order(p.Arch), p.Code, wide,
		elf.Prog64{Type: uint32(elf.PT_LOAD), Vaddr: loadAddress, Paddr: loadAddress, Filesz: size, Memsz: size, Flags: uint32(elf.PF_R | elf.PF_X), Align: pageSize},
		second)
}

func assemble(order binary.ByteOrder, code []byte, parts ...any) ([]byte, error) {
	var file []byte
	for _, part := range parts {
		var err error
		if file, err = binary.Append(file, order, part); err != nil {
			return nil, err
		}
	}
	return append(file, code...), nil
}
