package crossenv

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

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
	goarch, name string
	standard     string // the value without a variant; empty leaves it to Go
	values       string // by the variant of the platform: the same, or after a sign
}

const hardfloat = "hardfloat"

// goVariables have the values of Go 1.26's src/internal/buildcfg/cfg.go.
//
// MIPS is hard-float, as Debian's C is. Softfloat is for CPUs without an FPU:
// QEMU's have one. It is said although it is Go's default, because go env -w or
// the shell may have it otherwise.
var goVariables = []goVariable{
	{"386", "GO386", "", "sse2"},
	{"amd64", "GOAMD64", "", "v1 v2 v3 v4"},
	{"arm", "GOARM", "", "v5=5 v6=6 v7=7 v8=7"},
	{"arm64", "GOARM64", "", "v8=v8.0 v8.0 v8.1 v8.2 v8.3 v8.4 v8.5 v8.6 v8.7 v8.8 v8.9 v9=v9.0 v9.0 v9.1 v9.2 v9.3 v9.4 v9.5"},
	{"mips", "GOMIPS", hardfloat, ""},
	{"mipsle", "GOMIPS", hardfloat, ""},
	{"mips64", "GOMIPS64", hardfloat, ""},
	{"mips64le", "GOMIPS64", hardfloat, ""},
	{"ppc64", "GOPPC64", "", "power10 power8 power9"},
	{"ppc64le", "GOPPC64", "", "power10 power8 power9"},
	{"riscv64", "GORISCV64", "", "rva20u64 rva22u64 rva23u64"},
}

// all returns the known variants, in alphabetical order, and Go's value for each.
func (v goVariable) all() (variants []string, values map[string]string) {
	values = make(map[string]string)
	for field := range strings.FieldsSeq(v.values) {
		variant, value, _ := strings.Cut(field, "=")
		variants = append(variants, variant)
		values[variant] = cmp.Or(value, variant)
	}
	return variants, values
}

// Options say for what, and with what, is built.
type Options struct {
	// Name is the architecture's name as the user typed it. It chooses between
	// the ports and variants of the architecture: armhf, armel, linux/arm/v6.
	Name string

	// Runner is crossrun's absolute path.
	Runner string

	// Sysroot is the absolute path of a system of the architecture, whose
	// headers and libraries are used; empty for those of Debian's cross
	// compilers and multiarch directories.
	Sysroot string
}

// A target is an architecture, and which of its ports and variants.
type target struct {
	Options
	row
	arch    *elfmagic.Arch
	triplet string // of Debian's compilers
	goName  string // GOARM or the like,
	goValue string // and its value; empty if it is left to Go
}

// newTarget checks the options and finds the target that they name.
func newTarget(arch *elfmagic.Arch, o Options) (*target, error) {
	if strings.ContainsFunc(o.Runner, unicode.IsControl) { // no file of settings can have it in it
		return nil, cli.WithHint(fmt.Errorf("runner: %q has a control character in it", o.Runner), "rename it, or name a symbolic link to it")
	}
	// It becomes a part of CC, which make, configure and Go read differently.
	odd := func(c rune) bool {
		return c < unicode.MaxASCII && !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("+,-./@_=", c)
	}
	if strings.ContainsFunc(o.Sysroot, odd) {
		return nil, cli.WithHint(fmt.Errorf("%q: build tools accept no sysroot with a space or special character in its path", o.Sysroot),
			"name a symbolic link to it")
	}
	t, err := findTarget(arch, o.Name)
	if err == nil {
		t.Options = o
	}
	return t, err
}

// findTarget returns the target that a name of the architecture is for.
func findTarget(arch *elfmagic.Arch, name string) (*target, error) {
	if len(arch.Debian) == 0 {
		return nil, cli.WithHint(fmt.Errorf("%s: neither Go nor Debian has a compiler for it", arch),
			"crossrun runs its programs all the same; build them with a toolchain of your own")
	}
	name = strings.ToLower(strings.TrimSpace(name))
	named, variant := namedPort(arch, name), variantOf(arch, name)
	if r := namedByTarget(arch, name, variant); r != nil && named == "" {
		named, variant = r.port, cmp.Or(r.variant, variant)
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
				t.multiarch = cmp.Or(r.multiarch, port.Triplet)
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
	var v goVariable
	if i := slices.IndexFunc(goVariables, func(v goVariable) bool { return v.goarch == t.arch.GOARCH }); i >= 0 {
		v = goVariables[i]
	}
	t.goName, t.goValue = v.name, v.standard
	if variant == "" {
		return nil
	}
	known, values := v.all()
	if t.goValue = values[variant]; t.goValue != "" {
		return nil
	}
	err := fmt.Errorf("%s: unknown variant %q", t.arch, variant)
	if len(known) == 0 {
		return cli.WithHint(err, "it has none: %s", t.arch.Platform())
	}
	return cli.WithHint(err, "known are %s", strings.Join(known, ", "))
}

// namedPort returns the port whose name or triplet was typed, if it was one of
// several.
func namedPort(arch *elfmagic.Arch, name string) string {
	key, rest, _ := strings.Cut(name, "/")
	if strings.HasPrefix(key, "linux") && rest != "" {
		key, _, _ = strings.Cut(rest, "/")
	}
	for _, port := range arch.Debian {
		if len(arch.Debian) > 1 && (key == port.Name || key == port.Triplet) {
			return port.Name
		}
	}
	return ""
}

// namedByTarget returns the row of a target of Rust's, or, of Arm's ports, that whose ABI another
// compiler's target has: armv7-alpine-linux-musleabihf. It is nil for other names, and for a variant
// that there is no row of.
func namedByTarget(arch *elfmagic.Arch, name, variant string) *row {
	if i := slices.IndexFunc(rows, func(r row) bool { return r.rust == name }); i >= 0 && name != "" {
		return &rows[i]
	}
	abi := func(triplet string) string {
		_, last, _ := strings.Cut(triplet, "-linux-")
		return last[max(0, strings.Index(last, "eabi")):]
	}
	for _, port := range arch.Debian {
		for i, r := range rows {
			if r.port == port.Name && len(arch.Debian) > 1 && abi(name) == abi(port.Triplet) && (variant == "" || r.variant == variant) {
				return &rows[i]
			}
		}
	}
	return nil
}

// variantOf returns the variant that a name of an architecture has in it:
// linux/arm/v7, arm/7, armv7l, arm32v7, arm64v8. Lookup knows the name.
func variantOf(arch *elfmagic.Arch, name string) string {
	component := name[strings.LastIndexByte(name, '/')+1:]
	if _, err := elfmagic.Lookup(component); err != nil && component != name { // linux/arm64 has none
		if len(component) == 1 {
			return "v" + component // arm/7
		}
		return component
	}
	for _, prefix := range []string{"arm32v", "arm64v", "armv"} {
		if digits, ok := strings.CutPrefix(component, prefix); ok && digits != "" && (arch.GOARCH == "arm" || arch.GOARCH == "arm64") {
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
	if t.goName != "GOARM" && t.goValue != "" && t.goValue != hardfloat {
		return t.port + "-" + t.goValue
	}
	usual := slices.IndexFunc(rows, func(r row) bool { return r.port == t.port })
	if rows[usual].variant != t.variant {
		return t.port + "-" + t.variant
	}
	return t.port
}

// runner returns the command that runs a program.
func (t *target) runner() []string {
	words := []string{t.Runner}
	if t.Sysroot != "" {
		words = append(words, "--sysroot", t.Sysroot)
	}
	return words
}

// tool returns the name of a tool of Debian's cross toolchain.
func (t *target) tool(name string) string { return t.triplet + "-" + name }

// compiler returns the command of a compiler.
func (t *target) compiler(name string) []string {
	words := []string{t.tool(name)}
	if t.Sysroot != "" {
		words = append(words, "--sysroot="+t.Sysroot)
	}
	return words
}

// pkgConfigDirs returns where pkg-config finds the architecture's libraries.
func (t *target) pkgConfigDirs() []string {
	if t.Sysroot == "" {
		return []string{"/usr/lib/" + t.multiarch + "/pkgconfig", "/usr/share/pkgconfig"}
	}
	// Not every system has multiarch directories.
	var dirs []string
	for _, dir := range []string{"/usr/lib/" + t.multiarch, "/usr/lib", "/usr/share"} {
		dirs = append(dirs, filepath.Join(t.Sysroot, dir, "pkgconfig"))
	}
	return dirs
}
