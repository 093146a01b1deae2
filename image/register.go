package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/internal/cli"
)

var register = command{
	name:  "register",
	brief: "register emulators with this kernel, by bin/register (root)",
	more:  "Debian's are installed first if they are asked for, or if there are no others.",
	define: func(f *flags) action {
		f.emulatorsFlag()
		f.checks = append(f.checks, f.call.checkHere)
		return func(ctx context.Context, c *call) error { return c.registerHere(ctx, c.stdout) }
	},
}

// checkHere finds the emulators for this machine. Those that were built lie beside
// bin/register, which looks there first.
func (c *call) checkHere() error {
	if c.emulators == "" {
		return nil
	}
	native, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return err
	}
	dir, err := artifacts.Choice{Word: c.emulators, Root: ".", Host: native, Some: true}.Dir()
	if err != nil {
		return wrong(err)
	}
	dir, err = filepath.Abs(cmp.Or(dir, artifacts.Installed))
	c.here = []string{"--qemu-path", dir}
	return err
}

// runnable registers emulators for an architecture, if that is asked for and it is
// not this machine's.
func (c *call) runnable(ctx context.Context, arch *elfmagic.Arch) error {
	if !c.registers || arch.GOARCH == runtime.GOARCH {
		return nil
	}
	return c.registerHere(ctx, c.stderr, arch.Name)
}

// registerHere registers emulators for the architectures, or for all.
func (c *call) registerHere(ctx context.Context, stdout io.Writer, archs ...string) error {
	const command = "bin/register"
	if _, err := os.Stat(command); err != nil {
		return cli.WithHint(err, "make build")
	}
	_, none := os.Stat(filepath.Join(artifacts.BuiltEmulators, runtime.GOARCH, qemu.ManifestFile))
	if c.emulators == "debian" || c.emulators == "" && none != nil {
		if err := debian.InstallEmulators(ctx, artifacts.Installed, c.say); err != nil {
			return err
		}
	}
	cmd := program.AsRoot(ctx, command, append(c.here, archs...)...)
	cmd.Stdout, cmd.Stderr = stdout, c.stderr
	return cmd.Run()
}
