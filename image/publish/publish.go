// Package publish pushes the go-build images of architectures to a registry, and
// joins there what was pushed into one image for all of them.
package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

// A Publisher knows the images' names.
type Publisher struct {
	versions *versions.Versions
	local    string          // calico: what Docker's names begin with
	remote   name.Repository // docker.io/calico/go-build

	Say    func(format string, args ...any)
	Stdout io.Writer
}

// New returns a publisher for the images that begin with local, to a registry
// that has a port if it is not the usual one. An insecure one may speak plain HTTP;
// one on localhost always may.
func New(v *versions.Versions, registry, local string, insecure bool) (*Publisher, error) {
	if registry == "" {
		return nil, cli.WithHint(errors.New("no registry is named"), "make push REGISTRY=docker.io, or --registry localhost:5000")
	}
	if err := NoURL(registry); err != nil {
		return nil, err
	}
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	repository, err := Repository(path.Join(registry, local, "go-build"), options...)
	if err != nil {
		return nil, err
	}
	return &Publisher{versions: v, local: local, remote: repository}, nil
}

// NoURL returns an error if a name begins as a URL does, of which https: would be taken for
// a registry.
func NoURL(text string) error {
	host, _, _ := strings.Cut(text, "/")
	if !strings.HasSuffix(host, ":") {
		return nil
	}
	return cli.WithHint(fmt.Errorf("%q is a URL, not a name", text), "quay.io/calico is one, and localhost:5000/calico")
}

// Repository returns the repository of a name that begins with a registry: without one
// Docker Hub would be meant, by whoever has forgotten to name theirs.
func Repository(text string, options ...name.Option) (name.Repository, error) {
	repository, err := name.NewRepository(text, options...)
	host, _, _ := strings.Cut(text, "/")
	if err == nil && host != repository.RegistryStr() && host != "docker.io" {
		err = fmt.Errorf("%q is taken for an organization of %s", host, repository.RegistryStr())
	}
	if err != nil {
		err = cli.WithHint(err, "a registry's name has a dot or a port in it: quay.io, localhost:5000")
	}
	return repository, err
}

// Push pushes the architectures' images, and sees that they arrived.
func (p *Publisher) Push(ctx context.Context, archs []*elfmagic.Arch) error {
	if err := docker.Ready(ctx, ""); err != nil {
		return err
	}
	// All must be there before the first is pushed.
	var ids []string
	var errs []error
	for _, arch := range archs {
		image, err := docker.Inspect(ctx, p.localTag(arch))
		if err == nil && image.Architecture != arch.GOARCH {
			err = fmt.Errorf("%s: it is for %s", p.localTag(arch), image.Architecture)
		}
		if err != nil {
			errs = append(errs, cli.WithHint(err, "build it first: make image ARCH=%s", arch.GOARCH))
		}
		ids = append(ids, image.ID)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for i, arch := range archs {
		tag := p.remote.Tag(p.versions.Tag(arch))
		if err := p.push(ctx, arch, tag, ids[i]); err != nil {
			return fmt.Errorf("%s: %w", tag, err)
		}
	}
	return nil
}

func (p *Publisher) localTag(arch *elfmagic.Arch) string {
	return p.local + "/go-build:" + p.versions.Tag(arch)
}

// push pushes the image that has an identity in Docker, and names it as the newest.
func (p *Publisher) push(ctx context.Context, arch *elfmagic.Arch, tag name.Tag, id string) error {
	p.Say("pushing %s …", tag)
	descriptor, err := p.pushed(ctx, arch, tag, id)
	if err != nil {
		return cli.WithHint(err, again, p.remote.RegistryStr())
	}
	digest, err := Write(ctx, p.remote.Tag(p.versions.NewestFor(arch)), descriptor)
	if err == nil {
		fmt.Fprintf(p.Stdout, "%s@%s\n", tag, digest)
	}
	return err
}

// pushed has Docker push the image, and reads it back. Its identity is its configuration's
// digest, or its manifest's.
func (p *Publisher) pushed(ctx context.Context, arch *elfmagic.Arch, tag name.Tag, id string) (*remote.Descriptor, error) {
	defer progress.Start(ctx, "pushing %s", tag).End()
	_, err := docker.Run(ctx, "tag", p.localTag(arch), tag.Name())
	if err == nil {
		_, err = docker.Run(ctx, "push", "--quiet", tag.Name())
	}
	if err != nil {
		return nil, err
	}
	descriptor, err := remote.Get(tag, optionsFor(ctx, arch)...)
	if err != nil {
		return nil, err
	}
	img, err := descriptor.Image()
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	if config.String() != id && descriptor.Digest.String() != id {
		return nil, fmt.Errorf("the registry has %s with configuration %s, Docker has %s", descriptor.Digest, config, id)
	}
	if err := errors.Join(isFor(img, arch), validate.Image(img, validate.Fast)); err != nil {
		return nil, fmt.Errorf("the registry does not have it whole: %w", err)
	}
	return descriptor, nil
}

// Manifest joins the architectures' images into an image index under the
// versions' tag and as latest, and reads it back.
func (p *Publisher) Manifest(ctx context.Context, archs []*elfmagic.Arch) error {
	var images []v1.Image
	var names []string
	var errs []error
	for _, arch := range archs {
		tag := p.remote.Tag(p.versions.Tag(arch))
		img, err := read(ctx, arch, tag)
		if err != nil {
			errs = append(errs, cli.WithHint(fmt.Errorf("%s: %w", tag, err), "make push ARCH=%s REGISTRY=… comes first; "+login, arch.GOARCH, p.remote.RegistryStr()))
		}
		images, names = append(images, img), append(names, arch.GOARCH)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	index, err := Join(archs, images)
	if err != nil {
		return err
	}
	for _, name := range []string{p.versions.String(), p.versions.Newest()} {
		tag := p.remote.Tag(name)
		p.Say("pushing %s for %s …", tag, strings.Join(names, ", "))
		digest, err := Write(ctx, tag, index)
		if err != nil {
			return err
		}
		// The digest stands for every image's. That the registry has them is to be seen.
		got, err := remote.Index(tag, options(ctx)...)
		if err == nil {
			err = validate.Index(got, validate.Fast)
		}
		if err != nil {
			return cli.WithHint(fmt.Errorf("%s: what came back is not what was pushed: %w", tag, err), again, tag.RegistryStr())
		}
		fmt.Fprintf(p.Stdout, "%s@%s\n", tag, digest)
	}
	return nil
}

// read reads an architecture's image in the registry.
func read(ctx context.Context, arch *elfmagic.Arch, tag name.Tag) (v1.Image, error) {
	defer progress.Start(ctx, "reading %s", tag).End()
	img, err := remote.Image(tag, optionsFor(ctx, arch)...)
	if err == nil {
		err = isFor(img, arch)
	}
	return img, err
}

// Join returns the image index of architectures. What all images say of themselves in
// annotations of the OCI image specification it says, too; they must be of one
// version and revision.
func Join(archs []*elfmagic.Arch, images []v1.Image) (v1.ImageIndex, error) {
	const version, revision = "org.opencontainers.image.version", "org.opencontainers.image.revision"
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var first, common map[string]string
	for i, arch := range archs {
		config, err := images[i].ConfigFile()
		if err != nil {
			return nil, err
		}
		platform, err := v1.ParsePlatform(arch.Platform())
		if err != nil {
			return nil, err
		}
		labels := maps.Clone(config.Config.Labels)
		maps.DeleteFunc(labels, func(key, _ string) bool { return !strings.HasPrefix(key, "org.opencontainers.image.") })
		if v, ok := labels[version]; ok {
			labels[version] = strings.TrimSuffix(v, "-"+arch.GOARCH)
		}
		own := maps.Clone(labels)
		maps.DeleteFunc(own, func(key, value string) bool { return key != version && key != revision || value == "" })
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: images[i], Descriptor: v1.Descriptor{Platform: platform, Annotations: own},
		})
		if i == 0 {
			first, common = labels, maps.Clone(labels)
		}
		for _, key := range []string{version, revision} {
			if first[key] != labels[key] { // that of one may not be there
				return nil, cli.WithHint(fmt.Errorf("the images for %s and %s differ in %s: %q and %q", archs[0], arch, key, first[key], labels[key]),
					"build and push them from one commit")
			}
		}
		maps.DeleteFunc(common, func(key, value string) bool { return labels[key] != value })
	}
	return mutate.Annotations(index, common).(v1.ImageIndex), nil
}

// Write pushes an image or an index with the credentials of docker login, sees that
// the registry has it, and returns its digest.
func Write(ctx context.Context, tag name.Tag, image remote.Taggable) (v1.Hash, error) {
	defer progress.Start(ctx, "pushing %s", tag).End()
	digest, err := partial.Digest(image)
	if err == nil {
		err = remote.Push(tag, image, options(ctx)...)
	}
	var head *v1.Descriptor
	if err == nil {
		head, err = remote.Head(tag, options(ctx)...)
	}
	if err == nil && head.Digest != digest {
		err = fmt.Errorf("the registry has %s, not %s", head.Digest, digest)
	}
	if err != nil {
		err = cli.WithHint(fmt.Errorf("%s: %w", tag, err), again, tag.RegistryStr())
	}
	return digest, err
}

// Hints for a registry. Some say that what they do not have is forbidden.
const (
	login = "docker login %s if it wants credentials"
	again = login + "; a second run pushes what is missing"
)

// options are those of each request to the registry.
func options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
}

// optionsFor are those with which of an index the image for an architecture is taken: a
// Docker whose images containerd stores pushes an index, of one architecture, too.
func optionsFor(ctx context.Context, arch *elfmagic.Arch) []remote.Option {
	return append(options(ctx), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch.GOARCH}))
}

// isFor returns an error unless an image's configuration says that it is for
// the architecture.
func isFor(img v1.Image, arch *elfmagic.Arch) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if platform := config.OS + "/" + config.Architecture; platform != "linux/"+arch.GOARCH {
		return fmt.Errorf("it is for %s, not linux/%s", platform, arch.GOARCH)
	}
	return nil
}
