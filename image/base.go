package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/projectcalico/go-build/image/base"
	"github.com/projectcalico/go-build/image/versions"
)

var baseImage = command{
	name:  "base",
	brief: "make a base image from Debian's packages (root, Docker)",
	define: func(f *flags) action {
		archs := f.arch("`architectures` of the images", base.Port)
		suite := f.String("suite", "stable", "Debian's `release`")
		repository := f.repository()
		tag := f.String("tag", "", "`name` of the image (default REPOSITORY/base:latest-ARCH)")
		dir := f.String("dir", "dist/base", "`directory` for the root file systems, which are kept")
		emulators, runnable := f.emulators(), f.runnable()
		return func(ctx context.Context, c *call) error {
			if *emulators != "" && !*runnable {
				return wrong(errors.New("--emulators is for --register"))
			}
			var images []base.Image
			for _, arch := range archs.archs {
				i := base.Image{Arch: arch, Suite: *suite, Dir: *dir, Tag: cmp.Or(*tag, *repository+"/base:"+versions.Latest(arch))}
				if err := i.Check(); err != nil {
					return wrong(err)
				}
				images = append(images, i)
			}
			if *runnable {
				if err := c.registerForeign(ctx, *emulators, archs.archs); err != nil {
					return err
				}
			}
			for _, i := range images {
				if err := i.Make(ctx, c.say); err != nil {
					return err
				}
				c.print(i.Tag)
			}
			return nil
		}
	},
}
