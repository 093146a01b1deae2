package qemu

import (
	"cmp"
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
)

// A port is one of Debian's architectures whose programs are guests in training,
// of the first of the suites that is available: a mirror may not have all of them
// whole at all times.
type port struct {
	target, name string
	suites       []string
}

var (
	released = []string{"trixie", "bookworm"}
	last     = []string{"bookworm"} // that had the port
	unstable = []string{"sid"}      // no release has it yet
)

var ports = []port{
	{"aarch64", "arm64", released},
	{"arm", "armhf", released},
	{"arm", "armel", released},
	{"i386", "i386", released},
	{"loongarch64", "loong64", unstable},
	{"mips64el", "mips64el", last},
	{"mipsel", "mipsel", last},
	{"ppc64le", "ppc64el", released},
	{"riscv64", "riscv64", []string{"trixie", "sid"}},
	{"s390x", "s390x", released},
	{"x86_64", "amd64", released},
}

// portPackages are the packages that a port's guests come from.
var portPackages = []string{"coreutils", "cpp", "dash", "perl-base", "python3"}

// standIns train for targets that have no guests: those with which they share
// most code. A profile of a few instructions would be worse than none: all that
// it does not show is taken for code that never runs.
var standIns = map[string]string{
	"aarch64_be": "aarch64",
	"armeb":      "arm",
	"mipsn32":    "mips64",
	"mipsn32el":  "mips64el",
	"ppc":        "ppc64",
	"riscv32":    "riscv64",
}

// anyStandIn is for those that share no more than what all do.
const anyStandIn = "aarch64"

// trainer returns the target whose guests a target is trained with.
func trainer(target *elfmagic.Arch) string {
	if target.GOARCH != "" {
		return target.Name
	}
	if t, ok := standIns[target.Name]; ok {
		return t
	}
	return anyStandIn
}

// trainers returns those of several targets, sorted and once each.
func trainers(targets []*elfmagic.Arch) []string {
	var list []string
	for _, t := range targets {
		list = append(list, trainer(t))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ownProfile are the targets with a profile of their own guests and no others, as most
// programs are theirs: with a profile of all the compiler considers too much hot,
// and cannot tell it which function of several a pointer leads to. What all
// targets have in common is compiled anew for each of these.
var ownProfile = []string{"aarch64", "x86_64"}

// A group of targets is built at once, with one profile.
type group struct {
	targets  []*elfmagic.Arch
	trainers []string
}

// together groups targets: each with a profile of its own, then all others.
func together(targets []*elfmagic.Arch) []group {
	var groups []group
	var others []*elfmagic.Arch
	for _, t := range targets {
		if slices.Contains(ownProfile, t.Name) {
			groups = append(groups, group{[]*elfmagic.Arch{t}, []string{t.Name}})
		} else {
			others = append(others, t)
		}
	}
	if len(others) > 0 {
		groups = append(groups, group{others, trainers(others)})
	}
	return groups
}

// A guest is a program that an instrumented emulator runs, and how often.
type guest struct {
	name  string
	args  []string // of the emulator
	times int
}

// goGuests are those that Go built into a directory. Starting is most of what short
// programs cost, and Go starts threads.
func goGuests(dir string) []guest {
	return []guest{{"go hello", []string{filepath.Join(dir, "hello")}, 3}, {"go work", []string{filepath.Join(dir, "work")}, 1}}
}

// guestsRecipe is part of the key of a profile: it is changed when what guests
// are run, or how, is.
const guestsRecipe = "guests 2"

// portGuests are those of a port, unpacked into root. Work is the directory of our
// inputs, out one for what they write. Not all are in the same place in all releases:
// they have versions and triplets in their paths, and programs of Debian 12 and older
// are in /bin.
func portGuests(root, work, out string) []guest {
	in := func(name string) string { return filepath.Join(work, name) }
	run := func(program string, args ...string) []string { return append([]string{"-L", root, program}, args...) }
	first := func(patterns ...string) string {
		for _, pattern := range patterns {
			if matches, _ := filepath.Glob(filepath.Join(root, pattern)); len(matches) > 0 {
				return matches[0]
			}
		}
		return ""
	}
	program := func(name string) string {
		return cmp.Or(first("usr/bin/"+name, "bin/"+name), filepath.Join(root, "usr/bin", name))
	}
	perl := run(program("perl"), in("work.pl"))
	if lib := first("usr/lib/*/perl-base"); lib != "" {
		// It is looked for with statx on the newest ports, which -L does not reach.
		perl = append([]string{"-E", "PERL5LIB=" + lib}, perl...)
	}
	guests := []guest{
		{"sh", run(program("dash"), in("loop.sh")), 1},
		{"true", run(program("true")), 1},
		{"sort", run(program("sort"), in("text")), 1},
		{"sha256sum", run(program("sha256sum"), in("text")), 1},
		{"perl", perl, 1},
		{"python", append([]string{"-E", "PYTHONHOME=" + root + "/usr", "-E", "PYTHONDONTWRITEBYTECODE=1"}, run(program("python3"), in("work.py"))...), 1},
	}
	if cc1 := first("usr/libexec/gcc/*/*/cc1", "usr/lib/gcc/*/*/cc1"); cc1 != "" {
		guests = append(guests, guest{"cc1", run(cc1, "-quiet", "-O1", in("work.i"), "-o", filepath.Join(out, "work.s")), 1})
	}
	return guests
}

// textInput returns lines of words for guests that read text.
func textInput() string {
	words := strings.Fields("alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa")
	var text strings.Builder
	n := uint32(2463534242)
	for range 2500 {
		n ^= n << 13
		n ^= n >> 17
		n ^= n << 5
		fmt.Fprintf(&text, "%08x %s %s %d\n", n, words[n%16], words[n>>4%16], n%977)
	}
	return text.String()
}

//go:embed training/work.c.template
var cFunctions string

// cInput returns C, as it is after the preprocessor, for a compiler: functions
// with what such have, each a little different.
func cInput() string {
	var text strings.Builder
	text.WriteString("typedef unsigned long size; struct item { struct item *next; int key; unsigned char name[24]; double weight; };\n" +
		"extern void *allocate(size); extern int compare(const void *, const void *); static int total;\n")
	for i := range 60 {
		fmt.Fprintf(&text, cFunctions, i, 5381+i*97, 3+i%5, 7+i%11, 61+i*2)
	}
	return text.String()
}
