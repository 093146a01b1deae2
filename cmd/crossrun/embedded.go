package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// embedded returns the emulator for an architecture's programs that this command
// has inside, unless the environment names another. There is none for a nil
// architecture.
func embedded(arch *elfmagic.Arch) (*carry.Emulator, error) {
	if arch == nil || carry.Embedded() == nil {
		return nil, nil
	}
	if named, err := namedEmulator("", arch); err != nil || named != "" {
		return nil, nil // an error is that of whoever looks for it
	}
	return carry.Embedded().Find(arch)
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
	if e == nil {
		return cmp.Or(err, fmt.Errorf("no emulator is embedded for %s", header.Arch))
	}
	image, err := e.Open(carry.UserCache())
	if err != nil {
		return err
	}
	argv := append([]string{emulator.EntryName(e.Arch), "-0", args[1], notAFlag(args[0])}, args[2:]...)
	return fmt.Errorf("%s: %w", args[0], file.Exec(image.File, argv, os.Environ()))
}
