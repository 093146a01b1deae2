package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/image/qemu"
)

var emulators = command{
	name:  "emulators",
	args:  "[TARGET…]",
	brief: "build QEMU's emulators from Debian's source",
	more: `They emulate the targets, by any of their names, or all. What is finished is kept in
the user's cache directory, and not built again.`,
	define: func(f *flags) action {
		archs := f.arch("`architectures` that they run on: "+strings.Join(qemu.Hosts(), ", "), qemu.Host)
		dir := f.String("dir", "", "`directory` for them (default bin/emulators/ARCH)")
		install := f.Bool("install", false, "install what builds them, if it is missing (root)")
		update := f.Bool("update", false, "ask Debian for newer sources and packages than those of the last time")
		plain := f.Bool("plain", false, "without our patches and optimisation, to compare with (default directory bin/emulators-plain/ARCH)")
		keep := f.Bool("keep", false, "leave the directories that they are built in, with unstripped programs")
		return func(ctx context.Context, c *call) error {
			targets, err := qemu.Targets(c.args)
			if err != nil {
				return wrong(err)
			}
			if *install {
				if err := qemu.InstallTools(ctx, c.say); err != nil {
					return err
				}
			}
			for _, arch := range archs.archs {
				b := qemu.Builder{Root: ".", Host: arch, Targets: targets, Out: *dir, Update: *update, Plain: *plain, Keep: *keep, Say: c.say}
				if b.Out == "" {
					b.Out = filepath.Join("bin", "emulators", arch.GOARCH)
					if *plain {
						b.Out = filepath.Join("bin", "emulators-plain", arch.GOARCH)
					}
				}
				if err := b.Build(ctx); err != nil {
					return err
				}
			}
			return nil
		}
	},
}
