package elfmagic_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// confDirs are where Debian's qemu-user-static (until Debian 12) and
// qemu-user (since Debian 13) have their lines. Other versions' can be unpacked
// anywhere and compared too: go test ./elfmagic -run Debian -conf DIR,DIR
var confDirs = flag.String("conf", "/usr/lib/binfmt.d,/usr/share/qemu/binfmt.d", "directories with Debian's qemu-*.conf")

// debianEntries reads Debian's lines, by file name.
func debianEntries(t *testing.T) map[string]binfmt.Entry {
	entries := make(map[string]binfmt.Entry)
	for dir := range strings.SplitSeq(*confDirs, ",") {
		paths, err := filepath.Glob(filepath.Join(dir, "qemu-*.conf"))
		require.NoError(t, err)
		for _, path := range paths {
			if strings.HasSuffix(path, "-static.conf") {
				continue // Fedora's
			}
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				continue // a link to a package that is not installed
			}
			require.NoError(t, err)
			for line := range strings.Lines(string(text)) {
				if line = strings.TrimSpace(line); line == "" || strings.ContainsRune("#;", rune(line[0])) {
					continue
				}
				var e binfmt.Entry
				require.NoError(t, e.UnmarshalText([]byte(line)), path)
				require.NotContains(t, entries, path, "one line a file")
				entries[path] = e
			}
		}
	}
	if len(entries) == 0 {
		t.Skipf("no qemu-*.conf of Debian's qemu-user-static or qemu-user in %s", *confDirs)
	}
	return entries
}

// A deviation is a set of header bytes that our pattern and Debian's compare
// differently.
type deviation struct {
	name   string
	bytes  []int
	kind   string // what ours is: looser, stricter, or of another value
	archs  string
	varies bool // not in every version of Debian's package
	why    string
}

const (
	looser   = "looser"
	stricter = "stricter"
	another  = "another value"
)

var deviations = []deviation{
	{
		name: "OS ABI", bytes: []int{7}, kind: looser,
		archs: "i386 loongarch64 ppc ppc64 ppc64le s390x sh4 sh4eb sparc sparc32plus sparc64 x86_64",
		why:   "Debian's takes 0 to 3 here, and any for other architectures; neither the kernel's loader nor QEMU looks at it",
	},
	{
		name: "ABI version", bytes: []int{8}, kind: looser,
		archs: `aarch64 aarch64_be alpha arm armeb hexagon hppa i386 m68k microblaze microblazeel or1k ppc ppc64 ppc64le
			riscv32 riscv64 s390x sh4 sh4eb sparc sparc32plus sparc64 x86_64 xtensa xtensaeb`,
		why: "nobody looks at it, and an AppImage has an A here",
	},
	{
		name: "ABI version of MIPS", bytes: []int{8}, kind: looser, archs: "mips mips64 mips64el mipsel mipsn32 mipsn32el", varies: true,
		why: "QEMU 7.2's takes 0 and 1, later ones any, since toolchains write up to 5",
	},
	{
		name: "AppImage", bytes: []int{9, 10}, kind: looser, archs: appImages,
		why: "AppImages of type 1 and 2 have their mark here, and are refused by Debian's",
	},
	{
		name: "header's version", bytes: []int{20, 21, 22, 23}, kind: looser, archs: "mips mipsel mipsn32 mipsn32el", varies: true,
		why: "QEMU 10's and later ones compare e_version on the way to e_flags; it is 1 in every program, and the kernel does not look at it",
	},
	{
		name: "machine's high byte", bytes: []int{19}, kind: stricter, archs: "ppc64le",
		why: "Debian's takes every machine whose number ends in 0x15; QEMU runs 0x0015 only",
	},
	{
		name: "machine", bytes: []int{18, 19}, kind: another, archs: "microblaze microblazeel",
		why: "Debian's has the number that binutils wrote before 189 was assigned, so that today's programs do not match",
	},
}

// dropped are Debian's entries for targets that QEMU no longer has.
var dropped = map[string]string{"qemu-cris": "in QEMU 7.2, not in 10"}

func TestDebiansPatternsDifferWhereWeWantThemTo(t *testing.T) {
	entries := debianEntries(t)
	for path, e := range entries {
		t.Run(path, func(t *testing.T) {
			assert.Equal(t, e.Name+".conf", filepath.Base(path))
			name := strings.TrimPrefix(e.Name, "qemu-")
			if dropped[e.Name] != "" {
				assert.NotContains(t, strings.Fields(targets), name)
				return
			}
			a := row(t, name)
			ours, theirs := a.Pattern(), e.Pattern
			require.Zero(t, theirs.Offset)

			unlisted := make(map[string]bool)
			for i := range max(len(ours.Magic), len(theirs.Magic)) {
				for _, kind := range compareByte(ours, theirs, i) {
					unlisted[fmt.Sprintf("byte %d: ours is %s", i, kind)] = true
				}
			}
			exact, contains := true, true // our pattern is the same, accepts all that theirs does
			for _, d := range deviations {
				if !slices.Contains(strings.Fields(d.archs), name) {
					continue
				}
				require.NotEmpty(t, d.why)
				there := false
				for _, i := range d.bytes {
					difference := fmt.Sprintf("byte %d: ours is %s", i, d.kind)
					there = there || unlisted[difference]
					delete(unlisted, difference)
				}
				assert.True(t, there || d.varies, "%s: no longer %s", d.name, d.kind)
				if there {
					exact = false
					contains = contains && d.kind == looser
				}
			}
			assert.Empty(t, unlisted, "differences that are not listed\nours   %x\nmask   %x\ntheirs %x\nmask   %x", ours.Magic, ours.Mask, theirs.Magic, theirs.Mask)

			// The same once more, by files instead of bits.
			if exact {
				assert.True(t, ours.Equal(theirs))
			}
			matches := make(map[bool]int)
			for _, head := range a.Heads() {
				matches[theirs.Match(head)]++
			}
			disjoint := name == "microblaze" || name == "microblazeel"
			assert.Equal(t, map[bool]int{!disjoint: len(a.Heads())}, matches, "Debian's takes our programs")
			for _, head := range filesOf(theirs) {
				if contains {
					assert.True(t, ours.Match(head), "%x", head)
				}
				for _, other := range elfmagic.Archs() {
					// Nothing that Debian gives to this architecture is another's by ours.
					assert.True(t, other == a || !other.Pattern().Match(head), "%s: %x", other, head)
				}
			}
		})
	}
}

// compareByte says how our pattern treats a byte, if otherwise than theirs.
func compareByte(ours, theirs elfmagic.Pattern, i int) (kinds []string) {
	at := func(b []byte) byte {
		if i < len(b) {
			return b[i]
		}
		return 0 // what is behind a pattern is not compared
	}
	m, n := at(ours.Mask), at(theirs.Mask)
	if n&^m != 0 {
		kinds = append(kinds, looser)
	}
	if m&^n != 0 {
		kinds = append(kinds, stricter)
	}
	if (at(ours.Magic)^at(theirs.Magic))&m&n != 0 {
		kinds = append(kinds, another)
	}
	return kinds
}

// filesOf are files that a pattern takes: its magic, and that with each bit
// that it leaves open set the other way.
func filesOf(p elfmagic.Pattern) [][]byte {
	magic := make([]byte, elfmagic.HeaderSize)
	copy(magic, p.Magic)
	files := [][]byte{magic}
	for bit := range 8 * len(p.Magic) {
		if p.Mask[bit/8]&(1<<(bit%8)) == 0 {
			file := slices.Clone(magic)
			file[bit/8] ^= 1 << (bit % 8)
			files = append(files, file)
		}
	}
	return files
}
