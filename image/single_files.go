package main

import (
	"context"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/singlefiles"
)

var singleFiles = command{
	name:  "single-files",
	brief: "build both commands with the emulators inside",
	define: func(f *flags) action {
		archs := f.arch("`architectures` of the hosts that the commands are for", ported)
		targets := &archList{lookup: elfmagic.Lookup, all: []*elfmagic.Arch{}}
		f.Var(targets, "targets", "`architectures` whose emulators are embedded (default: all)")
		emulators := f.emulators()
		dir := f.String("dir", "dist", "`directory` for the commands")
		names := f.String("commands", "crossrun,register", "which `commands`")
		return func(ctx context.Context, c *call) error {
			dirs, err := choose(artifacts.Choice{Word: *emulators, Some: true, Installed: true}, archs.archs)
			if err != nil {
				return err
			}
			for i, arch := range archs.archs {
				b := singlefiles.Builder{Host: arch, Targets: targets.archs, Emulators: dirs[i], Dir: *dir, Commands: words(*names), Say: c.say, Stderr: c.stderr}
				paths, err := b.Build(ctx)
				if err != nil {
					return err
				}
				c.print(paths...)
			}
			return nil
		}
	},
}

// ported returns the architecture of a name, if commands can be built for it.
func ported(name string) (*elfmagic.Arch, error) {
	arch, err := elfmagic.Lookup(name)
	if err == nil && arch.GOARCH == "" {
		err = fmt.Errorf("no command can be built for %s: Go has no port", arch)
	}
	return arch, err
}
