package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/internal/file"
)

// crossrun runs the program that the options name, or prints how.
func crossrun(o *options, stdout, stderr io.Writer) error {
	searched := "" // of the caller's PATH the library knows
	if o.rootfs != "" {
		searched = pathOf(rootEnvironment(os.Environ(), o.setenv))
	}
	path, err := find(o.rootfs, searched, o.args)
	if err != nil {
		return err
	}
	p, err := inspect(o.rootfs, path, o.args, 0)
	if err != nil {
		return err
	}
	f, err := gather(p, o)
	if err != nil {
		return err
	}
	return take(p, o, f, stdout, stderr)
}

// take runs the program in the first way that does not fall back, or prints the
// first that is available. If there is none, the error is that of the last way.
func take(p *program, o *options, f *facts, stdout, stderr io.Writer) error {
	if o.timeout > 0 && !o.print {
		if err := limit(o.timeout); err != nil {
			return err
		}
	}
	all := ways(p, o, f)
	var list []*way
	if o.verbose && !o.print {
		list = slices.Collect(all) // to be shown
		all = slices.Values(list)
	}
	var err, unavailable error
	for w := range all {
		if err = w.err; err != nil && (!w.tried || o.print) {
			continue
		}
		tell := func() { say(stderr, p, list, w) }
		switch {
		case o.print:
			_, err = fmt.Fprintln(stdout, w.printed(p, o))
			return err
		case w.supervised:
			return refused(p, w.exec(tell))
		case w.flag == byKernel:
			if w.tried {
				tell = func() {}
			}
			if err = w.exec(tell); !fallsBack(err, f.foreign != nil) {
				return refused(p, err)
			}
			err = noEntry(p)
		case w.flag == byHelper:
			unavailable = w.execHandedOn(tell)
			err = cannot(fmt.Errorf("%s: %w", w.path, unavailable))
		case w.flag == byEmulator:
			if unavailable != nil {
				w.why += "; only the program itself is emulated, not what it starts: " + withHint(unavailable)
			}
			err = cannot(fmt.Errorf("%s: %w", w.path, w.exec(tell)))
		case w.flag == byWatch:
			unavailable = w.startWatched(p, f, o, tell)
			err = notWatched(p, unavailable)
		default:
			unavailable = w.enter(f, o, tell)
			err = noInstance(p, o, unavailable)
		}
		w.err = err
	}
	say(stderr, p, list, nil)
	return err
}

// exec replaces this process. It returns only if the kernel refuses.
func (w *way) exec(tell func()) error {
	env := changed(changed(os.Environ(), w.changes), w.env)
	if w.emulator == nil || w.emulator.Embedded == nil {
		tell()
		ignore(entry.Ignored())
		return syscall.Exec(w.path, w.withReports(), env)
	}
	program, err := w.openEmulator()
	if err != nil {
		return err
	}
	tell()
	ignore(entry.Ignored())
	return file.Exec(program, w.withReports(), env)
}

// fallsBack reports whether the next way is to be tried after execve failed.
// ENOEXEC: nobody takes the program. ENOENT, for a foreign one that is there:
// the kernel's entry has no F flag, and its interpreter is not there. (A
// foreign program's missing loader never shows so: its emulator was found.)
func fallsBack(err error, foreign bool) bool {
	return errors.Is(err, syscall.ENOEXEC) || foreign && errors.Is(err, syscall.ENOENT)
}

// noEntry says that execve does not run a program.
func noEntry(p *program) error {
	return cannot(cli.WithHint(fmt.Errorf("%s: the kernel has no enabled entry for it", p.path), "as root: register; without --kernel it is run all the same"))
}

// refused explains why execve refused a program.
func refused(p *program, err error) error {
	binary := p.binary()
	if errors.Is(err, syscall.ENOENT) && binary.interp != "" {
		return cannot(missingLoader(binary, "/"))
	}
	return cannot(withoutExec(fmt.Errorf("%s: %w", p.path, err), p.path, binary.path))
}

// withoutExec adds to an error why the kernel does not execute any of the files, where that is due to
// a mount.
func withoutExec(err error, paths ...string) error {
	for _, path := range paths {
		var fs unix.Statfs_t
		if errors.Is(err, syscall.EACCES) && unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0 {
			return cli.WithHint(err, "%s is on a file system that is mounted noexec: put it elsewhere (go test: TMPDIR), or try --direct", path)
		}
	}
	return err
}

// unusable explains why a file is no program that could be emulated.
func unusable(binary *program) error {
	err := fmt.Errorf("%s: %w", binary.path, binary.elfErr)
	_, unknown := errors.AsType[*elfmagic.UnknownMachineError](binary.elfErr)
	switch {
	case unknown:
		err = cli.WithHint(err, "QEMU cannot run such programs: it has no user-mode emulator of their machine")
	case errors.Is(binary.elfErr, elfmagic.ErrNotELF):
		err = cli.WithHint(err, "nor is it a script with a #! line, and the kernel has no entry for such files; file(1) may know what it is")
	case errors.Is(binary.elfErr, elfmagic.ErrTruncated):
		err = cli.WithHint(err, "copy or build it again")
	}
	return cannot(err)
}

// sayf tells something on a line of its own.
func sayf(stderr io.Writer, format string, args ...any) {
	fmt.Fprintf(stderr, "%s: %s\n", name, cli.Visible(fmt.Sprintf(format, args...)))
}

// say tells what the program is, which ways there are and why they are not
// taken, and last, if it is not nil, the one that is: if there is a list to be shown.
func say(stderr io.Writer, p *program, list []*way, taken *way) {
	if list == nil {
		return
	}
	binary := p.binary()
	var what string
	switch {
	case binary.elfErr != nil: // "not an ELF file", most often; or one that cannot be read, or is for no known machine
		what = binary.elfErr.Error()
	case binary.interp == "":
		what = binary.header.Arch.Platform() + ", static"
	default:
		what = binary.header.Arch.Platform() + ", needs " + binary.interp
	}
	if binary != p {
		what = "script for " + binary.path + ", " + what
	}
	sayf(stderr, "%s: %s", p.path, what)
	for _, w := range list {
		switch {
		case w == taken:
		case w.err != nil:
			sayf(stderr, "%s: unavailable: %s", w.flag, withHint(w.err))
		default:
			sayf(stderr, "%s: not needed: %s", w.flag, w)
		}
	}
	if taken == nil {
		return
	}
	sayf(stderr, "%s: %s", taken.why, taken)
	if taken.emulator == nil || taken.comment != "" {
		return
	}
	// Opened again: which version it is costs time, and is for this line only.
	if e, err := emulator.Open(taken.emulator.Arch, taken.emulator.Path); err == nil && e.Version != "" {
		version := e.Version // with the product's name, if it has one
		if e.Product == "" {
			version = "QEMU " + version
		}
		sayf(stderr, "%s: %s", e.Path, version)
		if faults, _ := emulator.Faults(e.Arch, e.Version); taken.flag != byEmulator && len(faults) > 0 {
			sayf(stderr, "%s: %s", e.Path, strings.Join(faults, "; "))
		}
	}
}
