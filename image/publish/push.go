package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

// Push pushes the architectures' images, and sees that they arrived.
func (p *Publisher) Push(ctx context.Context, archs []*elfmagic.Arch) error {
	if err := docker.Installed(""); err != nil {
		return err
	}
	// All must be there before the first is pushed.
	var ids []string
	var errs []error
	for _, arch := range archs {
		id, err := inspect(ctx, p.localTag(arch), arch)
		if err != nil {
			errs = append(errs, cli.WithHint(err, "build it first: make image ARCH=%s", arch.GOARCH))
		}
		ids = append(ids, id)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for i, arch := range archs {
		if err := p.pushOne(ctx, arch, ids[i]); err != nil {
			return fmt.Errorf("%s: %w", p.remote.Tag(p.versions.Tag(arch)), err)
		}
	}
	return nil
}

func (p *Publisher) localTag(arch *elfmagic.Arch) string {
	return p.local + "/go-build:" + p.versions.Tag(arch)
}

// inspect returns the identity that Docker gives an image, if it is one for the
// architecture.
func inspect(ctx context.Context, tag string, arch *elfmagic.Arch) (id string, err error) {
	image, err := docker.Inspect(ctx, tag)
	if err == nil && image.Architecture != arch.GOARCH {
		err = fmt.Errorf("%s: it is for %s", tag, image.Architecture)
	}
	return image.ID, err
}

func (p *Publisher) pushOne(ctx context.Context, arch *elfmagic.Arch, id string) error {
	tag := p.remote.Tag(p.versions.Tag(arch))
	p.Say("pushing %s …", tag)
	_, err := docker.Run(ctx, "tag", p.localTag(arch), tag.Name())
	if err == nil {
		_, err = docker.Run(ctx, "push", "--quiet", tag.Name())
	}
	if err != nil {
		return cli.WithHint(err, "docker login %s if it wants credentials; a second run pushes what is missing", p.remote.RegistryStr())
	}
	descriptor, err := remote.Get(tag, options(ctx)...)
	if err != nil {
		return err
	}
	img, err := descriptor.Image()
	if err != nil {
		return err
	}
	config, err := img.ConfigName()
	if err != nil {
		return err
	}
	if config.String() != id && descriptor.Digest.String() != id {
		return fmt.Errorf("the registry has %s with configuration %s, Docker has %s", descriptor.Digest, config, id)
	}
	if err := errors.Join(isFor(img, arch), validate.Image(img, validate.Fast)); err != nil {
		return fmt.Errorf("the registry does not have it whole: %w", err)
	}
	latest := p.remote.Tag(versions.Latest(arch))
	if err := remote.Tag(latest, descriptor, options(ctx)...); err != nil {
		return fmt.Errorf("%s: %w", latest, err)
	}
	if err := p.has(ctx, latest, descriptor.Digest.String()); err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "%s@%s\n", tag, descriptor.Digest)
	return nil
}

// has asks the registry whether a tag is for a digest.
func (p *Publisher) has(ctx context.Context, tag name.Tag, digest string) error {
	head, err := remote.Head(tag, options(ctx)...)
	if err != nil {
		return fmt.Errorf("%s: %w", tag, err)
	}
	if head.Digest.String() != digest {
		return fmt.Errorf("%s: the registry has %s, not %s", tag, head.Digest, digest)
	}
	return nil
}
