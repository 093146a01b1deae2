package elfmagic_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// targets are the linux-user targets of QEMU 11.
const targets = `aarch64 aarch64_be alpha arm armeb hexagon hppa i386 loongarch64 m68k microblaze microblazeel
	mips mipsel mips64 mips64el mipsn32 mipsn32el or1k ppc ppc64 ppc64le riscv32 riscv64 s390x sh4 sh4eb
	sparc sparc32plus sparc64 x86_64 xtensa xtensaeb`

// row returns the row of the given name.
func row(t testing.TB, name string) *elfmagic.Arch {
	t.Helper()
	for _, a := range elfmagic.Archs() {
		if a.Name == name {
			return a
		}
	}
	require.FailNow(t, "no such row", name)
	return nil
}

func TestEveryTargetOfQEMUIsARow(t *testing.T) {
	want := strings.Fields(targets)
	slices.Sort(want)
	require.Len(t, want, 33)
	var names []string
	for _, a := range elfmagic.Archs() {
		names = append(names, a.String())
	}
	assert.Equal(t, want, names, "in order of their names")
}

func TestCallersCannotReorderTheTable(t *testing.T) {
	rows := elfmagic.Archs()
	slices.Reverse(rows)
	assert.Equal(t, "aarch64", elfmagic.Archs()[0].Name)
}

func TestRowsHaveValidHeaders(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		assert.Contains(t, []elf.Class{elf.ELFCLASS32, elf.ELFCLASS64}, a.Class, a.Name)
		assert.Contains(t, []elf.Data{elf.ELFDATA2LSB, elf.ELFDATA2MSB}, a.Data, a.Name)
		assert.NotContains(t, a.Machine.String(), "+", "%s: a machine without a name", a.Name)
		assert.NotEqual(t, elf.EM_NONE, a.Machine, a.Name)
		assert.NotContains(t, a.Also, a.Machine, a.Name)
		assert.Zero(t, a.Flags&^a.FlagsMask, "%s: flags that are not compared", a.Name)
	}
}

// Which row a header belongs to must not depend on the order of the rows.
func TestNoHeaderBelongsToTwoRows(t *testing.T) {
	type header struct {
		class   elf.Class
		data    elf.Data
		machine elf.Machine
	}
	rows := make(map[header][]*elfmagic.Arch)
	for _, a := range elfmagic.Archs() {
		for _, m := range append([]elf.Machine{a.Machine}, a.Also...) {
			h := header{a.Class, a.Data, m}
			for _, other := range rows[h] {
				both := a.FlagsMask & other.FlagsMask
				assert.NotEqual(t, a.Flags&both, other.Flags&both, "%s and %s", a, other)
			}
			rows[h] = append(rows[h], a)
		}
	}
}

func TestGoPortsAreThoseOfTheGoTool(t *testing.T) {
	out, err := exec.Command("go", "tool", "dist", "list").Output()
	require.NoError(t, err)
	var want, got []string
	for port := range strings.FieldsSeq(string(out)) {
		if goarch, ok := strings.CutPrefix(port, "linux/"); ok {
			want = append(want, goarch)
		}
	}
	for _, a := range elfmagic.Archs() {
		if a.GOARCH != "" {
			got = append(got, a.GOARCH)
		}
	}
	slices.Sort(got)
	assert.Equal(t, want, got, "each port of Go belongs to one row")
}

func TestPlatformsAreWrittenAsContainerdWritesThem(t *testing.T) {
	owner := make(map[string]*elfmagic.Arch)
	for _, a := range elfmagic.Archs() {
		for _, platform := range append(a.Platforms, a.Platform()) {
			p, err := platforms.Parse(platform)
			require.NoError(t, err, platform)
			assert.Equal(t, platform, platforms.Format(platforms.Normalize(p)), a.Name)
		}
		for _, platform := range a.Platforms {
			assert.Nil(t, owner[platform], "%s is %s", platform, a)
			owner[platform] = a
			p := platforms.MustParse(platform)
			assert.Equal(t, "linux", p.OS)
			assert.Equal(t, a.GOARCH, p.Architecture, "OCI's names are Go's")
		}
		assert.Equal(t, a.GOARCH != "", len(a.Platforms) > 0, "%s: a port of Go is a platform", a)
	}
}

func TestNoNameBelongsToTwoRows(t *testing.T) {
	owner := make(map[string]*elfmagic.Arch)
	for _, a := range elfmagic.Archs() {
		for _, name := range a.Names() {
			assert.Nil(t, owner[name], "%q is %s", name, a)
			owner[name] = a
			assert.Regexp(t, `^[a-z0-9_-]+$`, name, "what Lookup makes of a name")
			assert.False(t, strings.HasPrefix(name, "qemu-"), name)
		}
	}
}

// dpkg's own tables say what Debian's ports are: name, triplet, bits and byte
// order.
func TestDebianPortsAreThoseOfDpkg(t *testing.T) {
	const dir = "/usr/share/dpkg"
	if _, err := os.Stat(filepath.Join(dir, "cputable")); err != nil {
		t.Skipf("dpkg's tables are not installed: %v", err)
	}
	table := func(name string) (rows [][]string) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if columns := strings.Fields(line); len(columns) > 0 && !strings.HasPrefix(line, "#") {
				rows = append(rows, columns)
			}
		}
		return rows
	}
	systems := make(map[string]string) // base-gnu-linux: linux-gnu
	for _, os := range table("ostable") {
		systems[os[0]] = os[1]
	}
	type port struct{ triplet, bits, endian string }
	ports := make(map[string]port)
	for _, tuple := range table("tupletable") {
		for _, cpu := range table("cputable") {
			name := strings.ReplaceAll(tuple[1], "<cpu>", cpu[0])
			// The first tuple of a name counts, and <cpu> is any processor.
			os, ok := strings.CutSuffix(strings.ReplaceAll(tuple[0], "<cpu>", cpu[0]), "-"+cpu[0])
			if _, known := ports[name]; ok && !known {
				ports[name] = port{cpu[1] + "-" + systems[os], cpu[3], cpu[4]}
			}
		}
	}

	bits := map[elf.Class]string{elf.ELFCLASS32: "32", elf.ELFCLASS64: "64"}
	endian := map[elf.Data]string{elf.ELFDATA2LSB: "little", elf.ELFDATA2MSB: "big"}
	// Ports of a later dpkg than Debian 12's.
	newer := []string{"loong64"}
	for _, a := range elfmagic.Archs() {
		for _, p := range a.Debian {
			want, ok := ports[p.Name]
			if !ok && slices.Contains(newer, p.Name) {
				continue
			}
			// N32 has 64-bit registers in 32-bit files.
			if strings.HasPrefix(a.Name, "mipsn32") && assert.Equal(t, "64", want.bits) {
				want.bits = "32"
			}
			assert.Equal(t, want, port{p.Triplet, bits[a.Class], endian[a.Data]}, "%s of %s", p.Name, a)
		}
	}
}

func TestConventionalNames(t *testing.T) {
	for _, test := range []struct {
		arch, platform string
		names          []string
	}{
		{"aarch64", "linux/arm64", []string{"aarch64", "arm64", "aarch64-linux-gnu", "arm64v8"}},
		{"arm", "linux/arm/v7", []string{
			"arm", "armhf", "arm-linux-gnueabihf", "armel", "arm-linux-gnueabi", "armv7l", "armv6l", "armv5tel", "armv5tejl", "armv8l",
			"armv7", "armv6", "armv5", "arm32v7", "arm32v6", "arm32v5",
		}},
		{"hppa", "linux/hppa", []string{"hppa", "hppa-linux-gnu", "parisc", "parisc64"}},
		{"xtensaeb", "linux/xtensaeb", []string{"xtensaeb"}},
	} {
		a := row(t, test.arch)
		assert.Equal(t, test.platform, a.Platform())
		assert.Equal(t, test.names, a.Names(), "without repetition, its own first")
	}
}
