package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/image/publish"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// A call is one of a subcommand: its flags, and what those say that several have.
// A flag of one name has one meaning.
type call struct {
	*pflag.FlagSet
	stdout, stderr io.Writer
	display        *progress.Display
	steps          []func(ctx context.Context) error // once the flags are read; those that look at them are first

	archs      []*elfmagic.Arch
	file       string // of the versions
	versions   *versions.Versions
	toolchain  *toolchain.Toolchain
	repository string
	emulators  string                    // the flag
	dirs       map[*elfmagic.Arch]string // of the emulators; empty: Debian's are fetched
	registers  bool
	here       []string // what bin/register is told of the emulators
	unlock     []func() // what is held until it has ended
}

func (c *call) step(do func(ctx context.Context) error) { c.steps = append(c.steps, do) }

// stepEach is a step for each architecture.
func (c *call) stepEach(do func(ctx context.Context, arch *elfmagic.Arch) error) {
	c.step(func(ctx context.Context) error {
		for _, arch := range c.archs {
			if err := do(ctx, arch); err != nil {
				return err
			}
		}
		return nil
	})
}

// say tells what is done, a line each.
func (c *call) say(format string, args ...any) { c.display.Say(format, args...) }

// each makes something for each architecture, and prints the lines of its result.
// Emulators for foreign ones are registered first, if that is asked for.
func (c *call) each(do func(ctx context.Context, arch *elfmagic.Arch) ([]string, error)) {
	n := 0
	c.stepEach(func(ctx context.Context, arch *elfmagic.Arch) error {
		if n++; len(c.archs) > 1 {
			c.say("%s, %d of %d architectures", arch.Platform(), n, len(c.archs))
		}
		if c.registers && foreign(arch) {
			if err := c.registerHere(ctx, c.stderr, arch.Name); err != nil {
				return err
			}
		}
		lines, err := do(ctx, arch)
		if err != nil {
			return err
		}
		for _, line := range lines {
			fmt.Fprintln(c.stdout, line)
		}
		return nil
	})
}

// words splits a list with commas or spaces, or that has a word on each line, as
// image versions architectures prints it.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || unicode.IsSpace(c) })
}

// archList is a flag for architectures, by any of their names; lookup knows which
// there are. An empty list leaves the default: make passes variables on that nobody
// has set.
func (c *call) archList(archs *[]*elfmagic.Arch, name, usage string, lookup func(name string) (*elfmagic.Arch, error)) {
	c.Func(name, usage, func(text string) error {
		var list []*elfmagic.Arch // each once: amd64 and x86_64 are one
		for _, name := range words(text) {
			some := versions.Architectures()
			if name != "all" {
				arch, err := lookup(name)
				if err != nil {
					return err
				}
				some = []*elfmagic.Arch{arch}
			}
			for _, arch := range some {
				if !slices.Contains(list, arch) {
					list = append(list, arch)
				}
			}
		}
		if len(list) > 0 {
			*archs = list
		}
		return nil
	})
}

// arch is --arch.
func (c *call) arch(what string, lookup func(name string) (*elfmagic.Arch, error)) {
	c.archList(&c.archs, "arch", "`architectures` of "+what+", by any of their names; all: those of the go-build images (default: this machine's)", lookup)
	c.step(func(context.Context) error {
		if len(c.archs) > 0 {
			return nil
		}
		arch, err := lookup(runtime.GOARCH)
		c.archs = []*elfmagic.Arch{arch}
		return wrong(err)
	})
}

// fromVersions is --file.
func (c *call) fromVersions() {
	c.StringVar(&c.file, "file", versions.File, "versions `file`")
	c.step(func(context.Context) (err error) {
		c.versions, err = versions.Load(c.file)
		return err
	})
}

// ofRevision warns where git does not say what is built from: in the clone of another user,
// as in a container, in a shallow one, or in none.
func (c *call) ofRevision() {
	c.checkEpoch()
	c.step(func(ctx context.Context) error {
		switch r := toolchain.ReadRevision(ctx, "."); {
		case ctx.Err() != nil:
		case r.Unknown != "":
			c.say("warning: the version will be %s, and the commit %s: git: %s", r.Version, r.Commit, r.Unknown)
		case r.Shallow:
			c.say("warning: the version will be %s, after no tag, as the clone is shallow: git fetch --unshallow --tags", r.Version)
		}
		return nil
	})
}

// checkEpoch looks at the time that things are said to be of.
func (c *call) checkEpoch() {
	c.step(func(context.Context) error {
		_, _, err := toolchain.Epoch()
		return wrong(err)
	})
}

// inClone is for what git makes of this repository.
func (c *call) inClone() {
	c.step(func(ctx context.Context) error {
		if r := toolchain.ReadRevision(ctx, "."); r.Unknown != "" && ctx.Err() == nil {
			return cli.WithHint(fmt.Errorf("git does not know this repository: %s", r.Unknown), "run this in a clone of yours: it is part of what is made")
		}
		return nil
	})
}

// withToolchain finds the toolchain that everything that is shipped is built with.
func (c *call) withToolchain() {
	c.ofRevision()
	c.findToolchain()
}

// findToolchain is withToolchain where nothing is made.
func (c *call) findToolchain() {
	c.step(func(ctx context.Context) error {
		v, err := versions.Load(versions.File)
		if err == nil {
			c.toolchain, err = toolchain.Find(ctx, v.Go)
		}
		return err
	})
}

// forRepository is --repository.
func (c *call) forRepository() {
	c.StringVar(&c.repository, "repository", "calico", "`prefix` of the images' names: a registry, an organization")
	c.step(func(context.Context) error {
		if err := publish.NoURL(c.repository); err != nil {
			return wrong(err)
		}
		_, err := name.NewRepository(c.repository + "/image")
		if err == nil && (c.repository == "" || strings.HasPrefix(c.repository, "/")) {
			err = cli.WithHint(fmt.Errorf("--repository %q begins with no name", c.repository), "calico and quay.io/calico do; is REGISTRY missing?")
		}
		return wrong(err)
	})
}

// claims has the directory in which files are removed: where --dir names one, they
// may be somebody's own.
func (c *call) claims(dirOf func(arch *elfmagic.Arch) string) {
	c.stepEach(func(_ context.Context, arch *elfmagic.Arch) error {
		if flag := c.Lookup("dir"); flag.Value.String() == flag.DefValue {
			return nil
		}
		return workdir.Claim(dirOf(arch))
	})
}

// alone has other runs that work in the same directories wait until this one has ended.
func (c *call) alone(dirOf func(arch *elfmagic.Arch) string) {
	c.step(func(ctx context.Context) error {
		var dirs []string
		for _, arch := range c.archs {
			dirs = append(dirs, filepath.Clean(dirOf(arch)))
		}
		slices.Sort(dirs) // or two would wait for one another
		for _, dir := range slices.Compact(dirs) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			unlock, err := file.Lock(ctx, filepath.Join(dir, "lock"), func() { c.say("waiting for another run in %s …", dir) })
			if err != nil {
				return err
			}
			c.unlock = append(c.unlock, unlock)
		}
		return nil
	})
}

// end lets go of what is held.
func (c *call) end() {
	for _, unlock := range c.unlock {
		unlock()
	}
}

// forOne has a flag that names what is made for one architecture only.
func (c *call) forOne(flag string) {
	c.step(func(context.Context) error {
		if c.Lookup(flag).Value.String() != "" && len(c.archs) > 1 {
			return wrong(fmt.Errorf("--%s is for one architecture, not %d", flag, len(c.archs)))
		}
		return nil
	})
}

// withEmulators is --emulators; choice says the rest.
func (c *call) withEmulators(choice artifacts.Choice) {
	c.emulatorsFlag()
	c.dirs = make(map[*elfmagic.Arch]string)
	c.stepEach(func(ctx context.Context, arch *elfmagic.Arch) (err error) {
		choice.Word, choice.Root, choice.Host = c.emulators, ".", arch
		c.dirs[arch], err = c.emulatorsOf(ctx, choice)
		return err
	})
}

// emulatorsOf returns the directory of the emulators that are chosen, if there is one yet:
// there is of those of a suite, which are fetched first.
func (c *call) emulatorsOf(ctx context.Context, choice artifacts.Choice) (string, error) {
	dir, err := choice.Dir()
	suite, named := choice.Suite()
	if err != nil || !named {
		return dir, wrong(err)
	}
	cache, err := workdir.Cache("emulators", suite, choice.Host.GOARCH)
	if err != nil {
		return "", err
	}
	return artifacts.FetchEmulators(ctx, choice.Host, suite, cache, c.say)
}

func (c *call) emulatorsFlag() {
	c.StringVar(&c.emulators, "emulators", "", "`which` static emulators: debian, debian:SUITE, built, or a directory, of which ARCH/ is used if it has some (default: built if all are there, else debian)")
}

// registering is --register.
func (c *call) registering() {
	c.BoolVar(&c.registers, "register", false, "register emulators first if the architecture is foreign, by bin/register (root)")
	c.step(func(ctx context.Context) error {
		if !c.registers || !slices.ContainsFunc(c.archs, foreign) {
			choice, err := c.choiceHere()
			if err == nil && choice.Word != "" {
				_, err = choice.Dir() // nothing is fetched
			}
			return wrong(err)
		}
		if err := c.checkHere(ctx); err != nil {
			return err
		}
		return madeHere(ctx)
	})
}

func foreign(arch *elfmagic.Arch) bool { return arch.GOARCH != runtime.GOARCH }

// ownRegister is the command that registers.
const ownRegister = "bin/register"

func madeHere(context.Context) error {
	_, err := os.Stat(ownRegister)
	if err != nil {
		err = cli.WithHint(err, "make build")
	}
	return err
}

// checkHere finds the emulators for this machine. Those that were built lie beside
// bin/register, which looks there first.
func (c *call) checkHere(ctx context.Context) error {
	if c.emulators == "" {
		return nil
	}
	choice, err := c.choiceHere()
	if err != nil {
		return err
	}
	dir, err := c.emulatorsOf(ctx, choice)
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(cmp.Or(dir, artifacts.Installed))
	c.here = []string{"--qemu-path", dir}
	return err
}

func (c *call) choiceHere() (artifacts.Choice, error) {
	native, err := elfmagic.Lookup(runtime.GOARCH)
	return artifacts.Choice{Word: c.emulators, Root: ".", Host: native, Some: true}, err
}

// registerHere registers emulators for the architectures, or for all.
func (c *call) registerHere(ctx context.Context, stdout io.Writer, archs ...string) error {
	_, none := os.Stat(filepath.Join(artifacts.BuiltEmulators, runtime.GOARCH, qemu.ManifestFile))
	if c.emulators == "debian" || c.emulators == "" && none != nil {
		if err := debian.InstallEmulators(ctx, artifacts.Installed, c.say); err != nil {
			return err
		}
	}
	cmd := program.AsRoot(ctx, ownRegister, append(c.here, archs...)...)
	cmd.Stdout, cmd.Stderr = stdout, c.stderr
	return ranAsRoot(cmd)
}

// ranAsRoot runs a command whose output is the caller's, and so not in its error.
func ranAsRoot(cmd *exec.Cmd) error {
	if err := cmd.Run(); err != nil {
		return cli.WithHint(fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err), "see what it said above; root is required")
	}
	return nil
}
