//go:build !linux

package host

import (
	"context"
	"errors"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// All of these fail with errors.ErrUnsupported; Explain returns what it was given.

func Native(context.Context) ([]*elfmagic.Arch, error)       { return nil, errors.ErrUnsupported }
func Platforms(context.Context) ([]string, error)            { return nil, errors.ErrUnsupported }
func LookAround(string) (Surroundings, error)                { return Surroundings{}, errors.ErrUnsupported }
func Check(context.Context, binfmt.FS, *elfmagic.Arch) error { return errors.ErrUnsupported }
func Explain(_ binfmt.FS, _ *elfmagic.Arch, err error) error { return err }
