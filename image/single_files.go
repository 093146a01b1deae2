package main

import (
	"context"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/singlefiles"
)

var singleFiles = command{
	name:  "single-files",
	brief: "build both commands with the emulators inside",
	define: func(f *flags) action {
		var targets []*elfmagic.Arch
		f.arch("the hosts that the commands are for", ported)
		f.Var(archList{&targets, elfmagic.Lookup}, "targets", "`architectures` whose emulators are embedded (default: every one)")
		dir := f.String("dir", "dist", "`directory` for the commands")
		commands := f.String("commands", "crossrun,register", "which `commands`")
		f.withEmulators(artifacts.Choice{Some: true, Installed: true})
		return func(ctx context.Context, c *call) error {
			tc, err := pinnedToolchain(ctx)
			if err != nil {
				return err
			}
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				b := singlefiles.Builder{
					Host: arch, Targets: targets, Emulators: c.dirs[arch], Dir: *dir, Commands: words(*commands),
					Say: c.say, Toolchain: tc,
				}
				return b.Build(ctx)
			})
		}
	},
}
