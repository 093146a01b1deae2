package emulator

import "fmt"

// A fault is something that emulators older than a major version do wrong, seen by
// running programs under Debian's 7.2, 10.0 and 11.1 and QEMU's 10.2 side by side.
type fault struct {
	before int
	arch   string // whose programs; empty: all
	what   string
}

var faults = []fault{
	{8, "i386", "programs with threads crash"},
	{10, "aarch64", "code with pointer authentication is 6 to 8 times slower than with 10 (QEMU_CPU=max,pauth-impdef=on helps)"},
	{10, "x86_64", "the stack of signal handlers is misaligned"},
	{10, "", "/proc/self/exe is wrong after chdir"},
	{10, "", "PR_SET_CHILD_SUBREAPER fails"},
}

// Useless returns why an emulator runs no program at all, or nil: QEMU 10.0.2 (Debian
// 13.0, and the backports of 12) reads those of microblazeel in the other byte order
// unless QEMU_CPU has little-endian=on; 10.0.13 and 10.2.2 do not.
func (e *Emulator) Useless() error {
	if e.Arch.Name != "microblazeel" {
		return nil
	}
	var major, minor, fixes int
	n, _ := fmt.Sscanf(e.Version, "%d.%d.%d", &major, &minor, &fixes)
	if n < 3 || major != 10 || minor != 0 || fixes >= 13 {
		return nil
	}
	return &Error{Arch: e.Arch, Path: e.Path, Err: fmt.Errorf("%w: QEMU %d.%d.%d", ErrUseless, major, minor, fixes), hint: "install a newer one (10.0.13), or name it with {option}"}
}

// FasterCPU returns the CPU model with which a QEMU that is slow at pointer
// authentication is not: it is that which QEMU emulates anyway, with another hash.
// QEMU has this since 6.0 (eb94284d0812), and uses it unasked since 10.0. If the
// default is as fast, or that is not known, the result is empty.
func (e *Emulator) FasterCPU() string {
	if major, _, ok := e.Release(); ok && e.Arch.Name == "aarch64" && major >= 6 && major < 10 {
		return "max,pauth-impdef=on"
	}
	return ""
}

// Old is the major version of QEMU below which its faults are worth saying.
const Old = 10

// Faults returns what an emulator of the given version is known to do wrong: in
// programs of the architecture, by QEMU's name of it, and in all.
func Faults(arch, version string) (own, all []string) {
	e := Emulator{Version: version}
	major, _, ok := e.Release()
	for _, f := range faults {
		switch {
		case !ok || major >= f.before:
		case f.arch == "":
			all = append(all, f.what)
		case f.arch == arch:
			own = append(own, f.what)
		}
	}
	return own, all
}

// Year returns the year that a version of QEMU is of, or 0: a major version a year,
// since 4.0 in 2019. The third number counts fixes, which come later.
func Year(version string) int {
	e := Emulator{Version: version}
	if major, _, ok := e.Release(); ok && major >= 4 {
		return 2015 + major
	}
	return 0
}
