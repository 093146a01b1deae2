// Package docker is the docker command: it builds images, whichever builder it
// has, gives them the platform that they are for, and loads, tags and pushes them.
package docker

import (
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

// Build has Docker build an image for a platform (linux/arm64). More arguments are
// docker build's.
func Build(ctx context.Context, tag, platform string, progress io.Writer, args ...string) error {
	cmd := program.Command(ctx, "docker", append([]string{"build", "--platform", platform, "--tag", tag}, args...)...)
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return cli.WithHint(fmt.Errorf("docker build of %s: %w", tag, err), "see what it printed; docker info says whether the daemon runs. A second run goes on where this one stopped")
	}
	return SetPlatform(ctx, tag, platform)
}

// An Image is what Docker says of one that it has.
type Image struct {
	ID           string // its configuration's digest, or its manifest's where containerd stores it
	Architecture string // Go's name
}

// Inspect returns what Docker says of an image.
func Inspect(ctx context.Context, tag string) (Image, error) {
	out, err := Run(ctx, "image", "inspect", tag)
	if err != nil {
		return Image{}, fmt.Errorf("%s: Docker has no such image: %w", tag, err)
	}
	var images [1]Image
	if err := json.Unmarshal([]byte(out), &images); err != nil {
		return Image{}, fmt.Errorf("%s: docker image inspect says %q", tag, out)
	}
	return images[0], nil
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
	if _, err := Run(ctx, "save", "--output", saved.Name(), tag); err != nil {
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
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = want.OS, want.Architecture, want.Variant
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	return Load(ctx, map[name.Reference]v1.Image{ref: image})
}

// Load hands images to the daemon.
func Load(ctx context.Context, images map[name.Reference]v1.Image) error {
	r, w := io.Pipe()
	defer r.Close() // ends the writing if docker has ended before it
	go func() { w.CloseWithError(tarball.MultiRefWrite(images, w)) }()
	cmd := program.Command(ctx, "docker", "load", "--quiet")
	cmd.Stdin = r
	_, err := program.Output(cmd)
	return err
}

// Ready returns an error if there is no docker command, or no daemon answers it: it
// is asked before anything is made for it.
func Ready(ctx context.Context, hint string) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return cli.WithHint(errors.New("docker is not installed"), "install Docker%s", hint)
	}
	if _, err := Run(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return cli.WithHint(err, "start Docker, or see that you may use it%s", hint)
	}
	return nil
}

// Run runs a docker command, and returns what it printed.
func Run(ctx context.Context, args ...string) (string, error) {
	return program.Output(program.Command(ctx, "docker", args...))
}
