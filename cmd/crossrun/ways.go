package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"strings"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// How a program is run: each has the flag that asks for it.
const (
	firstWay   = ""            // the first of the next five that works
	byKernel   = "--kernel"    // by an entry in the kernel
	byInstance = "--private"   // in a private instance, with all that it starts
	byHelper   = "--handed-on" // by the emulator, which hands on what it starts
	byWatch    = "--watched"   // under a supervisor, with all that it starts
	byEmulator = "--direct"    // by the emulator, the first process only
	inRoot     = "--rootfs"    // in a private instance with another root file system
)

// A kind of way.
type kind struct {
	flag string
	set  func(*way, *program, *options, *facts)
}

// kinds are in the order in which they are tried.
var kinds = []kind{{byKernel, kernelWay}, {byInstance, privateWay}, {byHelper, handedOnWay}, {byWatch, watchedWay}, {byEmulator, directWay}, {inRoot, privateWay}}

// forStarters are the kinds for a native program that may start foreign ones: first the
// one that changes least of what the program sees, last the kernel's.
var forStarters = []kind{{byWatch, watchedWay}, {byInstance, privateWay}, {byKernel, kernelWay}}

// A way is one way of running a program: what execve is called with and why, or
// why it is unavailable.
type way struct {
	flag     string
	path     string
	argv     []string
	env      []string           // additions to the caller's environment
	changes  []string           // of it that the program's user asks for, as options.changes
	why      string             // it is done so
	emulator *emulator.Emulator // if it is known which one runs the program
	comment  string             // which emulator it is, if it is embedded
	handing  *handing           // what it is given to hand on what it starts, if it does

	supervised bool // who watches this process watches the program

	err   error
	tried bool // err was looked up, and may be wrong: who is to run the program, and not to show it, tries
}

// String returns the way as a command that a shell would run. It has the
// program's path where the program gets argv[0]: the two end alike.
func (w *way) String() string {
	var words []string
	for _, v := range w.env {
		key, value, _ := strings.Cut(v, "=")
		words = append(words, key+"="+cli.Quote(value))
	}
	words = append(words, cli.QuoteAll(append([]string{w.path}, w.argv[1:]...)))
	if w.comment != "" {
		words = append(words, "# "+w.comment)
	}
	return strings.Join(words, " ")
}

// ways returns the ways in which a program can be run, the first to be tried
// first: all, or the one that the options ask for. Nothing is executed; a fact
// that costs time is looked at when the way that depends on it is reached.
func ways(p *program, o *options, f *facts) iter.Seq[*way] {
	return func(yield func(*way) bool) {
		list := kinds
		if o.asked == firstWay && f.starts {
			list = forStarters
		}
		for _, k := range list {
			if o.asked != k.flag && (o.asked != firstWay || k.flag == inRoot) {
				continue
			}
			w := way{flag: k.flag, changes: o.changes}
			k.set(&w, p, o, f)
			if o.strace && w.handing == nil {
				w.env = append(w.env, "QEMU_STRACE=1")
			}
			if !yield(&w) {
				return
			}
		}
	}
}

func kernelWay(w *way, p *program, o *options, f *facts) {
	w.inTree(p, f)
	w.why = "the kernel runs it"
	if f.pin != "" {
		w.err = cannot(cli.WithHint(fmt.Errorf("%s names an emulator, and the kernel uses that of its entry", f.pin), "unset %s", f.pin))
		return
	}
	if f.entry != nil {
		// Entries need not be visible here: in a container they are not.
		if w.why = f.entry(); w.why == "" {
			w.err, w.tried = noEntry(p), true
		}
	}
}

// inTree is asItIs for a program that is executed where it may be watched.
func (w *way) inTree(p *program, f *facts) {
	w.asItIs(p, f)
	if f.foreign != nil {
		w.env = append(w.env, f.cpu...)
	}
	if !f.named && supervised(f.foreign) != "" {
		w.env = f.cpu // who watches finds the sysroots of all architectures: one for all would hide these
	}
}

func privateWay(w *way, p *program, o *options, f *facts) {
	w.asItIs(p, f)
	// What may only be executed the kernel opens for the emulator (flag O).
	if binary := p.binary(); binary.elfErr != nil && !errors.Is(binary.elfErr, fs.ErrPermission) && o.asked == firstWay {
		w.err = unusable(binary)
	} else if f.instance != nil {
		var err error
		if w.comment, err = f.instance(); err != nil {
			w.err, w.tried = noInstance(p, o, err), true
		}
	}
}

// noInstance says why a program is in no private instance.
func noInstance(p *program, o *options, err error) error {
	if o.asked == inRoot {
		return fmt.Errorf("--rootfs: %w", err)
	}
	return cannot(fmt.Errorf("%s: %w", p.path, err))
}

// directWay has QEMU's flags for what the options ask for.
func directWay(w *way, p *program, o *options, f *facts) {
	binary := p.binary()
	if binary.elfErr != nil {
		w.err = unusable(binary)
		return
	}
	found, err := f.emulator()
	if err != nil {
		w.err = err
		return
	}
	w.emulator, w.path, w.why = found, found.Path, "no entry in the kernel is for it"
	if o.by != "" {
		w.why = o.by + " asks for it"
	}
	if found.Embedded != nil {
		w.path, w.comment = emulator.EntryName(found.Arch), found.Embedded.Describe()
	}
	w.argv = []string{w.path}
	isQEMU := found.IsQEMU()
	if isQEMU {
		w.argv = append(w.argv, "-0", binary.argv[0])
	}
	cpu := o.cpu
	if isQEMU && !f.chosen {
		// As a flag: QEMU_CPU would be for the emulators of other architectures, too,
		// which end on a CPU that they do not know.
		if cpu = found.FasterCPU(); cpu != "" {
			w.why += "; with " + cpu + ", as this QEMU is slow at pointer authentication"
		}
	}
	for _, flag := range []struct{ ours, qemus, value string }{{"", "-L", f.sysroot}, {"--cpu", "-cpu", cpu}, {"--gdb", "-g", o.gdb}} {
		switch {
		case flag.value == "":
		case isQEMU:
			w.argv = append(w.argv, flag.qemus, flag.value)
		case flag.ours != "":
			w.err = fmt.Errorf("%s: %s does not look like one of QEMU's emulators", flag.ours, w.path)
		}
	}
	w.argv = append(append(w.argv, notAFlag(binary.path)), binary.argv[1:]...)
	if o.cpu == "" {
		w.env = f.cpu
	}
	if found.HandsOn() {
		w.keepTranslations(o)
	}
}

// notAFlag returns a path that no emulator takes for one of its flags.
func notAFlag(path string) string {
	if strings.HasPrefix(path, "-") {
		return "./" + path
	}
	return path
}

// asItIs has the program's own path and arguments, and where the emulator that
// somebody else starts for it finds libraries.
func (w *way) asItIs(p *program, f *facts) {
	w.path, w.argv = p.path, p.argv
	prefix := f.started
	if f.foreign != nil {
		prefix = f.sysroot
	}
	if prefix != "" {
		w.env = []string{"QEMU_LD_PREFIX=" + prefix}
	}
}

// printed returns the way as a command that does the same: nothing else runs in
// the private instance, and what is embedded has no path.
func (w *way) printed(p *program, o *options) *way {
	argv := []string{name, w.flag}
	if w.flag == inRoot {
		argv = append(argv, cmp.Or(o.archive, o.rootfs))
	}
	for _, named := range o.emulators {
		if named != o.emulator { // an architecture's
			argv = append(argv, "--emulator", named)
		}
	}
	if o.timeout > 0 {
		argv = append(argv, "--timeout", o.timeout.String())
	}
	if o.translations != "" {
		argv = append(argv, "--cache-translations="+o.translations)
	}
	switch {
	case w.flag == inRoot:
		if o.platform != "" {
			argv = append(argv, "--platform", o.platform)
		}
		for _, v := range o.setenv {
			argv = append(argv, "--setenv", v)
		}
		argv = append(argv, o.args[0])
	case w.flag == byWatch && o.sysroot != "":
		argv = append(argv, "--sysroot", o.sysroot, p.path)
	case w.flag == byInstance, w.flag == byWatch:
		argv = append(argv, p.path)
	case w.handing != nil:
		if o.strace {
			argv = append(argv, "--strace")
		}
		argv = append(argv, notAFlag(p.path))
	case o.timeout == 0 && (w.emulator == nil || w.emulator.Embedded == nil):
		return w
	default:
		if o.emulator != "" && w.flag == byEmulator {
			argv = append(argv, "--emulator", o.emulator)
		}
		for _, flag := range []struct{ name, value string }{{"--sysroot", o.sysroot}, {"--cpu", o.cpu}, {"--gdb", o.gdb}} {
			if flag.value != "" {
				argv = append(argv, flag.name, flag.value)
			}
		}
		argv = append(argv, notAFlag(p.path))
	}
	self, _ := os.Executable()
	return &way{path: cmp.Or(self, name), argv: append(argv, p.argv[1:]...), env: w.env, comment: w.comment}
}
