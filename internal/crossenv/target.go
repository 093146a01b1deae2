package crossenv

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// A row is what build tools call one of Debian's ports, or a variant of it.
type row struct {
	port    string // Debian's, as in elfmagic's table
	variant string // of the OCI platform, where the C compiler depends on it
	rust    string // Rust's triple; empty if there is none
	family  string // Meson's CPU family

	// multiarch is the name of the library directory, where it is not the
	// triplet of the compilers.
	multiarch string

	// unpackaged says that neither Debian 12 nor 13 has a cross compiler for it.
	unpackaged bool
}

// rows has the usual variant of an architecture first. Sources of the columns:
//
//	variant     Debian's armhf is ARMv7, armel ARMv5TE: a compiler for v6 alone
//	            there is none, but armel's programs run on it
//	rust        rustc --print target-list, 1.95
//	family      Meson's reference tables, "CPU families"; or1k is not in them
//	multiarch   DEB_HOST_MULTIARCH of dpkg-architecture
//	unpackaged  the gcc-*-linux-gnu* packages of Debian 12 and 13
var rows = []row{
	{port: "arm64", rust: "aarch64-unknown-linux-gnu", family: "aarch64"},
	{port: "alpha", family: "alpha"},
	{port: "armhf", variant: "v7", rust: "armv7-unknown-linux-gnueabihf", family: "arm"},
	{port: "armel", variant: "v5", rust: "armv5te-unknown-linux-gnueabi", family: "arm"},
	{port: "armel", variant: "v6", rust: "arm-unknown-linux-gnueabi", family: "arm"},
	{port: "armel", variant: "v7", rust: "armv7-unknown-linux-gnueabi", family: "arm"},
	{port: "armeb", rust: "armeb-unknown-linux-gnueabi", family: "arm", unpackaged: true},
	{port: "hppa", family: "parisc"},
	{port: "i386", rust: "i686-unknown-linux-gnu", family: "x86", multiarch: "i386-linux-gnu"},
	{port: "loong64", rust: "loongarch64-unknown-linux-gnu", family: "loongarch64"},
	{port: "m68k", rust: "m68k-unknown-linux-gnu", family: "m68k"},
	{port: "mips", rust: "mips-unknown-linux-gnu", family: "mips"},
	{port: "mips64", rust: "mips64-unknown-linux-gnuabi64", family: "mips64"},
	{port: "mips64el", rust: "mips64el-unknown-linux-gnuabi64", family: "mips64"},
	{port: "mipsel", rust: "mipsel-unknown-linux-gnu", family: "mips"},
	{port: "mipsn32", family: "mips64", unpackaged: true},
	{port: "mipsn32el", family: "mips64", unpackaged: true},
	{port: "or1k", family: "or1k", unpackaged: true},
	{port: "powerpc", rust: "powerpc-unknown-linux-gnu", family: "ppc"},
	{port: "ppc64", rust: "powerpc64-unknown-linux-gnu", family: "ppc64"},
	{port: "ppc64el", rust: "powerpc64le-unknown-linux-gnu", family: "ppc64"},
	{port: "riscv64", rust: "riscv64gc-unknown-linux-gnu", family: "riscv64"},
	{port: "s390x", rust: "s390x-unknown-linux-gnu", family: "s390x"},
	{port: "sh4", family: "sh4"},
	{port: "sh4eb", family: "sh4", unpackaged: true},
	{port: "sparc", rust: "sparc-unknown-linux-gnu", family: "sparc", unpackaged: true},
	{port: "sparc64", rust: "sparc64-unknown-linux-gnu", family: "sparc64"},
	{port: "amd64", rust: "x86_64-unknown-linux-gnu", family: "x86_64"},
}

// A goVariable is the variable by which Go is told the variant of a GOARCH.
type goVariable struct {
	name     string
	standard string            // the value without a variant; empty leaves it to Go
	values   map[string]string // by the variant of the platform
}

// goVariables are by GOARCH. Their values are those of Go 1.26's
// src/internal/buildcfg/cfg.go.
//
// MIPS is hard-float, as Debian's C is. Softfloat is for CPUs without an FPU:
// QEMU's have one. It is said although it is Go's default, because go env -w or
// the shell may have it otherwise. They are not made at each start.
var goVariables = sync.OnceValue(func() map[string]goVariable {
	return map[string]goVariable{
		"386":      {"GO386", "", same("sse2")},
		"amd64":    {"GOAMD64", "", same("v1", "v2", "v3", "v4")},
		"arm":      {"GOARM", "", map[string]string{"v5": "5", "v6": "6", "v7": "7", "v8": "7"}},
		"arm64":    {"GOARM64", "", arm64Values()},
		"mips":     {"GOMIPS", "hardfloat", nil},
		"mipsle":   {"GOMIPS", "hardfloat", nil},
		"mips64":   {"GOMIPS64", "hardfloat", nil},
		"mips64le": {"GOMIPS64", "hardfloat", nil},
		"ppc64":    {"GOPPC64", "", same("power8", "power9", "power10")},
		"ppc64le":  {"GOPPC64", "", same("power8", "power9", "power10")},
		"riscv64":  {"GORISCV64", "", same("rva20u64", "rva22u64", "rva23u64")},
	}
})

// same returns variants that Go's values are called like.
func same(names ...string) map[string]string {
	m := map[string]string{}
	for _, name := range names {
		m[name] = name
	}
	return m
}

// arm64Values returns v8.0 to v8.9 and v9.0 to v9.5, and the short names of the
// two that OCI has.
func arm64Values() map[string]string {
	m := map[string]string{"v8": "v8.0", "v9": "v9.0"}
	for minor := range 10 {
		name := fmt.Sprintf("v8.%d", minor)
		m[name] = name
	}
	for minor := range 6 {
		name := fmt.Sprintf("v9.%d", minor)
		m[name] = name
	}
	return m
}

// A target is an architecture, and which of its ports and variants.
type target struct {
	row
	arch    *elfmagic.Arch
	triplet string // of Debian's compilers
	goName  string // GOARM or the like; empty if it is left to Go
	goValue string
}

// findTarget returns the target that the options name.
func findTarget(arch *elfmagic.Arch, o Options) (*target, error) {
	if len(arch.Debian) == 0 {
		return nil, cli.WithHint(fmt.Errorf("%s: neither Go nor Debian has a compiler for it", arch),
			"crossrun runs its programs all the same; build them with a toolchain of your own")
	}
	named := namedPort(arch, o.Name)
	variant := strings.ToLower(o.Variant)
	if variant == "" {
		variant = variantOf(arch, o.Name)
	}
	t := &target{arch: arch}
	if err := t.setGo(variant); err != nil {
		return nil, err
	}
	if arch.GOARCH == "arm" && variant == "v8" {
		variant = "v7" // 32-bit code of v8 CPUs: neither Go nor Debian makes more of it
	}
	for _, port := range arch.Debian {
		if named != "" && port.Name != named {
			continue
		}
		for _, r := range rows {
			if r.port == port.Name && (r.variant == "" || variant == "" || r.variant == variant) {
				t.row, t.triplet = r, port.Triplet
				if r.multiarch == "" {
					t.multiarch = port.Triplet
				}
				if variant == "" && r.variant != "" {
					return t, t.setGo(r.variant)
				}
				return t, nil
			}
		}
	}
	return nil, cli.WithHint(fmt.Errorf("%s: not for variant %s of %s", named, variant, arch.Platform()),
		"leave out one of the two; armel's programs run on %s", variant)
}

// setGo sets Go's variable for a variant, which may be empty.
func (t *target) setGo(variant string) error {
	v := goVariables()[t.arch.GOARCH]
	t.goName, t.goValue = v.name, v.standard
	if variant != "" {
		t.goValue = v.values[variant]
		if t.goValue == "" {
			err := fmt.Errorf("%s: unknown variant %q", t.arch, variant)
			if len(v.values) == 0 {
				return cli.WithHint(err, "it has none: %s", t.arch.Platform())
			}
			known := []string{}
			for name := range v.values {
				known = append(known, name)
			}
			slices.Sort(known)
			return cli.WithHint(err, "known are %s", strings.Join(known, ", "))
		}
	}
	if t.goValue == "" {
		t.goName = ""
	}
	return nil
}

// namedPort returns the port whose name or triplet was typed, if it was one of
// several.
func namedPort(arch *elfmagic.Arch, name string) string {
	key := strings.ToLower(strings.TrimSpace(name))
	first, rest, _ := strings.Cut(key, "/")
	if strings.HasPrefix(first, "linux") && rest != "" {
		key, _, _ = strings.Cut(rest, "/")
	} else {
		key = first
	}
	for _, port := range arch.Debian {
		if len(arch.Debian) > 1 && (key == port.Name || key == port.Triplet) {
			return port.Name
		}
	}
	return ""
}

// variantOf returns the variant that a name of an architecture has in it:
// linux/arm/v7, arm/7, armv7l, arm32v7, arm64v8. Lookup knows the name.
func variantOf(arch *elfmagic.Arch, name string) string {
	key := strings.ToLower(strings.TrimSpace(name))
	if at := strings.LastIndexByte(key, '/'); at >= 0 {
		component := key[at+1:]
		if _, err := elfmagic.Lookup(component); err == nil {
			key = component // linux/arm64
		} else if len(component) == 1 {
			return "v" + component // arm/7
		} else {
			return component
		}
	}
	for _, prefix := range []string{"arm32v", "arm64v", "armv"} {
		if digits, ok := strings.CutPrefix(key, prefix); ok && digits != "" && (arch.GOARCH == "arm" || arch.GOARCH == "arm64") {
			return "v" + digits[:1]
		}
	}
	return ""
}

// machine returns what uname -m prints there. Where elfmagic has no name the
// two byte orders share one, and it is Meson's too: mips, mips64.
func (t *target) machine() string {
	for _, name := range t.arch.Uname {
		if strings.HasPrefix(name, "arm"+t.variant) {
			return name
		}
	}
	if len(t.arch.Uname) > 0 {
		return t.arch.Uname[0]
	}
	return t.family
}

// id returns a name for files that are for the target.
func (t *target) id() string {
	id := t.port
	if t.goValue != "" && t.arch.GOARCH != "arm" && t.goValue != goVariables()[t.arch.GOARCH].standard {
		return id + "-" + t.goValue
	}
	for _, r := range rows {
		if r.port == t.port {
			if r.variant != t.variant {
				id += "-" + t.variant
			}
			break
		}
	}
	return id
}
