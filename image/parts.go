package main

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/versions"
)

var parts = command{
	name:  "parts",
	args:  "[PART…]",
	brief: "build what the go-build image is made of besides packages",
	more:  "Each part is an archive: " + strings.Join(artifacts.Parts(), ", ") + "; all, if none is named.",
	define: func(f *flags) action {
		f.arch("the images", versions.Architecture)
		dir := f.String("dir", "", "`directory` for the archives (default dist/image/ARCH)")
		update := f.Bool("update", false, "ask Debian for newer emulators than those fetched before")
		f.checks = append(f.checks, func() error { return wrong(artifacts.CheckParts(f.Args())) })
		f.withEmulators(artifacts.Choice{})
		f.fromVersions()
		return func(ctx context.Context, c *call) error {
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				b := artifacts.Builder{
					Root: ".", Versions: c.versions, File: c.file, Arch: arch, Emulators: c.dirs[arch], Update: *update, Say: c.say,
					Dir: cmp.Or(*dir, filepath.Join("dist", "image", arch.GOARCH)),
				}
				return nil, b.Build(ctx, c.args...)
			})
		}
	},
}

var pin = command{
	name:  "pin",
	brief: "write image/kubernetes/go.mod for the versions file",
	define: func(f *flags) action {
		f.fromVersions()
		return func(ctx context.Context, c *call) error {
			b := artifacts.Builder{Root: ".", Versions: c.versions, Say: c.say}
			return b.Pin(ctx)
		}
	},
}
