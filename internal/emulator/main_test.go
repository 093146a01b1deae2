package emulator_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// TestMain makes this program an emulator, under the name of one, that has no
// version in its file but prints one when it is asked.
func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), "-static")
	if strings.HasPrefix(name, "qemu-") && len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Printf("%s version 12.3 (asked)\nand more\n", name)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var lookup = kerneltest.Lookup

// A binaryFile is an ELF program with one loaded segment, which is the whole file.
type binaryFile struct {
	arch    *elfmagic.Arch
	interp  string
	content []byte
	// readOnly is the offset in content from which on it is a segment of its
	// own, that can only be read; 0: none of it.
	readOnly int
	// note is where the content begins that is a note; 0: none of it.
	note int
}

func (b binaryFile) bytes(t testing.TB) []byte {
	t.Helper()
	var order binary.ByteOrder = binary.LittleEndian
	if b.arch.Data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	segments := []elfmagic.Segment{{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X}}
	if b.interp != "" {
		segments = append(segments, elfmagic.Segment{Type: elf.PT_INTERP, Flags: elf.PF_R})
	}
	if b.readOnly > 0 {
		segments = append(segments, elfmagic.Segment{Type: elf.PT_LOAD, Flags: elf.PF_R})
	}
	if b.note > 0 {
		segments = append(segments, elfmagic.Segment{Type: elf.PT_NOTE, Flags: elf.PF_R})
	}
	var ident [elf.EI_NIDENT]byte
	copy(ident[:], elf.ELFMAG)
	ident[elf.EI_CLASS], ident[elf.EI_DATA], ident[elf.EI_VERSION] = byte(b.arch.Class), byte(b.arch.Data), 1
	wide := b.arch.Class == elf.ELFCLASS64
	header, each := binary.Size(elf.Header32{}), binary.Size(elf.Prog32{})
	if wide {
		header, each = binary.Size(elf.Header64{}), binary.Size(elf.Prog64{})
	}
	start := header + each*len(segments)
	interp := start + len(b.content)
	size := interp
	if b.interp != "" {
		size += len(b.interp) + 1
	}

	var file bytes.Buffer
	write := func(part any) { require.NoError(t, binary.Write(&file, order, part)) }
	if wide {
		write(elf.Header64{
			Ident: ident, Type: uint16(elf.ET_DYN), Machine: uint16(b.arch.Machine), Version: 1, Flags: b.arch.Flags,
			Phoff: uint64(header), Ehsize: uint16(header), Phentsize: uint16(each), Phnum: uint16(len(segments)),
		})
	} else {
		write(elf.Header32{
			Ident: ident, Type: uint16(elf.ET_DYN), Machine: uint16(b.arch.Machine), Version: 1, Flags: b.arch.Flags,
			Phoff: uint32(header), Ehsize: uint16(header), Phentsize: uint16(each), Phnum: uint16(len(segments)),
		})
	}
	for _, s := range segments {
		from, to := 0, size
		switch {
		case s.Type == elf.PT_INTERP:
			from = interp
		case s.Type == elf.PT_NOTE:
			from = start + b.note
		case s.Flags == elf.PF_R:
			from = start + b.readOnly
		}
		if wide {
			write(elf.Prog64{Type: uint32(s.Type), Flags: uint32(s.Flags), Off: uint64(from), Filesz: uint64(to - from), Memsz: uint64(to - from)})
		} else {
			write(elf.Prog32{Type: uint32(s.Type), Flags: uint32(s.Flags), Off: uint32(from), Filesz: uint32(to - from), Memsz: uint32(to - from)})
		}
	}
	file.Write(b.content)
	if b.interp != "" {
		file.WriteString(b.interp + "\x00")
	}
	return file.Bytes()
}

// versioned is an emulator for aarch64 that says what its version is.
func versioned(t testing.TB, host, version string) []byte {
	t.Helper()
	return binaryFile{arch: lookup(t, host), content: []byte("usage: …\x00qemu-aarch64 version " + version + "\nCopyright\x00")}.bytes(t)
}

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, content, 0o755))
	return path
}
