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

// An executable is what goes into the file.
type executable struct {
	arch    *elfmagic.Arch
	version byte   // elf.EV_CURRENT or ForeignVersion
	flags   uint32 // e_flags
	code    []byte // starts at entry
	interp  bool   // code is the path of its loader instead, with a NUL byte
}

// start returns where in the file the code is: after a header, and two for segments.
func start(arch *elfmagic.Arch) uint64 {
	header, program := headerSizes(arch)
	return uint64(header + 2*program)
}

func headerSizes(arch *elfmagic.Arch) (header, program uint16) {
	if arch.Class == elf.ELFCLASS64 {
		return 64, 56
	}
	return 52, 32
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// order returns the byte order of the architecture's data.
func order(arch *elfmagic.Arch) byteOrder {
	if arch.Data == elf.ELFDATA2MSB {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// file returns the executable: a header, a segment with everything in it, and the
// mark of a program whose stack need not be executable, or the loader, before the
// code.
func (p executable) file() []byte {
	file := append(make([]byte, 0, start(p.arch)+uint64(len(p.code))), elf.ELFMAG...)
	file = append(file, byte(p.arch.Class), byte(p.arch.Data), p.version)
	file = file[:elf.EI_NIDENT] // zeros
	order := order(p.arch)
	word := func(v uint32) { file = order.AppendUint32(file, v) }
	halves := func(values ...uint16) {
		for _, v := range values {
			file = order.AppendUint16(file, v)
		}
	}
	wide := p.arch.Class == elf.ELFCLASS64
	addresses := func(values ...uint64) {
		for _, v := range values {
			if wide {
				file = order.AppendUint64(file, v)
			} else {
				word(uint32(v))
			}
		}
	}
	segment := func(kind elf.ProgType, flags elf.ProgFlag, offset, address, size, align uint64) {
		word(uint32(kind))
		if wide { // the flags have another place
			word(uint32(flags))
		}
		addresses(offset, address, address, size, size)
		if !wide {
			word(uint32(flags))
		}
		addresses(align)
	}
	header, program := headerSizes(p.arch)
	start, length := start(p.arch), uint64(len(p.code))
	halves(uint16(elf.ET_EXEC), uint16(p.arch.Machine))
	word(uint32(elf.EV_CURRENT))
	addresses(loadAddress+start, uint64(header), 0)
	word(p.flags)
	halves(header, program, 2, 0, 0, 0)
	segment(elf.PT_LOAD, elf.PF_R|elf.PF_X, 0, loadAddress, start+length, pageSize)
	if p.interp {
		segment(elf.PT_INTERP, 0, start, 0, length, 0)
	} else {
		segment(elf.PT_GNU_STACK, elf.PF_R|elf.PF_W, 0, 0, 0, 0)
	}
	return append(file, p.code...)
}
