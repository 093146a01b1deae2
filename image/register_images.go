package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/registerimage"
)

var registerImages = command{
	name:  "register-images",
	brief: "build qemu-user-static and binfmt, to register from (Docker)",
	define: func(f *flags) action {
		f.arch("the hosts that the images are for", ported)
		dir := f.String("dir", "dist/register-image", "`directory` for what goes into the images, in ARCH/")
		contextOnly := f.Bool("context-only", false, "put together what goes into the images, and build none: Docker is not required")
		f.withEmulators(artifacts.Choice{})
		f.forRepository()
		return func(ctx context.Context, c *call) error {
			if !*contextOnly {
				if err := docker.Installed(", or use --context-only"); err != nil {
					return err
				}
			}
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				b := registerimage.Builder{
					Arch: arch, Repository: c.repository, Dir: filepath.Join(*dir, arch.GOARCH),
					Emulators: c.dirs[arch], Say: c.say, Stderr: c.stderr,
				}
				if err := b.Prepare(ctx); err != nil || *contextOnly {
					return nil, err
				}
				return b.Build(ctx)
			})
		}
	},
}

// ported returns the architecture of a name, if commands can be built for it.
func ported(name string) (*elfmagic.Arch, error) {
	arch, err := elfmagic.Lookup(name)
	if err == nil && arch.GOARCH == "" {
		err = fmt.Errorf("no command can be built for %s: Go has no port", arch)
	}
	return arch, err
}
