package elfmagic_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

func TestLookupFindsWhatPeopleType(t *testing.T) {
	for arch, names := range map[string]string{
		"aarch64":      "aarch64 arm64 ARM64 AArch64 arm64v8 linux/arm64 linux/arm64/v8 linux/arm64/v9 linux/aarch64 arm64/v8 arm64/8 Linux/ARM64/V8 qemu-aarch64 qemu-aarch64-static QEMU-AARCH64-STATIC aarch64-linux-gnu linux(6.1)/arm64",
		"aarch64_be":   "aarch64_be arm64be arm64_be linux/aarch64_be qemu-aarch64_be",
		"alpha":        "alpha alpha-linux-gnu linux/alpha qemu-alpha",
		"arm":          "arm ARM armhf armel armv7l armv6l armv8l armv7 armv6 armv5 arm32v7 linux/arm linux/arm/v7 linux/arm/v6 linux/arm/v5 linux/arm/7 linux/armhf linux/armel linux/armv7l arm/v7 arm/7 arm/V6 armhf/v7 qemu-arm qemu-arm-static arm-linux-gnueabihf arm-linux-gnueabi",
		"armeb":        "armeb armbe armv7b qemu-armeb linux/armbe",
		"hexagon":      "hexagon qdsp6 qemu-hexagon",
		"hppa":         "hppa parisc parisc64 hppa-linux-gnu linux/hppa",
		"i386":         "386 i386 i486 i586 i686 I686 x86 ia32 linux/386 linux/i386 linux/x86 qemu-i386 qemu-i386-static i686-linux-gnu i386-linux-gnu",
		"loongarch64":  "loong64 loongarch64 linux/loong64 linux/loongarch64 qemu-loongarch64 loongarch64-linux-gnu",
		"m68k":         "m68k M68K linux/m68k qemu-m68k",
		"microblaze":   "microblaze qemu-microblaze",
		"microblazeel": "microblazeel qemu-microblazeel",
		"mips":         "mips linux/mips mips-linux-gnu",
		"mips64":       "mips64 linux/mips64 mips64-linux-gnuabi64",
		"mips64el":     "mips64el mips64le linux/mips64le linux/mips64el qemu-mips64el qemu-mips64el-static mips64el-linux-gnuabi64",
		"mipsel":       "mipsel mipsle linux/mipsle qemu-mipsel mipsel-linux-gnu",
		"mipsn32":      "mipsn32 qemu-mipsn32 mips64-linux-gnuabin32",
		"mipsn32el":    "mipsn32el qemu-mipsn32el mips64el-linux-gnuabin32",
		"or1k":         "or1k openrisc or1k-linux-gnu",
		"ppc":          "ppc ppc32 powerpc linux/ppc powerpc-linux-gnu",
		"ppc64":        "ppc64 powerpc64 linux/ppc64",
		"ppc64le":      "ppc64le PPC64LE ppc64el powerpc64le linux/ppc64le linux/ppc64el linux/ppc64le/power9 ppc64le/power8 qemu-ppc64le qemu-ppc64le-static powerpc64le-linux-gnu",
		"riscv32":      "riscv32 riscv32-linux-gnu linux/riscv32",
		"riscv64":      "riscv64 linux/riscv64 linux/riscv64/rva22u64 riscv64-linux-gnu qemu-riscv64-static",
		"s390x":        "s390x S390X linux/s390x qemu-s390x qemu-s390x-static s390x-linux-gnu",
		"sh4":          "sh4 sh4a linux/sh4",
		"sh4eb":        "sh4eb sh4aeb",
		"sparc":        "sparc sparc-linux-gnu",
		"sparc32plus":  "sparc32plus sparcv8plus",
		"sparc64":      "sparc64 sparcv9 sparc64-linux-gnu",
		"x86_64":       "amd64 AMD64 x86_64 X86_64 x86-64 x64 linux/amd64 linux/amd64/v1 linux/amd64/v3 amd64/v2 linux/x86_64 linux/x86-64 linux/x86-64/v2 qemu-x86_64 qemu-x86_64-static x86_64-linux-gnu",
		"xtensa":       "xtensa linux/xtensa",
		"xtensaeb":     "xtensaeb",
	} {
		for name := range strings.FieldsSeq(names) {
			a, err := elfmagic.Lookup(name)
			if assert.NoError(t, err) {
				assert.Equal(t, arch, a.Name, name)
			}
		}
	}
	a, err := elfmagic.Lookup(" arm64\n")
	require.NoError(t, err, "white space around a name is no part of it")
	assert.Equal(t, "aarch64", a.Name)
}

func TestLookupFindsEachRowByEachOfItsNames(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		names := slices.Concat(a.Names(), a.Platforms, []string{a.Platform(), "qemu-" + a.Name, "qemu-" + a.Name + "-static"})
		for _, name := range names {
			for _, name := range []string{name, strings.ToUpper(name)} {
				found, err := elfmagic.Lookup(name)
				require.NoError(t, err)
				assert.Same(t, a, found, name)
			}
		}
	}
}

func TestUnknownNamesAreKept(t *testing.T) {
	for _, name := range []string{
		"", " ", "/", "linux", "linux/", "qemu-", "qemu--static", "vax", "amr64\n", "all", "é", "\xff", "qemu-arm64", "windows/amd64", "linux//arm64",
		"linux/arm64/v8/x", "arm64/", "/arm64", strings.Repeat("a", 1<<20), strings.Repeat("arm64/", 1<<16),
		// two architectures, or half of one, must not pass for the first
		"arm64/amd64", "linux/arm64/amd64", "arm/linux", "arm64/linux", "arm/64", "linux/arm/64", "x86/64", "i386/amd64", "armhf/amd64", "linux/armel/arm64",
	} {
		a, err := elfmagic.Lookup(name)
		assert.Nil(t, a, "%.40q is %s", name, a)
		var unknown *elfmagic.UnknownArchError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, name, unknown.Name)
	}
	assert.EqualError(t, &elfmagic.UnknownArchError{Name: "amr64\n"}, `unknown architecture "amr64\n"`)
}

// The platforms of Linux that containerd's library takes are found as what it
// makes of them, and what it refuses is not found.
func TestPlatformsAreReadAsContainerdReadsThem(t *testing.T) {
	t.Parallel()
	systems := []string{"linux", "LINUX", "Linux(6.1)", "linux()", "linux(6.1", "linux6.1)", "linux(6 1)", "linux(6.1)x", "linux-", "windows", "darwin", "freebsd", ""}
	variants := []string{"", "/v8", "/V7", "/7", "/8", "/power9", "/rva22u64", "/v 8", "/v8!", "/é8", "/", "/v8/", "/v8/x"}
	var known, archs []string
	for _, a := range elfmagic.Archs() {
		known = append(known, a.Names()...)
	}
	archs = append(known, "", "vax", "arm64!", "arm 64")
	found := 0
	for _, system := range systems {
		for _, arch := range archs {
			for _, variant := range variants {
				platform := system + "/" + arch + variant
				var want *elfmagic.Arch
				if p, err := platforms.Parse(platform); err == nil && p.OS == "linux" && slices.Contains(known, arch) {
					want, err = elfmagic.Lookup(p.Architecture)
					require.NoError(t, err)
					found++
				}
				got, _ := elfmagic.Lookup(platform)
				assert.True(t, want == got, "%q is %s, not %s", platform, got, want)
			}
		}
	}
	assert.Greater(t, found, len(archs), "the library takes some")
}

// named reports whether a text is one of an architecture's names, or a
// platform with one of them in it and nobody else's.
func named(a *elfmagic.Arch, text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	own := func(name string) bool { return slices.Contains(a.Names(), name) }
	if own(text) || strings.TrimSuffix(text, "-static") == "qemu-"+a.Name {
		return true
	}
	parts := strings.Split(text, "/")
	if parts[0] == "linux" || strings.HasPrefix(parts[0], "linux(") {
		parts = parts[1:]
	} else if len(parts) != 2 {
		return false // a variant, or linux, makes a platform of a name
	}
	if !own(parts[0]) || len(parts) > 2 {
		return false
	}
	for _, other := range elfmagic.Archs() {
		if len(parts) == 2 && slices.Contains(other.Names(), parts[1]) {
			return false
		}
	}
	return true
}

// FuzzLookup gives any text: what is found has that name, and all else is an
// error of the one type.
func FuzzLookup(f *testing.F) {
	for _, name := range []string{
		"arm64", "linux/arm/v7", "arm/7", "arm64/amd64", "armhf/amd64", "i386/x86_64", "linux/i386/amd64", "qemu-aarch64-static", "riscv", "amr64",
		"windows/amd64", "linux(1)/arm64", "m68\u212a", "", "/", "\xff/\x00",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a, err := elfmagic.Lookup(name)
		if err == nil {
			require.True(t, named(a, name), "%q is not %s", name, a)
			return
		}
		require.Nil(t, a)
		require.IsType(t, &elfmagic.UnknownArchError{}, err)
		require.Equal(t, name, err.(*elfmagic.UnknownArchError).Name)
	})
}
