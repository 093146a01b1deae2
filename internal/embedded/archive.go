package embedded

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/projectcalico/go-build/elfmagic"
)

// An archive is a text, an empty line, and data. The text's first line is
// archiveVersion and the host's architecture; each other one is of an emulator:
//
//	aarch64 <size> <SHA-256> <where its data begins> <version>
//
// Its data is a table with the length and the checksum of each packed chunk, and
// then these. A chunk is chunkSize bytes of the emulator, or what is left of
// them: they are compressed each for itself, so that several are unpacked at once.
const archiveVersion = "emulators-2"

// chunkSize is small enough for buffers to stay in a CPU's cache.
const chunkSize = 256 << 10

// rowSize is the length of a row of the table: two little-endian numbers of 32 bits.
const rowSize = 8

// castagnoli is the polynomial that CPUs have an instruction for. Its table takes
// a quarter of a millisecond.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// An Archive holds the emulators for one host.
type Archive struct {
	Host      *elfmagic.Arch // on which they run
	Emulators []*Emulator
}

// A Decoder unpacks src into dst, which is as long as what was packed.
type Decoder func(dst, src []byte) error

// An Emulator is one of an archive.
type Emulator struct {
	Arch    *elfmagic.Arch // whose programs it runs
	Host    *elfmagic.Arch // on which it runs itself
	Version string         // what it says of itself, as emulator.Emulator has it
	Size    int64
	SHA256  string // of its content, in hexadecimal

	chunks []chunk
	decode Decoder
}

type chunk struct {
	packed []byte
	sum    uint32 // of what was packed
}

// Digest returns the digest of the emulator's content as OCI has digests.
func (e *Emulator) Digest() string { return "sha256:" + e.SHA256 }

// Describe says what the emulator is, in a few words.
func (e *Emulator) Describe() string {
	return "embedded, QEMU " + e.version() + ", " + e.Digest()
}

// Open reads an archive's text and tables.
func Open(archive []byte, decode Decoder) (*Archive, error) {
	text, data, ok := bytes.Cut(archive, []byte("\n\n"))
	first, lines, _ := strings.Cut(string(text), "\n")
	name, ofHost := strings.CutPrefix(first, archiveVersion+" ")
	if !ok || !ofHost {
		return nil, errors.New("not an archive of emulators")
	}
	host, err := elfmagic.Lookup(name)
	if err != nil {
		return nil, err
	}
	a := &Archive{Host: host}
	for line := range strings.Lines(lines) {
		e, err := parse(strings.TrimSuffix(line, "\n"), data)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		e.Host, e.decode = host, decode
		a.Emulators = append(a.Emulators, e)
	}
	return a, nil
}

// Find returns the emulator for an architecture's programs, or nil. A nil
// archive has none.
func (a *Archive) Find(arch *elfmagic.Arch) *Emulator {
	if a == nil {
		return nil
	}
	i := slices.IndexFunc(a.Emulators, func(e *Emulator) bool { return e.Arch == arch })
	if i < 0 {
		return nil
	}
	return a.Emulators[i]
}

// parse reads an emulator's line, and its table.
func parse(line string, data []byte) (*Emulator, error) {
	fields := strings.SplitN(line, " ", 5)
	if len(fields) != 5 {
		return nil, errors.New("its line is cut off")
	}
	arch, err := elfmagic.Lookup(fields[0])
	if err != nil {
		return nil, err
	}
	if len(fields[2]) != 2*sha256.Size || strings.Trim(fields[2], "0123456789abcdef") != "" {
		return nil, errors.New("its digest is no SHA-256")
	}
	size, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil {
		return nil, err
	}
	offset, err := strconv.ParseUint(fields[3], 10, 32)
	if err != nil {
		return nil, err
	}
	e := &Emulator{Arch: arch, Version: fields[4], Size: int64(size), SHA256: fields[2]}
	table := data[min(offset, uint64(len(data))):]
	length := (size + chunkSize - 1) / chunkSize * rowSize
	if length > uint64(len(table)) {
		return nil, errCut
	}
	table, packed := table[:length], table[length:]
	for row := range slices.Chunk(table, rowSize) {
		n := binary.LittleEndian.Uint32(row)
		if uint64(n) > uint64(len(packed)) {
			return nil, errCut
		}
		e.chunks = append(e.chunks, chunk{packed[:n], binary.LittleEndian.Uint32(row[4:])})
		packed = packed[n:]
	}
	return e, nil
}

var errCut = errors.New("its data is cut off")

// A Packer puts an archive together.
type Packer struct {
	host   *elfmagic.Arch
	encode func(src []byte) ([]byte, error)
	lines  bytes.Buffer
	data   bytes.Buffer
}

// NewPacker returns a packer of emulators that run on the host.
func NewPacker(host *elfmagic.Arch, encode func(src []byte) ([]byte, error)) *Packer {
	return &Packer{host: host, encode: encode}
}

// Add adds an emulator for an architecture. Its chunks are compressed at once.
func (p *Packer) Add(arch *elfmagic.Arch, version string, program []byte) error {
	sum := sha256.Sum256(program)
	fmt.Fprintf(&p.lines, "%s %d %x %d %s\n", arch.Name, len(program), sum, p.data.Len(), strings.ReplaceAll(version, "\n", " "))
	parts := slices.Collect(slices.Chunk(program, chunkSize))
	packed, errs := make([][]byte, len(parts)), make([]error, len(parts))
	var wait sync.WaitGroup
	for i, part := range parts {
		wait.Go(func() { packed[i], errs[i] = p.encode(part) })
	}
	wait.Wait()
	var table []byte
	for i, part := range parts {
		table = binary.LittleEndian.AppendUint32(table, uint32(len(packed[i])))
		table = binary.LittleEndian.AppendUint32(table, crc32.Checksum(part, castagnoli()))
	}
	p.data.Write(table)
	p.data.Write(bytes.Join(packed, nil))
	return cmp.Or(errs...)
}

// WriteTo writes the archive.
func (p *Packer) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.MultiReader(strings.NewReader(archiveVersion+" "+p.host.Name+"\n"), &p.lines, strings.NewReader("\n"), &p.data))
}

// Summary says which emulators there are, and of their licence, on lines of their
// own, or nothing.
func (a *Archive) Summary() string {
	if a == nil {
		return ""
	}
	var versions, names []string
	for _, e := range a.Emulators {
		if version := e.version(); !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
		names = append(names, e.Arch.Name)
	}
	return fmt.Sprintf("%d emulators embedded, QEMU %s: %s\n%s\n", len(a.Emulators), strings.Join(versions, " and "), strings.Join(names, " "), licence)
}

// Docs is where the documents are, which neither packages nor images have.
const Docs = "https://github.com/projectcalico/go-build/blob/HEAD/docs/"

// licence says what goes with QEMU wherever it goes.
const licence = "QEMU is free software, without warranty: GNU GPL, version 2. Texts and source: " + Docs + "licences.md"

// version returns the version without what a distribution says of its package.
func (e *Emulator) version() string {
	version, _, _ := strings.Cut(e.Version, " ")
	if version == "" {
		return "of unknown version"
	}
	return version
}
