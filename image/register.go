package main

import (
	"context"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/registration"
)

var register = command{
	name:  "register",
	args:  "[ARCH…]",
	brief: "register emulators with this kernel, by bin/register (root)",
	more:  "Debian's are installed first if they are asked for, or if there are no others.",
	define: func(f *flags) action {
		word := f.emulators()
		return func(ctx context.Context, c *call) error {
			var archs []*elfmagic.Arch
			for _, name := range c.args {
				arch, err := elfmagic.Lookup(name)
				if err != nil {
					return wrong(err)
				}
				archs = append(archs, arch)
			}
			host := c.host(*word)
			host.Stdout = c.stdout
			if err := host.Check(); err != nil {
				return wrong(err)
			}
			return host.Register(ctx, archs...)
		}
	},
}

// host is this machine, with emulators by the word of --emulators.
func (c *call) host(emulators string) registration.Host {
	return registration.Host{Root: ".", Emulators: emulators, Say: c.say, Stdout: c.stderr, Stderr: c.stderr}
}

// runnable is --register of subcommands that run foreign programs.
func (f *flags) runnable() *bool {
	return f.Bool("register", false, "register emulators for foreign architectures first, by bin/register (root)")
}

// registerForeign registers emulators for those of the architectures that are not
// this machine's.
func (c *call) registerForeign(ctx context.Context, emulators string, archs []*elfmagic.Arch) error {
	foreign := registration.Foreign(archs)
	if len(foreign) == 0 {
		return nil
	}
	host := c.host(emulators)
	if err := host.Check(); err != nil {
		return wrong(err)
	}
	return host.Register(ctx, foreign...)
}
