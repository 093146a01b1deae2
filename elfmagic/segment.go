package elfmagic

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"slices"
)

// A Segment is one program header: what the kernel's loader maps, or reads,
// to start the program.
type Segment struct {
	Type   elf.ProgType
	Flags  elf.ProgFlag
	Offset uint64 // in the file, in bytes
	Size   uint64 // in the file, in bytes
}

// maxProgramHeaders is how many bytes of program headers the kernel reads
// (load_elf_phdrs in fs/binfmt_elf.c).
const maxProgramHeaders = 64 << 10

// Segments reads the program headers of the file whose header this is: at
// most 64 KiB, in one read. Its errors are ErrTruncated, ErrMalformed and
// those of reading.
func (h Header) Segments(r io.ReaderAt) ([]Segment, error) {
	if h.phnum == 0 {
		return nil, nil
	}
	at := &layouts[h.Class]
	size := uint64(at.programHeaders)
	if h.phentsize != size || h.phnum*size > maxProgramHeaders {
		return nil, fmt.Errorf("%w: %d program headers of %d bytes", ErrMalformed, h.phnum, h.phentsize)
	}
	table := make([]byte, h.phnum*size)
	if err := readAt(r, table, h.phoff); err != nil {
		return nil, err
	}
	segments := make([]Segment, 0, h.phnum)
	for b := range slices.Chunk(table, at.programHeaders) {
		segments = append(segments, Segment{
			Type:   elf.ProgType(h.number(b, 4)),
			Flags:  elf.ProgFlag(h.number(b[at.segmentFlags:], 4)),
			Offset: h.number(b[at.offset:], at.address),
			Size:   h.number(b[at.fileSize:], at.address),
		})
	}
	return segments, nil
}

// Extent returns how many bytes a file must have for all that is loaded of
// these segments (PT_LOAD) to be in it. A file that is shorter was cut off.
func Extent(segments []Segment) uint64 {
	var extent uint64
	for _, s := range segments {
		if s.Type != elf.PT_LOAD || s.Size == 0 {
			continue
		}
		end := s.Offset + s.Size
		if end < s.Offset {
			end = 1<<64 - 1
		}
		extent = max(extent, end)
	}
	return extent
}

// Interp returns the path of the loader that a program with these segments
// asks for (PT_INTERP), or the empty string where it asks for none: a
// statically linked one. It reads at most 4 KiB, as the kernel does. Its errors
// are ErrTruncated, ErrMalformed and those of reading.
func Interp(r io.ReaderAt, segments []Segment) (string, error) {
	const maxInterp = 4096 // PATH_MAX
	for _, s := range segments {
		if s.Type != elf.PT_INTERP {
			continue
		}
		if s.Size < 2 || s.Size > maxInterp {
			return "", fmt.Errorf("%w: loader's path of %d bytes", ErrMalformed, s.Size)
		}
		path := make([]byte, s.Size)
		if err := readAt(r, path, s.Offset); err != nil {
			return "", err
		}
		if path[s.Size-1] != 0 {
			return "", fmt.Errorf("%w: loader's path without an end", ErrMalformed)
		}
		path = path[:bytes.IndexByte(path, 0)]
		if len(path) == 0 {
			return "", fmt.Errorf("%w: loader's path is empty", ErrMalformed)
		}
		return string(path), nil
	}
	return "", nil
}
