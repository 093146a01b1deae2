package main

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/versions"
)

var parts = command{
	name:  "parts",
	args:  "[PART…]",
	brief: "build what the go-build image is made of besides packages",
	more:  "Each part is an archive: " + strings.Join(artifacts.Parts(), ", ") + "; all, if none is named.",
	define: func(f *flags) action {
		archs := f.arch("`architectures` of the images", versions.Architecture)
		file, emulators := f.file(), f.emulators()
		dir := f.String("dir", "", "`directory` for the archives (default dist/image/ARCH)")
		update := f.Bool("update", false, "ask Debian for newer emulators than those fetched before")
		return func(ctx context.Context, c *call) error {
			if err := artifacts.CheckParts(c.args); err != nil {
				return wrong(err)
			}
			dirs, err := choose(artifacts.Choice{Word: *emulators}, archs.archs)
			if err != nil {
				return err
			}
			v, err := versions.Load(*file)
			if err != nil {
				return err
			}
			for i, arch := range archs.archs {
				b := artifacts.Builder{
					Root: ".", Versions: v, File: *file, Arch: arch, Emulators: dirs[i], Update: *update, Say: c.say,
					Dir: cmp.Or(*dir, filepath.Join("dist", "image", arch.GOARCH)),
				}
				if err := b.Build(ctx, c.args...); err != nil {
					return err
				}
			}
			return nil
		}
	},
}
