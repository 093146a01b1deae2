package elfmagic

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
	return fmt.Sprintf("no known architecture is %s %s with ELF machine %s", bits(e.Class), byteOrder(e.Data), machine)
}

func bits(c elf.Class) string {
	switch c {
	case elf.ELFCLASS32:
		return "32-bit"
	case elf.ELFCLASS64:
		return "64-bit"
	}
	return c.String()
}

func byteOrder(d elf.Data) string {
	switch d {
	case elf.ELFDATA2LSB:
		return "little-endian"
	case elf.ELFDATA2MSB:
		return "big-endian"
	}
	return d.String()
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

	programHeaders programHeaders
}

// programHeaders is where a file's program headers are.
type programHeaders struct {
	offset uint64
	size   uint16 // bytes of one
	count  uint16
}

// Offsets in the ELF header, from the ELF specification. From e_entry on they
// depend on the class.
const (
	offType    = 16
	offMachine = 18
	offVersion = 20

	offPhoff32     = 28
	offFlags32     = 36
	offPhentsize32 = 42
	offPhnum32     = 44
	headerSize32   = 52

	offPhoff64     = 32
	offFlags64     = 48
	offPhentsize64 = 54
	offPhnum64     = 56
	headerSize64   = 64
)

// HeaderSize is the number of bytes that ParseHeader looks at, at the most:
// the size of a 64-bit ELF header.
const HeaderSize = headerSize64

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
	size := headerSize64
	switch h.Class {
	case elf.ELFCLASS64:
	case elf.ELFCLASS32:
		size = headerSize32
	default:
		return Header{}, fmt.Errorf("%w: class %d", ErrMalformed, head[elf.EI_CLASS])
	}
	if h.Data != elf.ELFDATA2LSB && h.Data != elf.ELFDATA2MSB {
		return Header{}, fmt.Errorf("%w: byte order %d", ErrMalformed, head[elf.EI_DATA])
	}
	if v := head[elf.EI_VERSION]; v != byte(elf.EV_CURRENT) {
		return Header{}, fmt.Errorf("%w: version %d", ErrMalformed, v)
	}
	if len(head) < size {
		return Header{}, ErrTruncated
	}

	little := h.Data == elf.ELFDATA2LSB
	h.Type = elf.Type(u16(head[offType:], little))
	h.Machine = elf.Machine(u16(head[offMachine:], little))
	if h.Class == elf.ELFCLASS64 {
		h.Flags = u32(head[offFlags64:], little)
		h.programHeaders = programHeaders{
			offset: u64(head[offPhoff64:], little),
			size:   u16(head[offPhentsize64:], little),
			count:  u16(head[offPhnum64:], little),
		}
	} else {
		h.Flags = u32(head[offFlags32:], little)
		h.programHeaders = programHeaders{
			offset: uint64(u32(head[offPhoff32:], little)),
			size:   u16(head[offPhentsize32:], little),
			count:  u16(head[offPhnum32:], little),
		}
	}
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
	if a.Class != h.Class || a.Data != h.Data || h.Flags&a.FlagsMask != a.Flags {
		return false
	}
	if a.Machine == h.Machine {
		return true
	}
	for _, m := range a.Also {
		if m == h.Machine {
			return true
		}
	}
	return false
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

// u16, u32 and u64 avoid the interface of encoding/binary.ByteOrder, which
// costs an allocation-free path its inlining.
func u16(b []byte, little bool) uint16 {
	if little {
		return binary.LittleEndian.Uint16(b)
	}
	return binary.BigEndian.Uint16(b)
}

func u32(b []byte, little bool) uint32 {
	if little {
		return binary.LittleEndian.Uint32(b)
	}
	return binary.BigEndian.Uint32(b)
}

func u64(b []byte, little bool) uint64 {
	if little {
		return binary.LittleEndian.Uint64(b)
	}
	return binary.BigEndian.Uint64(b)
}
