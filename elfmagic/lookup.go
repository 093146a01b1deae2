package elfmagic

import (
	"fmt"
	"slices"
	"strings"
)

// An UnknownArchError says that no architecture has the name that was asked
// for.
type UnknownArchError struct {
	Name string
}

func (e *UnknownArchError) Error() string {
	return fmt.Sprintf("unknown architecture %q", e.Name)
}

// Lookup finds an architecture by any name that is in use for it: QEMU's
// (aarch64), Go's (arm64), Debian's (armhf), what uname -m prints (armv7l), a
// GNU triplet (arm-linux-gnueabihf), an emulator's or entry's name
// (qemu-arm, qemu-arm-static), or an OCI platform with or without a variant
// (linux/arm/v7, arm/v7). Case does not matter. The error is an
// *UnknownArchError.
func Lookup(name string) (*Arch, error) {
	key := strings.ToLower(strings.TrimSpace(name))
	if a := named(key); a != nil {
		return a, nil
	}
	if emulator, ok := strings.CutPrefix(key, "qemu-"); ok {
		// QEMU's names are the only ones that emulators have.
		name := strings.TrimSuffix(emulator, "-static")
		if a := named(name); a != nil && a.Name == name {
			return a, nil
		}
	}
	if a := byPlatform(key); a != nil {
		return a, nil
	}
	if a := byTriplet(key); a != nil {
		return a, nil
	}
	return nil, &UnknownArchError{Name: name}
}

// byTriplet finds the architecture of a target as compilers that are not Debian's
// name it, with a vendor (aarch64-unknown-linux-musl, aarch64-redhat-linux), or as Nix does
// (aarch64-linux). An ABI that makes it another architecture is known by the whole
// name only: mips64-linux-gnuabin32.
func byTriplet(key string) *Arch {
	parts := strings.Split(key, "-")
	if len(parts) == 4 || len(parts) == 3 && parts[2] == "linux" && parts[1] != "linux" {
		parts = slices.Delete(parts, 1, 2) // the vendor
	}
	if len(parts) < 2 || len(parts) > 3 || parts[1] != "linux" {
		return nil
	}
	if a := named(strings.Join(parts, "-")); a != nil {
		return a
	}
	usual := []string{"gnu", "gnueabi", "gnueabihf", "gnuabi64", "musl", "musleabi", "musleabihf", "muslabi64", "uclibc", "uclibcgnueabi", "uclibcgnueabihf", "uclibceabi", "uclibceabihf"}
	if len(parts) == 3 && !slices.Contains(usual, parts[2]) {
		return nil
	}
	for _, cpu := range processors {
		if parts[0] == cpu[0] {
			return named(cpu[1])
		}
	}
	return named(parts[0])
}

// processors are names that compilers' targets have in the place of an architecture's: Rust's
// (rustc --print target-list, 1.95), and Gentoo's armv7a.
var processors = [][2]string{
	{"riscv64gc", "riscv64"}, {"riscv32gc", "riscv32"},
	{"armv7a", "arm"}, {"thumbv7neon", "arm"}, {"armv5te", "arm"}, {"armv4t", "arm"},
}

// byPlatform finds the architecture of an OCI platform, whose operating system
// may be left out if a variant is there. It takes what containerd/platforms
// takes, and no more than that (a test compares the two): to link that package
// costs each start of a program a third of a millisecond, most of it to compile
// regular expressions of a dependency's that nothing here would use.
func byPlatform(key string) *Arch {
	if system, rest, _ := strings.Cut(key, "/"); isLinux(system) {
		key = rest
	}
	arch, variant, has := strings.Cut(key, "/")
	if has && !isVariant(variant) {
		return nil
	}
	return named(arch)
}

// isLinux reports whether a platform's first component is Linux, of whichever
// version: linux, linux(6.1).
func isLinux(s string) bool {
	version, ok := strings.CutPrefix(s, "linux")
	if version == "" {
		return ok
	}
	version, opens := strings.CutPrefix(version, "(")
	version, closes := strings.CutSuffix(version, ")")
	return ok && opens && closes && strings.Trim(version, componentChars) == ""
}

// componentChars may stand in a component of a platform (as in containerd's).
const componentChars = "abcdefghijklmnopqrstuvwxyz" + digits + "_.-"

const digits = "0123456789"

// isVariant reports whether a platform's third component can be a variant: a
// letter and a number (v7, power9, rva22u64) or a digit (arm/7). Anything else
// is a slip that must not pass for the first half of it: arm64/amd64, arm/linux,
// arm/64.
func isVariant(s string) bool {
	if named(s) != nil || !strings.ContainsAny(s, digits) || strings.Trim(s, componentChars) != "" {
		return false
	}
	return len(s) == 1 || !strings.ContainsAny(s[:1], digits)
}

// named returns the architecture that has the name, or nil. There is no index:
// programs start that never ask, or once.
func named(name string) *Arch {
	if i := slices.IndexFunc(rows, func(a *Arch) bool { return a.has(name) }); i >= 0 {
		return rows[i]
	}
	return nil
}

// has reports whether Names has the name.
func (a *Arch) has(name string) bool {
	return name != "" && (name == a.Name || name == a.GOARCH || slices.Contains(a.Uname, name) || slices.Contains(a.Aliases, name) ||
		slices.ContainsFunc(a.Debian, func(p Port) bool { return name == p.Name || name == p.Triplet }))
}

// Names returns every name by which Lookup finds the architecture, its own
// first; platforms and the qemu- names come on top of them.
func (a *Arch) Names() []string {
	all := []string{a.Name, a.GOARCH}
	for _, port := range a.Debian {
		all = append(all, port.Name, port.Triplet)
	}
	var list []string
	for _, name := range slices.Concat(all, a.Uname, a.Aliases) {
		if name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}
