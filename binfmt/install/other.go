//go:build !linux

package install

import (
	"context"
	"errors"

	"github.com/projectcalico/go-build/binfmt"
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
