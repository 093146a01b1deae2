package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// A diagnosis is what --doctor has seen. A tiny program of each architecture was run,
// by this command: nothing is assumed.
type diagnosis struct {
	Version, Kernel, Host string
	Restrictions          []string // of this process
	Native                []string // platforms that the machine runs itself
	Archs                 []diagnosed
	Ways                  []tried
}

// A diagnosed is one foreign architecture.
type diagnosed struct {
	Platform string
	Emulator string // its version and directory; empty if there is none
	Version  string // all that it says of its version
	Registered,
	Runs bool
	Missing bool    // there is no emulator
	Why     failure // it does not run
}

// A tried is one way, with a program of the first architecture that has an emulator.
type tried struct {
	Flag string
	Runs bool
	Why  failure
}

// A failure is what this command said of one.
type failure struct{ Error, Hint string }

// doctor prints what runs here, in which way, and what to do about the rest. It fails
// if no foreign program runs.
func doctor(ctx context.Context, stdout io.Writer) error {
	d := diagnose(ctx)
	if _, err := io.WriteString(stdout, d.text(cli.ScreenOf(stdout))); err != nil {
		return err
	}
	if len(d.Archs) > 0 && !slices.ContainsFunc(d.Archs, func(a diagnosed) bool { return a.Runs }) {
		return cannot(errors.New("no other architecture's programs run here"))
	}
	return nil
}

// diagnose runs programs, and looks around.
func diagnose(ctx context.Context) *diagnosis {
	d := &diagnosis{
		Version: fmt.Sprintf("%s %s (%s)", name, cli.Version(), runtime.Version()),
		Host:    runtime.GOOS + "/" + runtime.GOARCH,
	}
	if kernel, err := binfmt.RunningKernel(); err == nil {
		d.Kernel = kernel.String()
	}
	if around, err := host.LookAround("/proc"); err == nil {
		d.Restrictions = restrictions(around)
	}
	own, err := host.Native(ctx)
	if err != nil { // without /proc or /dev, for one
		own = []*elfmagic.Arch{native()}
		d.Restrictions = append(d.Restrictions, cli.Visible(err.Error()))
	}
	for _, arch := range own {
		d.Native = append(d.Native, arch.Platform())
	}
	var foreign []*elfmagic.Arch
	for _, arch := range elfmagic.Archs() {
		if !slices.Contains(own, arch) {
			foreign = append(foreign, arch)
		}
	}
	d.Archs = make([]diagnosed, len(foreign))
	atATime := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i, arch := range foreign {
		all.Go(func() {
			atATime <- struct{}{}
			defer func() { <-atATime }()
			d.Archs[i] = diagnoseArch(ctx, arch)
		})
	}
	all.Wait()
	first := firstEmulated(foreign, d.Archs)
	if first == nil {
		return d
	}
	for _, k := range kinds {
		if k.flag == inRoot {
			continue
		}
		why := runTiny(ctx, first, k.flag)
		d.Ways = append(d.Ways, tried{k.flag, why == failure{}, why})
	}
	return d
}

// firstEmulated returns the architecture with which ways are tried: arm64 or amd64 if
// possible, which most people want.
func firstEmulated(foreign []*elfmagic.Arch, seen []diagnosed) *elfmagic.Arch {
	var first *elfmagic.Arch
	for i, arch := range foreign {
		if seen[i].Emulator == "" {
			continue
		}
		if arch.GOARCH == "arm64" || arch.GOARCH == "amd64" {
			return arch
		}
		first = cmp.Or(first, arch)
	}
	return first
}

func diagnoseArch(ctx context.Context, arch *elfmagic.Arch) diagnosed {
	d := diagnosed{Platform: arch.Platform()}
	found, err := findEmulator(new(options), arch)
	d.Missing = errors.Is(err, emulator.ErrMissing)
	if err == nil {
		d.Version = found.Version
		d.Emulator = cli.Visible(described(found))
	}
	if d.Registered = host.Check(ctx, binfmt.New(binfmt.DefaultMount), arch) == nil; d.Registered {
		d.Runs = true
		return d
	}
	d.Why = runTiny(ctx, arch, firstWay)
	d.Runs = d.Why == failure{}
	if !d.Runs && found != nil {
		d.Why = knownFault(found, d.Why)
	}
	return d
}

// knownFault is what is known of an emulator by which nothing ran, or else what was said:
// by one that crashes, the signal.
func knownFault(e *emulator.Emulator, said failure) failure {
	if err := e.Useless(); err != nil {
		return failure{versionOf(e) + " runs none of its programs", cli.Hint(err)}
	}
	return said
}

// described says which emulator it is, and where.
func described(e *emulator.Emulator) string {
	if e.Embedded != nil {
		return versionOf(e) + " embedded in this command"
	}
	return versionOf(e) + " in " + filepath.Dir(e.Path)
}

// versionOf is what an emulator is, without what a distribution says of its package.
func versionOf(e *emulator.Emulator) string {
	if !e.IsQEMU() {
		return cmp.Or(e.Version, filepath.Base(e.Path)) // which has a name
	}
	return "QEMU " + cmp.Or(emulator.ShortVersion(e.Version), "of unknown version")
}

// runTiny has this command run a tiny program of an architecture, in a way, and
// returns nothing if it ran to its end.
func runTiny(ctx context.Context, arch *elfmagic.Arch, way string) failure {
	ctx, cancel := context.WithTimeoutCause(ctx, tinyelf.Timeout, fmt.Errorf("it did not end within %v", tinyelf.Timeout))
	defer cancel()
	content, err := tinyelf.Program(arch)
	if err != nil {
		return failure{Error: err.Error()}
	}
	path, inherited, remove, err := tinyFile(content)
	if err != nil {
		return failure{Error: err.Error()}
	}
	defer remove()
	self, err := os.Executable()
	if err != nil { // there is no /proc
		self, err = exec.LookPath(os.Args[0])
	}
	if err != nil {
		return failure{Error: err.Error()}
	}
	args := []string{path}
	if way != firstWay {
		args = []string{way, path}
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = name
	cmd.ExtraFiles = inherited
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(""), &stdout, &stderr // there may be no /dev/null
	err = cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == tinyelf.ExitCode {
		return failure{}
	}
	if why := hear(stderr.String(), path); why.Error != "" {
		return why
	}
	return failure{Error: fmt.Sprint(cmp.Or(context.Cause(ctx), err, errors.New("it ended too early")))}
}

// tinyFile returns the path of a program, for a process that inherits the files, and what
// removes it: a file in memory where there is /proc, so that it can be executed even if
// nothing on disk can be.
func tinyFile(content []byte) (path string, inherited []*os.File, remove func(), err error) {
	f, err := file.Memory("tiny", content)
	if err != nil {
		return "", nil, nil, err
	}
	if _, err := os.Stat("/proc/self/fd"); err == nil {
		return "/proc/self/fd/3", []*os.File{f}, func() { f.Close() }, nil
	}
	f.Close()
	if f, err = os.CreateTemp("", "crossrun-doctor-"); err != nil {
		return "", nil, nil, err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o755), f.Close()); err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), nil, func() { os.Remove(f.Name()) }, err
}

// hear returns what this command, or an emulator, said of a program.
func hear(stderr, path string) failure {
	var s failure
	last := ""
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		last = cmp.Or(line, last)
		if text, ok := strings.CutPrefix(line, name+": error: "); ok {
			s.Error = cmp.Or(s.Error, strings.TrimPrefix(text, path+": "))
		}
		if text, ok := strings.CutPrefix(line, name+": hint: "); ok {
			s.Hint = cmp.Or(s.Hint, text)
		}
	}
	s.Error = cmp.Or(s.Error, last)
	return s
}

// restrictions are what keeps this process from what others may do.
func restrictions(s host.Surroundings) []string {
	var list []string
	for _, r := range []struct {
		is   bool
		text string
	}{
		{s.UID == 0, "user 0"},
		{s.UID != 0, "an ordinary user"},
		{!s.InitialUser, "in a user namespace"},
		{!s.InitialPID, "in a container, or another PID namespace"},
		{s.Seccomp, "system calls are filtered (seccomp)"},
		{s.AppArmor != "" && s.AppArmor != "unconfined", "AppArmor: " + s.AppArmor},
		{s.SELinux != "", "SELinux: " + s.SELinux},
		{unix.Access("/proc/self/exe", unix.F_OK) != nil, "without /proc"},
	} {
		if r.is {
			list = append(list, cli.Visible(r.text))
		}
	}
	return list
}

// text is the diagnosis in words.
func (d *diagnosis) text(s cli.Screen) string {
	columns := cmp.Or(s.Columns, 80)
	var b strings.Builder
	title := func(text string) { fmt.Fprintf(&b, "\n%s\n", s.Paint(cli.Title, text)) }
	item := func(colour, label, text string) {
		const width = 15
		fmt.Fprintf(&b, "  %s%s%s\n", s.Paint(colour, label), strings.Repeat(" ", max(1, width-len(label)-2)), cli.Wrap(text, columns, width))
	}
	fmt.Fprintln(&b, cli.Wrap(fmt.Sprintf("%s on Linux %s, %s: %s", d.Version, d.Kernel, d.Host, strings.Join(d.Restrictions, ", ")), columns, 0))

	title("What runs here")
	item(cli.Good, "by itself", strings.Join(d.Native, ", "))
	registered, byCrossrun, missing, failing := d.sorted()
	item(colourOf(len(registered) > 0), "registered", none(registered, "nothing: no entry of the kernel's runs another architecture's programs"))
	colour := colourOf(len(byCrossrun) > 0)
	if len(byCrossrun) == 0 && len(registered) > 0 {
		colour = cli.Quiet
	}
	item(colour, "by crossrun", none(byCrossrun, "nothing more"))
	for _, set := range d.emulators() {
		item("", "emulators", set)
	}
	for _, line := range emulator.FaultLines(d.faults()) {
		item("", "faults", line)
	}
	if len(missing) > 0 {
		item(cli.Quiet, "no emulator", strings.Join(missing, ", "))
	}
	for _, a := range failing {
		item(cli.Bad, strings.TrimPrefix(a.Platform, "linux/"), a.Why.Error)
	}

	title("How crossrun runs them: the first of these that works")
	for _, w := range d.Ways {
		text := "works, for what the program starts, too"
		switch {
		case !w.Runs:
			text = "no: " + w.Why.Error
		case w.Flag == byKernel:
			text = "works, and what the program starts does if it is registered"
		case w.Flag == byEmulator:
			text = "works, but what the program starts is left to the kernel"
		}
		item(colourOf(w.Runs), w.Flag, text)
	}
	if len(d.Ways) == 0 {
		item(cli.Bad, "none", "there is no emulator to try them with")
	}

	title("What to do")
	for _, advice := range d.advice() {
		fmt.Fprintf(&b, "  %s\n", cli.Wrap(advice, columns, 2))
	}
	title("To report a fault")
	fmt.Fprintf(&b, "  %s\n", cli.Wrap("paste all of this, what crossrun -v PROGRAM says, and what register --facts prints.", columns, 2))
	return b.String()
}

func colourOf(good bool) string {
	if good {
		return cli.Good
	}
	return cli.Bad
}

func none(list []string, otherwise string) string {
	return cmp.Or(strings.Join(list, ", "), otherwise)
}

// sorted returns the architectures by what came of them.
func (d *diagnosis) sorted() (registered, byCrossrun, missing []string, failing []diagnosed) {
	for _, a := range d.Archs {
		switch {
		case a.Registered:
			registered = append(registered, a.Platform)
		case a.Runs:
			byCrossrun = append(byCrossrun, a.Platform)
		case a.Missing:
			missing = append(missing, a.Platform)
		default:
			failing = append(failing, a)
		}
	}
	return registered, byCrossrun, missing, failing
}

// emulators says which there are, and of how many architectures each set is.
func (d *diagnosis) emulators() []string {
	var sets []string
	of := make(map[string]int)
	for _, a := range d.Archs {
		if a.Emulator == "" {
			continue
		}
		if of[a.Emulator]++; of[a.Emulator] == 1 {
			sets = append(sets, a.Emulator)
		}
	}
	for i, set := range sets {
		sets[i] = fmt.Sprintf("%s (%d)", set, of[set])
	}
	return sets
}

// faults are those of the emulators that were found, by version.
func (d *diagnosis) faults() (list []emulator.VersionFaults) {
	for _, a := range d.Archs {
		if arch, err := elfmagic.Lookup(a.Platform); err == nil {
			list = emulator.AddFaults(list, arch, a.Version)
		}
	}
	return list
}

// advice is what to do, what matters most first.
func (d *diagnosis) advice() []string {
	var list []string
	registered, byCrossrun, missing, failing := d.sorted()
	if len(missing) > 0 {
		what := "Emulators are missing for some architectures; if you need one: "
		if len(registered)+len(byCrossrun)+len(failing) == 0 {
			what = "There are no emulators: "
		}
		list = append(list, what+emulator.HowToInstall()+".")
	}
	working := func(flag string) bool {
		return slices.ContainsFunc(d.Ways, func(w tried) bool { return w.Flag == flag && w.Runs })
	}
	trees := working(byKernel) || working(byInstance) || working(byHelper) || working(byWatch)
	if working(byEmulator) && !trees {
		list = append(list, "What a foreign program starts does not run here. Root can change that for all: register.")
	}
	if !trees {
		for _, w := range d.Ways {
			if w.Why.Hint != "" && w.Flag != byKernel {
				list = append(list, fmt.Sprintf("For %s: %s.", w.Flag, w.Why.Hint))
			}
		}
	}
	for _, a := range failing {
		if a.Why.Hint != "" {
			list = append(list, fmt.Sprintf("For %s: %s.", a.Platform, a.Why.Hint))
		}
	}
	if len(registered) == 0 && len(byCrossrun) > 0 {
		list = append(list, "To run programs without typing crossrun, as root: register.")
	}
	if len(registered)+len(byCrossrun) == 0 && len(failing) > 0 {
		list = append(list, "There are emulators, and none works: start one by itself to see why (qemu-aarch64-static --version).")
	}
	if len(list) == 0 {
		list = append(list, "Nothing: programs of other architectures run as if they were this machine's.")
	}
	return list
}
