//go:build !linux

package host

import (
	"context"
	"errors"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// Native fails with errors.ErrUnsupported: this is not Linux.
func Native(context.Context) ([]*elfmagic.Arch, error) { return nil, errors.ErrUnsupported }

// Platforms fails as Native does.
func Platforms(context.Context) ([]string, error) { return nil, errors.ErrUnsupported }

// Check fails as Native does.
func Check(context.Context, binfmt.FS, *elfmagic.Arch) error { return errors.ErrUnsupported }

// Explain returns the error as it is.
func Explain(_ binfmt.FS, _ *elfmagic.Arch, err error) error { return err }

// LookAround fails as Native does.
func LookAround(string) (Surroundings, error) { return Surroundings{}, errors.ErrUnsupported }
