package main

import (
	"context"
	"fmt"
	"runtime"

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
	foreign *elfmagic.Arch // the program's architecture, if it is known and another than the host's
	sysroot string         // for the emulator; see sysroot
	cpu     []string       // the setting of the environment, as a variable of QEMU's

	emulator func() (*emulator.Emulator, error)

	// These are nil unless they are to be shown: execve and clone(2) find out by
	// themselves, and know better.
	entry    func() (why string) // the kernel runs the program; empty: it does not
	instance func() error        // why there can be no private instance
}

// gather returns the facts for a program. Errors are those of settings, and that
// the program's loader is missing.
func gather(p *program, o *options) (*facts, error) {
	native, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	f := new(facts)
	binary := p.binary()
	if arch := binary.header.Arch; binary.elfErr == nil {
		f.cpu = namedCPU(arch)
		f.emulator = func() (*emulator.Emulator, error) { return findEmulator(o, arch, native) }
		if arch != native {
			f.foreign = arch
		}
		if o.asked != inRoot && (arch != native || o.asked == byEmulator) {
			named, err := namedSysroot(o.sysroot, arch)
			if err != nil {
				return nil, err
			}
			if f.sysroot, err = sysroot(binary, named); err != nil {
				return nil, cannot(err)
			}
		}
	}
	if o.print || o.verbose {
		f.entry = func() string { return kernelRuns(binary, native) }
		f.instance = func() error {
			if err := private.Check(); err != nil {
				return err
			}
			return new(emulators).find(context.Background(), f.foreign, f.sysroot, nil)
		}
	}
	return f, nil
}

// kernelRuns looks up why execve will run the program, if it will.
func kernelRuns(binary *program, native *elfmagic.Arch) (why string) {
	entries, _ := binfmt.New("").List()
	for _, e := range entries {
		if !e.Disabled && e.Matches(binary.head, binary.path) {
			return fmt.Sprintf("the kernel's entry %s runs it with %s", e.Name, e.Interpreter)
		}
	}
	if binary.elfErr == nil && binary.header.Arch == native {
		return "it is for this host"
	}
	return ""
}

// findEmulator returns the emulator that the options or the environment name, or
// that is installed for the architecture.
func findEmulator(o *options, arch, native *elfmagic.Arch) (*emulator.Emulator, error) {
	if named, err := namedEmulator(o.emulator, arch); err != nil || named != "" {
		return &emulator.Emulator{Arch: arch, Path: named}, err
	}
	search := emulator.Search{Carry: carry.Embedded(), Dirs: emulator.DefaultDirs(), Native: []*elfmagic.Arch{native}}
	found, err := search.Locate(arch)
	if err != nil {
		return nil, cannot(err)
	}
	return found, nil
}
