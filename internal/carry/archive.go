package carry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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

// An archive is a text, an empty line, and compressed data. The text's first
// line is archiveVersion and the host's architecture; each other one is of an
// emulator:
//
//	aarch64 <size> <SHA-256> <where its data begins> <chunk>,<chunk>,… <version>
//
// A chunk is chunkSize bytes of the emulator, or what is left of them: they are
// compressed each for itself, so that several are unpacked at once. Its text is
// the length of its data and its checksum in hexadecimal, "81245:1f00a9c3".
const archiveVersion = "emulators-1"

// chunkSize is small enough for buffers to stay in a CPU's cache.
const chunkSize = 256 << 10

// castagnoli is the polynomial that CPUs have an instruction for. Its table takes
// a quarter of a millisecond.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// An Archive holds the emulators for one host.
type Archive struct {
	Host *elfmagic.Arch // on which they run

	lines  []byte
	data   []byte
	decode Decoder
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

	chunks   []chunk
	data     []byte
	decode   Decoder
	uncached bool // the cache failed: it is not tried again
}

type chunk struct {
	length int // of its data
	sum    uint32
}

// Digest returns the digest of the emulator's content as OCI has digests.
func (e *Emulator) Digest() string { return "sha256:" + e.SHA256 }

// Describe says what the emulator is, in a few words.
func (e *Emulator) Describe() string {
	return "carried, QEMU " + e.version() + ", " + e.Digest()
}

// Open reads an archive's first line. The rest is read when it is asked for.
func Open(archive []byte, decode Decoder) (*Archive, error) {
	text, data, ok := bytes.Cut(archive, []byte("\n\n"))
	first, lines, _ := bytes.Cut(text, []byte("\n"))
	name, ofHost := strings.CutPrefix(string(first), archiveVersion+" ")
	if !ok || !ofHost {
		return nil, errors.New("not an archive of emulators")
	}
	host, err := elfmagic.Lookup(name)
	if err != nil {
		return nil, err
	}
	return &Archive{host, lines, data, decode}, nil
}

// Find returns the emulator for an architecture's programs, or nil. A nil
// archive has none.
func (a *Archive) Find(arch *elfmagic.Arch) (*Emulator, error) {
	if a == nil {
		return nil, nil
	}
	for line := range bytes.Lines(a.lines) {
		if rest, ok := bytes.CutPrefix(line, []byte(arch.Name+" ")); ok {
			e, err := a.parse(arch, strings.TrimSuffix(string(rest), "\n"))
			if err != nil {
				return nil, fmt.Errorf("carried emulator for %s: %w", arch, err)
			}
			return e, nil
		}
	}
	return nil, nil
}

// Emulators returns all that are in the archive.
func (a *Archive) Emulators() ([]*Emulator, error) {
	var list []*Emulator
	for _, arch := range elfmagic.Archs() {
		e, err := a.Find(arch)
		if err != nil {
			return nil, err
		}
		if e != nil {
			list = append(list, e)
		}
	}
	return list, nil
}

// parse reads an emulator's line, without its name.
func (a *Archive) parse(arch *elfmagic.Arch, line string) (*Emulator, error) {
	fields := strings.SplitN(line, " ", 5)
	if len(fields) != 5 {
		return nil, errors.New("its line is cut off")
	}
	e := &Emulator{Arch: arch, Host: a.Host, SHA256: fields[1], Version: fields[4], decode: a.decode}
	var err error
	if e.Size, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return nil, err
	}
	offset, err := strconv.Atoi(fields[2])
	if err != nil {
		return nil, err
	}
	end := offset
	for text := range strings.SplitSeq(fields[3], ",") {
		length, sum, _ := strings.Cut(text, ":")
		var c chunk
		if c.length, err = strconv.Atoi(length); err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(sum, 16, 32)
		if err != nil {
			return nil, err
		}
		c.sum = uint32(n)
		e.chunks = append(e.chunks, c)
		end += c.length
	}
	if offset < 0 || end < offset || end > len(a.data) || int64(len(e.chunks)) != (e.Size+chunkSize-1)/chunkSize {
		return nil, errors.New("its data is cut off")
	}
	e.data = a.data[offset:end]
	return e, nil
}

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

// Add adds an emulator for an architecture. Its chunks are compressed at once,
// by as many goroutines as there are CPUs.
func (p *Packer) Add(arch *elfmagic.Arch, version string, program []byte) error {
	sum := sha256.Sum256(program)
	fmt.Fprintf(&p.lines, "%s %d %s %d ", arch.Name, len(program), hex.EncodeToString(sum[:]), p.data.Len())
	packed := make([][]byte, (len(program)+chunkSize-1)/chunkSize)
	part := func(i int) []byte { return program[i*chunkSize : min((i+1)*chunkSize, len(program))] }
	err := inParallel(len(packed), func() func(int) error {
		return func(i int) (err error) {
			packed[i], err = p.encode(part(i))
			return err
		}
	})
	if err != nil {
		return err
	}
	for i, c := range packed {
		if i > 0 {
			p.lines.WriteByte(',')
		}
		fmt.Fprintf(&p.lines, "%d:%08x", len(c), crc32.Checksum(part(i), castagnoli()))
		p.data.Write(c)
	}
	fmt.Fprintf(&p.lines, " %s\n", strings.ReplaceAll(version, "\n", " "))
	return nil
}

// WriteTo writes the archive.
func (p *Packer) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.MultiReader(strings.NewReader(archiveVersion+" "+p.host.Name+"\n"), &p.lines, strings.NewReader("\n"), &p.data))
}

// Summary says which emulators there are, and of their licence, on lines of their
// own, or nothing.
func (a *Archive) Summary() string {
	list, err := a.Emulators()
	if err != nil {
		return "emulators carried: " + err.Error() + "\n"
	}
	var versions, names []string
	for _, e := range list {
		if version := e.version(); !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
		names = append(names, e.Arch.Name)
	}
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("%d emulators carried, QEMU %s: %s\n%s\n", len(list), strings.Join(versions, " and "), strings.Join(names, " "), licence)
}

// licence says what goes with QEMU wherever it goes.
const licence = "QEMU is free software, without warranty: GNU GPL, version 2. Texts and source: https://github.com/projectcalico/go-build/blob/HEAD/docs/licences.md"

// version returns the version without what a distribution says of its package.
func (e *Emulator) version() string {
	version, _, _ := strings.Cut(e.Version, " ")
	if version == "" {
		return "of unknown version"
	}
	return version
}
