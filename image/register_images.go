package main

import (
	"context"
	"path/filepath"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/registerimage"
)

var registerImages = command{
	name:  "register-images",
	brief: "build qemu-user-static and binfmt, to register from (Docker)",
	define: func(f *flags) action {
		archs := f.arch("`architectures` of the hosts that the images are for", ported)
		repository, emulators := f.repository(), f.emulators()
		dir := f.String("dir", "dist/register-image", "`directory` for what goes into the images, ARCH/ for each architecture")
		contextOnly := f.Bool("context-only", false, "put together what goes into the images, and build none")
		return func(ctx context.Context, c *call) error {
			dirs, err := choose(artifacts.Choice{Word: *emulators}, archs.archs)
			if err != nil {
				return err
			}
			if !*contextOnly {
				if err := docker.Installed("; with --context-only it is not required"); err != nil {
					return err
				}
			}
			for i, arch := range archs.archs {
				where, err := filepath.Abs(filepath.Join(*dir, arch.GOARCH))
				if err != nil {
					return err
				}
				b := registerimage.Builder{Arch: arch, Repository: *repository, Dir: where, Emulators: dirs[i], Say: c.say, Stderr: c.stderr}
				if err := b.Prepare(ctx); err != nil {
					return err
				}
				if *contextOnly {
					continue
				}
				names, err := b.Build(ctx)
				if err != nil {
					return err
				}
				c.print(names...)
			}
			return nil
		}
	},
}
