package main

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/qemu"
)

var emulators = command{
	name:  "emulators",
	args:  "[TARGET…]",
	brief: "build QEMU's emulators from Debian's source",
	more: `They emulate the targets, by any of their names, or all. What is finished is kept in
the user's cache directory, and not built again.`,
	define: func(f *flags) action {
		b := qemu.Builder{Root: "."}
		f.arch("their hosts: "+strings.Join(qemu.Hosts(), ", "), qemu.Host)
		dir := f.String("dir", "", "`directory` for them (default bin/emulators/ARCH, or bin/emulators-plain/ARCH)")
		install := f.Bool("install", false, "install what builds them, if it is missing (root)")
		f.BoolVar(&b.Update, "update", false, "ask Debian for newer sources and packages than those of the last time")
		f.BoolVar(&b.Plain, "plain", false, "without our patches and optimisation, to compare with")
		f.BoolVar(&b.Keep, "keep", false, "leave the directories that they are built in, with unstripped programs")
		return func(ctx context.Context, c *call) (err error) {
			if b.Targets, err = qemu.Targets(c.args); err != nil {
				return wrong(err)
			}
			if *install {
				if err := qemu.InstallTools(ctx, c.say); err != nil {
					return err
				}
			}
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				b := b
				b.Host, b.Say, b.Out = arch, c.say, "bin/emulators"
				if b.Plain {
					b.Out += "-plain"
				}
				b.Out = cmp.Or(*dir, filepath.Join(b.Out, arch.GOARCH))
				return nil, b.Build(ctx)
			})
		}
	},
}
