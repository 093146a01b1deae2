package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/internal/file"
)

// helperName is argv[0] of this command when one of our emulators executes it for
// a program that the kernel refuses (image/qemu/patches/90-exec.patch).
const helperName = "exec-helper"

// A handing is what an emulator is given so that it hands on what the kernel
// refuses to execute.
type handing struct {
	helper  int      // descriptor of this command, or -1 if it is to be opened
	program int      // descriptor of the program, or -1 if its path is enough
	comm    string   // the process's name
	ignored uint64   // signals, of which Go's run time keeps only two so
	environ []string // the program's environment
	kept    settings
}

// handedOnWay is the direct way, with an emulator that hands on what it starts.
func handedOnWay(w *way, p *program, o *options, f *facts) {
	directWay(w, p, o, f)
	if w.err != nil {
		return
	}
	if !w.emulator.HandsOn() {
		w.err = cannot(cli.WithHint(fmt.Errorf("%s: this emulator does not hand on what it starts", w.emulator.Name()), "those that make emulators builds do, Debian's do not"))
		return
	}
	w.handing = &handing{helper: -1, program: -1, ignored: entry.Ignored(), comm: filepath.Base(p.path), environ: changed(os.Environ(), w.changes), kept: keep(w.emulator.Arch, o)}
	w.why += ", and it hands on what it starts"
	// Flags, as the guest may clear its environment.
	var flags []string
	if o.cpu == "" && f.cpu != nil {
		flags = []string{"-cpu", strings.TrimPrefix(f.cpu[0], "QEMU_CPU=")}
		w.env = w.env[len(f.cpu):]
	}
	if o.strace {
		flags = append(flags, "-strace")
	}
	w.argv = slices.Insert(w.argv, 1, flags...)
}

// execHandedOn replaces this process by the emulator. It returns only if that
// cannot be.
func (w *way) execHandedOn(tell func()) error {
	program, err := w.openEmulator()
	if err != nil {
		return err
	}
	defer program.Close()
	h := w.handing
	var command *os.File
	if h.helper < 0 {
		if command, err = openSelf(); err != nil {
			return err
		}
		defer command.Close()
	}
	var native []string
	if watchable() == nil {
		native = []string{"-exec-native"} // this command watches what they start
	}
	tell()
	restoreLimit()
	opened := descriptors{least: highestInFirst}
	if ownDescriptors() {
		opened.least = highest
	}
	defer opened.close()
	self, err := opened.add(int(program.Fd()))
	if err != nil {
		return err
	}
	helper := h.helper
	if helper < 0 {
		if helper, err = opened.add(int(command.Fd())); err != nil {
			return err
		}
	}
	ignore(h.ignored)
	argv := slices.Insert(slices.Clone(w.argv), 1, append(native, "-exec-data", h.kept.String(),
		"-exec-helper", fmt.Sprintf("%d,%d,%d,%s", helper, self, h.program, h.comm))...)
	return file.Exec(program, argv, changed(h.environ, w.env))
}

// openSelf opens this command's file. Where there is no /proc it is the one that the
// caller named.
func openSelf() (*os.File, error) {
	f, err := file.Open("/proc/self/exe")
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	path, lookErr := exec.LookPath(os.Args[0])
	if lookErr != nil {
		return nil, err
	}
	return file.Open(path)
}

// openEmulator opens the emulator's file.
func (w *way) openEmulator() (*os.File, error) {
	opened, where, err := openEmulator(w.emulator)
	if where != "" {
		w.comment += ", in " + where
	}
	return opened, err
}

// openEmulator opens an emulator's file, and says where that is if it is embedded.
func openEmulator(e *emulator.Emulator) (opened *os.File, where string, err error) {
	if e.Embedded == nil {
		opened, err = file.Open(e.Path)
		return opened, "", err
	}
	image, err := e.Embedded.Open(embedded.UserCache())
	if err != nil {
		return nil, "", err
	}
	return image.File, image.Where, nil
}

// restoreLimit puts back the limit of open files that Go has raised: syscall.Exec
// does, also if there is nothing to execute.
func restoreLimit() { _ = syscall.Exec("", nil, nil) }

// descriptors are those that an emulator inherits and its guest does not see.
type descriptors struct {
	least int // the lowest number that they have
	fds   []int
}

// Where they are, if the limit of open files allows it: out of the way of programs
// that use some number, and below what select(2) takes. As long as the kernel's table
// is shared by threads, to make it longer waits for all CPUs, for 10 ms at times
// (expand_fdtable in fs/file.c): then the numbers are those of the first table.
const (
	highest        = 1000
	highestInFirst = 60
)

// ownDescriptors gives this thread, which is about to execute something, a table of
// descriptors of its own. Container runtimes' seccomp profiles may deny that. What Go's
// run time opens afterwards, as for its poller, its other threads do not have: it ends
// the process when one uses that. Nothing but the system calls of add comes behind it.
func ownDescriptors() bool {
	runtime.LockOSThread()
	return unix.Unshare(unix.CLONE_FILES) == nil
}

// add duplicates a descriptor to a high number that stays open on exec.
func (d *descriptors) add(fd int) (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return -1, err
	}
	least := d.least
	if limit.Cur < uint64(least)+4 {
		least = int(limit.Cur) / 4 * 3
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, least)
	if err != nil {
		return -1, fmt.Errorf("a descriptor for the emulator's use: %w", err)
	}
	d.fds = append(d.fds, high)
	return high, nil
}

func (d *descriptors) close() {
	for _, fd := range d.fds {
		_ = unix.Close(fd)
	}
}

// settings are what a tree of programs is run with, wherever in it the
// environment is cleared: variables, NAME=VALUE.
type settings []string

// straced is the setting of --strace: no variable.
const straced = "--strace"

// keep returns the settings of this process: of its environment, and of flags that
// are for all programs of the first one's architecture.
func keep(arch *elfmagic.Arch, o *options) settings {
	var kept settings
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "CROSSRUN_") || strings.HasPrefix(v, "PATH=") {
			kept = append(kept, v)
		}
	}
	if embedded.Emulators() != nil && os.Getenv(embedded.CacheVariable) == "" {
		kept = append(kept, embedded.CacheVariable+"="+cmp.Or(string(embedded.UserCache()), "off"))
	}
	if o.sysroot != "" {
		if dir, err := filepath.Abs(o.sysroot); err == nil {
			kept = append(kept, "CROSSRUN_SYSROOT_"+variableOf(arch.Name)+"="+dir)
		}
	}
	if o.strace {
		kept = append(kept, straced)
	}
	return append(kept, rootSetting())
}

// rootSetting says which directory is /: in a chroot it is another.
func rootSetting() string {
	var root unix.Stat_t
	_ = unix.Stat("/", &root)
	return fmt.Sprintf("--root %d %d", root.Dev, root.Ino)
}

// String returns the settings as one word.
func (s settings) String() string {
	var quoted []string
	for _, v := range s {
		quoted = append(quoted, strconv.Quote(v))
	}
	return strings.Join(quoted, "")
}

// parseSettings is the inverse of String.
func parseSettings(text string) (settings, error) {
	var s settings
	for text != "" {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("settings %q: %w", text, err)
		}
		v, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		s, text = append(s, v), text[len(quoted):]
	}
	return s, nil
}

// apply makes the settings this process's. What the program's environment has
// of ours goes before, but not its PATH: emulators are looked for where the first
// program's was.
func (s settings) apply() error {
	for _, v := range s {
		name, value, isVariable := strings.Cut(v, "=")
		if !isVariable {
			continue
		}
		if _, there := os.LookupEnv(name); there && name != "PATH" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// handOn becomes the emulator for a program that another one has not executed:
// args are its settings, two descriptors, the path and the arguments. It returns
// crossrun's exit status.
func handOn(args []string, stderr io.Writer) int {
	err := handOnTo(args)
	cli.Error(stderr, name, err)
	return statusMeant(err, exitCannot)
}

func handOnTo(args []string) error {
	h := handing{environ: os.Environ()}
	if len(args) < 3 {
		return errors.New("this name is for emulators' use")
	}
	if _, err := fmt.Sscanf(args[1], "%d,%d,%x", &h.helper, &h.program, &h.ignored); err != nil {
		return fmt.Errorf("descriptors %q: %w", args[1], err)
	}
	var err error
	if h.kept, err = parseSettings(args[0]); err != nil {
		return err
	}
	if err := h.kept.apply(); err != nil {
		return err
	}
	chroot := !slices.Contains(h.kept, rootSetting())
	if chroot { // nothing is put into another root file system
		if err := cmp.Or(os.Setenv(embedded.CacheVariable, "off"), os.Setenv(translationsVariable, "off")); err != nil {
			return err
		}
	}
	err = h.find(args[2], args[3:])
	if chroot && errors.Is(err, emulator.ErrMissing) {
		err = cli.WithHint(err, "in a chroot there are the emulators that are in it, and those that are embedded in a crossrun of make dist")
	}
	return err
}

// find finds out what a program is, and runs it.
func (h *handing) find(path string, argv []string) error {
	if len(argv) == 0 {
		argv = []string{""} // as Linux does since 5.18 (dcd46d897adb)
	}
	p, err := inspect("", path, argv, 0)
	if err != nil {
		return err
	}
	return h.run(p)
}

// run executes a program in this process's place.
func (h *handing) run(p *program) error {
	o := &options{asked: byHelper, strace: slices.Contains(h.kept, straced)}
	f, err := gather(p, o)
	if err != nil {
		return err
	}
	w := way{flag: byHelper}
	if f.foreign == nil && p.binary().elfErr == nil {
		w.asItIs(p, f)
		switch {
		case h.program >= 0 && p.script == nil: // a script would be opened by this number
			unix.CloseOnExec(h.program)
		case h.program < 0 && watchable() == nil:
			h.runWatched(&w)
		}
		return h.execDirectly(&w)
	}
	handedOnWay(&w, p, o, f)
	switch {
	case w.handing != nil:
		h.comm = w.handing.comm
		w.handing = h
		return cannot(fmt.Errorf("%s: %w", p.path, w.execHandedOn(func() {})))
	case w.emulator != nil: // not one of ours
		return h.execDirectly(&w)
	}
	return w.err
}

// runWatched has a supervisor see what a native program starts. It returns if that
// cannot be.
func (h *handing) runWatched(w *way) {
	h.keepFromProgram()
	_ = w.runWatched(h.state(), changed(h.environ, w.env), func() {})
}

// state is what a supervisor has to know.
func (h *handing) state() string { return watchedState("", h.ignored, h.kept) }

// keepFromProgram has what is open for emulators closed in the program.
func (h *handing) keepFromProgram() {
	if h.helper >= 0 {
		unix.CloseOnExec(h.helper)
	}
}

// execDirectly executes what hands on nothing.
func (h *handing) execDirectly(w *way) error {
	environ := changed(h.environ, w.env)
	h.keepFromProgram()
	ignore(h.ignored)
	if w.emulator == nil || w.emulator.Embedded == nil {
		return cannot(fmt.Errorf("%s: %w", w.path, syscall.Exec(w.path, w.argv, environ)))
	}
	program, err := w.openEmulator()
	if err != nil {
		return err
	}
	defer program.Close()
	return cannot(file.Exec(program, w.argv, environ))
}

// ignore has the kernel ignore signals, bit 0 is the first, behind the back of Go's
// run time: this process is about to be another program. What was blocked when it began is so
// again in this thread, which is to execute that.
func ignore(signals uint64) {
	runtime.LockOSThread()
	_, _ = entry.Block()
	// A struct sigaction of any architecture: SIG_IGN, and no flags and no mask.
	action := [8]uint64{1}
	for sig := 1; signals != 0; sig, signals = sig+1, signals>>1 {
		if signals&1 != 0 {
			_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
		}
	}
}

// withReports returns the arguments with which an emulator of ours says so when
// nobody runs what its program executes.
func (w *way) withReports() []string {
	if w.flag != byEmulator || w.emulator == nil || !w.emulator.HandsOn() {
		return w.argv
	}
	return slices.Insert(slices.Clone(w.argv), 1, "-exec-helper", "-1,-1,-1,")
}
