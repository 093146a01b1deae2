package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// Manifest joins the architectures' images into an image index under the
// versions' tag and as latest, and reads it back.
func (p *Publisher) Manifest(ctx context.Context, archs []*elfmagic.Arch) error {
	images := make(map[*elfmagic.Arch]v1.Image)
	var errs []error
	for _, arch := range archs {
		tag := p.remote.Tag(p.versions.Tag(arch))
		img, err := remote.Image(tag, options(ctx)...)
		if err == nil {
			err = isFor(img, arch)
		}
		if err != nil {
			errs = append(errs, cli.WithHint(fmt.Errorf("%s: %w", tag, err), "make push ARCH=%s REGISTRY=… comes first", arch.GOARCH))
			continue
		}
		images[arch] = img
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	index, err := join(archs, images)
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	for _, name := range []string{p.versions.String(), "latest"} {
		tag := p.remote.Tag(name)
		p.Say("pushing %s for %s …", tag, names(archs))
		if err := remote.WriteIndex(tag, index, options(ctx)...); err != nil {
			return fmt.Errorf("%s: %w", tag, err)
		}
		if err := p.has(ctx, tag, digest.String()); err != nil {
			return err
		}
		if err := verify(ctx, p, name, archs, images); err != nil {
			return fmt.Errorf("%s: what came back is not what was pushed: %w", tag, err)
		}
		fmt.Fprintf(p.Stdout, "%s@%s\n", tag, digest)
	}
	return nil
}

func names(archs []*elfmagic.Arch) string {
	var list []string
	for _, arch := range archs {
		list = append(list, arch.GOARCH)
	}
	return strings.Join(list, ", ")
}

// join returns the image index. What all images say of themselves in
// annotations of the OCI image specification it says, too; they must be of one
// version and revision.
func join(archs []*elfmagic.Arch, images map[*elfmagic.Arch]v1.Image) (v1.ImageIndex, error) {
	const version, revision = "org.opencontainers.image.version", "org.opencontainers.image.revision"
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var common map[string]string
	for _, arch := range archs {
		config, err := images[arch].ConfigFile()
		if err != nil {
			return nil, err
		}
		labels := make(map[string]string)
		for key, value := range config.Config.Labels {
			if strings.HasPrefix(key, "org.opencontainers.image.") {
				labels[key] = value
			}
		}
		if v, ok := labels[version]; ok {
			labels[version] = strings.TrimSuffix(v, "-"+arch.GOARCH)
		}
		platform, err := platforms.Parse(arch.Platform())
		if err != nil {
			return nil, err
		}
		annotations := make(map[string]string)
		for _, key := range []string{version, revision} {
			if labels[key] != "" {
				annotations[key] = labels[key]
			}
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: images[arch],
			Descriptor: v1.Descriptor{
				Platform:    &v1.Platform{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant},
				Annotations: annotations,
			},
		})
		if common == nil {
			common = labels
		}
		for key, value := range common {
			if labels[key] == value {
				continue
			}
			if key == version || key == revision {
				return nil, cli.WithHint(fmt.Errorf("the images for %s and %s differ in %s: %q and %q", archs[0], arch, key, value, labels[key]),
					"build and push them from one commit")
			}
			delete(common, key)
		}
	}
	annotated, ok := mutate.Annotations(index, common).(v1.ImageIndex)
	if !ok {
		return nil, errors.New("an image index with annotations is none")
	}
	return annotated, nil
}

// verify pulls the tag's image for each architecture.
func verify(ctx context.Context, p *Publisher, tag string, archs []*elfmagic.Arch, images map[*elfmagic.Arch]v1.Image) error {
	index, err := remote.Index(p.remote.Tag(tag), options(ctx)...)
	if err != nil {
		return err
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		return err
	}
	for _, arch := range archs {
		want, err := images[arch].Digest()
		if err != nil {
			return err
		}
		platform := v1.Platform{OS: "linux", Architecture: arch.GOARCH}
		got, err := remote.Image(p.remote.Tag(tag), append(options(ctx), remote.WithPlatform(platform))...)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		if digest, err := got.Digest(); err != nil || digest != want {
			return errors.Join(fmt.Errorf("%s: it is %s, not %s", arch, digest, want), err)
		}
	}
	return nil
}
