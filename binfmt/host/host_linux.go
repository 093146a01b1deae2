package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// own returns the architecture that this program was built for.
func own() (*elfmagic.Arch, error) { return elfmagic.Lookup(runtime.GOARCH) }

// Native returns the architectures whose programs the kernel runs without an
// interpreter, this program's own first. What is registered in binfmt_misc does
// not matter: the kernel is asked by programs that no emulator's entry is for.
func Native(ctx context.Context) ([]*elfmagic.Arch, error) {
	self, err := own()
	if err != nil {
		return nil, err
	}
	if by, path := emulatedBy(self); by != nil {
		return nil, fmt.Errorf("%w: %s, a program for %s, runs it", ErrEmulated, path, by.Platform())
	}
	// Each question costs a process. A kernel that runs programs of a relative runs
	// this one, too: an emulator of it would be for the relative, and was seen.
	relatives, err := askEach(ctx, Relatives(self))
	if err != nil {
		return nil, err
	}
	if len(relatives) == 0 {
		switch err := ask(ctx, self); {
		case errors.Is(err, errNotNative):
			return nil, fmt.Errorf("%w (%w)", ErrEmulated, err)
		case err != nil:
			return nil, unknown(self, err)
		}
	}
	// A 32-bit program may find itself on a 64-bit kernel.
	wide := slices.DeleteFunc(elfmagic.Archs(), func(a *elfmagic.Arch) bool { return !slices.Contains(relativesOf(a.Name), self.Name) })
	wide, err = askEach(ctx, wide)
	return slices.Concat([]*elfmagic.Arch{self}, relatives, wide), err
}

// askEach returns those of the architectures that are native.
func askEach(ctx context.Context, archs []*elfmagic.Arch) (native []*elfmagic.Arch, err error) {
	for _, arch := range archs {
		switch err := ask(ctx, arch); {
		case err == nil:
			native = append(native, arch)
		case !errors.Is(err, errNotNative):
			return nil, unknown(arch, err)
		}
	}
	return native, nil
}

func unknown(arch *elfmagic.Arch, err error) error {
	return fmt.Errorf("cannot find out whether this host runs %s natively: %w", arch, err)
}

// emulatedBy returns the architecture of the emulator that runs this program, and
// its path, if that is to be seen without a new process: programs with threads that
// fork hang at times under QEMU 7.2. QEMU shows the program's own file behind
// /proc/self/exe only. Where nothing is seen, asking the kernel tells in the end.
func emulatedBy(self *elfmagic.Arch) (*elfmagic.Arch, string) {
	const exe = "/proc/thread-self/exe" // Linux 3.17
	f, err := file.Open(exe)
	if err != nil {
		return nil, ""
	}
	defer f.Close()
	header, err := elfmagic.Identify(f)
	if err != nil || header.Arch == self {
		return nil, ""
	}
	path, _ := os.Readlink(exe)
	return header.Arch, path
}

var errNotNative = errors.New("not native")

// ask returns nil if the kernel itself runs the architecture's programs,
// errNotNative if not, and any other error if that is not known.
func ask(ctx context.Context, arch *elfmagic.Arch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch err := tinyelf.Loads(arch); err {
	case nil:
		return nil
	case syscall.ENOEXEC:
		return fmt.Errorf("%w: %w", errNotNative, err)
	}
	program, err := tinyelf.NativeProgram(arch)
	if err != nil {
		return err
	}
	native := true
	err = tinyelf.Run(ctx, program, func(p tinyelf.Process) {
		if itself, err := p.Native(); err == nil {
			native = itself
		}
	})
	_, failed := errors.AsType[*tinyelf.RunError](err)
	switch {
	case !native:
		return fmt.Errorf("%w: an interpreter runs it", errNotNative)
	case errors.Is(err, syscall.ENOEXEC) || failed:
		// What starts and then fails is of no more use: an instruction set
		// that the CPU lacks, say.
		return fmt.Errorf("%w: %w", errNotNative, err)
	}
	return err
}
