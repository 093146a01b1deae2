package elfmagic_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// withSegments is a program with these program headers, directly after its
// header.
func withSegments(t testing.TB, a *elfmagic.Arch, segments ...elfmagic.Segment) []byte {
	s := program(a)
	s.phoff, s.phnum = uint64(s.size()), uint16(len(segments))
	s.phentsize = uint16(binary.Size(elf.Prog32{}))
	if a.Class == elf.ELFCLASS64 {
		s.phentsize = uint16(binary.Size(elf.Prog64{}))
	}
	b := bytes.NewBuffer(s.bytes(t))
	for _, p := range segments {
		// The other fields have values that must not be taken for these.
		var err error
		if a.Class == elf.ELFCLASS64 {
			err = binary.Write(b, s.order(), elf.Prog64{Type: uint32(p.Type), Flags: uint32(p.Flags), Off: p.Offset, Filesz: p.Size, Vaddr: 1 << 40, Paddr: 2 << 40, Memsz: 3 << 40, Align: 4 << 40})
		} else {
			err = binary.Write(b, s.order(), elf.Prog32{Type: uint32(p.Type), Flags: uint32(p.Flags), Off: uint32(p.Offset), Filesz: uint32(p.Size), Vaddr: 1 << 20, Paddr: 2 << 20, Memsz: 3 << 20, Align: 4 << 20})
		}
		require.NoError(t, err)
	}
	return b.Bytes()
}

// shapes has one architecture of each class and byte order.
func shapes(t testing.TB) []*elfmagic.Arch {
	return []*elfmagic.Arch{row(t, "aarch64"), row(t, "s390x"), row(t, "arm"), row(t, "mips")}
}

func identify(t testing.TB, file []byte) elfmagic.Header {
	h, err := elfmagic.Identify(bytes.NewReader(file))
	require.NoError(t, err)
	return h
}

func TestSegmentsAreRead(t *testing.T) {
	want := []elfmagic.Segment{
		{Type: elf.PT_PHDR, Flags: elf.PF_R, Offset: 64, Size: 0x1c0},
		{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X, Offset: 0x10000, Size: 0x12345678},
		{Type: elf.PT_GNU_STACK, Flags: elf.PF_R | elf.PF_W},
		{Type: elf.PT_NOTE, Flags: 0xfff00000, Offset: math.MaxUint32, Size: math.MaxUint32},
	}
	for _, a := range shapes(t) {
		file := withSegments(t, a, want...)
		h := identify(t, file)
		segments, err := h.Segments(bytes.NewReader(file))
		require.NoError(t, err)
		assert.Equal(t, want, segments, a.Name)
	}
}

func TestFileWithoutProgramHeadersHasNoSegments(t *testing.T) {
	for _, a := range shapes(t) {
		s := program(a)
		s.phoff, s.phentsize = math.MaxUint64, 7 // of no account
		h := identify(t, s.bytes(t))
		segments, err := h.Segments(bytes.NewReader(s.bytes(t)))
		assert.NoError(t, err)
		assert.Empty(t, segments)
		interp, err := h.Interp(bytes.NewReader(s.bytes(t)))
		assert.NoError(t, err)
		assert.Empty(t, interp)
	}
	segments, err := elfmagic.Header{}.Segments(bytes.NewReader(nil))
	assert.NoError(t, err)
	assert.Empty(t, segments)
}

func TestProgramHeadersOfAnotherSizeAreMalformed(t *testing.T) {
	for _, a := range shapes(t) {
		right := map[elf.Class]uint16{elf.ELFCLASS32: 32, elf.ELFCLASS64: 56}[a.Class]
		for _, size := range []uint16{0, 1, right - 1, right + 1, 32 + 56 - right, math.MaxUint16} {
			s := program(a)
			s.phoff, s.phentsize, s.phnum = uint64(s.size()), size, 1
			file := append(s.bytes(t), make([]byte, math.MaxUint16)...)
			h := identify(t, file)
			_, err := h.Segments(bytes.NewReader(file))
			assert.ErrorIs(t, err, elfmagic.ErrMalformed, "%s: %d bytes", a, size)
			_, err = h.Interp(bytes.NewReader(file))
			assert.ErrorIs(t, err, elfmagic.ErrMalformed, "%s: %d bytes", a, size)
		}
	}
}

func TestMoreThan64KiBOfProgramHeadersAreMalformed(t *testing.T) {
	for _, a := range shapes(t) {
		size := map[elf.Class]int{elf.ELFCLASS32: 32, elf.ELFCLASS64: 56}[a.Class]
		most := 65536 / size
		for _, n := range []int{most, most + 1, math.MaxUint16} {
			s := program(a)
			s.phoff, s.phentsize, s.phnum = uint64(s.size()), uint16(size), uint16(n)
			file := append(s.bytes(t), make([]byte, n*size)...)
			h := identify(t, file)
			segments, err := h.Segments(bytes.NewReader(file))
			if n == most {
				assert.NoError(t, err, a.Name)
				assert.Len(t, segments, most)
				continue
			}
			require.ErrorIs(t, err, elfmagic.ErrMalformed, "%s: %d", a, n)
			assert.ErrorContains(t, err, "program headers of", "%s: %d", a, n)
		}
	}
}

func TestProgramHeadersBeyondTheEndAreTruncated(t *testing.T) {
	for _, a := range shapes(t) {
		file := withSegments(t, a, elfmagic.Segment{Type: elf.PT_LOAD}, elfmagic.Segment{Type: elf.PT_LOAD})
		h := identify(t, file)
		_, err := h.Segments(bytes.NewReader(file))
		require.NoError(t, err)
		for n := program(a).size(); n < len(file); n++ {
			_, err := h.Segments(bytes.NewReader(file[:n]))
			assert.ErrorIs(t, err, elfmagic.ErrTruncated, "%s: %d bytes", a, n)
		}
	}
}

// Offsets that are no int64, or wrap around, must not reach the file.
func TestHugeOffsetsAreTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, offset := range []uint64{1 << 31, 1 << 32, 1<<62 - 1, 1 << 62, 1<<62 + 1, 1<<63 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64} {
		for _, a := range shapes(t) {
			if a.Class == elf.ELFCLASS32 && offset > math.MaxUint32 {
				continue
			}
			s := program(a)
			s.phoff, s.phnum, s.phentsize = offset, 1, 32
			if a.Class == elf.ELFCLASS64 {
				s.phentsize = 56
			}
			require.NoError(t, os.WriteFile(path, s.bytes(t), 0o644))
			file, err := os.Open(path)
			require.NoError(t, err)
			h, err := elfmagic.Identify(file)
			require.NoError(t, err)
			_, err = h.Segments(file)
			assert.ErrorIs(t, err, elfmagic.ErrTruncated, "%s: %#x", a, offset)
			_, err = elfmagic.Interp(file, []elfmagic.Segment{{Type: elf.PT_INTERP, Offset: offset, Size: 4096}})
			assert.ErrorIs(t, err, elfmagic.ErrTruncated, "%#x", offset)
			require.NoError(t, file.Close())
		}
	}
}

func TestErrorsOfReadingSegmentsAreKept(t *testing.T) {
	bad := errors.New("bad sector")
	file := withSegments(t, row(t, "arm"), elfmagic.Segment{Type: elf.PT_INTERP, Size: 3})
	h := identify(t, file)
	_, err := h.Segments(broken{file, 60, bad})
	assert.ErrorIs(t, err, bad)
	_, err = elfmagic.Interp(broken{file, 2, bad}, []elfmagic.Segment{{Type: elf.PT_INTERP, Size: 3}})
	assert.ErrorIs(t, err, bad)
}

func TestExtentIsTheEndOfWhatIsLoaded(t *testing.T) {
	load := func(offset, size uint64) elfmagic.Segment {
		return elfmagic.Segment{Type: elf.PT_LOAD, Offset: offset, Size: size}
	}
	for _, test := range []struct {
		segments []elfmagic.Segment
		want     uint64
	}{
		{nil, 0},
		{[]elfmagic.Segment{load(0, 10)}, 10},
		{[]elfmagic.Segment{load(100, 10), load(0, 50)}, 110},
		{[]elfmagic.Segment{load(0, 10), load(500, 0)}, 10}, // all of it is .bss
		{[]elfmagic.Segment{load(0, 10), {Type: elf.PT_NOTE, Offset: 100, Size: 10}}, 10},
		{[]elfmagic.Segment{load(math.MaxUint64, 0)}, 0},
		{[]elfmagic.Segment{load(math.MaxUint64-1, 1)}, math.MaxUint64},
		{[]elfmagic.Segment{load(0, 10), load(math.MaxUint64, 2)}, math.MaxUint64}, // wraps around
		{[]elfmagic.Segment{load(2, math.MaxUint64)}, math.MaxUint64},
	} {
		assert.Equal(t, test.want, elfmagic.Extent(test.segments), "%+v", test.segments)
	}
}

// interpreted is a program with a PT_INTERP whose content is what is given.
func interpreted(t testing.TB, a *elfmagic.Arch, content string) ([]byte, []elfmagic.Segment) {
	segments := []elfmagic.Segment{{Type: elf.PT_LOAD, Size: 10}, {Type: elf.PT_INTERP, Flags: elf.PF_R, Size: uint64(len(content))}}
	segments[1].Offset = uint64(len(withSegments(t, a, segments...)))
	return append(withSegments(t, a, segments...), content...), segments
}

func TestInterpIsTheLoadersPath(t *testing.T) {
	long := strings.Repeat("/d", 4095/2) + "/"
	require.Len(t, long, 4095)
	for content, want := range map[string]string{
		"/lib/ld-linux.so.2\x00":        "/lib/ld-linux.so.2",
		"i\x00":                         "i",
		"/lib/ld.so\x00/lib/other\x00":  "/lib/ld.so", // the kernel opens a C string
		"/lib/ld.so\x00\x00\x00\x00":    "/lib/ld.so",
		long + "\x00":                   long,
		"/lib64/\xff not UTF-8 .so\x00": "/lib64/\xff not UTF-8 .so",
	} {
		for _, a := range shapes(t) {
			file, segments := interpreted(t, a, content)
			interp, err := identify(t, file).Interp(bytes.NewReader(file))
			require.NoError(t, err)
			assert.Equal(t, want, interp)
			interp, err = elfmagic.Interp(bytes.NewReader(file), segments)
			require.NoError(t, err)
			assert.Equal(t, want, interp)
		}
	}
}

func TestLoadersPathThatTheKernelRefusesIsMalformed(t *testing.T) {
	for content, text := range map[string]string{
		"":                                   "malformed ELF file: loader's path of 0 bytes",
		"\x00":                               "malformed ELF file: loader's path of 1 bytes",
		"a":                                  "malformed ELF file: loader's path of 1 bytes",
		"\x00\x00":                           "malformed ELF file: loader's path is empty",
		"\x00/lib/ld.so\x00":                 "malformed ELF file: loader's path is empty",
		"/lib/ld.so":                         "malformed ELF file: loader's path without an end",
		"/lib/ld.so\x00x":                    "malformed ELF file: loader's path without an end",
		strings.Repeat("a", 4096):            "malformed ELF file: loader's path without an end",
		strings.Repeat("a", 4096) + "\x00":   "malformed ELF file: loader's path of 4097 bytes",
		strings.Repeat("a", 100000) + "\x00": "malformed ELF file: loader's path of 100001 bytes",
	} {
		for _, a := range shapes(t) {
			file, _ := interpreted(t, a, content)
			interp, err := identify(t, file).Interp(bytes.NewReader(file))
			assert.ErrorIs(t, err, elfmagic.ErrMalformed)
			assert.EqualError(t, err, text)
			assert.Empty(t, interp)
		}
	}
	_, err := elfmagic.Interp(bytes.NewReader(nil), []elfmagic.Segment{{Type: elf.PT_INTERP, Size: math.MaxUint64}})
	assert.ErrorIs(t, err, elfmagic.ErrMalformed, "without memory for it")
}

func TestLoadersPathBeyondTheEndIsTruncated(t *testing.T) {
	file, segments := interpreted(t, row(t, "s390x"), "/lib/ld64.so.1\x00")
	for n := range "/lib/ld64.so.1\x00" {
		_, err := elfmagic.Interp(bytes.NewReader(file[:len(file)-1-n]), segments)
		assert.ErrorIs(t, err, elfmagic.ErrTruncated)
	}
}

func TestFirstLoaderCounts(t *testing.T) {
	interp := func(offset uint64) elfmagic.Segment {
		return elfmagic.Segment{Type: elf.PT_INTERP, Offset: offset, Size: 2}
	}
	path, err := elfmagic.Interp(strings.NewReader("a\x00b\x00"), []elfmagic.Segment{{Type: elf.PT_NOTE, Size: 1}, interp(2), interp(0)})
	require.NoError(t, err)
	assert.Equal(t, "b", path)
	path, err = elfmagic.Interp(strings.NewReader("a\x00"), []elfmagic.Segment{{Type: elf.PT_LOAD, Size: 2}})
	require.NoError(t, err)
	assert.Empty(t, path, "statically linked")
}
