package elfmagic_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/elfmagic"
)

func TestTargetsOfOtherCompilersAreFound(t *testing.T) {
	for name, want := range map[string]string{
		"aarch64-unknown-linux-gnu":     "aarch64",
		"aarch64-unknown-linux-musl":    "aarch64",
		"AArch64-Linux":                 "aarch64",
		"x86_64-pc-linux-gnu":           "x86_64",
		"i686-pc-linux-gnu":             "i386",
		"armv7-unknown-linux-gnueabihf": "arm",
		"armv7l-linux":                  "arm",
		"arm-unknown-linux-musleabihf":  "arm",
		"powerpc64le-unknown-linux-gnu": "ppc64le",
		"s390x-ibm-linux-gnu":           "s390x",
		"mips64-unknown-linux-gnuabi64": "mips64",

		// Rust's, whose names of processors have extensions in them (rustc --print target-list).
		"riscv64gc-unknown-linux-gnu":         "riscv64",
		"riscv32gc-unknown-linux-musl":        "riscv32",
		"armv5te-unknown-linux-gnueabi":       "arm",
		"armv5te-unknown-linux-uclibceabi":    "arm",
		"armv4t-unknown-linux-gnueabi":        "arm",
		"thumbv7neon-unknown-linux-gnueabihf": "arm",
		"armv7a-unknown-linux-gnueabihf":      "arm", // Gentoo's
		"arm-buildroot-linux-uclibcgnueabihf": "arm",
		"mipsel-buildroot-linux-uclibc":       "mipsel",

		// gcc -dumpmachine in Fedora, openSUSE and Yocto.
		"aarch64-redhat-linux":           "aarch64",
		"x86_64-suse-linux":              "x86_64",
		"ppc64le-redhat-linux":           "ppc64le",
		"aarch64-poky-linux":             "aarch64",
		"mips64-unknown-linux-gnuabin32": "mipsn32",
		"mips64-linux-gnuabin32":         "mipsn32",
	} {
		arch, err := elfmagic.Lookup(name)
		if assert.NoError(t, err, name) {
			assert.Equal(t, want, arch.Name, name)
		}
	}
	for _, name := range []string{
		"aarch64-unknown-freebsd", "aarch64-apple-darwin", "x86_64-unknown-linux-gnux32", "x86_64-unknown-linux-", "aarch64-a-b-linux-gnu",
		"-linux", "aarch64-linux-linux", "aarch64-redhat-gnu", "redhat-aarch64-linux", "linux-aarch64", "unknown-unknown-linux-gnu", "aarch64-unknown-linux-gnu-x",
	} {
		_, err := elfmagic.Lookup(name)
		var unknown *elfmagic.UnknownArchError
		assert.ErrorAs(t, err, &unknown, name)
	}
}
