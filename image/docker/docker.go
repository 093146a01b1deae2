// Package docker is the docker command: it builds images, whichever builder it
// has, gives them the platform that they are for, and loads, tags and pushes them.
package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/projectcalico/go-build/image/program"
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
	cmd := program.Command(ctx, "docker", append(args, b.Context)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if b.Progress != nil {
		cmd.Stdout, cmd.Stderr = b.Progress, b.Progress
	}
	if err := cmd.Run(); err != nil {
		return cli.WithHint(fmt.Errorf("docker build of %s: %w%s", b.Tag, err, cli.Quoted(said.String())), "see what it printed; docker info says whether the daemon runs. A second run goes on where this one stopped")
	}
	return SetPlatform(ctx, b.Tag, b.Platform)
}

// An Image is what Docker says of one that it has.
type Image struct {
	ID           string // its configuration's digest, or its manifest's where containerd stores it
	Architecture string // Go's name
}

// Inspect returns what Docker says of an image.
func Inspect(ctx context.Context, tag string) (Image, error) {
	out, err := run(ctx, "image", "inspect", tag)
	if err != nil {
		return Image{}, fmt.Errorf("%s: Docker has no such image: %w", tag, err)
	}
	var images []Image
	if err := json.Unmarshal([]byte(out), &images); err != nil || len(images) != 1 {
		return Image{}, fmt.Errorf("%s: docker image inspect says %q", tag, out)
	}
	return images[0], nil
}

// Tag gives an image another name.
func Tag(ctx context.Context, tag, other string) error {
	_, err := run(ctx, "tag", tag, other)
	return err
}

// Push pushes an image to the registry that its name begins with.
func Push(ctx context.Context, tag string) error {
	_, err := run(ctx, "push", "--quiet", tag)
	return err
}

// SetPlatform makes an image say that it is for a platform: Docker's classic
// builder says of each that it is for the daemon's.
func SetPlatform(ctx context.Context, tag, platform string) error {
	want, err := v1.ParsePlatform(platform)
	if err != nil {
		return err
	}
	if have, err := Inspect(ctx, tag); err != nil || have.Architecture == want.Architecture {
		return err
	}
	saved, err := os.CreateTemp("", "image-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(saved.Name())
	defer saved.Close()
	if _, err := run(ctx, "save", "--output", saved.Name(), tag); err != nil {
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
	cmd := program.Command(ctx, "docker", "load", "--quiet")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	writeErr := tarball.MultiRefWrite(images, in)
	in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("docker load: %w%s", err, cli.Quoted(said.String()))
	}
	return writeErr
}

// Installed returns an error if there is no docker command: it is asked before
// anything is made for it.
func Installed(hint string) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return cli.WithHint(errors.New("docker is not installed"), "install Docker%s", hint)
	}
	return nil
}

// run returns what a docker command printed.
func run(ctx context.Context, args ...string) (string, error) {
	return program.Output(program.Command(ctx, "docker", args...))
}
