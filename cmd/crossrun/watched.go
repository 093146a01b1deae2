package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/internal/watch"
)

// watchedWay runs a program with all that it starts under a supervisor, which executes
// the emulators.
func watchedWay(w *way, p *program, o *options, f *facts) {
	w.path, w.argv = p.path, p.argv
	if binary := p.binary(); binary.elfErr != nil {
		w.err = unusable(binary)
		return
	}
	if o.asked == byWatch && f.pin == "" && watch.Watched() {
		// What is asked for is so: as in an image whose entry point is crossrun.
		w.inTree(p, f)
		w.supervised, w.why = true, "the supervisor that watches this process watches it, too, and what it starts"
		return
	}
	if f.foreign != nil && !f.starts {
		if _, err := f.emulator(); err != nil {
			w.err = err
			return
		}
	}
	if f.watched != nil {
		if err := f.watched(); err != nil {
			w.err, w.tried = notWatched(p, err), true
		}
	}
}

// notWatched says why a program is not watched.
func notWatched(p *program, err error) error {
	return cannot(fmt.Errorf("%s: cannot be watched: %w", p.path, err))
}

// watchable returns an error if it can be seen that nothing can be watched here.
func watchable() error {
	if watch.Watched() {
		return errors.New("a supervisor of crossrun's watches this process already, and has what it executes emulated")
	}
	return watch.Check()
}

// startWatched runs the program so. It returns only if that cannot be.
func (w *way) startWatched(p *program, f *facts, o *options, tell func()) error {
	if err := watchable(); err != nil {
		return err
	}
	sysroot := ""
	if f.started != "" {
		sysroot = "=" + f.started
	} else if o.sysroot != "" {
		dir, err := filepath.Abs(o.sysroot)
		if err != nil {
			return err
		}
		sysroot = p.binary().header.Arch.Name + "=" + dir
	}
	w.why = "a supervisor has emulators executed for it, and for what it starts"
	w.keepTranslations(o)
	return w.runWatched(watchedState(sysroot, entry.Ignored(), nil), changed(changed(os.Environ(), w.changes), w.env), tell)
}

// watchedState is what a supervisor has to know: a sysroot, ARCH=DIR, or =DIR of whichever
// architecture has its loader there, or settings; and the signals that the program is to ignore.
func watchedState(sysroot string, ignored uint64, kept settings) string {
	return fmt.Sprintf("%q\n%x\n%s", sysroot, ignored, kept)
}

// parseState is its inverse.
func parseState(state string) (sysroot string, ignored uint64, kept settings, err error) {
	lines := strings.SplitN(state, "\n", 3)
	if len(lines) < 3 {
		return "", 0, nil, fmt.Errorf("a supervisor's state: %q", state)
	}
	if ignored, err = strconv.ParseUint(lines[1], 16, 64); err != nil {
		return "", 0, nil, err
	}
	if sysroot, err = strconv.Unquote(lines[0]); err != nil {
		return "", 0, nil, fmt.Errorf("a supervisor's state: %q: %w", state, err)
	}
	kept, err = parseSettings(lines[2])
	return sysroot, ignored, kept, err
}

// runWatched runs the program so, with an environment and a state of configureWatched's.
func (w *way) runWatched(state string, env []string, tell func()) error {
	supervised, err := configureWatched(state)
	if err != nil {
		return err
	}
	return watch.Run(supervised, state, w.path, w.argv, env, tell)
}

// mayStart reports whether a native program is to be watched for what it starts: not
// every architecture that people build for (that Go does) has an entry in the kernel
// that can be seen here, or one has a setting, of which entries know nothing; and nobody
// watches this process already.
func mayStart() bool {
	if isSet("") {
		return !watch.Watched()
	}
	own := append(host.Relatives(native()), native())
	entries, _ := binfmt.New("").List()
	served := func(arch *elfmagic.Arch) bool {
		return slices.ContainsFunc(entries, func(e binfmt.Entry) bool { return !e.Disabled && e.Matches(arch.Heads()[0], "") })
	}
	return slices.ContainsFunc(elfmagic.Archs(), func(arch *elfmagic.Arch) bool {
		return arch.GOARCH != "" && !slices.Contains(own, arch) && !served(arch)
	}) && !watch.Watched()
}

// supervised says that this process is watched already, if it is, for a program that
// is foreign.
func supervised(foreign *elfmagic.Arch) string {
	if foreign != nil && watch.Watched() {
		return "the supervisor that watches this process has it emulated"
	}
	return ""
}

func native() *elfmagic.Arch {
	arch, _ := elfmagic.Lookup(runtime.GOARCH) // this program was built for it
	return arch
}

// emulations are what a supervisor knows: the settings of the environment, and what
// costs time to find out, once.
type emulations struct {
	native   *elfmagic.Arch            // relatives of it, which not each kernel runs, are asked for
	sysroot  map[*elfmagic.Arch]string // that the command line names,
	started  string                    // or that it names of what a native program starts
	mutex    sync.Mutex
	archs    map[*elfmagic.Arch]*emulated
	sysroots map[string]string // found, by architecture and loader
}

// emulated is how an architecture's programs run.
type emulated struct {
	sync.Once
	kernel   bool // by an entry
	emulator *emulator.Emulator
	file     *os.File
	cpu      []string // flags
	err      error
}

// configureWatched returns what a supervisor does, of what watchedState returns.
func configureWatched(state string) (*watch.Options, error) {
	named, ignored, kept, err := parseState(state)
	if err != nil {
		return nil, err
	}
	if err := kept.apply(); err != nil {
		return nil, err
	}
	w := &emulations{native: native(),
		sysroot: make(map[*elfmagic.Arch]string), archs: make(map[*elfmagic.Arch]*emulated), sysroots: make(map[string]string)}
	if name, dir, found := strings.Cut(named, "="); found && name == "" {
		w.started = dir
	} else if found {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			return nil, err
		}
		w.sysroot[arch] = dir
	}
	return &watch.Options{
		Native: w.runsItself, Script: parseScript, Emulate: w.emulate,
		Begin: func() { ignore(ignored) },
		Refused: func(path string, err error) int {
			cli.Error(os.Stderr, name, withoutDevFD(withoutExec(fmt.Errorf("%s: %w", path, err), path)))
			if errors.Is(err, fs.ErrNotExist) {
				return exitNotFound
			}
			return exitCannot
		},
		Say: func(err error) { cli.Error(os.Stderr, name, err) },
	}, nil
}

// withoutDevFD adds what can be done to an error that TOMOYO makes, which Debian's kernels
// before 6.1 have: it looks for the name of each program, and that of a descriptor is
// in /dev/fd.
func withoutDevFD(err error) error {
	if _, statErr := os.Stat("/dev/fd"); errors.Is(err, fs.ErrNotExist) && statErr != nil {
		return cli.WithHint(err, "there is no /dev/fd, without which some kernels execute nothing by a descriptor: ln -s /proc/self/fd /dev/fd")
	}
	return err
}

// runsItself reports whether the kernel is to do with a file as it likes: it is for
// the host, or no program at all.
func (w *emulations) runsItself(head []byte) bool {
	header, err := elfmagic.ParseHeader(head)
	return err != nil || header.Arch == w.native
}

// emulate finds what a program runs with.
func (w *emulations) emulate(p *watch.Program) (*watch.Emulation, error) {
	header, err := elfmagic.ParseHeader(p.Head)
	if err != nil {
		return nil, nil
	}
	arch := header.Arch
	by := w.of(arch)
	if by.err != nil {
		return nil, by.err
	}
	binary := &program{path: p.Path, header: header}
	segments, err := header.Segments(p.File)
	if err == nil {
		binary.interp, err = elfmagic.Interp(p.File, segments)
	}
	if err != nil {
		return nil, err
	}
	root, err := w.sysrootOf(binary, p.Root)
	if err != nil && (by.emulator == nil || by.emulator.IsQEMU()) {
		return nil, fmt.Errorf("%w (%w)", err, syscall.ENOENT)
	}
	if by.kernel && root == "" {
		return nil, nil
	}
	if by.emulator == nil {
		return nil, fmt.Errorf("the kernel's entry runs it, and cannot be told of the libraries in %s", root)
	}
	e := &watch.Emulation{Path: by.emulator.Path, Name: cmp.Or(by.emulator.Path, emulator.EntryName(arch))}
	if by.file != nil && (p.Root != "" || by.emulator.Embedded != nil || int(p.UID) != os.Geteuid()) {
		e.Path, e.File = "", by.file
	}
	if by.emulator.IsQEMU() {
		e.Argv0Flag = "-0"
		e.Flags = by.cpu
		if root != "" {
			// What the caller's variable says has no loader for it, or comes after what was named.
			e.Defaults = []watch.Default{{Variable: "QEMU_LD_PREFIX", But: os.Getenv("QEMU_LD_PREFIX"), Flags: []string{"-L", root}}}
		}
	}
	return e, nil
}

// of finds out how an architecture's programs run, once it can.
func (w *emulations) of(arch *elfmagic.Arch) *emulated {
	w.mutex.Lock()
	by := w.archs[arch]
	if by == nil {
		by = new(emulated)
		w.archs[arch] = by
	}
	w.mutex.Unlock()
	by.Do(func() { by.err = by.find(arch) })
	if tinyelf.NotStarted(by.err) { // the next program may find out
		w.mutex.Lock()
		delete(w.archs, arch)
		w.mutex.Unlock()
	}
	return by
}

func (by *emulated) find(arch *elfmagic.Arch) error {
	pin, _ := setting(arch, "EMULATOR")
	var untried error
	cpu := namedCPU(arch)
	if pin == "" && cpu == "" {
		if program, err := tinyelf.Program(arch); err == nil {
			err = tinyelf.Run(context.Background(), program, nil)
			if by.kernel = err == nil; tinyelf.NotStarted(err) {
				untried = err
			}
		}
	}
	found, err := findEmulator(new(options), arch)
	if err != nil {
		if by.kernel {
			return nil
		}
		return errors.Join(untried, err)
	}
	by.emulator = found
	if found.Embedded == nil {
		if found.Path, err = filepath.Abs(found.Path); err != nil {
			return err
		}
	}
	// One that has a path may be executable and not readable.
	if by.file, _, err = openEmulator(found); err != nil && found.Embedded != nil {
		return err
	}
	if cpu != "" {
		by.cpu = []string{"-cpu", cpu}
	} else if faster := found.FasterCPU(); faster != "" && os.Getenv("QEMU_CPU") == "" {
		by.cpu = []string{"-cpu", faster}
	}
	return nil
}

// sysrootOf returns the sysroot of a program, which may be in another root directory.
func (w *emulations) sysrootOf(p *program, root string) (string, error) {
	arch := p.header.Arch
	if p.interp == "" {
		return "", nil
	}
	if root != "" {
		return w.sysrootIn(root, p)
	}
	key := arch.Name + " " + p.interp
	w.mutex.Lock()
	found, ok := w.sysroots[key]
	w.mutex.Unlock()
	if ok {
		return found, nil
	}
	flag := w.sysroot[arch]
	if w.started != "" && hasLoader(w.started, p) {
		flag = w.started
	}
	named, err := namedSysroot(flag, arch)
	if err == nil {
		found, err = sysroot(p, named)
	}
	if err == nil {
		w.mutex.Lock()
		w.sysroots[key] = found
		w.mutex.Unlock()
	}
	return found, err
}

// sysrootIn is sysrootOf for a program in another root directory, as it is called there:
// that of another system, or this one's with other mounts, in which what was named may be.
func (w *emulations) sysrootIn(root string, p *program) (string, error) {
	arch := p.header.Arch
	_, named := setting(arch, "SYSROOT")
	for _, dir := range []string{w.started, cmp.Or(w.sysroot[arch], named)} {
		if filepath.IsAbs(dir) && hasLoaderIn(root, dir, p) {
			return dir, nil
		}
	}
	prefix := os.Getenv("QEMU_LD_PREFIX")
	if filepath.IsAbs(prefix) && hasLoaderIn(root, prefix, p) || hasLoaderIn(root, "/", p) {
		return "", nil
	}
	for _, dir := range systemRoots(filepath.Join(root, "usr"), arch) {
		if dir = strings.TrimPrefix(dir, root); hasLoaderIn(root, dir, p) {
			return dir, nil
		}
	}
	return "", missingLoader(p, "/")
}

// hasLoaderIn is hasLoader for a sysroot in a directory that is a root: links stay below it.
func hasLoaderIn(root, sysroot string, p *program) bool {
	fd, err := openWithin(root, filepath.Join(sysroot, p.interp))
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	at := &program{interp: fmt.Sprintf("/proc/self/fd/%d", fd), header: p.header}
	return hasLoader("/", at)
}
