package main

import (
	"cmp"
	"context"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/base"
	"github.com/projectcalico/go-build/image/versions"
)

var baseImage = command{
	name:  "base",
	brief: "make a base image from Debian's packages (root, Docker)",
	define: func(f *flags) action {
		f.arch("the images", base.Port)
		suite := f.String("suite", "stable", "Debian's `release`")
		tag := f.String("tag", "", "`name` of the image (default REPOSITORY/base:latest-ARCH)")
		dir := f.String("dir", "dist/base", "`directory` for the root file systems, which are kept")
		f.forRepository()
		f.emulatorsFlag() // for those that are registered
		f.registering()
		f.withDocker("")
		return func(ctx context.Context, c *call) error {
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				ref, err := base.Tag(cmp.Or(*tag, c.repository+"/base:"+versions.Latest(arch)), arch)
				if err != nil {
					return nil, wrong(err)
				}
				if err := c.runnable(ctx, arch); err != nil {
					return nil, err
				}
				i := base.Image{Arch: arch, Suite: *suite, Tag: ref, Dir: *dir}
				return []string{ref.String()}, i.Make(ctx, c.say)
			})
		}
	},
}
