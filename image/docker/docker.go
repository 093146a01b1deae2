// Package docker builds images with the docker command, whichever builder it
// has, and gives them the platform that they are for.
package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/projectcalico/go-build/internal/cli"
)

// A Build is one docker build.
type Build struct {
	Tag      string
	Platform string // linux/arm64
	File     string // Dockerfile
	Context  string // directory
	Args     []string
	Progress io.Writer // for what the builder prints; nil: only if it fails
}

// Run builds the image.
func (b Build) Run(ctx context.Context) error {
	args := []string{"build", "--platform", b.Platform, "--file", b.File, "--tag", b.Tag}
	for _, arg := range b.Args {
		args = append(args, "--build-arg", arg)
	}
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "docker", append(args, b.Context)...)
	cmd.Stdout, cmd.Stderr = io.Writer(&said), io.Writer(&said)
	if b.Progress != nil {
		cmd.Stdout, cmd.Stderr = b.Progress, b.Progress
	}
	if err := cmd.Run(); err != nil {
		return cli.WithHint(fmt.Errorf("docker build of %s: %w\n%s", b.Tag, err, said.String()), "see what it printed; docker info says whether the daemon runs. A second run goes on where this one stopped")
	}
	return SetPlatform(ctx, b.Tag, b.Platform)
}

// SetPlatform makes an image say that it is for a platform: Docker's classic
// builder says of each that it is for the daemon's.
func SetPlatform(ctx context.Context, tag, platform string) error {
	want, err := v1.ParsePlatform(platform)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "docker", "image", "inspect", tag).Output()
	if err != nil {
		return fmt.Errorf("docker image inspect %s: %w", tag, err)
	}
	var have []struct{ Architecture string }
	if err := json.Unmarshal(out, &have); err != nil {
		return err
	}
	if len(have) == 1 && have[0].Architecture == want.Architecture {
		return nil
	}
	saved, err := os.CreateTemp("", "image-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(saved.Name())
	defer saved.Close()
	if err := run(ctx, "save", "--output", saved.Name(), tag); err != nil {
		return err
	}
	ref, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	image, err := tarball.ImageFromPath(saved.Name(), &ref)
	if err != nil {
		return err
	}
	if image, err = WithPlatform(image, want); err != nil {
		return err
	}
	return Load(ctx, map[name.Reference]v1.Image{ref: image})
}

// WithPlatform returns the image with another platform in its configuration.
func WithPlatform(image v1.Image, platform *v1.Platform) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	return mutate.ConfigFile(image, config)
}

// Load hands images to the daemon.
func Load(ctx context.Context, images map[name.Reference]v1.Image) error {
	cmd := exec.CommandContext(ctx, "docker", "load", "--quiet")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	writeErr := tarball.MultiRefWrite(images, in)
	in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("docker load: %w: %s", err, said.String())
	}
	return writeErr
}

func run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return nil
}
