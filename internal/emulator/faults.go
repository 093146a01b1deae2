package emulator

import (
	"debug/elf"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
)

// A fault is something that emulators older than a major version do wrong, seen by
// running programs under Debian's 7.2, 10.0 and 11.1 and QEMU's 10.2 side by side.
type fault struct {
	before int
	arch   string // whose programs; empty: all
	what   string
}

// A numberedFault is a row of the table of faults in docs/emulators.md. QEMU has it from
// one major version on and before another; 0 is the first, or none so far. Ours do not have it
// if they have at least so many patches, or 0: they have it.
type numberedFault struct {
	number      int
	since       int
	before      int
	patches     int
	of          func(*elfmagic.Arch) bool // whose programs; nil: all
	what        string
	whose       string // of, in words
	left        string // what ours still have
	patchesThat string // the patches of ours that mend it
}

// firstMends is how many patches ours had when the first of the faults were mended.
const firstMends = 24

var numbered = []numberedFault{
	{0, 0, 8, 0, named("i386"), "programs with threads crash", "i386", "", ""},
	{1, 0, 0, firstMends, named("aarch64", "arm"), "atomics that are to be sequentially consistent are reordered", "aarch64, arm", "", "a0"},
	{2, 0, 0, firstMends, nil, "posix_spawn(3) of a missing program succeeds", "all", "", "a1"},
	{3, 8, 0, firstMends, nil, "execveat(2) of a close-on-exec descriptor fails", "all", "", "a2"},
	{4, 0, 0, firstMends, nil, "unshare(2) and clone(2) of namespaces fail", "all", "", "a3"},
	{5, 0, 0, firstMends, is32Bit, "readdir(3) fails on ext4", "32-bit ones", "", "b1"},
	{6, 0, 10, firstMends, named("aarch64"), "code that is written through another mapping is stale", "aarch64", "", "b0"},
	{6, 0, 0, firstMends, notNamed("aarch64"), "code that is written through another mapping is stale", "others", "what another process writes", "b0"},
	{7, 0, 0, firstMends, nil, "there are no robust mutexes", "all", "", "b2"},
	{8, 0, 0, firstMends, nil, "most of netlink is missing", "all", "programs of the other byte order", "b3"},
	{9, 0, 0, firstMends, nil, "beyond the end of a mapped file a signal has a wrong address", "all", "", "b7"},
	{10, 0, 10, 0, named("aarch64"), "pointer authentication is 6 to 8 times slower", "aarch64", "", ""},
	{11, 0, 0, firstMends, nil, "some 25 socket options fail or are cut", "all", "", "b4"},
	{12, 0, 0, firstMends, nil, "seccomp(2), keyctl(2), fanotify and other calls are missing", "all", "io_setup and userfaultfd", "b5, b6"},
	{13, 0, 0, firstMends, nil, "/proc says of a program what is the emulator's", "all", "", "b8"},
	{14, 0, 0, 40, nil, "timers, limits, flags of mmap(2) and others are not as Linux's", "all", "what docs/probes.md lists", "b9 to bm"},
	{15, 0, 0, 0, nil, "there is no ptrace(2)", "all", "", ""},
}

func named(names ...string) func(*elfmagic.Arch) bool {
	return func(a *elfmagic.Arch) bool { return slices.Contains(names, a.Name) }
}

func notNamed(names ...string) func(*elfmagic.Arch) bool {
	return func(a *elfmagic.Arch) bool { return !slices.Contains(names, a.Name) }
}

func is32Bit(a *elfmagic.Arch) bool { return a.Class == elf.ELFCLASS32 }

// FaultTable is where the table of faults is.
const FaultTable = "docs/emulators.md#faults"

// patches returns how many patches of ours an emulator has, by its version: "10.2.2 (Debian
// 1:10.2.2+ds-1, go-build 24 patches 0123456789)".
func patches(version string) int {
	_, rest, _ := strings.Cut(version, "go-build ")
	count, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(count) // none where there is no number
	return n
}

// Numbered returns the numbers of the faults in the table that an emulator of the
// given version has, in their order; nothing where the version is not known.
func Numbered(arch *elfmagic.Arch, version string) []int {
	e := Emulator{Version: version}
	major, _, ok := e.Release()
	if !ok {
		return nil
	}
	ours := patches(version)
	var list []int
	for _, f := range numbered {
		has := major >= f.since && (f.before == 0 || major < f.before) && (f.patches == 0 || ours < f.patches)
		if has && (f.of == nil || f.of(arch)) {
			list = append(list, f.number)
		}
	}
	return list
}

// VersionFaults are the faults of the table that emulators of a version have, as far as
// they are of the architectures that they are for.
type VersionFaults struct {
	Version string `json:"version"` // 10.0.13, or "10.2.2 with 24 patches"
	Faults  []int  `json:"faults"`  // numbers: 1 is E1
}

// AddFaults adds those of an emulator to a list, in which each version is once.
func AddFaults(list []VersionFaults, arch *elfmagic.Arch, version string) []VersionFaults {
	e := Emulator{Version: version}
	if _, _, ok := e.Release(); !ok {
		return list
	}
	short, _, _ := strings.Cut(version, " ")
	short = strings.TrimSuffix(short, ",")
	if n := patches(version); n > 0 {
		short += fmt.Sprintf(" with %d patches", n)
	}
	i := slices.IndexFunc(list, func(v VersionFaults) bool { return v.Version == short })
	if i < 0 {
		i = len(list)
		list = append(list, VersionFaults{Version: short, Faults: []int{}})
	}
	list[i].Faults = slices.Compact(slices.Sorted(slices.Values(append(list[i].Faults, Numbered(arch, version)...))))
	return list
}

// Faults are those of the emulators that a search finds, by version: for --version.
func (s *Search) Faults() (list []VersionFaults) {
	for _, arch := range elfmagic.Archs() {
		if e, err := s.Find(arch); err == nil {
			list = AddFaults(list, arch, e.Version)
		}
	}
	return list
}

// String says it in a line.
func (v VersionFaults) String() string {
	what := "no known faults"
	if len(v.Faults) > 0 {
		what = "faults " + ranges(v.Faults)
	}
	return "QEMU " + v.Version + ": " + what + " (" + FaultTable + ")"
}

// ranges is "E0, E2 to E4, E7", of numbers in their order.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		switch part := fmt.Sprint("E", numbers[i]); {
		case last == i:
			parts = append(parts, part)
		case last == i+1:
			parts = append(parts, part, fmt.Sprint("E", numbers[last]))
		default:
			parts = append(parts, fmt.Sprintf("%s to E%d", part, numbers[last]))
		}
		i = last + 1
	}
	return strings.Join(parts, ", ")
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
