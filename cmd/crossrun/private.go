package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// registrations returns the entries of a private instance in which a program of
// the architecture runs, or what a native one starts (nil): one for each
// architecture that the host does not run and that there is a static emulator
// for. A program whose libraries are in a sysroot is run by an emulator, though
// the kernel may run its architecture's: it would not find the loader.
//
// The emulator that is the instance's first file is unpacked already; the other
// embedded ones are when a program is for them.
func registrations(ctx context.Context, arch *elfmagic.Arch, sysroot string, first *carry.Emulator) (list []binfmt.Entry, err error) {
	var native []*elfmagic.Arch
	archs := elfmagic.Archs()
	found := make([]*emulator.Emulator, len(archs))
	search := emulator.Search{Carry: carry.Embedded(), Dirs: emulator.DefaultDirs(), Static: true}
	var next atomic.Int32
	var wait sync.WaitGroup
	wait.Go(func() { native, err = host.Native(ctx) })
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(archs); i = next.Add(1) - 1 {
				if named, err := settings(archs[i]).emulator(); err == nil && named != "" {
					found[i], _ = emulator.Open(archs[i], named)
				} else {
					found[i], _ = search.Find(archs[i])
				}
			}
		})
	}
	wait.Wait()
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if e == nil || slices.Contains(native, e.Arch) || !slices.Contains(native, e.Host) {
			continue
		}
		entry := binfmt.Entry{Name: emulator.EntryName(e.Arch), Pattern: e.Arch.Pattern(), Interpreter: e.Path, Flags: binfmt.FixBinary}
		switch {
		case e.Carried == nil:
		case first != nil && e.Arch == first.Arch:
			entry.Interpreter = private.FilePath(0)
		default:
			entry.Interpreter = interpreter
		}
		if e.PassesArgv0() || entry.Interpreter == interpreter {
			entry.Flags |= binfmt.PreserveArgv0
		}
		list = append(list, entry)
	}
	switch {
	case len(list) == 0:
		return nil, cli.WithHint(errors.New("no static emulator was found"), "apt-get install qemu-user-static")
	case arch == nil || sysroot == "" && slices.Contains(native, arch) || entryFor(arch, list) != nil:
		return list, nil
	}
	if _, err := search.Find(arch); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no entry can be for %s: this host runs its programs itself", arch)
}

// entryFor returns the architecture's entry, or nil.
func entryFor(arch *elfmagic.Arch, list []binfmt.Entry) *binfmt.Entry {
	for i := range list {
		if arch != nil && list[i].Name == emulator.EntryName(arch) {
			return &list[i]
		}
	}
	return nil
}

// An instance is a private instance of binfmt_misc, ready to be entered.
type instance struct {
	*private.Instance
	emulators int
	comment   string             // which the embedded emulator is that was unpacked
	emulator  *emulator.Emulator // that of the program's architecture
}

// prepare sets up the private instance for a program of the architecture, or for
// what a native one starts (nil). An emulator that is embedded for it is
// unpacked. The error says why there is none.
func prepare(arch *elfmagic.Arch, sysroot string, o private.InstanceOptions, first *carry.Emulator) (*instance, error) {
	for {
		i, err := prepareOnce(arch, sysroot, o, first)
		if !errors.Is(err, carry.ErrAgain) {
			return i, explained(err)
		}
	}
}

func prepareOnce(arch *elfmagic.Arch, sysroot string, o private.InstanceOptions, first *carry.Emulator) (*instance, error) {
	ctx := context.Background()
	var ready instance
	finish := func() error { return nil }
	if first != nil {
		image, err := first.Prepare(carry.UserCache())
		if err != nil {
			return nil, err
		}
		defer image.Close()
		o.Files, finish = []*os.File{image.File}, image.Finish
		ready.comment = first.Describe() + ", in " + image.Where
	}
	o.Entries = func() (list []binfmt.Entry, err error) {
		var wait sync.WaitGroup
		var finishErr error
		wait.Go(func() { finishErr = finish() })
		list, err = registrations(ctx, arch, sysroot, first)
		wait.Wait()
		if e := entryFor(arch, list); e != nil {
			ready.emulator = &emulator.Emulator{Arch: arch, Path: e.Interpreter}
		}
		ready.emulators = len(list)
		return list, cmp.Or(finishErr, err)
	}
	var err error
	ready.Instance, err = private.NewInstance(ctx, o)
	return &ready, err
}

// enter runs the program in a private instance. It returns only if that is
// unavailable.
func (l launch) enter(arch *elfmagic.Arch, sysroot, root string, tell func(launch)) error {
	first, err := embedded(arch)
	if err != nil {
		return err
	}
	i, err := prepare(arch, sysroot, private.InstanceOptions{Root: root}, first)
	if err != nil {
		return err
	}
	defer i.Close()
	environment := os.Environ()
	l.why = fmt.Sprintf("a private instance of binfmt_misc with %d emulators runs it, and what it starts", i.emulators)
	if root != "" {
		environment = rootEnvironment(environment)
		l.why += ", and " + root + " is its root file system"
	}
	l.comment, l.emulator = i.comment, i.emulator
	tell(l)
	return explained(i.Exec(name, l.path, l.argv, append(environment, l.env...)))
}
