package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// A launch is what execve is called with, and why.
type launch struct {
	path string
	argv []string
	env  []string // additions to the caller's environment
	why  string

	// image is the emulator that is executed in path's place, if one is carried,
	// and carried says which.
	image   *carry.Image
	carried string

	emulator *emulator.Emulator // if it is known which one runs the program
}

// String returns the launch as a command that a shell would run. It has the
// program's path where the program gets argv[0]: the two end alike.
func (l launch) String() string {
	var words []string
	for _, v := range l.env {
		key, value, _ := strings.Cut(v, "=")
		words = append(words, key+"="+cli.Quote(value))
	}
	words = append(words, cli.Quote(l.path))
	for _, arg := range l.argv[1:] {
		words = append(words, cli.Quote(arg))
	}
	line := strings.Join(words, " ")
	if l.carried != "" {
		line += " # " + l.carried
	}
	return line
}

// exec replaces this process. It returns only if the kernel refuses.
func (l launch) exec() error {
	env := append(os.Environ(), l.env...)
	if l.image != nil {
		return file.Exec(l.image.File, l.argv, env)
	}
	return syscall.Exec(l.path, l.argv, env)
}

// crossrun runs the program that the options name, or prints how.
func crossrun(o *options, stdout, stderr io.Writer) error {
	if o.sysroot != "" {
		if err := existingDirectory("--sysroot", o.sysroot); err != nil {
			return err
		}
	}
	if !o.print {
		if err := o.start(); err != nil {
			return err
		}
	}
	path, err := find(o.args)
	if err != nil {
		return err
	}
	p, err := inspect(path, o.args, 0)
	if err != nil {
		return err
	}
	native, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return err
	}
	binary := p.binary()
	foreign := binary.elfErr == nil && binary.header.Arch != native

	mode, err := o.mode()
	if err != nil {
		return err
	}
	var root string
	var rootErr error
	if foreign || mode == byEmulator {
		named := o.sysroot
		if named == "" && binary.elfErr == nil {
			if named, err = settings(binary.header.Arch).sysroot(); err != nil {
				return err
			}
		}
		root, rootErr = sysroot(binary, named)
	}
	l := launch{path: p.path, argv: p.argv, why: "the kernel runs it"}
	if foreign {
		if root != "" {
			l.env = []string{"QEMU_LD_PREFIX=" + root}
		}
		l.env = append(l.env, settings(binary.header.Arch).cpu()...)
	}
	l.env = append(l.env, o.variables()...)
	tell := func(l launch) { say(stderr, o, p, l) }

	if mode == firstWay || mode == byKernel {
		if o.print || o.verbose {
			// What execve finds out by itself is looked up to be shown.
			why, runs := kernelRuns(binary, native)
			if l.why = why; runs && o.print {
				return show(l, stdout)
			}
			if runs && rootErr == nil {
				tell(l)
			}
		}
		// Entries need not be visible here: in a container they are not.
		if rootErr == nil && !o.print {
			if err := l.exec(); !fallsBack(err, foreign) {
				return refused(p, err)
			}
		}
		if mode == byKernel && rootErr == nil {
			return cannot(cli.WithHint(fmt.Errorf("%s: the kernel has no enabled entry for it", p.path), "as root: register; without --kernel it is run all the same"))
		}
	}
	if binary.elfErr != nil && mode != byInstance {
		return unusable(p, binary)
	}
	if rootErr != nil {
		return cannot(rootErr)
	}
	var privateErr error
	if mode == byInstance || mode == firstWay {
		var arch *elfmagic.Arch // that an emulator must be there for
		if foreign {
			arch = binary.header.Arch
		}
		if o.print {
			var i *instance
			if i, privateErr = prepare(arch, root, instanceOptions{}, nil); privateErr == nil {
				i.Close()
				l = l.privately()
				l.carried = describe(arch)
				return show(l, stdout)
			}
		} else {
			privateErr = l.private(arch, root, tell)
		}
		if mode == byInstance {
			return cannot(fmt.Errorf("%s: %w", p.path, privateErr))
		}
	}
	l, err = emulate(o, binary, root, native)
	if err != nil {
		return err
	}
	if privateErr != nil {
		l.why += fmt.Sprintf("; only the program itself is emulated, not what it starts: %v", privateErr)
		if hint := cli.Hint(privateErr); hint != "" {
			l.why += " (" + hint + ")"
		}
	}
	if o.print {
		return show(l, stdout)
	}
	tell(l)
	return cannot(fmt.Errorf("%s: %w", l.path, l.exec()))
}

// fallsBack reports whether the emulator is to be tried after execve failed.
// ENOEXEC: nobody takes the program. ENOENT, for a foreign one that is there:
// the kernel's entry has no F flag, and its interpreter is not there. (A
// foreign program's missing loader never shows so: its emulator was found.)
func fallsBack(err error, foreign bool) bool {
	return errors.Is(err, syscall.ENOEXEC) || foreign && errors.Is(err, syscall.ENOENT)
}

// refused explains why execve refused a program.
func refused(p *program, err error) error {
	binary := p.binary()
	if errors.Is(err, syscall.ENOENT) && binary.interp != "" {
		return cannot(missingLoader(binary, "/"))
	}
	return cannot(fmt.Errorf("%s: %w", p.path, err))
}

// unusable explains why a file is no program that could be emulated.
func unusable(p, binary *program) error {
	var unknown *elfmagic.UnknownMachineError
	err := fmt.Errorf("%s: %w", binary.path, binary.elfErr)
	switch {
	case errors.As(binary.elfErr, &unknown):
		err = cli.WithHint(err, "QEMU cannot run such programs for a user; register --help lists nothing for it either")
	case errors.Is(binary.elfErr, elfmagic.ErrNotELF):
		err = cli.WithHint(err, "nor is it a script with a #! line, and the kernel has no entry for such files; file(1) may know what it is")
	case errors.Is(binary.elfErr, elfmagic.ErrTruncated):
		err = cli.WithHint(err, "copy or build it again")
	}
	return cannot(err)
}

// kernelRuns looks up whether execve will take the program, and why. It is
// what --print and --verbose show; execve itself decides.
func kernelRuns(binary *program, native *elfmagic.Arch) (why string, ok bool) {
	head := make([]byte, elfmagic.KernelWindow)
	if f, err := os.Open(binary.path); err == nil {
		n, _ := f.ReadAt(head, 0)
		head = head[:n]
		f.Close()
	}
	entries, _ := binfmt.New("").List()
	for _, e := range entries {
		if !e.Disabled && e.Matches(head, binary.path) {
			return fmt.Sprintf("the kernel's entry %s runs it with %s", e.Name, e.Interpreter), true
		}
	}
	if binary.elfErr == nil && binary.header.Arch == native {
		return "it is for this host", true
	}
	return "", false
}

// emulate returns the launch that runs the program with an emulator.
func emulate(o *options, binary *program, root string, native *elfmagic.Arch) (launch, error) {
	arch := binary.header.Arch
	found, err := findEmulator(o, arch, native)
	if err != nil {
		return launch{}, err
	}
	path := found.Path
	if found.Carried != nil {
		path = emulator.EntryName(arch)
	}
	argv := []string{path}
	if isQEMU(path) {
		argv = append(argv, "-0", binary.argv[0])
		if root != "" {
			argv = append(argv, "-L", root)
		}
		if o.cpu != "" {
			argv = append(argv, "-cpu", o.cpu)
		}
		if o.gdb != "" {
			argv = append(argv, "-g", o.gdb)
		}
	} else {
		for flag, value := range map[string]string{"--cpu": o.cpu, "--gdb": o.gdb} {
			if value != "" {
				return launch{}, fmt.Errorf("%s: %s does not look like one of QEMU's emulators", flag, path)
			}
		}
	}
	program := binary.path
	if strings.HasPrefix(program, "-") {
		program = "./" + program
	}
	why := "no entry in the kernel is for it"
	switch {
	case o.emulator != "":
		why = "--emulator names it"
	case o.cpu != "":
		why = "--cpu asks for emulation"
	case o.direct:
		why = "--direct asks for it"
	}
	l := launch{path: path, argv: append(append(argv, program), binary.argv[1:]...), why: why, emulator: found}
	if found.Carried != nil {
		l.carried = found.Carried.Describe()
		if o.print {
			return l.directly(o, program, binary.argv[1:])
		}
		if l.image, err = found.Carried.Open(carry.UserCache()); err != nil {
			return launch{}, cannot(err)
		}
		l.carried += ", in " + l.image.Where
	}
	if o.cpu == "" {
		l.env = settings(arch).cpu()
	}
	l.env = append(l.env, o.variables()...)
	return l, nil
}

// findEmulator returns the emulator that the options name, or that is
// installed for the architecture.
func findEmulator(o *options, arch, native *elfmagic.Arch) (*emulator.Emulator, error) {
	var named string
	var err error
	if o.emulator != "" {
		named, err = namedEmulator("--emulator "+o.emulator, o.emulator)
	} else {
		named, err = settings(arch).emulator()
	}
	switch {
	case err != nil:
		return nil, err
	case named != "":
		return &emulator.Emulator{Arch: arch, Path: named}, nil
	}
	search := emulator.Search{Carry: carry.Embedded(), Dirs: emulator.DefaultDirs(), Native: []*elfmagic.Arch{native}}
	found, err := search.Locate(arch)
	if err != nil {
		return nil, cannot(err)
	}
	return found, nil
}

// isQEMU reports whether an emulator takes QEMU's flags.
func isQEMU(path string) bool {
	return strings.HasPrefix(filepath.Base(path), "qemu-")
}

// show prints a launch as --print has it.
func show(l launch, stdout io.Writer) error {
	_, err := fmt.Fprintln(stdout, l)
	return err
}

// say tells what is about to be run, if that is wanted.
func say(stderr io.Writer, o *options, p *program, l launch) {
	if !o.verbose {
		return
	}
	binary := p.binary()
	what := "not an ELF file"
	if binary.elfErr == nil {
		what = binary.header.Arch.Platform()
		if binary.interp == "" {
			what += ", static"
		} else {
			what += ", needs " + binary.interp
		}
	}
	if binary != p {
		what = "script for " + binary.path + ", " + what
	}
	fmt.Fprintf(stderr, "%s: %s: %s\n", name, p.path, what)
	fmt.Fprintf(stderr, "%s: %s: %s\n", name, l.why, l)
	if l.emulator == nil || l.carried != "" {
		return
	}
	// Opened again: which version it is costs time, and is for this line only.
	if e, err := emulator.Open(l.emulator.Arch, l.emulator.Path); err == nil && e.Version != "" {
		fmt.Fprintf(stderr, "%s: %s: QEMU %s\n", name, e.Path, e.Version)
	}
}
