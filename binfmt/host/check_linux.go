package host

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// Check runs a program of the architecture. It returns nil if that runs, and else
// an *Error with the cause, which it looks for in the given instance. An error of
// another type says nothing about the architecture.
func Check(ctx context.Context, fs binfmt.FS, arch *elfmagic.Arch) error {
	program, err := tinyelf.Program(arch)
	if err != nil {
		return err
	}
	if err = tinyelf.Run(ctx, program, nil); err == nil || ctx.Err() != nil {
		return err
	}
	return Explain(fs, arch, err)
}

// Explain returns an *Error with the cause of another, with which a program of the
// architecture did not run. It looks for that in the given instance. An error that says
// nothing about the architecture, as of too many processes, or context.Canceled, is returned
// as it is, and so is nil.
func Explain(fs binfmt.FS, arch *elfmagic.Arch, err error) error {
	if err == nil || tinyelf.NotStarted(err) || errors.Is(err, context.Canceled) {
		return err
	}
	e := &Error{Arch: arch, Err: err}
	if failed, ok := errors.AsType[*tinyelf.RunError](err); ok {
		e.Cause, e.Status, e.Stderr = Failed, failed.Status, failed.Stderr
		return e
	}
	v := look(fs, arch.Heads()[0])
	e.Cause = v.cause(err)
	switch e.Cause {
	case NoInterpreter, BadInterpreter:
		// If nothing is wrong with it, the kernel held the file (flag F), and the
		// file system lost it.
		e.Path = v.path
		fallthrough
	case Disabled, AllDisabled, Loop:
		e.Entry = v.entry.Name
	}
	return e
}

// look looks at an instance for what becomes of a program. What cannot be read is as if it was not there.
func look(fs binfmt.FS, program []byte) view {
	var v view
	state, err := fs.State()
	if v.mounted = err == nil && state == binfmt.Mounted; !v.mounted {
		return v
	}
	enabled, err := fs.Enabled()
	v.enabled = enabled || err != nil
	entries, _ := fs.List()
	for _, e := range slices.Backward(entries) { // the first wins
		if e.Matches(program, "") && (!e.Disabled || v.entry == nil || v.entry.Disabled) {
			v.entry = &e
		}
	}
	if v.entry != nil {
		v.path, v.problem = examine(v.entry.Interpreter)
	}
	return v
}

// examine says whether an interpreter can be executed, and if not, what is wrong
// with which file: it itself or its loader. Only this kernel's architectures are
// accepted: a chain of interpreters is not followed.
func examine(path string) (string, error) {
	if err := unix.Access(path, unix.X_OK); err != nil {
		return path, err
	}
	f, err := file.OpenRegular(path)
	switch {
	case errors.Is(err, file.ErrNotRegular):
		return path, syscall.EACCES // as execve(2) has it
	case err != nil:
		return path, nil // it may be executed, though not read
	}
	defer f.Close()
	var start [2]byte
	if _, err := f.ReadAt(start[:], 0); err == nil && string(start[:]) == "#!" {
		return path, nil
	}
	self, selfErr := own()
	header, err := elfmagic.Identify(f)
	if err != nil || selfErr != nil || header.Arch != self && !slices.Contains(Relatives(self), header.Arch) {
		return path, syscall.ENOEXEC
	}
	loader, err := header.Interp(f)
	if err != nil {
		return path, syscall.ENOEXEC
	}
	if loader != "" && unix.Access(loader, unix.F_OK) != nil {
		return loader, syscall.ENOENT
	}
	return path, nil
}
