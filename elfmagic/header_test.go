package elfmagic_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// A sample is an ELF header to be. Its fields have the values of the file, right or
// wrong.
type sample struct {
	class, data, version, osabi byte
	padding                     [8]byte // from the ABI version on
	big                         bool    // the byte order in which the rest is written
	typ                         elf.Type
	machine                     elf.Machine
	flags                       uint32
	phoff                       uint64
	phentsize, phnum            uint16
}

// program is a sample of the architecture's executables.
func program(a *elfmagic.Arch) sample {
	return sample{
		class: byte(a.Class), data: byte(a.Data), version: 1, big: a.Data == elf.ELFDATA2MSB,
		typ: elf.ET_EXEC, machine: a.Machine, flags: a.Flags,
	}
}

func (s sample) order() binary.ByteOrder {
	if s.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// size is that of the header in the file.
func (s sample) size() int {
	if s.class == byte(elf.ELFCLASS64) {
		return binary.Size(elf.Header64{})
	}
	return binary.Size(elf.Header32{})
}

// bytes writes the header with debug/elf's structures, which are the
// specification's.
func (s sample) bytes(t testing.TB) []byte {
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', s.class, s.data, s.version, s.osabi}
	copy(ident[elf.EI_ABIVERSION:], s.padding[:])
	var b bytes.Buffer
	if s.class == byte(elf.ELFCLASS64) {
		require.NoError(t, binary.Write(&b, s.order(), elf.Header64{
			Ident: ident, Type: uint16(s.typ), Machine: uint16(s.machine), Version: 1, Flags: s.flags,
			Phoff: s.phoff, Phentsize: s.phentsize, Phnum: s.phnum,
		}))
	} else {
		require.NoError(t, binary.Write(&b, s.order(), elf.Header32{
			Ident: ident, Type: uint16(s.typ), Machine: uint16(s.machine), Version: 1, Flags: s.flags,
			Phoff: uint32(s.phoff), Phentsize: s.phentsize, Phnum: s.phnum,
		}))
	}
	return b.Bytes()
}

func TestHeaderSizeIsThatOfTheLargestHeader(t *testing.T) {
	assert.Equal(t, binary.Size(elf.Header64{}), elfmagic.HeaderSize)
}

func TestHeaderOfEveryArchitectureIsRead(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		for _, machine := range append([]elf.Machine{a.Machine}, a.Also...) {
			for _, typ := range []elf.Type{elf.ET_NONE, elf.ET_REL, elf.ET_EXEC, elf.ET_DYN, elf.ET_CORE, 0xfe00} {
				for _, flags := range []uint32{a.Flags, a.Flags | ^a.FlagsMask} {
					s := program(a)
					s.machine, s.typ, s.flags, s.osabi, s.padding[0] = machine, typ, flags, 3, 7
					h, err := elfmagic.ParseHeader(s.bytes(t))
					require.NoError(t, err, a.Name)
					assert.Same(t, a, h.Arch)
					assert.Equal(t, a.Class, h.Class)
					assert.Equal(t, a.Data, h.Data)
					assert.Equal(t, elf.ELFOSABI_LINUX, h.OSABI)
					assert.Equal(t, uint8(7), h.ABIVersion)
					assert.Equal(t, typ, h.Type)
					assert.Equal(t, machine, h.Machine)
					assert.Equal(t, flags, h.Flags)

					again, err := elfmagic.Identify(bytes.NewReader(append(s.bytes(t), "what follows"...)))
					require.NoError(t, err)
					assert.Equal(t, h, again)
				}
			}
		}
	}
}

func TestFlagsTellTheABIsOfMIPSApart(t *testing.T) {
	const abi2 = 0x20 // EF_MIPS_ABI2
	for o32, n32 := range map[string]string{"mips": "mipsn32", "mipsel": "mipsn32el"} {
		s := program(row(t, o32))
		for flags, want := range map[uint32]string{0: o32, 0x70001007: o32, abi2: n32, 0x80000027: n32, ^uint32(abi2): o32} {
			s.flags = flags
			h, err := elfmagic.ParseHeader(s.bytes(t))
			require.NoError(t, err)
			assert.Equal(t, want, h.Arch.Name, "%#x", flags)
		}
	}
}

func TestWhatDoesNotBeginAsELFIsNotELF(t *testing.T) {
	head := program(row(t, "aarch64")).bytes(t)
	for i := range 4 {
		other := slices.Clone(head)
		other[i] ^= 1
		_, err := elfmagic.ParseHeader(other)
		assert.ErrorIs(t, err, elfmagic.ErrNotELF)
		_, err = elfmagic.ParseHeader(other[:i+1])
		assert.ErrorIs(t, err, elfmagic.ErrNotELF, "however short")
	}
	for _, text := range []string{"", "#!/bin/sh\n", "MZ", "\x00", "ELF", "\x7fELf" + string(make([]byte, 100))} {
		h, err := elfmagic.Identify(bytes.NewReader([]byte(text)))
		assert.ErrorIs(t, err, elfmagic.ErrNotELF, "%q", text)
		assert.Zero(t, h)
	}
}

func TestEveryPartOfAHeaderIsTruncated(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		head := program(a).bytes(t)
		for n := 1; n < len(head); n++ {
			h, err := elfmagic.ParseHeader(head[:n])
			assert.ErrorIs(t, err, elfmagic.ErrTruncated, "%s: %d bytes", a, n)
			assert.Zero(t, h)
			_, err = elfmagic.Identify(bytes.NewReader(head[:n]))
			assert.ErrorIs(t, err, elfmagic.ErrTruncated, "%s: %d bytes", a, n)
		}
		_, err := elfmagic.ParseHeader(head)
		assert.NoError(t, err, "%s: %d bytes", a, len(head))
	}
}

func TestHeaderWithImpossibleValuesIsMalformed(t *testing.T) {
	for _, a := range []*elfmagic.Arch{row(t, "aarch64"), row(t, "hppa")} {
		for text, change := range map[string]func(s *sample){
			"malformed ELF file: class 0":        func(s *sample) { s.class = 0 },
			"malformed ELF file: class 3":        func(s *sample) { s.class = 3 },
			"malformed ELF file: class 255":      func(s *sample) { s.class = 255 },
			"malformed ELF file: byte order 0":   func(s *sample) { s.data = 0 },
			"malformed ELF file: byte order 3":   func(s *sample) { s.data = 3 },
			"malformed ELF file: byte order 129": func(s *sample) { s.data = 129 },
			"malformed ELF file: version 0":      func(s *sample) { s.version = 0 },
			"malformed ELF file: version 2":      func(s *sample) { s.version = 2 },
		} {
			s := program(a)
			change(&s)
			h, err := elfmagic.ParseHeader(s.bytes(t))
			assert.ErrorIs(t, err, elfmagic.ErrMalformed)
			assert.EqualError(t, err, text)
			assert.Zero(t, h)
			// 16 bytes show it, so that the file is not called truncated.
			_, err = elfmagic.ParseHeader(s.bytes(t)[:elf.EI_NIDENT])
			assert.EqualError(t, err, text)
			_, err = elfmagic.ParseHeader(s.bytes(t)[:elf.EI_NIDENT-1])
			assert.ErrorIs(t, err, elfmagic.ErrTruncated)
		}
	}
}

func TestUnknownMachineIsNamedAndItsHeaderReturned(t *testing.T) {
	for _, test := range []struct {
		class   elf.Class
		data    elf.Data
		machine elf.Machine
		text    string
	}{
		{elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EM_IA_64, "no known architecture is 64-bit little-endian with ELF machine 50 (EM_IA_64)"},
		{elf.ELFCLASS32, elf.ELFDATA2MSB, elf.EM_VAX, "no known architecture is 32-bit big-endian with ELF machine 75 (EM_VAX)"},
		{elf.ELFCLASS32, elf.ELFDATA2LSB, elf.EM_X86_64, "no known architecture is 32-bit little-endian with ELF machine 62 (EM_X86_64)"}, // the x32 ABI
		{elf.ELFCLASS64, elf.ELFDATA2MSB, elf.EM_X86_64, "no known architecture is 64-bit big-endian with ELF machine 62 (EM_X86_64)"},
		{elf.ELFCLASS64, elf.ELFDATA2LSB, elf.EM_NONE, "no known architecture is 64-bit little-endian with ELF machine 0 (EM_NONE)"},
		{elf.ELFCLASS64, elf.ELFDATA2LSB, 0xfeed, "no known architecture is 64-bit little-endian with ELF machine 65261"},
	} {
		s := sample{class: byte(test.class), data: byte(test.data), version: 1, big: test.data == elf.ELFDATA2MSB, typ: elf.ET_DYN, machine: test.machine, flags: 5}
		h, err := elfmagic.Identify(bytes.NewReader(s.bytes(t)))
		var unknown *elfmagic.UnknownMachineError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, elfmagic.UnknownMachineError{Class: test.class, Data: test.data, Machine: test.machine}, *unknown)
		assert.EqualError(t, err, test.text)
		assert.Nil(t, h.Arch)
		assert.Equal(t, test.machine, h.Machine)
		assert.Equal(t, elf.ET_DYN, h.Type)
		assert.Equal(t, uint32(5), h.Flags)
	}
	odd := &elfmagic.UnknownMachineError{Machine: 1}
	assert.EqualError(t, odd, "no known architecture is ELFCLASSNONE ELFDATANONE with ELF machine 1 (EM_M32)")
}

// broken fails to read from the given offset on.
type broken struct {
	file []byte
	from int64
	err  error
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > b.from {
		return 0, b.err
	}
	return bytes.NewReader(b.file).ReadAt(p, off)
}

func TestErrorsOfReadingAreKept(t *testing.T) {
	bad := errors.New("bad sector")
	h, err := elfmagic.Identify(broken{err: bad})
	assert.ErrorIs(t, err, bad)
	assert.Zero(t, h)

	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	_, err = elfmagic.Identify(dir)
	var path *os.PathError
	assert.ErrorAs(t, err, &path)
}

// build returns Go's program for another architecture.
func build(t *testing.T, goarch string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o644))
	cmd := exec.Command("go", "build", "-o", "program", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, "program")
}

func TestRealProgramsAreReadAsDebugELFReadsThem(t *testing.T) {
	t.Parallel() // the first time it waits for the compiler: Go's runtime, three times
	own, err := os.Executable()
	require.NoError(t, err)
	t.Run("this test", func(t *testing.T) { compare(t, own) })
	if ls, err := exec.LookPath("ls"); err == nil {
		t.Run("ls", func(t *testing.T) { compare(t, ls) })
	}
	// Both classes and both byte orders, one with flags that count.
	for goarch, name := range map[string]string{"arm64": "aarch64", "mips": "mips", "s390x": "s390x"} {
		t.Run(goarch, func(t *testing.T) {
			t.Parallel()
			h := compare(t, build(t, goarch))
			assert.Equal(t, name, h.Arch.Name)
			assert.Equal(t, goarch, h.Arch.GOARCH)
		})
	}
}

// compare reads a file with this package and with debug/elf.
func compare(t *testing.T, path string) elfmagic.Header {
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	h, err := elfmagic.Identify(file)
	require.NoError(t, err)
	require.NotNil(t, h.Arch)
	f, err := elf.NewFile(file)
	require.NoError(t, err)
	sameHeader(t, f, h)
	segments, err := h.Segments(file)
	require.NoError(t, err)
	require.NotEmpty(t, segments)
	sameSegments(t, f, segments)
	interp, err := h.Interp(file)
	require.NoError(t, err)
	assert.Equal(t, interpOf(t, f), interp)

	info, err := file.Stat()
	require.NoError(t, err)
	extent := elfmagic.Extent(segments)
	assert.Positive(t, extent)
	assert.LessOrEqual(t, extent, uint64(info.Size()), "the whole program is there")
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			assert.LessOrEqual(t, p.Off+p.Filesz, extent)
		}
	}
	head := make([]byte, elfmagic.KernelWindow)
	_, err = file.ReadAt(head, 0)
	require.NoError(t, err)
	for _, a := range elfmagic.Archs() {
		assert.Equal(t, a == h.Arch, a.Pattern().Match(head), a.Name)
	}
	return h
}

func sameHeader(t testing.TB, f *elf.File, h elfmagic.Header) {
	require.Equal(t, f.Class, h.Class)
	require.Equal(t, f.Data, h.Data)
	require.Equal(t, f.OSABI, h.OSABI)
	require.Equal(t, f.ABIVersion, h.ABIVersion)
	require.Equal(t, f.Type, h.Type)
	require.Equal(t, f.Machine, h.Machine)
}

func sameSegments(t testing.TB, f *elf.File, segments []elfmagic.Segment) {
	require.Len(t, segments, len(f.Progs))
	for i, s := range segments {
		p := f.Progs[i]
		require.Equal(t, elfmagic.Segment{Type: p.Type, Flags: p.Flags, Offset: p.Off, Size: p.Filesz}, s)
	}
}

// interpOf is the first PT_INTERP of debug/elf, up to its NUL byte.
func interpOf(t testing.TB, f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			require.NoError(t, err)
			path, _, _ := bytes.Cut(text, []byte{0})
			return string(path)
		}
	}
	return ""
}

// FuzzIdentify gives any file: nothing panics, errors are of the known types,
// and where debug/elf reads the file too both say the same.
func FuzzIdentify(f *testing.F) {
	for _, name := range []string{"aarch64", "mipsn32", "ppc64", "i386"} {
		a := row(f, name)
		s := program(a)
		f.Add(s.bytes(f))
		f.Add(s.bytes(f)[:elf.EI_NIDENT])
		f.Add(withSegments(f, a, elfmagic.Segment{Type: elf.PT_LOAD, Size: 100}, elfmagic.Segment{Type: elf.PT_INTERP, Offset: 0, Size: 5}))
	}
	s := program(row(f, "x86_64"))
	s.machine, s.phnum, s.phentsize, s.phoff = 0xfeed, 0xffff, 56, 1<<63
	f.Add(s.bytes(f))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := bytes.NewReader(file)
		h, err := elfmagic.Identify(r)
		head, parseErr := elfmagic.ParseHeader(file)
		require.Equal(t, head, h, "whatever follows the header")
		require.Equal(t, parseErr, err)
		var unknown *elfmagic.UnknownMachineError
		switch {
		case errors.As(err, &unknown):
			require.Nil(t, h.Arch)
		case err != nil:
			require.True(t, errors.Is(err, elfmagic.ErrNotELF) || errors.Is(err, elfmagic.ErrTruncated) || errors.Is(err, elfmagic.ErrMalformed), "%v", err)
			require.Zero(t, h)
			return
		default:
			require.NotNil(t, h.Arch)
		}
		segments, segmentsErr := h.Segments(r)
		interp, interpErr := h.Interp(r)
		for _, err := range []error{segmentsErr, interpErr} {
			require.True(t, err == nil || errors.Is(err, elfmagic.ErrTruncated) || errors.Is(err, elfmagic.ErrMalformed), "%v", err)
		}
		reference, err := elf.NewFile(r)
		if err != nil {
			return
		}
		sameHeader(t, reference, h)
		if segmentsErr == nil {
			sameSegments(t, reference, segments)
			elfmagic.Extent(segments)
		}
		if interpErr == nil {
			require.Equal(t, interpOf(t, reference), interp)
		}
	})
}
