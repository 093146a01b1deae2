package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/watch"
)

// facts are what the ways to run a program depend on, besides the program and
// the options. What costs time is a function, which is called when a way is
// looked at that depends on it.
type facts struct {
	foreign *elfmagic.Arch // the program's architecture, if it is known and another than the host's
	sysroot string         // for the emulator; see sysroot
	named   bool           // it is the one that was named
	started string         // the one that was named with a native program: of what that starts
	cpu     []string       // the setting of the environment, as a variable of QEMU's, which what the program starts inherits
	pin     string         // the variable that names the emulator, if one does

	itself bool // it is for a relative of the host's architecture, whose programs the kernel runs itself
	starts bool // it is a program of the host's own, and what it may start has no entries

	emulator func() (*emulator.Emulator, error)
	chosen   bool // the user has chosen a CPU

	// These are nil unless they are to be shown: execve and clone(2) find out by
	// themselves, and know better.
	entry    func() (why string)                // the kernel runs the program; empty: it does not
	instance func() (comment string, err error) // which embedded emulator it has, or why there is none
	watched  func() error                       // why nothing can be
}

// gather returns the facts for a program. Errors are those of settings, and that
// the program's loader is missing.
func gather(p *program, o *options) (*facts, error) {
	native := native()
	if err := takeSettings(); err != nil {
		return nil, err
	}
	f := new(facts)
	binary := p.binary()
	if arch := binary.header.Arch; binary.elfErr == nil {
		if cpu := namedCPU(arch); cpu != "" {
			f.cpu = []string{"QEMU_CPU=" + cpu}
		}
		f.chosen = f.cpu != nil || o.cpu != "" || os.Getenv("QEMU_CPU") != ""
		f.emulator = func() (*emulator.Emulator, error) {
			return findEmulator(o, arch)
		}
		if arch != native {
			f.foreign = arch
			f.pin, _ = setting(arch, "EMULATOR")
		}
		if arch == native && o.asked != inRoot && o.sysroot != "" {
			var err error
			if f.started, err = filepath.Abs(o.sysroot); err != nil {
				return nil, err
			}
		}
		if o.asked != inRoot && (arch != native || o.asked == byEmulator || o.asked == byHelper) {
			named, err := namedSysroot(o.sysroot, arch)
			if err != nil {
				return nil, err
			}
			if f.sysroot, err = sysroot(binary, named); err != nil && !bringsLibraries(o.emulator, arch) {
				return nil, cannot(err)
			}
			f.named = named != ""
		}
	}
	if o.asked == firstWay && binary.elfErr == nil {
		f.setStarts()
	}
	if o.print || o.verbose {
		f.entry = func() string {
			return cmp.Or(kernelRuns(binary, native), supervised(f.foreign), triedByKernel(f.foreign))
		}
		f.watched = watchable
		f.instance = func() (string, error) {
			var e emulators
			err := private.Check()
			if err == nil {
				err = e.find(context.Background(), f.foreign, f.sysroot, false)
			}
			return e.comment, err
		}
	}
	return f, nil
}

// setStarts finds out whether the program is to be watched for what it starts.
func (f *facts) setStarts() {
	f.itself = f.foreign != nil && runsItself(f.foreign)
	if f.foreign == nil || f.itself && f.sysroot == "" && f.pin == "" && watch.Sees(f.foreign) {
		f.starts = mayStart()
	}
}

// runsItself reports whether the kernel runs an architecture's programs without anybody's help, as
// that of amd64 does i386's, most often.
func runsItself(arch *elfmagic.Arch) bool {
	if !slices.Contains(host.Relatives(native()), arch) {
		return false
	}
	own, err := host.Native(context.Background())
	return err == nil && slices.Contains(own, arch)
}

// kernelRuns looks up why execve will run the program, if it will.
func kernelRuns(binary *program, native *elfmagic.Arch) (why string) {
	entries, _ := binfmt.New("").List()
	for _, e := range entries {
		if !e.Disabled && e.Matches(binary.head, binary.path) {
			return fmt.Sprintf("the kernel's entry %s runs it with %s", e.Name, e.Interpreter)
		}
	}
	if binary.elfErr == nil && binary.header.Arch == native {
		return "it is for this host"
	}
	return ""
}

// triedByKernel says that the kernel runs programs of an architecture though no entry is
// seen: a relative of the host's it runs itself, and entries may be of another namespace.
func triedByKernel(foreign *elfmagic.Arch) string {
	if foreign == nil || host.Check(context.Background(), binfmt.New(""), foreign) != nil {
		return ""
	}
	return "the kernel runs programs for " + foreign.Platform() + ", as one was tried"
}

// findEmulator returns the emulator that the options or the environment name, or
// that is installed for the architecture, with its version: what it is given depends
// on that. One that is named may be none of QEMU's.
func findEmulator(o *options, arch *elfmagic.Arch) (*emulator.Emulator, error) {
	if named, err := namedEmulator(o.emulator, arch); err != nil || named != "" {
		if opened, openErr := emulator.Open(arch, named); openErr == nil {
			return opened, err
		}
		return &emulator.Emulator{Arch: arch, Path: named}, err
	}
	search := emulator.DefaultSearch()
	search.Native = []*elfmagic.Arch{native()}
	found, err := search.Find(arch)
	if err != nil {
		return nil, cannot(err)
	}
	return found, nil
}

// ofArchitectures are the settings of the environment that are for one architecture: see setting.
var ofArchitectures = []string{"EMULATOR", "SYSROOT", "CPU"}

// takeSettings returns what is wrong with the environment's settings, whichever
// architecture they are for: a program may start one of it. It does so in another
// directory, perhaps: paths are made absolute.
func takeSettings() error {
	if _, _, err := translationsDirectory(); errors.Is(err, errNoSetting) {
		return err
	}
	for _, v := range os.Environ() {
		what, of, value := settingOf(v)
		if what == "" {
			continue
		}
		name := "CROSSRUN_" + what + "_" + of
		archs := elfmagic.Archs()
		i := slices.IndexFunc(archs, func(a *elfmagic.Arch) bool { return isCalled(a, of) })
		if i < 0 {
			return cli.WithHint(fmt.Errorf("%s: no architecture has this name", name), "the end is any name of one in capitals: CROSSRUN_%s_ARM64", what)
		}
		if what == "EMULATOR" {
			if _, err := namedEmulator("", archs[i]); err != nil {
				return err
			}
		}
		if !filepath.IsAbs(value) && (what == "SYSROOT" || what == "EMULATOR" && strings.Contains(value, "/")) {
			path, err := filepath.Abs(value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			os.Setenv(name, path)
		}
	}
	return nil
}

// settingOf returns which setting a variable is, the name of an architecture at its end, and its
// value, or nothing if it is none or empty.
func settingOf(variable string) (what, of, value string) {
	rest, ok := strings.CutPrefix(variable, "CROSSRUN_")
	if !ok {
		return "", "", ""
	}
	name, value, _ := strings.Cut(rest, "=")
	for _, what := range ofArchitectures {
		if of, ok := strings.CutPrefix(name, what+"_"); ok && value != "" {
			return what, of, value
		}
	}
	return "", "", ""
}

// isCalled reports whether an architecture has a name, as variables have it.
func isCalled(arch *elfmagic.Arch, of string) bool {
	return slices.ContainsFunc(arch.Names(), func(n string) bool { return variableOf(n) == of })
}

var variable = strings.NewReplacer("-", "_", ".", "_")

// variableOf returns an architecture's name as variables have it.
func variableOf(name string) string { return variable.Replace(strings.ToUpper(name)) }

// setting returns what the environment has for one architecture, and in which
// variable: CROSSRUN_EMULATOR_ARM64 for one. ARCH is any of its names, in
// capitals, with underscores for what variables cannot have.
func setting(arch *elfmagic.Arch, what string) (name, value string) {
	for _, n := range arch.Names() {
		name := "CROSSRUN_" + what + "_" + variableOf(n)
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// isSet reports whether the environment has a setting, or any if what is empty, for an
// architecture that is not the host's own. It looks at each variable once: names are many.
func isSet(what string) bool {
	return slices.ContainsFunc(os.Environ(), func(v string) bool {
		has, of, _ := settingOf(v)
		return has != "" && (what == "" || has == what) && !isCalled(native(), of)
	})
}

// setSetting sets what setting returns.
func setSetting(arch *elfmagic.Arch, what, value string) error {
	for _, n := range arch.Names() {
		os.Unsetenv("CROSSRUN_" + what + "_" + variableOf(n))
	}
	return os.Setenv("CROSSRUN_"+what+"_"+variableOf(arch.Name), value)
}

// nameEmulators reads the values of --emulator: FILE is for the program itself, and
// ARCH=FILE a setting, which what the program starts has, too.
func (o *options) nameEmulators() error {
	for _, value := range o.emulators {
		of, file, ok := strings.Cut(value, "=")
		arch, err := elfmagic.Lookup(of)
		if _, statErr := os.Stat(value); !ok || err != nil && statErr == nil {
			if o.emulator != "" {
				return fmt.Errorf("--emulator %s and --emulator %s: the program is run by one", o.emulator, value)
			}
			o.emulator = value
			continue
		}
		if err == nil && file == "" {
			err = errors.New("must be FILE or ARCH=FILE")
		}
		if err == nil {
			file, err = lookEmulator(file)
		}
		if err == nil {
			file, err = filepath.Abs(file) // for what the program starts elsewhere
		}
		if err != nil {
			return cli.WithHint(fmt.Errorf("--emulator %s: %w", value, err), "name a file, or a command in PATH: --emulator FILE, or --emulator linux/amd64=FILE")
		}
		if err := setSetting(arch, "EMULATOR", file); err != nil {
			return err
		}
	}
	return nil
}

// bringsLibraries reports whether an architecture's programs are to be run by an
// emulator that was named and is none of QEMU's: FEX and box64 find loader and
// libraries in their own ways.
func bringsLibraries(flag string, arch *elfmagic.Arch) bool {
	named, err := namedEmulator(flag, arch)
	if err != nil || named == "" {
		return false
	}
	e, err := emulator.Open(arch, named)
	return err == nil && !e.IsQEMU()
}

// namedEmulator returns the emulator that the flag or the environment names, if
// one is named.
func namedEmulator(flag string, arch *elfmagic.Arch) (string, error) {
	what, named := setting(arch, "EMULATOR")
	what += "="
	if flag != "" {
		what, named = "--emulator ", flag
	}
	if named == "" {
		return "", nil
	}
	path, err := lookEmulator(named)
	if err != nil {
		return "", cli.WithHint(fmt.Errorf("%s%s: %w", what, named, err), "name a file, or a command in PATH")
	}
	return path, nil
}

// lookEmulator is exec.LookPath that passes over this command, which PATH may have
// under an emulator's name.
func lookEmulator(named string) (string, error) {
	path, err := exec.LookPath(named)
	if err != nil {
		return "", errors.Unwrap(err)
	}
	if !emulator.IsCommand(path) {
		return path, nil
	}
	if !strings.Contains(named, "/") {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			path, err := exec.LookPath(filepath.Join(dir, named))
			if err == nil && filepath.IsAbs(path) && !emulator.IsCommand(path) {
				return path, nil
			}
		}
	}
	return "", emulator.ErrCommand
}

// namedSysroot returns the sysroot that the flag or the environment names, if one
// is named.
func namedSysroot(flag string, arch *elfmagic.Arch) (string, error) {
	if flag != "" {
		return flag, nil
	}
	name, value := setting(arch, "SYSROOT")
	return value, existingDirectory(name, value)
}

// namedCPU returns the CPU model that the environment names for an architecture, or nothing:
// what it says to QEMU is for all.
func namedCPU(arch *elfmagic.Arch) string {
	if os.Getenv("QEMU_CPU") != "" {
		return ""
	}
	_, value := setting(arch, "CPU")
	return value
}
