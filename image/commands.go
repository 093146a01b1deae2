package main

import (
	"context"
	"path/filepath"

	"github.com/projectcalico/go-build/elfmagic"
)

var ownCommands = command{
	name:  "commands",
	brief: "build register and crossrun as they are shipped, by the pinned Go",
	define: func(f *flags) action {
		f.arch("the hosts that the commands are for", ported)
		dir := f.String("dir", "dist", "`directory` for the commands, in ARCH/")
		return func(ctx context.Context, c *call) error {
			tc, err := pinnedToolchain(ctx)
			if err != nil {
				return err
			}
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				return tc.BuildCommands(ctx, ".", filepath.Join(*dir, arch.GOARCH), arch)
			})
		}
	},
}
