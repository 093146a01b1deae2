package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/emulator"
)

// facts are what the ways to run a program depend on, besides the program and
// the options. What costs time is a function, which is called when a way is
// looked at that depends on it.
type facts struct {
	native     *elfmagic.Arch
	sysroot    string // for the emulator; see sysroot
	sysrootErr error
	cpu        []string // the setting of the environment, as a variable of QEMU's

	emulator func() (*emulator.Emulator, error)

	// These are nil unless they are to be shown: execve and clone(2) find out by
	// themselves, and know better.
	entry    func() (why string, ok bool) // whether the kernel runs the program
	instance func() error                 // why there can be no private instance
}

// gather returns the facts for a program. Errors are those of settings.
func gather(p *program, o *options) (*facts, error) {
	native, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	f := &facts{native: native}
	binary := p.binary()
	arch := f.foreign(binary)
	if arch != nil && o.asked != inRoot || o.asked == byEmulator {
		named := o.sysroot
		if named == "" && binary.elfErr == nil {
			if named, err = settings(binary.header.Arch).sysroot(); err != nil {
				return nil, err
			}
		}
		f.sysroot, f.sysrootErr = sysroot(binary, named)
	}
	if binary.elfErr == nil {
		f.cpu = settings(binary.header.Arch).cpu()
		f.emulator = sync.OnceValues(func() (*emulator.Emulator, error) { return findEmulator(o, binary.header.Arch, native) })
	}
	if o.print || o.verbose {
		f.entry = func() (string, bool) { return kernelRuns(binary, native) }
		f.instance = func() error {
			if err := private.Check(); err != nil {
				return explained(err)
			}
			return new(emulators).find(context.Background(), arch, f.sysroot, nil)
		}
	}
	return f, nil
}

// foreign returns the program's architecture if it is another than the host's.
func (f *facts) foreign(binary *program) *elfmagic.Arch {
	if binary.elfErr != nil || binary.header.Arch == f.native {
		return nil
	}
	return binary.header.Arch
}

// kernelRuns looks up whether execve will run the program, and why.
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
