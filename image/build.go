package main

import (
	"context"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/gobuild"
	"github.com/projectcalico/go-build/image/versions"
)

var build = command{
	name:  "build",
	brief: "build the go-build image (Docker)",
	define: func(f *flags) action {
		archs := f.arch("`architectures` of the images", versions.Architecture)
		from := f.String("base", "", "`image` that it is made from (default REPOSITORY/base:latest-ARCH, which base makes, else debian:stable-slim)")
		file, repository, emulators, runnable := f.file(), f.repository(), f.emulators(), f.runnable()
		core := f.Bool("core", false, "build core-ARCH: Go, the emulators and this project's own commands, from the same Dockerfile. This is a matter of a minute, and for tests")
		return func(ctx context.Context, c *call) error {
			dirs, err := choose(artifacts.Choice{Word: *emulators}, archs.archs)
			if err != nil {
				return err
			}
			v, err := versions.Load(*file)
			if err != nil {
				return err
			}
			if err := docker.Installed("; go run ./image parts builds what goes into the image without it"); err != nil {
				return err
			}
			if *runnable {
				if err := c.registerForeign(ctx, *emulators, archs.archs); err != nil {
					return err
				}
			}
			for i, arch := range archs.archs {
				b := gobuild.Builder{
					Versions: v, File: *file, Arch: arch, Base: *from, Repository: *repository, Core: *core,
					Emulators: dirs[i], Say: c.say, Progress: c.stderr,
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
