package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/versions"
)

// A call is one of a subcommand, with what the flags say that several have.
type call struct {
	name           string
	args           []string // after the flags
	stdout, stderr io.Writer

	archs      []*elfmagic.Arch
	file       string // of the versions
	versions   *versions.Versions
	repository string
	emulators  string                    // the flag
	dirs       map[*elfmagic.Arch]string // of the emulators; empty: Debian's are fetched
	registers  bool
	here       []string // what bin/register is told of the emulators
}

// say tells what is done, a line each.
func (c *call) say(format string, args ...any) {
	fmt.Fprintf(c.stderr, c.name+": "+format+"\n", args...)
}

// each makes something for each architecture, and prints the lines of its result.
func (c *call) each(do func(arch *elfmagic.Arch) ([]string, error)) error {
	for _, arch := range c.archs {
		lines, err := do(arch)
		if err != nil {
			return err
		}
		for _, line := range lines {
			fmt.Fprintln(c.stdout, line)
		}
	}
	return nil
}

// flags are those of a subcommand. What several have has one name and one meaning.
type flags struct {
	*pflag.FlagSet
	call   *call
	checks []func() error // of what was read
}

// read reads the arguments, and looks at what the flags name.
func (f *flags) read(args []string, positional bool) error {
	f.SetOutput(io.Discard)
	if err := f.Parse(args); err != nil {
		return wrong(err)
	}
	f.call.args = f.Args()
	if !positional && f.NArg() > 0 {
		return wrong(fmt.Errorf("unexpected argument %q", f.Arg(0)))
	}
	for _, check := range f.checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// archList is the value of a flag for architectures, by any of their names. An
// empty one leaves the default: make passes variables on that nobody has set.
type archList struct {
	archs  *[]*elfmagic.Arch
	lookup func(name string) (*elfmagic.Arch, error)
}

func (l archList) String() string { return "" }
func (l archList) Type() string   { return "ARCH" }

func (l archList) Set(text string) error {
	var archs []*elfmagic.Arch
	for _, name := range words(text) {
		if name == "all" {
			archs = append(archs, versions.Architectures()...)
			continue
		}
		arch, err := l.lookup(name)
		if err != nil {
			return err
		}
		archs = append(archs, arch)
	}
	if len(archs) > 0 {
		*l.archs = archs
	}
	return nil
}

// words splits a list with commas or spaces.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
}

// arch is --arch. Lookup knows which architectures there are.
func (f *flags) arch(what string, lookup func(name string) (*elfmagic.Arch, error)) {
	f.Var(archList{&f.call.archs, lookup}, "arch", "`architectures` of "+what+", by any of their names; all: those of the go-build images (default: this machine's)")
	f.checks = append(f.checks, func() error {
		if len(f.call.archs) > 0 {
			return nil
		}
		arch, err := lookup(runtime.GOARCH)
		f.call.archs = []*elfmagic.Arch{arch}
		return wrong(err)
	})
}

// fromVersions is --file.
func (f *flags) fromVersions() {
	f.StringVar(&f.call.file, "file", versions.File, "versions `file`")
	f.checks = append(f.checks, func() (err error) {
		f.call.versions, err = versions.Load(f.call.file)
		return err
	})
}

// forRepository is --repository.
func (f *flags) forRepository() {
	f.StringVar(&f.call.repository, "repository", "calico", "`prefix` of the images' names: a registry, an organization")
}

// withEmulators is --emulators; choice says the rest.
func (f *flags) withEmulators(choice artifacts.Choice) {
	f.emulatorsFlag()
	f.checks = append(f.checks, func() (err error) {
		f.call.dirs = make(map[*elfmagic.Arch]string)
		for _, arch := range f.call.archs {
			choice.Word, choice.Root, choice.Host = f.call.emulators, ".", arch
			if f.call.dirs[arch], err = choice.Dir(); err != nil {
				return wrong(err)
			}
		}
		return nil
	})
}

func (f *flags) emulatorsFlag() {
	f.StringVar(&f.call.emulators, "emulators", "", "`which` static emulators: debian, built, or a directory, of which ARCH/ is used if it has some (default: built if all are there, else debian)")
}

// withDocker has Docker be there before anything is made for it.
func (f *flags) withDocker(without string) {
	f.checks = append(f.checks, func() error { return docker.Installed(without) })
}

// registering is --register.
func (f *flags) registering() {
	f.BoolVar(&f.call.registers, "register", false, "register emulators first if the architecture is foreign, by bin/register (root)")
	f.checks = append(f.checks, f.call.checkHere)
}
