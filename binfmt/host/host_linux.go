package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// own returns the architecture that this program was built for.
func own() (*elfmagic.Arch, error) {
	return elfmagic.Lookup(runtime.GOARCH)
}

// Native returns the architectures whose programs the kernel runs without an
// interpreter, this program's own first. Each is asked for by running a tiny
// program of it that no emulator's entry in binfmt_misc is for (see
// tinyelf.NativeProgram), so that what is registered does not matter.
func Native(ctx context.Context) ([]*elfmagic.Arch, error) {
	self, err := own()
	if err != nil {
		return nil, err
	}
	// A 32-bit program may find itself on a 64-bit kernel.
	names := append([]string{self.Name}, relatives[self.Name]...)
	for wide, list := range relatives {
		for _, name := range list {
			if name == self.Name {
				names = append(names, wide)
			}
		}
	}
	results := make([]error, len(names))
	archs := make([]*elfmagic.Arch, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			return nil, err
		}
		archs[i] = arch
		wait.Go(func() { results[i] = runsNatively(ctx, arch) })
	}
	wait.Wait()
	if err := results[0]; err != nil {
		if errors.Is(err, errNotNative) {
			return nil, fmt.Errorf("%w (%w)", ErrEmulated, err)
		}
		return nil, fmt.Errorf("cannot find out what this host runs natively: %w", err)
	}
	var native []*elfmagic.Arch
	for i, err := range results {
		switch {
		case err == nil:
			native = append(native, archs[i])
		case !errors.Is(err, errNotNative):
			return nil, fmt.Errorf("cannot find out whether this host runs %s natively: %w", archs[i], err)
		}
	}
	return native, nil
}

var errNotNative = errors.New("not native")

// runsNatively returns nil if the kernel itself runs the architecture's
// programs, errNotNative if not, and any other error if that is not known.
func runsNatively(ctx context.Context, arch *elfmagic.Arch) error {
	program, err := tinyelf.NativeProgram(arch)
	if err != nil {
		return err
	}
	interpreted := false
	err = tinyelf.Run(ctx, program, func(p tinyelf.Process) {
		if native, err := p.Native(); err == nil {
			interpreted = !native
		}
	})
	var failed *tinyelf.RunError
	switch {
	case interpreted:
		return fmt.Errorf("%w: an interpreter runs it", errNotNative)
	case errors.Is(err, syscall.ENOEXEC), errors.As(err, &failed):
		// What starts and then fails is of no more use: an instruction set
		// that the CPU lacks, say.
		return fmt.Errorf("%w: %w", errNotNative, err)
	}
	return err
}
