package host

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
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
	return explain(fs, arch, err)
}

// explain looks for the cause of an error of running a program.
func explain(fs binfmt.FS, arch *elfmagic.Arch, err error) *Error {
	e := &Error{Arch: arch, Err: err, Cause: Unknown}
	var failed *tinyelf.RunError
	switch {
	case errors.As(err, &failed):
		e.Cause = Failed
		return e
	case errors.Is(err, syscall.ELOOP):
		e.Cause = Loop
	case !errors.Is(err, syscall.ENOEXEC) && !errors.Is(err, syscall.ENOENT):
		return e
	}
	entries, listErr := fs.List()
	if listErr != nil {
		if e.Cause == Unknown {
			e.Cause = Unseen
		}
		return e
	}
	matching := slices.DeleteFunc(entries, func(entry binfmt.Entry) bool {
		return !slices.ContainsFunc(arch.Heads(), func(head []byte) bool { return entry.Matches(head, "") })
	})
	// The kernel takes the first that is enabled.
	i := slices.IndexFunc(matching, func(entry binfmt.Entry) bool { return !entry.Disabled })
	enabled, enabledErr := fs.Enabled()
	if len(matching) > 0 {
		e.Entry = matching[max(i, 0)].Name
	}
	switch {
	case e.Cause == Loop:
	case errors.Is(err, syscall.ENOENT) && i >= 0:
		e.Cause = NoInterpreter
	case len(matching) == 0:
		e.Cause = NoEntry
	case enabledErr == nil && !enabled:
		e.Cause = AllDisabled
	case i < 0:
		e.Cause = Disabled
	default:
		e.Cause = OtherInstance
	}
	return e
}
