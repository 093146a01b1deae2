package tinyelf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/projectcalico/go-build/elfmagic"
)

// Where the texts of arguments are, after the first instruction of those that put them on
// the stack, and how long the first may be, with its NUL byte.
const (
	textsAt  = 64
	textSize = 8
)

// mostZeros is how many bytes of a program may be in memory and not in its file.
const mostZeros = 1 << 30

// WithArguments returns a static program with two more arguments, which come before those
// that it is executed with: {argv[0], first, second, argv[1] …}. The first has 7 bytes
// at the most. Nothing else changes: a segment behind the others has the texts, what
// puts them on the stack when the program begins, and the program headers, which have no
// room for one more where they are.
func WithArguments(program []byte, first, second string) ([]byte, error) {
	if len(first) >= textSize {
		return nil, fmt.Errorf("%q: longer than %d bytes", first, textSize-1)
	}
	identity, err := elfmagic.ParseHeader(program)
	if err != nil {
		return nil, err
	}
	m := machineOf(identity.Arch)
	if m == nil {
		return nil, fmt.Errorf("no instructions are known for %s", identity.Arch)
	}
	order := order(identity.Arch)
	var header elf.Header64
	if _, err := binary.Decode(program, order, &header); err != nil || header.Phoff > uint64(len(program)) {
		return nil, elfmagic.ErrTruncated
	}
	table := make([]elf.Prog64, header.Phnum)
	if _, err := binary.Decode(program[header.Phoff:], order, table); err != nil {
		return nil, elfmagic.ErrTruncated
	}
	own := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Align: pageSize}
	loaded := -1 // the last segment that is
	var base, end uint64
	for i, segment := range table {
		switch elf.ProgType(segment.Type) {
		case elf.PT_INTERP:
			return nil, errors.New("dynamically linked: its loader would take the arguments")
		case elf.PT_LOAD:
			if loaded < 0 {
				base = segment.Vaddr - segment.Off
			}
			loaded, end, own.Align = i, max(end, segment.Vaddr+segment.Memsz), max(own.Align, segment.Align)
		}
	}
	if loaded < 0 {
		return nil, errors.New("no segment of it is loaded")
	}
	// As far from the first segment as in the file: there programs find the headers by their own
	// ELF header, and say kernels before 5.18 (0da1d5002745), and QEMU, that they are (AT_PHDR).
	own.Off = roundUp(max(uint64(len(program)), end-base), own.Align)
	if header.Phentsize != uint16(binary.Size(own)) || own.Off < uint64(len(program)) || own.Off-uint64(len(program)) > mostZeros {
		return nil, elfmagic.ErrMalformed
	}
	own.Vaddr = base + own.Off
	own.Paddr = own.Vaddr
	headers := uint64(len(table)+1) * uint64(header.Phentsize)
	start := roundUp(headers, textsAt)
	own.Filesz = start + textsAt + textSize + uint64(len(second)) + 1
	own.Memsz = own.Filesz
	table = slices.Insert(table, loaded+1, own)
	for i := range table {
		if s := &table[i]; elf.ProgType(s.Type) == elf.PT_PHDR {
			s.Off, s.Vaddr, s.Paddr, s.Filesz, s.Memsz = own.Off, own.Vaddr, own.Paddr, headers, headers
		}
	}
	code := append(bytes.Clone(m.insert), m.jump(int64(header.Entry)-int64(own.Vaddr+start))...)
	header.Entry, header.Phoff, header.Phnum = own.Vaddr+start, own.Off, uint16(len(table))

	changed := make([]byte, own.Off+own.Filesz)
	copy(changed, program)
	_, err = binary.Encode(changed, order, header)
	segment := changed[own.Off:]
	if err == nil {
		_, err = binary.Encode(segment, order, table)
	}
	copy(segment[start:], code)
	copy(segment[start+textsAt:], first)
	copy(segment[start+textsAt+textSize:], second)
	return changed, err
}

func roundUp(v, to uint64) uint64 { return (v + to - 1) / to * to }
