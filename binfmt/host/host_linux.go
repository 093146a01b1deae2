package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
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
func Native(ctx context.Context) ([]*elfmagic.Arch, error) { return StartNative(ctx)() }

// StartNative is Native in two halves: the programs are started, and run while
// the caller does something else. The returned function waits for them, and must
// be called once.
func StartNative(ctx context.Context) (wait func() ([]*elfmagic.Arch, error)) {
	self, err := own()
	if err != nil {
		return func() ([]*elfmagic.Arch, error) { return nil, err }
	}
	// A 32-bit program may find itself on a 64-bit kernel.
	names := append([]string{self.Name}, relatives[self.Name]...)
	for wide, list := range relatives {
		if slices.Contains(list, self.Name) {
			names = append(names, wide)
		}
	}
	questions := make([]question, len(names))
	for i, name := range names {
		questions[i] = ask(ctx, name)
	}
	return func() ([]*elfmagic.Arch, error) { return native(questions) }
}

// native waits for the answers, the first of which is about this program's own
// architecture.
func native(questions []question) (archs []*elfmagic.Arch, err error) {
	for i, q := range questions {
		answer := q.answer() // all are waited for
		switch {
		case err != nil:
		case answer == nil:
			archs = append(archs, q.arch)
		case i == 0 && errors.Is(answer, errNotNative):
			err = fmt.Errorf("%w (%w)", ErrEmulated, answer)
		case i == 0:
			err = fmt.Errorf("cannot find out what this host runs natively: %w", answer)
		case !errors.Is(answer, errNotNative):
			err = fmt.Errorf("cannot find out whether this host runs %s natively: %w", q.arch, answer)
		}
	}
	if err != nil {
		return nil, err
	}
	return archs, nil
}

var errNotNative = errors.New("not native")

// A question is whether the kernel itself runs an architecture's programs.
type question struct {
	arch    *elfmagic.Arch
	program *tinyelf.Started
	err     error // if it did not start
}

func ask(ctx context.Context, name string) (q question) {
	if q.arch, q.err = elfmagic.Lookup(name); q.err != nil {
		return q
	}
	var program []byte
	if program, q.err = tinyelf.NativeProgram(q.arch); q.err == nil {
		q.program, q.err = tinyelf.Start(ctx, program)
	}
	return q
}

// answer returns nil if it does, errNotNative if not, and any other error if that
// is not known.
func (q question) answer() error {
	err := q.err
	if err == nil {
		native, nativeErr := q.program.Process().Native()
		err = q.program.Wait()
		if nativeErr == nil && !native {
			return fmt.Errorf("%w: an interpreter runs it", errNotNative)
		}
	}
	var failed *tinyelf.RunError
	if errors.Is(err, syscall.ENOEXEC) || errors.As(err, &failed) {
		// What starts and then fails is of no more use: an instruction set
		// that the CPU lacks, say.
		return fmt.Errorf("%w: %w", errNotNative, err)
	}
	return err
}
