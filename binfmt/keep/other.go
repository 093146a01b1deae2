//go:build !linux

package keep

import (
	"context"
	"errors"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// Claimed returns an error that wraps errors.ErrUnsupported, as nobody keeps anything.
func Claimed(binfmt.FS) ([]*elfmagic.Arch, error) { return nil, errors.ErrUnsupported }

// A Keeper keeps nothing: binfmt_misc is Linux's.
type Keeper struct{}

// New returns a keeper that cannot run.
func New(binfmt.FS, func() (Settings, error), func(Event)) *Keeper { return new(Keeper) }

// Report returns what the keeper knows: nothing.
func (k *Keeper) Report() *Report { return &Report{Err: errors.ErrUnsupported} }

// Run returns an error that wraps errors.ErrUnsupported.
func (k *Keeper) Run(context.Context, <-chan struct{}) error { return errors.ErrUnsupported }
