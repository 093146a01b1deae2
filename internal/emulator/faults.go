package emulator

import (
	"debug/elf"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/embedded"
)

// A fault is something that emulators do wrong, seen by running programs under Debian's
// 7.2, 10.0 and 11.1 and QEMU's 10.2 side by side. QEMU has it from one major version on
// and before another; 0 is the first, or none so far. Ours do not have it if they have at
// least so many patches, or 0: they have it.
type fault struct {
	number      int // its row in the table of docs/emulators.md
	since       int
	before      int
	patches     int
	of          programs // whose
	what        string
	whose       string // of, in words
	left        string // what ours still have
	patchesThat string // the patches of ours that mend it

	// advice is what is said to whoever has it and could have a newer QEMU.
	advice string
}

// unnumbered is the number of what is not in the table.
const unnumbered = -1

// firstMends is how many patches ours had when the first of the faults were mended.
const firstMends = 24

var faults = []fault{
	{number: 0, before: 8, of: programs{only: []string{"i386"}}, what: "programs with threads crash", whose: "i386", advice: "programs with threads crash"},
	{number: 1, patches: firstMends, of: programs{only: []string{"aarch64", "arm"}}, what: "atomics that are to be sequentially consistent are reordered", whose: "aarch64, arm", patchesThat: "a0"},
	{number: 2, patches: firstMends, what: "posix_spawn(3) of a missing program succeeds", whose: "all", patchesThat: "a1"},
	{number: 3, since: 8, patches: firstMends, what: "execveat(2) of a close-on-exec descriptor fails", whose: "all", patchesThat: "a2"},
	{number: 4, patches: firstMends, what: "unshare(2) and clone(2) of namespaces fail", whose: "all", patchesThat: "a3"},
	{number: 5, patches: firstMends, of: programs{narrow: true}, what: "readdir(3) fails on ext4", whose: "32-bit ones", patchesThat: "b1"},
	{number: 6, before: 10, patches: firstMends, of: programs{only: []string{"aarch64"}}, what: "code that is written through another mapping is stale", whose: "aarch64", patchesThat: "b0"},
	{number: 6, patches: firstMends, of: programs{but: []string{"aarch64"}}, what: "code that is written through another mapping is stale", whose: "others", left: "what another process writes", patchesThat: "b0"},
	{number: 7, patches: firstMends, what: "there are no robust mutexes", whose: "all", patchesThat: "b2"},
	{number: 8, patches: firstMends, what: "most of netlink is missing", whose: "all", left: "most families of generic netlink, of the other byte order", patchesThat: "b3, bj, by"},
	{number: 9, patches: firstMends, what: "beyond the end of a mapped file a signal has a wrong address", whose: "all", patchesThat: "b7"},
	{number: 10, before: 10, of: programs{only: []string{"aarch64"}}, what: "pointer authentication is 6 to 8 times slower", whose: "aarch64", advice: "code with pointer authentication is 6 to 8 times slower than with 10 (QEMU_CPU=max,pauth-impdef=on helps)"},
	{number: 11, patches: firstMends, what: "some 25 socket options fail or are cut", whose: "all", patchesThat: "b4; br on hppa and sparc"},
	{number: 12, patches: firstMends, what: "seccomp(2), keyctl(2), fanotify and other calls are missing", whose: "all", left: "userfaultfd", patchesThat: "b5, b6, f4"},
	{number: 12, patches: 63, what: "asynchronous input and output (io_setup(2)) is missing", whose: "all", patchesThat: "f7"},
	{number: 13, patches: firstMends, what: "/proc says of a program what is the emulator's", whose: "all", patchesThat: "b8"},
	{number: 14, patches: 40, what: "timers, limits, flags of mmap(2) and others are not as Linux's", whose: "all", left: "what docs/probes.md lists", patchesThat: "b9 to bm, f0 to f4, f6"},
	{number: 15, what: "there is no ptrace(2)", whose: "all"},
	{number: 16, since: 8, patches: 54, of: programs{only: []string{"i386", "s390x", "ppc"}}, what: "unwinding does not get past the frame of a signal: pthread_cancel(3), backtrace(3), exceptions", whose: "i386, s390x, ppc", patchesThat: "bv"},
	{number: 17, patches: 54, of: programs{bigEndian: true}, what: "who waits for a mutex that inherits priorities waits for ever", whose: "big-endian ones", patchesThat: "bz"},
	{number: 18, patches: 55, what: "the first process of a container hangs when it aborts or crashes", whose: "all", patchesThat: "e1"},
	{number: 19, patches: 61, of: programs{bigEndian: true}, what: "links, queues, filters and routes are refused or made wrong by netlink", whose: "big-endian ones", patchesThat: "f5"},
	{number: unnumbered, before: 10, of: programs{only: []string{"x86_64"}}, advice: "the stack of signal handlers is misaligned"},
	{number: unnumbered, before: 10, advice: "/proc/self/exe is wrong after chdir"},
	{number: unnumbered, before: 10, advice: "PR_SET_CHILD_SUBREAPER fails"},
}

// programs are those of some architectures, or, where nothing is said, of all.
type programs struct {
	only, but []string // names of architectures
	narrow    bool     // 32-bit ones
	bigEndian bool
}

func (p *programs) all() bool { return p.only == nil && p.but == nil && !p.narrow && !p.bigEndian }

// has reports whether the programs of an architecture are among them.
func (p *programs) has(a *elfmagic.Arch) bool {
	return (p.only == nil || slices.Contains(p.only, a.Name)) && !slices.Contains(p.but, a.Name) && (!p.narrow || a.Class == elf.ELFCLASS32) && (!p.bigEndian || a.Data == elf.ELFDATA2MSB)
}

// FaultTable is where the table of faults is. It has spaces, as an address would not fit
// into a narrow terminal.
const FaultTable = "docs/emulators.md#faults of github.com/projectcalico/go-build"

// patches returns how many patches of ours an emulator has, by its version: "10.2.2 (Debian
// 1:10.2.2+ds-1, go-build 24 patches 0123456789)".
func patches(version string) int {
	_, rest, ours := strings.Cut(version, "go-build ")
	if !ours {
		return 0
	}
	count, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(count) // none where there is no number
	return n
}

// had yields the faults that an emulator of the given version has, in the order of the
// table: none where the version is not known.
func had(version string) iter.Seq[*fault] {
	return func(yield func(*fault) bool) {
		major, _, ok := release(version)
		if !ok {
			return
		}
		ours := patches(version)
		for i := range faults {
			f := &faults[i]
			mended := major < f.since || f.before > 0 && major >= f.before || f.patches > 0 && ours >= f.patches
			if !mended && !yield(f) {
				return
			}
		}
	}
}

// VersionFaults are the faults of the table that emulators of a version have, as far as
// they are of the architectures that they are for.
type VersionFaults struct {
	Version string `json:"version"` // 10.0.13, or "10.2.2 with 24 patches"
	Faults  []int  `json:"faults"`  // numbers: 1 is E1
}

// AddFaults adds those of an emulator to a list, in which each version is once.
func AddFaults(list []VersionFaults, arch *elfmagic.Arch, version string) []VersionFaults {
	if _, _, ok := release(version); !ok {
		return list
	}
	short := ShortVersion(version)
	if n := patches(version); n > 0 {
		short += fmt.Sprintf(" with %d patches", n)
	}
	i := slices.IndexFunc(list, func(v VersionFaults) bool { return v.Version == short })
	if i < 0 {
		i = len(list)
		list = append(list, VersionFaults{Version: short, Faults: []int{}})
	}
	all := list[i].Faults
	for f := range had(version) {
		if f.number != unnumbered && f.of.has(arch) {
			all = append(all, f.number)
		}
	}
	slices.Sort(all)
	list[i].Faults = slices.Compact(all)
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

// Known says which emulators are embedded, and which faults those have that a search
// finds: what --version prints below the command's own.
func Known() string {
	search := DefaultSearch()
	lines := append(FaultLines(search.Faults()), "")
	return embedded.Emulators().Summary() + strings.Join(lines, "\n")
}

// String says it in a line.
func (v VersionFaults) String() string {
	what := "no known faults"
	if len(v.Faults) > 0 {
		what = "faults " + ranges(v.Faults)
	}
	return "QEMU " + v.Version + ": " + what
}

// FaultLines says it of each version in a line, and in the last one where the faults are
// described, if there are any.
func FaultLines(list []VersionFaults) (lines []string) {
	known := false
	for _, v := range list {
		lines = append(lines, v.String())
		known = known || len(v.Faults) > 0
	}
	if known {
		lines = append(lines, "What these faults are: "+FaultTable)
	}
	return lines
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

// Faults returns what an emulator of the given version does wrong that newer ones do
// right: in programs of the architecture, and in all.
func Faults(arch *elfmagic.Arch, version string) (own, all []string) {
	for f := range had(version) {
		switch {
		case f.advice == "":
		case f.of.all():
			all = append(all, f.advice)
		case f.of.has(arch):
			own = append(own, f.advice)
		}
	}
	return own, all
}

// Year returns the year that a version of QEMU is of, or 0: a major version a year,
// since 4.0 in 2019. The third number counts fixes, which come later.
func Year(version string) int {
	if major, _, ok := release(version); ok && major >= 4 {
		return 2015 + major
	}
	return 0
}
