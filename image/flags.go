package main

import (
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/versions"
)

// flags are those of a subcommand. What several have has one name and one meaning.
type flags struct {
	*pflag.FlagSet
	check func() error // of defaults
}

// archList is the value of a flag for architectures, by any of their names. An
// empty one leaves the default: make passes variables on that nobody has set.
type archList struct {
	archs  []*elfmagic.Arch
	all    []*elfmagic.Arch
	lookup func(name string) (*elfmagic.Arch, error)
}

func (l *archList) String() string { return "" }
func (l *archList) Type() string   { return "ARCH,…" }

func (l *archList) Set(text string) error {
	names := words(text)
	if len(names) == 0 {
		return nil
	}
	if len(names) == 1 && names[0] == "all" && l.all != nil {
		l.archs = l.all
		return nil
	}
	l.archs = nil
	for _, name := range names {
		arch, err := l.lookup(name)
		if err != nil {
			return err
		}
		l.archs = append(l.archs, arch)
	}
	return nil
}

// words splits a list with commas or spaces.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
}

// arch is --arch: what is made is for these architectures. Lookup knows those that
// there are.
func (f *flags) arch(usage string, lookup func(name string) (*elfmagic.Arch, error)) *archList {
	l := &archList{lookup: lookup, all: versions.Architectures()}
	if native, err := elfmagic.Lookup(runtime.GOARCH); err == nil {
		l.archs = []*elfmagic.Arch{native}
	}
	f.check = func() error {
		for _, arch := range l.archs {
			if _, err := lookup(arch.Name); err != nil {
				return err
			}
		}
		return nil
	}
	f.Var(l, "arch", usage+", by any of their names; all: those that there are go-build images for (default: this machine's)")
	return l
}

func (f *flags) file() *string {
	return f.String("file", versions.File, "versions `file`")
}

func (f *flags) repository() *string {
	return f.String("repository", "calico", "`prefix` of the images' names: a registry, an organization")
}

// emulators is --emulators, the word of an artifacts.Choice.
func (f *flags) emulators() *string {
	return f.String("emulators", "", "`which` static emulators: debian, built, or a directory, of which ARCH/ is used if it has some (default: built if all are there, else debian)")
}

// choose returns the directories of the emulators for all architectures.
func choose(choice artifacts.Choice, archs []*elfmagic.Arch) ([]string, error) {
	var dirs []string
	for _, arch := range archs {
		choice.Root, choice.Host = ".", arch
		dir, err := choice.Dir()
		if err != nil {
			return nil, wrong(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}
