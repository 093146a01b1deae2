package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/registerimages"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/file"
)

var registerImages = command{
	name:  "register-images",
	brief: "make the images qemu-user-static and binfmt, to register from",
	define: func(f *flags) action {
		f.arch("the hosts that the images are for", ported)
		dir := f.String("dir", "dist/register-image", "`directory` for what goes into the images, in ARCH/; ARCH/oci is an OCI layout of them")
		load := f.Bool("load", true, "hand the images to Docker")
		archive := f.String("tarball", "", "write the images of one ARCH to a `file`, for docker load")
		push := f.Bool("push", false, "push the images to the registry that --repository begins with")
		f.withEmulators(artifacts.Choice{})
		f.forRepository()
		return func(ctx context.Context, c *call) error {
			if *load {
				if err := docker.Installed(", or use --load=false"); err != nil {
					return err
				}
			}
			tc, err := pinnedToolchain(ctx)
			if err != nil {
				return err
			}
			return c.each(func(arch *elfmagic.Arch) ([]string, error) {
				b := registerimages.Builder{
					Arch: arch, Repository: c.repository, Dir: filepath.Join(*dir, arch.GOARCH),
					Emulators: c.dirs[arch], Toolchain: tc, Say: c.say,
				}
				images, err := b.Build(ctx)
				if err == nil {
					err = images.Layout(filepath.Join(b.Dir, "oci"))
				}
				if err == nil && *archive != "" {
					err = file.Replace(*archive, 0o644, images.Tarball)
				}
				if err == nil && *load {
					err = images.Load(ctx)
				}
				if err == nil && *push {
					err = images.Push(ctx)
				}
				if err != nil {
					return nil, err
				}
				return images.Names()
			})
		}
	},
}

// pinnedToolchain returns the toolchain that everything that is shipped is built with.
func pinnedToolchain(ctx context.Context) (*toolchain.Toolchain, error) {
	v, err := versions.Load(versions.File)
	if err != nil {
		return nil, err
	}
	return toolchain.Find(ctx, v.Go)
}

// ported returns the architecture of a name, if commands can be built for it.
func ported(name string) (*elfmagic.Arch, error) {
	arch, err := elfmagic.Lookup(name)
	if err == nil && arch.GOARCH == "" {
		err = fmt.Errorf("no command can be built for %s: Go has no port", arch)
	}
	return arch, err
}
