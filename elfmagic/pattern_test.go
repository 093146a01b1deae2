package elfmagic_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMatchFollowsTheKernel(t *testing.T) {
	all := func(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
	long := append(make([]byte, 255), 'x')
	for name, test := range map[string]struct {
		pattern elfmagic.Pattern
		head    string
		want    bool
	}{
		"equal":                     {elfmagic.Pattern{Magic: []byte("ab")}, "ab", true},
		"what follows is free":      {elfmagic.Pattern{Magic: []byte("ab")}, "abc", true},
		"first byte differs":        {elfmagic.Pattern{Magic: []byte("ab")}, "bb", false},
		"last byte differs":         {elfmagic.Pattern{Magic: []byte("ab")}, "aa", false},
		"last bit differs":          {elfmagic.Pattern{Magic: []byte("ab")}, "ac", false},
		"not at the start":          {elfmagic.Pattern{Magic: []byte("ab")}, "xab", false},
		"offset":                    {elfmagic.Pattern{Offset: 1, Magic: []byte("ab")}, "xab", true},
		"offset, not there":         {elfmagic.Pattern{Offset: 1, Magic: []byte("ab")}, "abx", false},
		"empty mask":                {elfmagic.Pattern{Magic: []byte("ab"), Mask: []byte{}}, "ab", true},
		"empty mask, differs":       {elfmagic.Pattern{Magic: []byte("ab"), Mask: []byte{}}, "ac", false},
		"full mask":                 {elfmagic.Pattern{Magic: []byte("ab"), Mask: all(2)}, "ab", true},
		"full mask, differs":        {elfmagic.Pattern{Magic: []byte("ab"), Mask: all(2)}, "ac", false},
		"open bit":                  {elfmagic.Pattern{Magic: []byte("ab"), Mask: []byte{0xff, 0xfe}}, "ac", true},
		"closed bit differs":        {elfmagic.Pattern{Magic: []byte("ab"), Mask: []byte{0xff, 0xfe}}, "ad", false},
		"open bits of the magic":    {elfmagic.Pattern{Magic: []byte("ab"), Mask: []byte{0xff, 0}}, "a\x00", true},
		"short file, zeros follow":  {elfmagic.Pattern{Magic: []byte("a\x00\x00")}, "a", true},
		"short file, not zeros":     {elfmagic.Pattern{Magic: []byte("a\x00b")}, "a", false},
		"short file, open bytes":    {elfmagic.Pattern{Magic: []byte("axx"), Mask: []byte{0xff, 0, 0}}, "a", true},
		"empty file":                {elfmagic.Pattern{Magic: []byte{0}}, "", true},
		"empty file, not zeros":     {elfmagic.Pattern{Magic: []byte{1}}, "", false},
		"short of the offset":       {elfmagic.Pattern{Offset: 10, Magic: []byte{0}}, "abc", true},
		"last byte of the window":   {elfmagic.Pattern{Offset: 255, Magic: []byte("x")}, string(long), true},
		"all of the window":         {elfmagic.Pattern{Magic: long}, string(long), true},
		"beyond the window":         {elfmagic.Pattern{Offset: 256, Magic: []byte("x")}, string(long) + "x", false},
		"out of the window":         {elfmagic.Pattern{Offset: 255, Magic: []byte("xx")}, string(long) + "x", false},
		"longer than the window":    {elfmagic.Pattern{Magic: append(slices.Clone(long), 'x')}, string(long) + "x", false},
		"no magic":                  {elfmagic.Pattern{}, "", false},
		"no magic, with mask":       {elfmagic.Pattern{Mask: []byte{0}}, "", false},
		"mask too short":            {elfmagic.Pattern{Magic: []byte("ab"), Mask: []byte{0}}, "ab", false},
		"mask too long":             {elfmagic.Pattern{Magic: []byte("ab"), Mask: []byte{0, 0, 0}}, "ab", false},
		"negative offset":           {elfmagic.Pattern{Offset: -1, Magic: []byte{0}}, "", false},
		"most negative offset":      {elfmagic.Pattern{Offset: math.MinInt, Magic: []byte{0}}, "", false},
		"offset that wraps around":  {elfmagic.Pattern{Offset: math.MaxInt, Magic: []byte{0, 0}}, "", false},
		"open pattern, any file":    {elfmagic.Pattern{Magic: []byte{9}, Mask: []byte{0}}, "abc", true},
		"open pattern, in no place": {elfmagic.Pattern{Offset: 256, Magic: []byte{9}, Mask: []byte{0}}, "abc", false},
	} {
		assert.Equal(t, test.want, test.pattern.Match([]byte(test.head)), name)
	}
}

func TestWhyAPatternIsNotValid(t *testing.T) {
	for text, p := range map[string]elfmagic.Pattern{
		"no magic":                      {Mask: []byte{0}},
		"offset -1 is negative":         {Offset: -1, Magic: []byte("a")},
		"magic of 1 bytes, but mask of": {Magic: []byte("a"), Mask: []byte{0, 0}},
		"the first 256 bytes of a file": {Offset: math.MaxInt, Magic: []byte("ab")},
	} {
		assert.ErrorContains(t, p.Validate(), text)
	}
	for _, a := range elfmagic.Archs() {
		p := a.Pattern()
		assert.NoError(t, p.Validate(), a.Name)
	}
}

func TestPatternsOverlapIfAFileCanMatchBoth(t *testing.T) {
	p := elfmagic.Pattern{Offset: 1, Magic: []byte("ab"), Mask: []byte{0xff, 0xf0}}
	for name, test := range map[string]struct {
		q    elfmagic.Pattern
		want bool
	}{
		"the same":                         {p, true},
		"another byte":                     {elfmagic.Pattern{Offset: 1, Magic: []byte("b")}, false},
		"the same byte in another place":   {elfmagic.Pattern{Magic: []byte("xa")}, true},
		"another byte in another place":    {elfmagic.Pattern{Magic: []byte("ab")}, false},
		"bits that p does not compare":     {elfmagic.Pattern{Offset: 2, Magic: []byte("c")}, true},
		"bits that q does not compare":     {elfmagic.Pattern{Offset: 1, Magic: []byte("c"), Mask: []byte{0xf0}}, true},
		"in front of it, and after it":     {elfmagic.Pattern{Magic: []byte("x")}, true},
		"longer, with the other byte last": {elfmagic.Pattern{Magic: []byte("xaxy"), Mask: []byte{0, 0xff, 0xff, 0}}, false},
		"a mask that is too short":         {elfmagic.Pattern{Offset: 1, Magic: []byte("ab"), Mask: []byte{0xff}}, false},
		"no magic":                         {elfmagic.Pattern{}, false},
	} {
		assert.Equal(t, test.want, p.Overlaps(test.q), name)
		assert.Equal(t, test.want, test.q.Overlaps(p), name)
	}
}

func TestPatternsAreEqualIfWrittenAlike(t *testing.T) {
	p := elfmagic.Pattern{Offset: 1, Magic: []byte("ab"), Mask: []byte{0xff, 0xff}}
	assert.True(t, p.Equal(elfmagic.Pattern{Offset: 1, Magic: []byte("ab"), Mask: []byte{0xff, 0xff}}))
	assert.True(t, elfmagic.Pattern{}.Equal(elfmagic.Pattern{Mask: []byte{}}), "no mask is no mask")
	for _, q := range []elfmagic.Pattern{
		{Offset: 2, Magic: p.Magic, Mask: p.Mask}, {Offset: 1, Magic: []byte("ac"), Mask: p.Mask}, {Offset: 1, Magic: p.Magic, Mask: []byte{0xff, 0xfe}}, {Offset: 1, Magic: p.Magic},
	} {
		assert.False(t, p.Equal(q), "%+v", q)
	}
}

func TestPatternIsTheCallersOwn(t *testing.T) {
	a := row(t, "x86_64")
	clear(a.Pattern().Magic)
	clear(a.Pattern().Mask)
	assert.NotZero(t, a.Pattern().Magic[0])
	assert.NotZero(t, a.Pattern().Mask[0])
}

// Bits of the magic that the mask leaves open are zero: a pattern has one way
// to be written.
func TestMagicHasNoBitsThatAreNotCompared(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		p := a.Pattern()
		require.Len(t, p.Mask, len(p.Magic))
		assert.LessOrEqual(t, p.Offset+len(p.Magic), 128, "%s: older kernels read no more", a)
		for i := range p.Magic {
			open := p.Magic[i] &^ p.Mask[i]
			if i == elf.EI_DATA || i == elf.EI_VERSION {
				continue // 1 is how x86's magic is written, though its last bit is open
			}
			assert.Zero(t, open, "%s: byte %d", a, i)
		}
	}
}

// kernelMatches is load_misc_binary's look-up, written anew: bit by bit, on the
// buffer that the kernel has read.
func kernelMatches(p elfmagic.Pattern, file []byte) bool {
	var window [256]byte
	copy(window[:], file)
	size := len(p.Magic)
	if size == 0 || size > 256 || p.Offset < 0 || p.Offset > 256 || p.Offset+size > 256 {
		return false
	}
	if len(p.Mask) > 0 && len(p.Mask) != size {
		return false
	}
	for bit := range 8 * size {
		i, b := bit/8, byte(1)<<(bit%8)
		if len(p.Mask) > 0 && p.Mask[i]&b == 0 {
			continue
		}
		if window[p.Offset+i]&b != p.Magic[i]&b {
			return false
		}
	}
	return true
}

func FuzzMatch(f *testing.F) {
	for _, name := range []string{"aarch64", "mips", "x86_64"} {
		a := row(f, name)
		p := a.Pattern()
		f.Add(p.Offset, p.Magic, p.Mask, a.Heads()[0])
		f.Add(1, p.Magic, []byte(nil), append([]byte{0}, p.Magic...))
		f.Add(0, p.Magic, p.Mask[1:], p.Magic[:5])
	}
	f.Add(255, []byte{0}, []byte(nil), []byte("short"))
	f.Add(math.MaxInt, []byte{0, 0}, []byte{}, []byte{})
	f.Add(0, bytes.Repeat([]byte{0}, 256), bytes.Repeat([]byte{1}, 256), bytes.Repeat([]byte{2}, 300))
	f.Fuzz(func(t *testing.T, offset int, magic, mask, file []byte) {
		p := elfmagic.Pattern{Offset: offset, Magic: magic, Mask: mask}
		require.Equal(t, kernelMatches(p, file), p.Match(file), "%+v, %x", p, file)
		// Most random files match nothing: make one that does, and spoil it.
		if len(mask) != 0 && len(mask) != len(magic) || offset < 0 || offset > 256-len(magic) || len(magic) == 0 {
			return
		}
		own := make([]byte, 256)
		copy(own, file)
		copy(own[offset:], magic)
		require.True(t, p.Match(own))
		own[offset+len(magic)-1] ^= 0x10
		require.Equal(t, kernelMatches(p, own), p.Match(own), "%+v, %x", p, own)
	})
}

// TestGoldenPatterns shows in a review what a change to the table or to its
// overrides does to what is registered: go test ./elfmagic -run Golden -update
func TestGoldenPatterns(t *testing.T) {
	escape := func(b []byte) string {
		var s strings.Builder
		for _, c := range b {
			fmt.Fprintf(&s, `\x%02x`, c)
		}
		return s.String()
	}
	var text strings.Builder
	for _, a := range elfmagic.Archs() {
		p := a.Pattern()
		require.Zero(t, p.Offset, "the file has no column for it")
		fmt.Fprintf(&text, "%s %s %s\n", a.Name, escape(p.Magic), escape(p.Mask))
	}
	path := filepath.Join("testdata", "patterns.txt")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), text.String())
}

func TestHeadsAreTheArchitecturesPrograms(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		kinds := make(map[string]bool)
		for _, head := range a.Heads() {
			h, err := elfmagic.ParseHeader(head)
			require.NoError(t, err)
			assert.Same(t, a, h.Arch)
			assert.Equal(t, a.Machine, h.Machine)
			kinds[fmt.Sprint(h.Type, h.OSABI)] = true
			for _, other := range elfmagic.Archs() {
				assert.Equal(t, a == other, other.Pattern().Match(head), "%s's pattern, %s's program", other, a)
			}
			f, err := elf.NewFile(bytes.NewReader(head))
			require.NoError(t, err, "debug/elf also compares e_version")
			sameHeader(t, f, h)
		}
		assert.Equal(t, map[string]bool{"ET_EXEC ELFOSABI_NONE": true, "ET_DYN ELFOSABI_NONE": true, "ET_EXEC ELFOSABI_LINUX": true, "ET_DYN ELFOSABI_LINUX": true}, kinds)
		clear(a.Heads()[0])
		assert.NotZero(t, a.Heads()[0][0], "heads are the caller's own")
	}
}

// A difference is a kind of file about which a pattern and ParseHeader
// disagree, on purpose.
type difference struct {
	name    string
	matches bool            // what the pattern says; ParseHeader says the opposite
	archs   string          // whose patterns, and nobody else's
	repair  func(s *sample) // makes an ordinary program of such a file
	why     string
}

const (
	appImages = "aarch64 arm i386 x86_64"
	others    = `aarch64_be alpha armeb hexagon hppa loongarch64 m68k microblaze microblazeel mips mips64 mips64el mipsel
		mipsn32 mipsn32el or1k ppc ppc64 ppc64le riscv32 riscv64 s390x sh4 sh4eb sparc sparc32plus sparc64 xtensa xtensaeb`
)

var differences = []difference{
	{
		name: "no byte order", matches: true, archs: "i386 x86_64",
		repair: func(s *sample) {
			if s.data == 0 {
				s.data = 1
				if s.big { // the same bytes can be written in two ways
					s.big, s.typ, s.machine = false, elf.Type(bits.ReverseBytes16(uint16(s.typ))), elf.Machine(bits.ReverseBytes16(uint16(s.machine)))
				}
			}
		},
		why: "QEMU's registration takes x86 programs with 0 in byte 5; there is no other byte order that they could have",
	},
	{
		name: "no version", matches: true, archs: "i386 x86_64",
		repair: func(s *sample) {
			if s.version == 0 {
				s.version = 1
			}
		},
		why: "QEMU's registration takes x86 programs with 0 in byte 6",
	},
	{
		name: "an older machine number", matches: false, archs: "i386 microblaze microblazeel",
		repair: func(s *sample) {
			switch s.machine {
			case elf.EM_486:
				s.machine = elf.EM_386
			case 0xbaab:
				s.machine = elf.EM_MICROBLAZE
			}
		},
		why: "a pattern names one number; files with the old one can still be run by naming the emulator",
	},
	{
		name: "an AppImage's mark", matches: false, archs: others,
		repair: func(s *sample) {
			if [5]byte(s.padding[3:]) == [5]byte{} {
				s.padding[1], s.padding[2] = 0, 0
			}
		},
		why: "bytes 9 and 10: AppImages exist for four architectures only, whose patterns leave them open",
	},
	{
		name: "other padding", matches: false, archs: others + " " + appImages,
		repair: func(s *sample) {
			if [5]byte(s.padding[3:]) != [5]byte{} {
				clear(s.padding[1:])
			}
		},
		why: "bytes 11 to 15 are zero in every program; a file with anything else there is somebody's own format, not ours to run",
	},
}

// sweep gives every file of a set to every pattern and to ParseHeader.
type sweep struct {
	archs    []*elfmagic.Arch
	patterns []elfmagic.Pattern
	seen     map[string]bool // which difference was seen of which architecture
	failures int
}

func newSweep() *sweep {
	w := &sweep{archs: elfmagic.Archs(), seen: make(map[string]bool)}
	for _, a := range w.archs {
		w.patterns = append(w.patterns, a.Pattern())
	}
	return w
}

// runs is the architecture whose program a file is, as ParseHeader has it: one
// that can be executed.
func runs(head []byte) *elfmagic.Arch {
	h, err := elfmagic.ParseHeader(head)
	if err != nil || h.Type != elf.ET_EXEC && h.Type != elf.ET_DYN {
		return nil
	}
	return h.Arch
}

func (w *sweep) check(t *testing.T, s sample, head []byte) {
	want := runs(head)
	for i, a := range w.archs {
		if got := w.patterns[i].Match(head); got != (a == want) && !w.explained(t, i, s, got) {
			if w.failures++; w.failures <= 10 { // of one cause there are thousands
				assert.Fail(t, "a difference that is not listed", "pattern of %s says %t, ParseHeader says %v, of %+v", a, got, want, s)
			}
		}
	}
}

// explained reports whether the listed differences, and nothing else, are what
// makes the pattern say otherwise: without them both agree.
func (w *sweep) explained(t *testing.T, i int, s sample, got bool) bool {
	var names []string
	for _, d := range differences {
		before := s
		if d.matches == got && slices.Contains(strings.Fields(d.archs), w.archs[i].Name) {
			if d.repair(&s); s != before {
				names = append(names, d.name)
			}
		}
	}
	head := s.bytes(t)
	if len(names) == 0 || w.patterns[i].Match(head) != (runs(head) == w.archs[i]) {
		return false
	}
	if len(names) == 1 {
		w.seen[names[0]+": "+w.archs[i].Name] = true
	}
	return true
}

// machines are those of the table and some that are not in it: without a
// number, with the same number in another byte order, of dead processors.
func machines() []elf.Machine {
	set := []elf.Machine{elf.EM_NONE, elf.EM_IA_64, 0xa390, elf.EM_ALPHA_STD, elf.EM_VAX, elf.EM_BPF, 0xb700, 0x3e00, 0x0115, 0xffff}
	for _, a := range elfmagic.Archs() {
		set = append(append(set, a.Machine), a.Also...)
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// TestPatternsMatchTheirOwnProgramsOnly compares each pattern with ParseHeader
// over everything that a header can say.
func TestPatternsMatchTheirOwnProgramsOnly(t *testing.T) {
	t.Parallel()
	const abi2 = 0x20 // EF_MIPS_ABI2
	paddings := [][8]byte{
		{}, {1}, {5}, {255}, // ABI versions
		{'A', 'I', 1}, {'A', 'I', 2}, {0, 'I'}, {0, 0, 2}, {0, 255, 255}, // AppImages and what resembles them
		{0, 0, 0, 1}, {0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 1}, {7: 1}, {'A', 'I', 2, 1},
	}
	w := newSweep()
	for class := range byte(4) {
		for data := range byte(4) {
			for _, big := range []bool{false, true} {
				for version := range byte(3) {
					for _, machine := range machines() {
						for _, typ := range []elf.Type{elf.ET_NONE, elf.ET_REL, elf.ET_EXEC, elf.ET_DYN, elf.ET_CORE, 0x0200, 0x0300, 0x0202, 0xfe03} {
							for _, flags := range []uint32{0, abi2, ^uint32(0), ^uint32(abi2)} {
								s := sample{class: class, data: data, version: version, big: big, typ: typ, machine: machine, flags: flags}
								head := s.bytes(t)
								hopeless := class == 0 || class == 3 || data == 3 || version == 2
								for _, osabi := range []byte{0, 3} {
									s.osabi, head[elf.EI_OSABI] = osabi, osabi
									for i, padding := range paddings {
										if i > 0 && hopeless {
											break // with zeros is enough
										}
										s.padding = padding
										copy(head[elf.EI_ABIVERSION:], padding[:])
										w.check(t, s, head)
									}
								}
								// Every OS ABI: with flags of both kinds, and a type that is and one that is not a program's.
								if flags != 0 && flags != abi2 || typ > elf.ET_DYN || hopeless {
									continue
								}
								s.padding = [8]byte{}
								copy(head[elf.EI_ABIVERSION:], s.padding[:])
								for osabi := range 256 {
									s.osabi, head[elf.EI_OSABI] = byte(osabi), byte(osabi)
									w.check(t, s, head)
								}
							}
						}
					}
				}
			}
		}
	}
	assert.Zero(t, w.failures, "differences that are not listed")
	for _, d := range differences {
		require.NotEmpty(t, d.why)
		for name := range strings.FieldsSeq(d.archs) {
			assert.True(t, w.seen[d.name+": "+name], "%s: %s's pattern no longer differs", d.name, name)
		}
	}
}

// A pattern looks at fewer bytes than a header has, and at zeros behind the end
// of a file: the kernel then starts an emulator, which says that the file is cut
// off. It cannot be told in a pattern.
func TestPatternsMatchFilesThatAreCutOffWithinTheHeader(t *testing.T) {
	// How much of a program is enough: to the last byte that is not zero of
	// those that are compared.
	enough := map[string]int{"mipsn32": 40, "mipsn32el": 37, "loongarch64": 20, "alpha": 20}
	for _, a := range elfmagic.Archs() {
		want, ok := enough[a.Name]
		if !ok {
			want = 20
			if a.Data == elf.ELFDATA2LSB {
				want = 19 // the machine's second byte is zero
			}
		}
		head := program(a).bytes(t)
		for n := range len(head) {
			assert.Equal(t, n >= want, a.Pattern().Match(head[:n]), "%s: %d bytes", a, n)
			_, err := elfmagic.ParseHeader(head[:n])
			assert.True(t, errors.Is(err, elfmagic.ErrTruncated) || n == 0)
		}
	}
}
