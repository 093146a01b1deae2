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

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// entries returns the entries of a private instance: one for each architecture
// that the host does not run and that there is a static emulator for. It also
// returns those that the host runs. Of the emulators that are carried, the one in
// hand is the instance's first file; the others are unpacked when a program is
// for them.
func entries(ctx context.Context, inHand *elfmagic.Arch) (list []binfmt.Entry, native []*elfmagic.Arch, err error) {
	archs := elfmagic.Archs()
	var nativeErr error
	var wait sync.WaitGroup
	wait.Go(func() { native, nativeErr = host.Native(ctx) })
	search := emulator.Search{Carry: carry.Embedded(), Dirs: emulator.DefaultDirs(), Static: true}
	found := make([]*emulator.Emulator, len(archs))
	next := make(chan int, len(archs))
	for i := range archs {
		next <- i
	}
	close(next)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				if named, err := settings(archs[i]).emulator(); err == nil && named != "" {
					found[i], _ = emulator.Open(archs[i], named)
					continue
				}
				found[i], _ = search.Find(archs[i])
			}
		})
	}
	wait.Wait()
	if nativeErr != nil {
		return nil, nil, nativeErr
	}
	for i, e := range found {
		if e == nil || slices.Contains(native, archs[i]) || !slices.Contains(native, e.Host) || e.Host == archs[i] {
			continue
		}
		entry := binfmt.Entry{Name: emulator.EntryName(archs[i]), Pattern: archs[i].Pattern(), Interpreter: e.Path, Flags: binfmt.FixBinary}
		switch {
		case e.Carried == nil:
		case archs[i] == inHand:
			entry.Interpreter = private.FilePath(0)
		default:
			entry.Interpreter = interpreter
		}
		if e.PassesArgv0() || entry.Interpreter == interpreter {
			entry.Flags |= binfmt.PreserveArgv0
		}
		list = append(list, entry)
	}
	if len(list) == 0 {
		return nil, nil, cli.WithHint(errors.New("no static emulator was found"), "apt-get install qemu-user-static")
	}
	return list, native, nil
}

// An instance is a private instance of binfmt_misc, ready to be entered.
type instance struct {
	*private.Instance
	emulators int
	carried   string             // what is known of the emulator in hand
	emulator  *emulator.Emulator // that of the program's architecture
}

type instanceOptions = private.InstanceOptions

// prepare sets up the private instance for a program of the architecture, or for
// what a native one starts (nil). The error says why there is none. A program
// whose libraries are in a sysroot is run by an emulator, though the kernel may
// run its architecture's: it would not find the loader. An emulator that is
// carried for the architecture in hand is unpacked if it is not nil.
func prepare(arch *elfmagic.Arch, sysroot string, o instanceOptions, inHand *carry.Emulator) (*instance, error) {
	for {
		i, err := prepareOnce(arch, sysroot, o, inHand)
		if !errors.Is(err, carry.ErrAgain) {
			return i, err
		}
	}
}

func prepareOnce(arch *elfmagic.Arch, sysroot string, o instanceOptions, inHand *carry.Emulator) (*instance, error) {
	ctx := context.Background()
	emulators := 0
	var own *emulator.Emulator
	var handy *elfmagic.Arch
	var image *carry.Image
	if inHand != nil {
		var err error
		if image, err = inHand.Prepare(carry.UserCache()); err != nil {
			return nil, err
		}
		defer image.Close()
		handy, o.Files = inHand.Arch, []*os.File{image.File}
	}
	o.Entries = func() ([]binfmt.Entry, error) {
		var wait sync.WaitGroup
		var finishErr error
		if image != nil {
			wait.Go(func() { finishErr = image.Finish() })
		}
		list, native, err := entries(ctx, handy)
		wait.Wait()
		if err = cmp.Or(finishErr, err); err != nil {
			return nil, err
		}
		emulators = len(list)
		if arch == nil || sysroot == "" && slices.Contains(native, arch) {
			return list, nil
		}
		if i := slices.IndexFunc(list, func(e binfmt.Entry) bool { return e.Name == emulator.EntryName(arch) }); i >= 0 {
			own = &emulator.Emulator{Arch: arch, Path: list[i].Interpreter}
			return list, nil
		}
		search := emulator.Search{Carry: carry.Embedded(), Dirs: emulator.DefaultDirs(), Static: true}
		if _, err := search.Find(arch); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("no entry can be for %s: this host runs its programs itself", arch)
	}
	i, err := private.NewInstance(ctx, o)
	if err != nil {
		return nil, err
	}
	ready := &instance{Instance: i, emulators: emulators, emulator: own}
	if image != nil {
		ready.carried = inHand.Describe() + ", in " + image.Where
	}
	return ready, nil
}

// privately returns the launch as a command: no other runs in the instance.
func (l launch) privately() launch {
	self, err := os.Executable()
	if err != nil {
		self = name
	}
	return launch{path: self, argv: append([]string{name, "--private", l.path}, l.argv[1:]...), env: l.env}
}

// private runs the program in a private instance. It returns only if that
// cannot be had, or if it is only to be shown.
func (l launch) private(arch *elfmagic.Arch, sysroot string, say func(launch)) error {
	inHand, err := carried(arch)
	if err != nil {
		return err
	}
	i, err := prepare(arch, sysroot, instanceOptions{}, inHand)
	if err != nil {
		return err
	}
	l.why = fmt.Sprintf("a private instance of binfmt_misc with %d emulators runs it, and what it starts", i.emulators)
	l.carried = i.carried
	l.emulator = i.emulator
	say(l)
	err = i.Exec(name, l.path, l.argv, append(os.Environ(), l.env...))
	i.Close()
	return err
}
