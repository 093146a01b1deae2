package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/product"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// emulators are those of a private instance.
type emulators struct {
	entries []binfmt.Entry
	ours    []*elfmagic.Arch   // those of emulators that were built here
	own     *emulator.Emulator // of the program's architecture, if it is among them,
	image   *embedded.Image    // its file, if it is embedded and was to be unpacked,
	comment string             // and what it is then
	models  []*os.File         // those that are told which CPU to emulate
}

// find finds those with which a program of the architecture runs, or what a native
// one starts (nil): static ones for whatever the host does not run. A program whose
// libraries are in a sysroot is run by an emulator, though the kernel may run its
// architecture's: it would not find the loader. The program's own is unpacked, if
// it is embedded and unpack is true; the others are when a program is for them.
func (e *emulators) find(ctx context.Context, arch *elfmagic.Arch, sysroot string, unpack bool) error {
	var native []*elfmagic.Arch
	var nativeErr, imageErr error
	archs := elfmagic.Archs()
	found, named := make([]*emulator.Emulator, len(archs)), make([]error, len(archs))
	search := emulator.DefaultSearch()
	search.Static = true
	var wait sync.WaitGroup
	wait.Go(func() { native, nativeErr = host.Native(ctx) })
	for i, a := range archs {
		wait.Go(func() {
			if path, _ := namedEmulator("", a); path != "" {
				found[i], named[i] = emulator.Open(a, path)
			} else {
				found[i], _ = search.Find(a)
			}
			f := found[i]
			if f == nil || f.Embedded == nil || a != arch {
				return
			}
			e.comment = f.Embedded.Describe()
			if unpack {
				if e.image, imageErr = f.Embedded.Open(embedded.UserCache()); imageErr == nil {
					e.comment += ", in " + e.image.Where
				}
			}
		})
	}
	wait.Wait()
	if err := cmp.Or(append(named, nativeErr, imageErr)...); err != nil {
		return err
	}
	models := unpack && isSet("CPU")
	for _, f := range found {
		if f == nil || slices.Contains(native, f.Arch) || !slices.Contains(native, f.Host) {
			continue
		}
		if f.Arch == arch {
			e.own = f
		}
		open, err := e.open(f, models)
		if err != nil {
			return err
		}
		e.entries = append(e.entries, e.entry(f, open))
		if f.HandsOn() {
			e.ours = append(e.ours, f.Arch)
		}
	}
	switch {
	case len(e.entries) == 0:
		return cli.WithHint(errors.New("no static emulator was found"), "%s", emulator.HowToInstall())
	case arch == nil || sysroot == "" && slices.Contains(native, arch) || e.own != nil:
		return nil
	}
	if _, err := search.Find(arch); err != nil {
		return err
	}
	return fmt.Errorf("no entry can be for %s: this host runs its programs itself", arch)
}

// open returns the file of an emulator that has no path, or another one than that: of the
// program's own that is embedded, or with a CPU model, if there may be one.
func (e *emulators) open(f *emulator.Emulator, models bool) (*os.File, error) {
	cpu := ""
	if models && f.IsQEMU() {
		cpu = namedCPU(f.Arch)
	}
	if cpu != "" {
		model, err := e.withCPU(f, cpu)
		if err != nil {
			return nil, cli.WithHint(fmt.Errorf("%s with -cpu %s: %w", f.Name(), cpu, err), "--watched gives the emulator this flag without a copy of it")
		}
		e.models = append(e.models, model)
		return model, nil
	}
	if f == e.own && e.image != nil {
		return e.image.File, nil
	}
	return nil, nil
}

// withCPU returns an emulator, in memory, that has a flag of its own: QEMU_CPU would be for all
// architectures' emulators, and is gone where a program clears its environment.
func (e *emulators) withCPU(f *emulator.Emulator, cpu string) (*os.File, error) {
	var from *os.File
	if f == e.own && e.image != nil {
		from = e.image.File
	} else {
		opened, _, err := openEmulator(f)
		if err != nil {
			return nil, err
		}
		defer opened.Close()
		from = opened
	}
	content, err := io.ReadAll(io.NewSectionReader(from, 0, math.MaxInt64))
	if err == nil {
		content, err = tinyelf.WithArguments(content, "-cpu", cpu)
	}
	if err != nil {
		return nil, err
	}
	model, err := file.Memory(emulator.EntryName(f.Arch), content)
	if err != nil {
		return nil, err
	}
	if err := file.Seal(model); err != nil {
		model.Close()
		return nil, err
	}
	return model, nil
}

// close closes what is open of emulators: the kernel has those of entries open itself.
func (e *emulators) close() {
	if e.image != nil {
		e.image.Close()
	}
	for _, model := range e.models {
		model.Close()
	}
}

// entry returns an emulator's entry. Those that are embedded are run by this command,
// but those that are open.
func (e *emulators) entry(f *emulator.Emulator, open *os.File) binfmt.Entry {
	entry := binfmt.Entry{Name: emulator.EntryName(f.Arch), Pattern: f.Arch.Pattern(), Interpreter: f.Path, Flags: binfmt.FixBinary}
	switch {
	case open != nil:
		entry.Interpreter = fmt.Sprintf("/proc/self/fd/%d", open.Fd())
	case f.Embedded != nil:
		// It would have to pass the descriptor on through execve, which gives the
		// emulator one of its own: no flag O.
		entry.Interpreter = interpreter
		entry.Flags |= binfmt.PreserveArgv0
		return entry
	}
	if f.PassesArgv0() {
		entry.Flags |= binfmt.PreserveArgv0
	}
	if product.TakesDescriptor(f.Product, f.Version) {
		entry.Flags |= binfmt.OpenBinary
	}
	return entry
}

// archs returns the architectures whose emulators know a variable for their sysroots,
// without the program's own if its sysroot is known.
func (e *emulators) archs(own *elfmagic.Arch, sysroot string) []*elfmagic.Arch {
	return slices.DeleteFunc(slices.Clone(e.ours), func(a *elfmagic.Arch) bool { return a == own && sysroot != "" })
}

// enter runs the program in a private instance. It returns only if that is
// unavailable.
func (w *way) enter(f *facts, o *options, tell func()) error {
	arch, sysroot := f.foreign, f.sysroot
	ctx := context.Background()
	var found emulators
	var sysroots []string
	i, err := private.NewInstance(ctx, private.InstanceOptions{Root: o.rootfs, Template: o.archive != "", Held: o.held, Entries: func() ([]binfmt.Entry, error) {
		err := found.find(ctx, arch, sysroot, true)
		if err == nil && o.rootfs == "" {
			sysroots, err = prefixes(found.archs(arch, sysroot), "/usr", f.started)
		}
		return found.entries, err
	}})
	defer found.close()
	if err != nil {
		return err
	}
	defer i.Close()
	environment := append(changed(os.Environ(), w.changes), sysroots...)
	w.why = fmt.Sprintf("a private instance of binfmt_misc with %d emulators runs it, and what it starts", len(found.entries))
	if len(found.ours) > 0 && o.rootfs == "" {
		w.keepTranslations(o)
	}
	if o.rootfs != "" {
		environment = rootEnvironment(environment, o.setenv)
		w.why += ", and " + o.rootfs + " is its root file system, "
		if o.archive != "" {
			w.why += "of which no change is kept, "
		}
		w.why += inhabitants(i)
	}
	w.emulator, w.comment = found.own, found.comment
	tell()
	ignore(entry.Ignored())
	return i.Exec(name, w.path, w.argv, changed(environment, w.env))
}

// interpreter is this command as the interpreter of a private instance's
// entries: that of all embedded emulators but the program's own. It is the name
// that the kernel starts it by. With some 30 emulators nobody would wait for all
// of them to be unpacked.
const interpreter = "/proc/self/exe"

// interpret becomes the emulator for the program that the kernel wants to run:
// args are its path and, as the entries have the P flag, all that it was
// executed with, argv[0] first.
func interpret(args []string) error {
	if len(args) < 2 {
		return errors.New("this name is for the kernel's use")
	}
	f, err := file.OpenRegular(args[0])
	if err != nil {
		return err
	}
	header, err := elfmagic.Identify(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	e := embedded.Emulators().Find(header.Arch)
	if e == nil {
		return fmt.Errorf("no emulator is embedded for %s", header.Arch)
	}
	image, err := e.Open(embedded.UserCache())
	if err != nil {
		return err
	}
	argv := append([]string{emulator.EntryName(e.Arch), "-0", args[1], notAFlag(args[0])}, args[2:]...)
	ignore(entry.Ignored())
	return fmt.Errorf("%s: %w", args[0], file.Exec(image.File, argv, os.Environ()))
}

// instanceHints say what can be done about a step that failed, with one of the
// errnos if there are any.
var instanceHints = []struct {
	op     private.Op
	errnos []syscall.Errno
	hint   string
}{
	{private.OpNamespace, []syscall.Errno{syscall.ENOSPC}, "the limit of user namespaces is reached or 0: sysctl user.max_user_namespaces"},
	{private.OpNamespace, []syscall.Errno{syscall.EPERM, syscall.EACCES}, "user namespaces are denied here: in a chroot, by a container's seccomp profile, by AppArmor (sysctl kernel.apparmor_restrict_unprivileged_userns, Ubuntu 24.04 and later) or by sysctl kernel.unprivileged_userns_clone (Debian)"},
	{private.OpNamespace, []syscall.Errno{syscall.EINVAL}, "this kernel has no user namespaces (CONFIG_USER_NS)"},
	{private.OpSetUp, []syscall.Errno{syscall.ENOENT}, "it needs /proc and /dev/null: mount -t proc proc /proc, mount --bind /dev/null there"},
	{private.OpEnter, []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSYS, syscall.EINVAL, syscall.ENOSPC}, "setns(2) is denied here, as by a container's seccomp profile, or programs in memory are, by memfd_create(2) or sysctl vm.memfd_noexec"},
	{private.OpEnter, []syscall.Errno{syscall.EFBIG}, "what enters it is a program in memory, which is too long for the limit of files' sizes: ulimit -f unlimited, where that may be raised"},
	{private.OpMount, nil, "a container's seccomp profile or AppArmor may deny mounts in user namespaces; a /proc that is partly covered, as in unprivileged containers, does not let itself be mounted on either"},
	{private.OpRegister, []syscall.Errno{syscall.ENOENT, syscall.EACCES}, "the kernel opens the emulator when it is registered: it must be there, executable, and on no file system that is mounted noexec"},
	{private.OpRoot, []syscall.Errno{syscall.EPERM}, "where parts of /proc are covered, as in a container, nobody may mount another; --private needs none"},
	{private.OpRoot, nil, "it must be a directory that has a whole system in it; /proc, /sys and /dev are directories, or links to ones in it"},
}

// explained adds to an error of a private instance what can be done about it.
func explained(err error) error {
	failed, ok := errors.AsType[*private.Error](err)
	if !ok || failed.Feature != nil { // that says it all
		return err
	}
	if self, linkErr := os.Readlink("/proc/self"); (failed.Op == private.OpNamespace || failed.Op == private.OpSetUp) && linkErr == nil && self != strconv.Itoa(os.Getpid()) {
		return cli.WithHint(err, "/proc is of another PID namespace: mount -t proc proc /proc (unshare: --mount-proc)")
	}
	for _, h := range instanceHints {
		if h.op == failed.Op && (h.errnos == nil || slices.Contains(h.errnos, failed.Errno)) {
			return cli.WithHint(err, "%s", h.hint)
		}
	}
	return err
}

// withHint returns an error and its hint as one line.
func withHint(err error) string {
	if hint := cli.Hint(explained(err)); hint != "" {
		return fmt.Sprintf("%v (%s)", err, hint)
	}
	return err.Error()
}
