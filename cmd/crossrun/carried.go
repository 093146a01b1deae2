package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// carried returns the emulator that is carried for an architecture's programs,
// unless the environment names another. There is none for a nil architecture.
func carried(arch *elfmagic.Arch) (*carry.Emulator, error) {
	if arch == nil || carry.Embedded() == nil {
		return nil, nil
	}
	if named, err := settings(arch).emulator(); err != nil || named != "" {
		return nil, nil // an error is that of whoever looks for it
	}
	return carry.Embedded().Find(arch)
}

// describe says which emulator is carried for an architecture, if one is.
func describe(arch *elfmagic.Arch) string {
	if e, err := carried(arch); e != nil && err == nil {
		return e.Describe()
	}
	return ""
}

// directly returns the launch as a command: what is carried has no path.
func (l launch) directly(o *options, program string, args []string) (launch, error) {
	self, err := os.Executable()
	if err != nil {
		self = name
	}
	argv := []string{name, "--direct"}
	for _, flag := range []struct{ name, value string }{{"--sysroot", o.sysroot}, {"--cpu", o.cpu}, {"--gdb", o.gdb}} {
		if flag.value != "" {
			argv = append(argv, flag.name, flag.value)
		}
	}
	if strings.HasPrefix(program, "-") {
		argv = append(argv, "--")
	}
	return launch{path: self, argv: append(append(argv, program), args...), env: o.variables(), why: l.why, carried: l.carried}, nil
}

// interpreter is this command as the interpreter of a private instance's
// entries: that of the emulators that are carried and not in hand. It is the
// name that the kernel starts it by. With some 30 emulators nobody would wait
// for all of them.
const interpreter = "/proc/self/exe"

// interpret becomes the emulator for the program that the kernel wants to run:
// args are its path and, as the entries have the P flag, all that it was
// executed with, argv[0] first.
func interpret(args []string, stderr io.Writer) int {
	err := func() error {
		if len(args) < 2 {
			return errors.New("this name is for the kernel's use")
		}
		f, err := file.Open(args[0])
		if err != nil {
			return err
		}
		header, err := elfmagic.Identify(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		e, err := carry.Embedded().Find(header.Arch)
		if err != nil {
			return err
		}
		if e == nil {
			return fmt.Errorf("no emulator is carried for %s", header.Arch)
		}
		image, err := e.Open(carry.UserCache())
		if err != nil {
			return err
		}
		program := args[0]
		if strings.HasPrefix(program, "-") {
			program = "./" + program
		}
		argv := append([]string{emulator.EntryName(e.Arch), "-0", args[1], program}, args[2:]...)
		return fmt.Errorf("%s: %w", args[0], file.Exec(image.File, argv, os.Environ()))
	}()
	cli.Error(stderr, name, err)
	return exitCannot
}

// architectureIn returns what architecture a command is of that is looked up in
// a root file system, or nil if that is not seen: emulators are then unpacked
// when a program is for them.
func architectureIn(root, command, list string) *elfmagic.Arch {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	candidates := []string{command}
	if !strings.Contains(command, "/") {
		candidates = nil
		for _, d := range filepath.SplitList(list) {
			candidates = append(candidates, path.Join(d, command))
		}
	}
	for range maxScripts {
		var f *os.File
		for _, candidate := range candidates {
			// Symbolic links lead to where they will when it is the root.
			fd, err := unix.Openat2(dir, candidate, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT})
			if err == nil {
				f = os.NewFile(uintptr(fd), candidate)
				break
			}
		}
		if f == nil {
			return nil
		}
		head := make([]byte, elfmagic.KernelWindow)
		n, _ := f.ReadAt(head, 0)
		f.Close()
		if !strings.HasPrefix(string(head[:n]), "#!") {
			header, err := elfmagic.ParseHeader(head[:n])
			if err != nil {
				return nil
			}
			return header.Arch
		}
		script := parseScript(head[:n])
		if script == nil {
			return nil
		}
		candidates = script[:1]
	}
	return nil
}
