// Package registration registers emulators with this machine's kernel, by the
// register command that was built in the repository.
package registration

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/internal/cli"
)

// Installed is where Debian's packages put emulators.
const Installed = "/usr/bin"

// A Host is this machine.
type Host struct {
	Root      string // the repository
	Emulators string // debian, built or a directory; empty: as register looks for them
	Say       func(format string, args ...any)
	Stdout    io.Writer
	Stderr    io.Writer
}

// Check returns an error if there is no register command, or not the emulators
// that were asked for. Nothing is changed by it.
func (h Host) Check() error {
	if _, err := os.Stat(h.command()); err != nil {
		return cli.WithHint(err, "make build")
	}
	_, err := h.emulators()
	return err
}

func (h Host) command() string { return filepath.Join(h.Root, "bin", "register") }

// emulators returns what register is told of where they are. Those that were built
// lie beside the command, which looks there first.
func (h Host) emulators() ([]string, error) {
	if h.Emulators == "" {
		return nil, nil
	}
	native, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	dir, err := artifacts.Choice{Word: h.Emulators, Root: h.Root, Host: native, Some: true}.Dir()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = Installed
	}
	dir, err = filepath.Abs(dir)
	return []string{"--qemu-path", dir}, err
}

// Register installs Debian's emulators if they are asked for, or if there are no
// others, and registers those for the architectures, or for all.
func (h Host) Register(ctx context.Context, archs ...*elfmagic.Arch) error {
	args, err := h.emulators()
	if err != nil {
		return err
	}
	_, missing := os.Stat(filepath.Join(h.Root, artifacts.BuiltEmulators, runtime.GOARCH, qemu.ManifestFile))
	if h.Emulators == "debian" || h.Emulators == "" && missing != nil {
		if err := debian.InstallEmulators(ctx, Installed, h.Say); err != nil {
			return err
		}
	}
	for _, arch := range archs {
		args = append(args, arch.Name)
	}
	cmd := debian.AsRoot(ctx, h.command(), args...)
	cmd.Stdout, cmd.Stderr = h.Stdout, h.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

// Foreign returns those of the architectures that are not this machine's own.
func Foreign(archs []*elfmagic.Arch) []*elfmagic.Arch {
	var foreign []*elfmagic.Arch
	for _, arch := range archs {
		if arch.GOARCH != runtime.GOARCH {
			foreign = append(foreign, arch)
		}
	}
	return foreign
}
