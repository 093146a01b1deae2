// Package registerimages makes the images from which emulators are registered.
// Nothing is executed in them, so they are values: the same source and emulators
// give the same digests on every machine, without Docker. What is loaded, pushed
// or written to disk is one value.
package registerimages

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
)

// A Builder makes the images for one architecture.
type Builder struct {
	Root       string // of this project
	Toolchain  *toolchain.Toolchain
	Arch       *elfmagic.Arch
	Repository string                           // before the names of the images: calico, localhost:5000/calico
	Emulators  string                           // directory with emulators; empty: Debian's are fetched
	Dir        string                           // for what is made on the way
	Say        func(format string, args ...any) // is told of each step

	revision                 toolchain.Revision
	qemuVersion, qemuPackage string
}

// An Image is one of the images, with its name.
type Image struct {
	Tag name.Tag // calico/binfmt:latest-amd64
	v1.Image
}

// Images are the images for one architecture.
type Images []Image

const (
	title       = "org.opencontainers.image.title"
	description = "org.opencontainers.image.description"
	licenses    = "org.opencontainers.image.licenses"
)

// Build makes the images. Their layers are files in Dir.
func (b *Builder) Build(ctx context.Context) (Images, error) {
	if b.Arch.GOARCH == "" {
		return nil, fmt.Errorf("%s: register cannot be built for it: Go has no port", b.Arch)
	}
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return nil, err
	}
	b.revision = toolchain.ReadRevision(ctx, b.Root)
	if b.revision.Dirty() {
		b.Say("warning: there are changes that are in no commit: nobody else can make these images")
	}
	command, err := b.command(ctx)
	if err != nil {
		return nil, err
	}
	emulators, err := b.emulators(ctx)
	if err != nil {
		return nil, err
	}
	register, err := b.layer("register.tar.gz", command)
	if err != nil {
		return nil, err
	}
	all, err := b.layer("emulators.tar.gz", append(command, emulators...))
	if err != nil {
		return nil, err
	}
	labels := map[string]string{
		title:                "qemu-user-static",
		description:          "Registers QEMU's user-mode emulators with the kernel, and proves that programs of every architecture run",
		licenses:             "Apache-2.0 AND GPL-2.0-or-later",
		"org.qemu.version":   b.qemuVersion,
		"org.debian.package": b.qemuPackage,
	}
	var images Images
	for _, i := range []struct {
		name       string
		layer      v1.Layer
		entrypoint []string
		labels     []map[string]string // a later one's values win
	}{
		// The command line of multiarch/qemu-user-static.
		{"qemu-user-static:latest", all, []string{"/usr/bin/register"}, []map[string]string{labels}},
		// For emulators that live in the containers: multiarch/qemu-user-static:register.
		{"qemu-user-static:register", register, []string{"/usr/bin/register", "--persistent", "no"}, []map[string]string{{
			title:       "register",
			description: "Registers emulators that are in each container, at /usr/bin/qemu-ARCH-static",
			licenses:    "Apache-2.0",
		}}},
		// The command line of tonistiigi/binfmt: the same command under another name.
		{"binfmt:latest", all, []string{"/usr/bin/binfmt"}, []map[string]string{labels, {title: "binfmt"}}},
	} {
		tag, err := name.NewTag(b.Repository + "/" + i.name + "-" + b.Arch.GOARCH)
		if err != nil {
			return nil, err
		}
		image, err := b.image(i.layer, i.entrypoint, i.labels...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tag, err)
		}
		images = append(images, Image{tag, image})
	}
	return images, nil
}

// command builds register, and gives it its other name.
func (b *Builder) command(ctx context.Context) ([]rootfs.File, error) {
	b.Say("building register for %s …", b.Arch.Platform())
	file := filepath.Join(b.Dir, "register")
	if err := b.Toolchain.Build(ctx, b.Root, b.Arch, "register", b.revision.Version, file); err != nil {
		return nil, fmt.Errorf("cannot build register: %w", err)
	}
	return []rootfs.File{
		{Name: "usr/bin/register", Source: file, Mode: 0o755},
		{Name: "usr/bin/binfmt", Target: "register"},
	}, nil
}

// emulators finds a static emulator for each architecture that is not the images'.
func (b *Builder) emulators(ctx context.Context) (files []rootfs.File, err error) {
	dir := b.Emulators
	if dir == "" {
		fetched, newest, err := artifacts.FetchEmulators(ctx, b.Arch, filepath.Join(b.Dir, "emulators"), b.Say)
		if err != nil {
			return nil, err
		}
		dir, b.qemuPackage = fetched, newest.Name+" "+newest.Version
	}
	if file, built := artifacts.EmulatorManifest(dir); built {
		m, err := qemu.ReadManifest(dir)
		if err != nil {
			return nil, err
		}
		b.qemuPackage = "qemu " + m.Debian + " (source)"
		files = append(files, file)
	}
	found, missing, err := artifacts.FindEmulators(b.Arch, dir)
	if err != nil {
		return nil, err
	}
	for _, arch := range missing {
		b.Say("no emulator for %s", arch)
	}
	for _, e := range found {
		b.qemuVersion = e.Version
		files = append(files, artifacts.EmulatorFile(e))
	}
	b.Say("%d emulators of QEMU %s", len(found), b.qemuVersion)
	return files, nil
}

// layer writes a layer's archive. All times in it are the commit's.
func (b *Builder) layer(file string, files []rootfs.File) (v1.Layer, error) {
	file = filepath.Join(b.Dir, file)
	if err := rootfs.WriteFile(file, files, b.revision.Time); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer))
	return layer{l}, err
}

// A layer has only what its interface says: tarball's descriptor has annotations
// that are empty and not nil, with which a manifest is not what is read of it.
type layer struct{ v1.Layer }

// image makes an image of one layer.
func (b *Builder) image(layer v1.Layer, entrypoint []string, labels ...map[string]string) (v1.Image, error) {
	platform, err := v1.ParsePlatform(b.Arch.Platform())
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: b.revision.Time}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: created, CreatedBy: "go-build " + b.revision.Version}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Created = created
	config.Config = v1.Config{
		Entrypoint: entrypoint,
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, // as docker build has it
		Labels: map[string]string{
			"org.opencontainers.image.source":   "https://github.com/projectcalico/go-build",
			"org.opencontainers.image.version":  b.revision.Version,
			"org.opencontainers.image.revision": b.revision.Commit,
			"org.opencontainers.image.created":  b.revision.Time.Format(time.RFC3339),
		},
	}
	for _, more := range labels {
		for key, value := range more {
			config.Config.Labels[key] = value
		}
	}
	return mutate.ConfigFile(image, config)
}

// Layout writes the images into a directory, as the OCI image layout
// specification says. What was there is removed.
func (images Images) Layout(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	for _, i := range images {
		config, err := i.ConfigFile()
		if err != nil {
			return err
		}
		err = path.AppendImage(i.Image, layout.WithPlatform(*config.Platform()),
			layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": i.Tag.String()}))
		if err != nil {
			return fmt.Errorf("%s: %w", i.Tag, err)
		}
	}
	return nil
}

// Tarball writes the images for docker load.
func (images Images) Tarball(w io.Writer) error { return tarball.MultiRefWrite(images.byName(), w) }

// Load hands the images to Docker.
func (images Images) Load(ctx context.Context) error { return docker.Load(ctx, images.byName()) }

func (images Images) byName() map[name.Reference]v1.Image {
	all := make(map[name.Reference]v1.Image)
	for _, i := range images {
		all[i.Tag] = i.Image
	}
	return all
}

// Push pushes the images to the registry that is in their names, with the
// credentials of docker login, and sees that they arrived.
func (images Images) Push(ctx context.Context) error {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	for _, i := range images {
		want, err := i.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(i.Tag, i.Image, options...); err != nil {
			return fmt.Errorf("%s: %w", i.Tag, err)
		}
		head, err := remote.Head(i.Tag, options...)
		if err != nil {
			return fmt.Errorf("%s: %w", i.Tag, err)
		}
		if head.Digest != want {
			return fmt.Errorf("%s: the registry has %s, not %s", i.Tag, head.Digest, want)
		}
	}
	return nil
}

// Print prints the images' names with their digests, one a line.
func (images Images) Print(w io.Writer) error {
	for _, i := range images {
		digest, err := i.Digest()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s@%s\n", i.Tag, digest); err != nil {
			return err
		}
	}
	return nil
}
