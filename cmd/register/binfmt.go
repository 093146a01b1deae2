package main

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// binfmtName is the name under which this command has the flags, output and
// environment of tonistiigi/binfmt, so that what drives that drives this.
const binfmtName = "binfmt"

// binfmtPath is the variable that names the directory of the emulators then.
const binfmtPath = "QEMU_BINARY_PATH"

// binfmtOptions is what its command line asks for.
type binfmtOptions struct {
	options
	add, remove, credential string
}

func (o *binfmtOptions) flags(stderr io.Writer) *flag.FlagSet {
	o.name = binfmtName
	// Flags have one dash or two there, which Go's own package allows.
	f := flag.NewFlagSet(binfmtName, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.mount, "mount", binfmt.DefaultMount, "`directory` where binfmt_misc is, or will be, mounted")
	f.StringVar(&o.add, "install", "", "`architectures` to register: a list with commas, or all")
	f.StringVar(&o.remove, "uninstall", "", "`architectures` or entries to remove: a list with commas, * and ? are patterns")
	f.StringVar(&o.credential, "credential", yes, "`yes|no`: take user and group of set-user-ID programs from the program (flag C)")
	f.BoolVar(&o.version, "version", false, "print the version")
	f.Usage = func() {
		fmt.Fprint(f.Output(), `Usage: binfmt [--uninstall LIST] [--install all|LIST]

Removes and registers emulators with the Linux kernel, and prints which
platforms' programs were seen running, and which entries there are, as JSON.

`)
		f.PrintDefaults()
		fmt.Fprint(f.Output(), `
Environment: QEMU_BINARY_PATH, directory of the emulators; QEMU_BINARY_PREFIX,
what comes before qemu- in the names of their files and entries;
QEMU_PRESERVE_ARGV0, if not empty, passes argv[0] on with emulators of any age.

Exit status: 0 if all that was asked for was done and seen to work; 1 if not,
and the last line on standard error says why; 2 if the command line is wrong.
The command register has more to ask for.
`)
	}
	return f
}

// runBinfmt is run for the name binfmt. Errors are one line each, the hint in
// brackets: the last line is what CI actions show.
func runBinfmt(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o binfmtOptions
	f := o.flags(stderr)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage // the package has printed it
	case f.NArg() > 0:
		cli.Line(stderr, binfmtName, cli.WithHint(fmt.Errorf("unexpected argument %q", f.Arg(0)), "--install %s", f.Arg(0)))
		return exitUsage
	case o.credential != yes && o.credential != no:
		cli.Line(stderr, binfmtName, fmt.Errorf("--credential %s: must be yes or no", o.credential))
		return exitUsage
	case strings.ContainsRune(os.Getenv("QEMU_BINARY_PREFIX"), '/'):
		cli.Line(stderr, binfmtName, cli.WithHint(errors.New("QEMU_BINARY_PREFIX must not have a slash"), "QEMU_BINARY_PATH is for the directory"))
		return exitUsage
	}
	o.fromEnvironment()
	if o.version {
		fmt.Fprintf(stdout, "binfmt/%s qemu/%s go/%s\n", cli.Version(), cmp.Or(o.installedVersion(), "none"), strings.TrimPrefix(runtime.Version(), "go"))
		return exitOK
	}
	if err := o.run(ctx, stdout, stderr); err != nil {
		cli.Line(stderr, binfmtName, o.explain(err))
		return exitFailure
	}
	return exitOK
}

// fromEnvironment adds to what the flags ask for what the environment does.
func (o *binfmtOptions) fromEnvironment() {
	if o.Credentials = install.Yes; o.credential == no {
		o.Credentials = install.No
	}
	if os.Getenv("QEMU_PRESERVE_ARGV0") != "" {
		o.PreserveArgv0 = install.Yes
	}
	o.Prefix = os.Getenv("QEMU_BINARY_PREFIX")
	emulators := cmp.Or(os.Getenv(binfmtPath), os.Getenv("QEMU_BIN_DIR"))
	if absolute, err := filepath.Abs(emulators); err == nil && emulators != "" {
		emulators = absolute
	}
	o.from(emulators)
}

// installedVersion returns the version of the first emulator that there is.
func (o *binfmtOptions) installedVersion() string {
	r := o.Request
	r.Persistent = install.No // whether it is static does not matter
	for _, arch := range elfmagic.Archs() {
		if e := r.Find(arch); e.Problem == "" {
			return emulator.ShortVersion(e.Version)
		}
	}
	return ""
}

func (o *binfmtOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	fs := binfmt.New(o.mount)
	attach := install.Attach
	if o.remove != "" {
		attach = install.AttachToChange
	}
	detach, err := attach(fs)
	if err != nil {
		return err
	}
	if o.remove != "" {
		err = o.removeNamed(ctx, fs, strings.Split(o.remove, ","), stderr)
	}
	if o.add != "" {
		o.args = []string{o.add}
		err = errors.Join(err, o.installNamed(ctx, stderr))
	}
	return errors.Join(printState(ctx, fs, stdout), err, detach())
}

// installNamed registers "all", or a list of architectures.
func (o *options) installNamed(ctx context.Context, stderr io.Writer) error {
	var unknown error
	if o.Archs, unknown = o.architectures(); unknown != nil && len(o.Archs) == 0 {
		return unknown
	}
	report, err := o.do(ctx, io.Discard, stderr)
	err = errors.Join(unknown, err)
	if report == nil {
		return err
	}
	for _, row := range report.Rows {
		switch {
		case row.err != nil:
		case row.Action == binfmt.Keep.String():
			fmt.Fprintf(stderr, "installing: %s OK (already registered)\n", row.name())
		case row.leftNative():
			fmt.Fprintf(stderr, "installing: %s OK (native)\n", row.name())
		case row.Action == binfmt.Skip.String() && row.Runs != nil && *row.Runs:
			fmt.Fprintf(stderr, "installing: %s OK (left alone: %s)\n", row.name(), cli.Visible(row.Reason))
		case row.Action == binfmt.Skip.String():
			fmt.Fprintf(stderr, "installing: %s left alone: %s\n", row.name(), cli.Visible(row.Reason))
		default:
			fmt.Fprintf(stderr, "installing: %s OK\n", row.name())
		}
	}
	return errors.Join(err, report.failures())
}

// name is what Go, and so container tools, call the architecture.
func (r *row) name() string { return cmp.Or(r.arch.GOARCH, r.arch.Name) }

// removeNamed removes entries by their names, by patterns of them, or by their
// architectures. A pattern may match none; a name must be there.
func (o *options) removeNamed(ctx context.Context, fs binfmt.FS, items []string, stderr io.Writer) error {
	state, err := fs.State()
	if err != nil {
		return err
	}
	var current []binfmt.Entry
	var unread map[string]error
	if state == binfmt.Mounted {
		unlock, err := install.Lock(ctx, fs, func(err error) { cli.Warning(stderr, o.name, o.explain(err)) })
		if err != nil {
			return err
		}
		defer unlock()
		current, err = fs.List()
		if unread, err = binfmt.Unread(err); err != nil {
			return err
		}
	}
	var errs []error
	var removed []*elfmagic.Arch
	say := func(name, what string) { fmt.Fprintf(stderr, "uninstalling: %s %s\n", cli.Visible(name), what) }
	for _, item := range items {
		names, err := []string{item}, error(nil) // it is meant, whatever it is for
		if unread[item] == nil {
			names, err = o.named(item, current)
		}
		if err != nil {
			errs = append(errs, err)
		} else if len(names) == 0 {
			say(item, "not found")
		}
		for _, e := range current {
			if ok, _ := path.Match(item, e.Name); ok && !slices.Contains(names, e.Name) {
				say(e.Name, "left alone: it is not for programs of another architecture")
			}
		}
		for name, why := range unread {
			if ok, _ := path.Match(item, name); ok && name != item {
				fmt.Fprintf(stderr, "uninstalling: %q left alone: it cannot be read: %v\n", name, why)
			}
		}
		for _, name := range names {
			if err := fs.Remove(name); err != nil {
				errs = append(errs, err)
				continue
			}
			say(name, "OK")
			if i := slices.IndexFunc(current, func(e binfmt.Entry) bool { return e.Name == name }); i >= 0 {
				removed = append(removed, o.of(current[i])...)
				current = slices.Delete(current, i, i+1)
			}
		}
	}
	if kept := o.kept(fs, removed); kept != nil {
		cli.Warning(stderr, o.name, kept)
	}
	return errors.Join(errs...)
}

// of returns the architecture whose entry it is, unless it is none's.
func (o *options) of(e binfmt.Entry) []*elfmagic.Arch {
	return slices.DeleteFunc(elfmagic.Archs(), func(arch *elfmagic.Arch) bool { return !install.IsOwn(e, o.Prefix, arch) })
}

// named returns the names of the entries that an item of a list means.
func (o *options) named(item string, current []binfmt.Entry) ([]string, error) {
	var names []string
	add := func(matches func(e binfmt.Entry) bool) {
		for _, e := range current {
			if matches(e) && !slices.Contains(names, e.Name) {
				names = append(names, e.Name)
			}
		}
	}
	if strings.ContainsAny(item, "*?[") {
		if _, err := path.Match(item, ""); err != nil {
			return nil, cli.WithHint(fmt.Errorf("--uninstall %s: %w", item, err), "'qemu-*' is one")
		}
		add(func(e binfmt.Entry) bool { ok, _ := path.Match(item, e.Name); return ok && forMachine(e) })
		return names, nil
	}
	add(func(e binfmt.Entry) bool { return e.Name == item || e.Temporary() && e.Final() == item })
	if arch, err := elfmagic.Lookup(item); err == nil && len(names) == 0 {
		add(func(e binfmt.Entry) bool {
			return install.IsOwn(e, o.Prefix, arch) || strings.HasSuffix(e.Name, "-"+arch.Name) && install.MatchesAny(e, arch)
		})
	}
	if len(names) == 0 {
		return nil, cli.WithHint(fmt.Errorf("--uninstall %s: no such entry", item), "without arguments binfmt lists them")
	}
	return names, nil
}

// forMachine reports whether an entry is for programs of one architecture: ELF
// files by the low byte of their machine, without which it is none's. Not all ask
// for the other one: QEMU's own entry for ppc64le does not, and peers' for
// aarch64 end before it. Patterns of names mean no others, as those for scripts,
// Windows programs or AppImages are.
func forMachine(e binfmt.Entry) bool {
	p := e.Pattern
	if e.Extension != "" || p.Offset != 0 || !bytes.HasPrefix(p.Magic, []byte(elf.ELFMAG)) {
		return false
	}
	low := 18 // offset of e_machine, of 2 bytes
	if len(p.Magic) > elf.EI_DATA && elf.Data(p.Magic[elf.EI_DATA]) == elf.ELFDATA2MSB {
		low++
	}
	return len(p.Magic) > low && (len(p.Mask) == 0 || p.Mask[low] != 0)
}

// printState prints what tonistiigi/binfmt prints.
func printState(ctx context.Context, fs binfmt.FS, stdout io.Writer) error {
	supported, err := host.Platforms(ctx)
	if err != nil {
		return err
	}
	entries, err := fs.List()
	if _, err = binfmt.Unread(err); err != nil && !errors.Is(err, binfmt.ErrNotMounted) {
		return err // others' entries that cannot be read are not emulators of ours
	}
	emulators := []string{}
	for _, e := range entries {
		if !e.Disabled {
			emulators = append(emulators, e.Name)
		}
	}
	slices.Sort(emulators)
	return printJSON(stdout, struct {
		Supported []string `json:"supported"`
		Emulators []string `json:"emulators"`
	}{supported, emulators})
}
