//go:build !linux

package install

import (
	"context"
	"errors"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// Gather returns an error that wraps errors.ErrUnsupported: binfmt_misc is Linux's.
func Gather(context.Context, binfmt.FS, Request) (*Facts, error) { return nil, errors.ErrUnsupported }

// Status returns an error as Gather does.
func Status(context.Context, binfmt.FS, Request, bool) (*Facts, []Outcome, error) {
	return nil, nil, errors.ErrUnsupported
}

// Install returns an error as Gather does.
func Install(context.Context, binfmt.FS, Request, func(error)) (*Facts, []Outcome, error) {
	return nil, nil, errors.ErrUnsupported
}

// Uninstall returns an error as Gather does.
func Uninstall(context.Context, binfmt.FS, Request, func(error)) (*Facts, []Outcome, error) {
	return nil, nil, errors.ErrUnsupported
}

// StandIn returns an error as Gather does.
func StandIn(binfmt.FS, []Decision) ([]string, error) { return nil, errors.ErrUnsupported }

// Apply returns an error as Gather does.
func Apply(context.Context, binfmt.FS, *Facts, []Decision, bool) ([]Outcome, error) {
	return nil, errors.ErrUnsupported
}

// Attach returns an error as Gather does.
func Attach(binfmt.FS) (detach func() error, err error) { return nil, errors.ErrUnsupported }

// AttachToChange returns an error as Gather does.
func AttachToChange(binfmt.FS) (detach func() error, err error) { return nil, errors.ErrUnsupported }

// Lock returns an error as Gather does.
func Lock(context.Context, binfmt.FS, func(error)) (unlock func(), err error) {
	return nil, errors.ErrUnsupported
}

// SearchedDirs returns no directories: there are emulators on Linux only.
func (r Request) SearchedDirs() []string { return nil }

// Find finds none, as Gather does.
func (r Request) Find(*elfmagic.Arch) *Emulator {
	return &Emulator{Problem: Missing, Message: errors.ErrUnsupported.Error(), err: errors.ErrUnsupported}
}

// ForHost returns the facts about another host at its next boot, of which nothing is known
// but its architecture: the emulators are the paths where they will be. This one has none.
func ForHost(native []*elfmagic.Arch, r Request, isThis bool) *Facts {
	f := &Facts{Emulators: map[string]*Emulator{}, FixBinary: true, PreserveArgv0: true}
	f.setNative(native, r)
	for _, arch := range elfmagic.Archs() {
		if f.Emulators[arch.Name] = elsewhere(r, arch); isThis {
			f.Emulators[arch.Name] = r.Find(arch)
		}
	}
	return f
}
