package main

import (
	"context"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/gobuild"
	"github.com/projectcalico/go-build/image/versions"
)

var build = command{
	name:  "build",
	brief: "build the go-build image (Docker)",
	define: func(f *flags) action {
		f.arch("the images", versions.Architecture)
		from := f.String("base", "", "`image` that it is made from (default REPOSITORY/base:latest-ARCH, which base makes, else debian:stable-slim)")
		core := f.Bool("core", false, "build core-ARCH: Go, the emulators and our own commands, from the same Dockerfile, for tests")
		f.withEmulators(artifacts.Choice{})
		f.fromVersions()
		f.forRepository()
		f.registering()
		f.withDocker("; go run ./image parts builds what goes into the image without it")
		return func(ctx context.Context, c *call) error {
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				if err := c.runnable(ctx, arch); err != nil {
					return nil, err
				}
				b := gobuild.Builder{
					Builder: artifacts.Builder{Versions: c.versions, File: c.file, Arch: arch, Emulators: c.dirs[arch], Say: c.say},
					Base:    *from, Repository: c.repository, Core: *core, Progress: c.stderr,
				}
				return b.Build(ctx)
			})
		}
	},
}
