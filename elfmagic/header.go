package elfmagic

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Errors of Identify and ParseHeader. All are conclusive: reading the same
// bytes again gives the same answer.
var (
	// ErrNotELF is returned for a file that does not begin as ELF files do.
	ErrNotELF = errors.New("not an ELF file")
	// ErrTruncated is returned for a file that ends before what its header
	// promises, or before the end of the header itself.
	ErrTruncated = errors.New("truncated ELF file")
	// ErrMalformed is returned for an ELF file with a value that the ELF
	// specification does not have, or that the kernel's loader refuses.
	ErrMalformed = errors.New("malformed ELF file")
)

// An UnknownMachineError says that a well-formed ELF file is for a processor
// that is not in the table.
type UnknownMachineError struct {
	Class   elf.Class
	Data    elf.Data
	Machine elf.Machine
}

func (e *UnknownMachineError) Error() string {
	machine := fmt.Sprint(uint16(e.Machine))
	// Of a number without a name String makes a sum, such as EM_ALPHA_STD+208.
	if name := e.Machine.String(); !strings.Contains(name, "+") {
		machine += " (" + name + ")"
	}
	words := strings.NewReplacer("ELFCLASS32", "32-bit", "ELFCLASS64", "64-bit", "ELFDATA2LSB", "little-endian", "ELFDATA2MSB", "big-endian")
	return words.Replace(fmt.Sprintf("no known architecture is %v %v with ELF machine %s", e.Class, e.Data, machine))
}

// A Header is what the ELF header of a file says.
type Header struct {
	Class      elf.Class
	Data       elf.Data
	OSABI      elf.OSABI
	ABIVersion uint8
	Type       elf.Type
	Machine    elf.Machine
	Flags      uint32

	// Arch is the architecture of the table that the header names.
	Arch *Arch

	// Where the program headers are, how long each is, and how many there are.
	phoff, phentsize, phnum uint64
}

// Offsets in the ELF header, from the ELF specification.
const (
	offType    = 16
	offMachine = 18
	offVersion = 20
)

// A layout has what depends on the class: the bytes of an address, and offsets and
// sizes of the ELF header and of a program header.
type layout struct {
	address                                        int
	phoff, flags, phentsize, phnum, size           int
	segmentFlags, offset, fileSize, programHeaders int
}

var layouts = [...]layout{
	elf.ELFCLASS32: {4, 28, 36, 42, 44, 52, 24, 4, 16, 32},
	elf.ELFCLASS64: {8, 32, 48, 54, 56, 64, 4, 8, 32, 56},
}

// HeaderSize is the number of bytes that ParseHeader looks at, at the most:
// the size of a 64-bit ELF header.
const HeaderSize = 64

// ParseHeader reads the ELF header in the first bytes of a file; HeaderSize
// bytes are enough. Errors are ErrNotELF, ErrTruncated, ErrMalformed and
// *UnknownMachineError; with the last one the header is returned all the same,
// without Arch. ParseHeader does not allocate unless it fails.
func ParseHeader(head []byte) (Header, error) {
	magic := min(len(head), len(elf.ELFMAG))
	if magic == 0 || string(head[:magic]) != elf.ELFMAG[:magic] {
		return Header{}, ErrNotELF
	}
	if len(head) < elf.EI_NIDENT {
		return Header{}, ErrTruncated
	}
	h := Header{
		Class:      elf.Class(head[elf.EI_CLASS]),
		Data:       elf.Data(head[elf.EI_DATA]),
		OSABI:      elf.OSABI(head[elf.EI_OSABI]),
		ABIVersion: head[elf.EI_ABIVERSION],
	}
	switch version := head[elf.EI_VERSION]; {
	case h.Class != elf.ELFCLASS32 && h.Class != elf.ELFCLASS64:
		return Header{}, fmt.Errorf("%w: class %d", ErrMalformed, h.Class)
	case h.Data != elf.ELFDATA2LSB && h.Data != elf.ELFDATA2MSB:
		return Header{}, fmt.Errorf("%w: byte order %d", ErrMalformed, h.Data)
	case version != byte(elf.EV_CURRENT):
		return Header{}, fmt.Errorf("%w: version %d", ErrMalformed, version)
	}
	at := &layouts[h.Class]
	if len(head) < at.size {
		return Header{}, ErrTruncated
	}
	h.Type = elf.Type(h.number(head[offType:], 2))
	h.Machine = elf.Machine(h.number(head[offMachine:], 2))
	h.Flags = uint32(h.number(head[at.flags:], 4))
	h.phoff = h.number(head[at.phoff:], at.address)
	h.phentsize = h.number(head[at.phentsize:], 2)
	h.phnum = h.number(head[at.phnum:], 2)
	for _, a := range rows {
		if a.is(&h) {
			h.Arch = a
			return h, nil
		}
	}
	return h, &UnknownMachineError{Class: h.Class, Data: h.Data, Machine: h.Machine}
}

// is reports whether the header is one of the architecture's.
func (a *Arch) is(h *Header) bool {
	return a.Class == h.Class && a.Data == h.Data && h.Flags&a.FlagsMask == a.Flags &&
		(a.Machine == h.Machine || slices.Contains(a.Also, h.Machine))
}

// Identify reads the ELF header of a file. Its errors are those of
// ParseHeader and of reading.
func Identify(r io.ReaderAt) (Header, error) {
	head := make([]byte, HeaderSize)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return Header{}, err
	}
	return ParseHeader(head[:n])
}

// Interp returns the path of the loader that the program asks for, as the
// function Interp does for its segments.
func (h Header) Interp(r io.ReaderAt) (string, error) {
	segments, err := h.Segments(r)
	if err != nil {
		return "", err
	}
	return Interp(r, segments)
}

// readAt fills b, or says that the file is truncated.
func readAt(r io.ReaderAt, b []byte, offset uint64) error {
	if offset > 1<<62 {
		return fmt.Errorf("%w: offset %#x", ErrTruncated, offset)
	}
	n, err := r.ReadAt(b, int64(offset))
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return ErrTruncated
	}
	return err
}

// number reads a number of size bytes: 2, 4 or 8. The interface of
// encoding/binary.ByteOrder would make callers allocate.
func (h *Header) number(b []byte, size int) uint64 {
	little, big := binary.LittleEndian, binary.BigEndian
	if h.Data == elf.ELFDATA2LSB {
		switch size {
		case 2:
			return uint64(little.Uint16(b))
		case 4:
			return uint64(little.Uint32(b))
		}
		return little.Uint64(b)
	}
	switch size {
	case 2:
		return uint64(big.Uint16(b))
	case 4:
		return uint64(big.Uint32(b))
	}
	return big.Uint64(b)
}
