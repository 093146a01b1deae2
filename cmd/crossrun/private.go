package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// emulators are those of a private instance.
type emulators struct {
	entries []binfmt.Entry
	own     *emulator.Emulator // of the program's architecture, if it is among them
	image   *carry.Image       // that one's file, if it is embedded
}

// find finds those with which a program of the architecture runs, or what
// a native one starts (nil): one for each architecture that the host does not run
// and that there is a static emulator for. A program whose libraries are in a
// sysroot is run by an emulator, though the kernel may run its architecture's: it
// would not find the loader.
//
// The given embedded one is unpacked; the others are when a program is for them.
func (e *emulators) find(ctx context.Context, arch *elfmagic.Arch, sysroot string, first *carry.Emulator) error {
	var native []*elfmagic.Arch
	var nativeErr, imageErr error
	archs := elfmagic.Archs()
	found := make([]*emulator.Emulator, len(archs))
	search := emulator.Search{Carry: carry.Embedded(), Dirs: emulator.DefaultDirs(), Static: true}
	var wait sync.WaitGroup
	wait.Go(func() { native, nativeErr = host.Native(ctx) })
	if first != nil {
		wait.Go(func() { e.image, imageErr = first.Open(carry.UserCache()) })
	}
	for i, a := range archs {
		wait.Go(func() {
			if named, err := namedEmulator("", a); err == nil && named != "" {
				found[i], _ = emulator.Open(a, named)
			} else {
				found[i], _ = search.Find(a)
			}
		})
	}
	wait.Wait()
	if err := cmp.Or(nativeErr, imageErr); err != nil {
		return err
	}
	for _, f := range found {
		if f == nil || slices.Contains(native, f.Arch) || !slices.Contains(native, f.Host) {
			continue
		}
		entry := binfmt.Entry{Name: emulator.EntryName(f.Arch), Pattern: f.Arch.Pattern(), Interpreter: f.Path, Flags: binfmt.FixBinary}
		if f.Carried != nil {
			entry.Interpreter = interpreter
		}
		if f.Arch == arch {
			e.own = f
			if e.image != nil {
				entry.Interpreter = fmt.Sprintf("/proc/self/fd/%d", e.image.File.Fd())
			}
		}
		if f.PassesArgv0() || entry.Interpreter == interpreter {
			entry.Flags |= binfmt.PreserveArgv0
		}
		e.entries = append(e.entries, entry)
	}
	switch {
	case len(e.entries) == 0:
		return cli.WithHint(errors.New("no static emulator was found"), "apt-get install qemu-user-static")
	case arch == nil || sysroot == "" && slices.Contains(native, arch) || e.own != nil:
		return nil
	}
	if _, err := search.Find(arch); err != nil {
		return err
	}
	return fmt.Errorf("no entry can be for %s: this host runs its programs itself", arch)
}

// enter runs the program in a private instance. It returns only if that is
// unavailable.
func (w *way) enter(arch *elfmagic.Arch, sysroot, root string, tell func()) error {
	first, err := embedded(arch)
	if err != nil {
		return err
	}
	ctx := context.Background()
	var found emulators
	i, err := private.NewInstance(ctx, private.InstanceOptions{Root: root, Entries: func() ([]binfmt.Entry, error) {
		err := found.find(ctx, arch, sysroot, first)
		return found.entries, err
	}})
	if found.image != nil {
		defer found.image.Close()
	}
	if err != nil {
		return err
	}
	defer i.Close()
	environment := os.Environ()
	w.why = fmt.Sprintf("a private instance of binfmt_misc with %d emulators runs it, and what it starts", len(found.entries))
	if root != "" {
		environment = rootEnvironment(environment)
		w.why += ", and " + root + " is its root file system"
	}
	if w.emulator = found.own; found.image != nil {
		w.comment = first.Describe() + ", in " + found.image.Where
	}
	tell()
	return i.Exec(name, w.path, w.argv, append(environment, w.env...))
}
