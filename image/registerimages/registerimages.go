// Package registerimages makes the images from which emulators are registered.
// Nothing is executed in them, so they are values: the same source and emulators
// give the same digests on every machine, without Docker. What is loaded, pushed
// or written to disk is one value.
package registerimages

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/publish"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/emulator"
)

// A Builder makes the images for one architecture, in the root of the repository.
type Builder struct {
	Toolchain  *toolchain.Toolchain
	Arch       *elfmagic.Arch
	Repository string                           // before the names of the images: calico, localhost:5000/calico
	Emulators  string                           // directory with emulators; empty: Debian's are fetched
	Guests     []*elfmagic.Arch                 // those whose emulator gets an image of its own, too
	Dir        string                           // for what is made on the way
	Say        func(format string, args ...any) // is told of each step
}

// An Image is one of the images, with its name.
type Image struct {
	Tag name.Tag // calico/binfmt:latest-amd64
	v1.Image
}

// Images are the images for one architecture.
type Images []Image

// A spec says what one is to be.
type spec struct {
	name, title, description, licenses string
	layer                              v1.Layer
	versions                           map[string]string
	entrypoint                         []string
}

// Annotations of the OCI image specification begin with this.
const oci = "org.opencontainers.image."

// Build makes the images. Their layers are files in Dir.
func (b *Builder) Build(ctx context.Context) (Images, error) {
	if b.Arch.GOARCH == "" {
		return nil, fmt.Errorf("%s: register cannot be built for it: Go has no port", b.Arch)
	}
	revision := toolchain.ReadRevision(ctx, ".")
	if revision.Dirty() {
		b.Say("warning: there are changes that are in no commit: nobody else can make these images")
	}
	b.Say("building register for %s …", b.Arch.Platform())
	command := filepath.Join(b.Dir, "register")
	if err := b.Toolchain.Build(ctx, ".", b.Arch, "register", revision.Version, command, "-tags=watch"); err != nil {
		return nil, fmt.Errorf("cannot build register: %w", err)
	}
	own, err := artifacts.Describe(b.Toolchain, b.Arch, command, "usr/bin/register", revision.Version)
	if err != nil {
		return nil, err
	}
	files := []rootfs.File{
		{Name: "usr/bin/register", Source: command, Mode: 0o755},
		{Name: "usr/bin/binfmt", Target: "register"},
	}
	register, license, err := b.layer(ctx, "register", files, revision, own)
	if err != nil {
		return nil, err
	}
	found, versions, err := b.emulators(ctx)
	if err != nil {
		return nil, err
	}
	emulators, programs, err := found.InImage(filepath.Join(b.Dir, "papers"))
	if err != nil {
		return nil, err
	}
	all, licenses, err := b.layer(ctx, "emulators", append(files, emulators...), revision, append(programs, own)...)
	if err != nil {
		return nil, err
	}
	const registers = "Registers QEMU's user-mode emulators with the kernel, and proves that programs of every architecture run"
	specs := []spec{
		// The command line of multiarch/qemu-user-static.
		{"qemu-user-static:latest", "qemu-user-static", registers, licenses, all, versions, []string{"/usr/bin/register"}},
		// For emulators that live in the containers: multiarch/qemu-user-static:register.
		{"qemu-user-static:register", "register", "Registers emulators that are in each container, at /usr/bin/qemu-ARCH-static",
			license, register, nil, []string{"/usr/bin/register", "--persistent", "no"}},
		// The command line of tonistiigi/binfmt: the same command under another name.
		{"binfmt:latest", "binfmt", registers, licenses, all, versions, []string{"/usr/bin/binfmt"}},
	}
	// The same by QEMU's version, for whoever wants one to stay: Calico's lib.Makefile has
	// calico/binfmt:qemu-v10.2.2.
	if number := qemuNumber.FindString(versions["org.qemu.version"]); number != "" {
		static, binfmt := specs[0], specs[2]
		static.name, binfmt.name = "qemu-user-static:"+number, "binfmt:qemu-v"+number
		specs = append(specs, binfmt, static)
	}
	for _, guest := range b.Guests {
		s, err := b.guest(ctx, found, guest, revision)
		if err != nil {
			return nil, err
		}
		if s.layer != nil {
			s.versions = versions
			specs = append(specs, s)
		}
	}
	var images Images
	for _, spec := range specs {
		image, err := b.image(spec, revision)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return images, nil
}

// image makes the image that a spec says.
func (b *Builder) image(s spec, revision toolchain.Revision) (Image, error) {
	tag, err := name.NewTag(b.Repository + "/" + s.name + "-" + b.Arch.GOARCH)
	if err != nil {
		return Image{}, err
	}
	platform, err := v1.ParsePlatform(b.Arch.Platform())
	if err != nil {
		return Image{}, err
	}
	labels := map[string]string{
		oci + "title": s.title, oci + "description": s.description, oci + "licenses": s.licenses,
		oci + "source":  "https://github.com/projectcalico/go-build",
		oci + "version": revision.Version, oci + "revision": revision.Commit,
		oci + "created": revision.Time.Format(time.RFC3339),
	}
	maps.Copy(labels, s.versions)
	created := v1.Time{Time: revision.Time}
	image, err := mutate.ConfigFile(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		&v1.ConfigFile{
			OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, Created: created,
			RootFS: v1.RootFS{Type: "layers"},
			Config: v1.Config{
				Entrypoint: s.entrypoint, Labels: labels,
				Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, // as docker build has it
			},
		})
	if err == nil {
		history := v1.History{Created: created, CreatedBy: "go-build " + revision.Version}
		image, err = mutate.Append(image, mutate.Addendum{Layer: s.layer, History: history})
	}
	if err != nil {
		return Image{}, fmt.Errorf("%s: %w", tag, err)
	}
	return Image{tag, image}, nil
}

// qemuNumber is the number at the beginning of what an emulator says of its version.
var qemuNumber = regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?`)

// guest returns the image of one emulator, which others copy it from.
func (b *Builder) guest(ctx context.Context, all artifacts.Emulators, guest *elfmagic.Arch, r toolchain.Revision) (s spec, err error) {
	one := slices.IndexFunc(all.Found, func(e *emulator.Emulator) bool { return e.Arch == guest })
	if one < 0 {
		b.Say("no image of an emulator for %s", guest)
		return s, nil
	}
	all.Found = all.Found[one : one+1]
	files, programs, err := all.InImage(filepath.Join(b.Dir, "papers", "qemu-"+guest.Name))
	if err != nil {
		return s, err
	}
	layer, licenses, err := b.layer(ctx, "qemu-"+guest.Name, files, r, programs...)
	return spec{
		name: "qemu-user-static:" + guest.Name, title: "qemu-" + guest.Name, licenses: licenses, layer: layer,
		description: "QEMU's user-mode emulator of " + guest.Name + ", to be copied from here",
	}, err
}

// emulators finds a static emulator for each architecture that is not the images',
// and returns what there is to say of their versions.
func (b *Builder) emulators(ctx context.Context) (e artifacts.Emulators, labels map[string]string, err error) {
	dir := b.Emulators
	if dir == "" {
		if dir, err = artifacts.FetchEmulators(ctx, b.Arch, "", filepath.Join(b.Dir, "fetched"), b.Say); err != nil {
			return e, nil, err
		}
	}
	if e, err = artifacts.ReadEmulators(ctx, b.Arch, dir, nil, b.Say); err != nil {
		return e, nil, err
	}
	version := e.Found[len(e.Found)-1].Version
	b.Say("%d emulators of QEMU %s", len(e.Found), version)
	return e, map[string]string{"org.qemu.version": version, "org.debian.package": e.Origin.String()}, nil
}

// layer writes a layer's archive, with what is distributed with the programs in it,
// and returns their licences. All times in it are the commit's.
func (b *Builder) layer(ctx context.Context, name string, files []rootfs.File, r toolchain.Revision, programs ...artifacts.Program) (v1.Layer, string, error) {
	papers, err := artifacts.Whole{
		Name: "go-build-" + name, Version: r.Version, Purpose: "CONTAINER", Tool: "go-build-register-images", Created: r.Time, Root: "/",
	}.Papers(ctx, b.Toolchain, ".", filepath.Join(b.Dir, "papers", name), programs)
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(b.Dir, name+".tar.gz")
	if err := rootfs.WriteFile(file, slices.Concat(files, papers.Files), r.Time); err != nil {
		return nil, "", err
	}
	l, err := tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer))
	return layer{l}, papers.Licenses, err
}

// A layer has only what its interface says: tarball's descriptor has annotations
// that are empty and not nil, with which a manifest is not what is read of it.
type layer struct{ v1.Layer }

// Layout writes the images into a directory, as the OCI image layout
// specification says. What was there is removed.
func (images Images) Layout(dir string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, i := range images {
		config, err := i.ConfigFile()
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: i.Image, Descriptor: v1.Descriptor{
			Platform: config.Platform(), Annotations: map[string]string{oci + "ref.name": i.Tag.String()},
		}})
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	_, err := layout.Write(dir, index)
	return err
}

// Tarball writes the images for docker load: the same images give the same bytes, though
// the module writes its files in any order, and some of them twice.
func (images Images) Tarball(w io.Writer) error {
	in, out := io.Pipe()
	go func() { out.CloseWithError(tarball.MultiRefWrite(images.byName(), out)) }()
	defer in.Close()
	contents := make(map[string][]byte)
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if contents[header.Name], err = io.ReadAll(archive); err != nil {
			return err
		}
	}
	archive := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(contents[name]))}); err != nil {
			return err
		}
		if _, err := archive.Write(contents[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}

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
	for _, i := range images {
		if _, err := publish.Write(ctx, i.Tag, i.Image); err != nil {
			return err
		}
	}
	return nil
}

// Join joins the images of several architectures that were pushed, each name without
// its architecture, and returns the names with their digests.
func Join(ctx context.Context, archs []*elfmagic.Arch, all []Images) (names []string, err error) {
	var tags []string // in the order in which they were made
	images, of := make(map[string][]v1.Image), make(map[string][]*elfmagic.Arch)
	for i, arch := range archs {
		for _, image := range all[i] {
			name := strings.TrimSuffix(image.Tag.Name(), "-"+arch.GOARCH)
			if images[name] == nil {
				tags = append(tags, name)
			}
			images[name], of[name] = append(images[name], image.Image), append(of[name], arch)
		}
	}
	for _, text := range tags {
		tag, err := name.NewTag(text)
		if err != nil {
			return nil, err
		}
		index, err := publish.Join(of[text], images[text])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		digest, err := publish.Write(ctx, tag, index)
		if err != nil {
			return nil, err
		}
		names = append(names, text+"@"+digest.String())
	}
	return names, nil
}

// Names returns the images' names with their digests.
func (images Images) Names() (names []string, err error) {
	for _, i := range images {
		digest, err := i.Digest()
		if err != nil {
			return nil, err
		}
		names = append(names, i.Tag.String()+"@"+digest.String())
	}
	return names, nil
}
