// Package base makes an image of Debian's base system, like Debian's own slim
// image, from its packages: for machines without a registry. Programs of a foreign
// architecture are run by what is registered with the kernel.
package base

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// An Image says which one is to be made.
type Image struct {
	Arch  *elfmagic.Arch
	Suite string // Debian's release
	Tag   name.Tag
	Dir   string // for the root file system, which is kept
}

// Port returns the architecture of a name, if Debian has a port for it.
func Port(name string) (*elfmagic.Arch, error) {
	arch, err := elfmagic.Lookup(name)
	if err == nil && len(arch.Debian) == 0 {
		err = fmt.Errorf("%s: there is no port of Debian for it", arch)
	}
	return arch, err
}

// Tag returns the name of an architecture's image.
func Tag(text string, arch *elfmagic.Arch) (name.Tag, error) {
	tag, err := name.NewTag(text)
	if err != nil {
		err = cli.WithHint(fmt.Errorf("--tag: %w", err), "calico/go-build-base:latest-%s is one", arch.GOARCH)
	}
	return tag, err
}

func (i Image) port() string { return i.Arch.Debian[0].Name }

// archive returns the root file system's file, and when it was made, if it has been.
func (i Image) archive() (file string, when time.Time, made bool) {
	file = filepath.Join(i.Dir, i.Suite+"-"+i.port()+".tar")
	info, err := os.Stat(file)
	if err == nil {
		when = info.ModTime()
	}
	return file, when, err == nil
}

// Check returns an error if Debian has not what the image is made from. Nothing is
// kept of what is asked for.
func (i Image) Check(ctx context.Context) error {
	if _, _, made := i.archive(); made {
		return nil
	}
	ports, err := debian.Ports(ctx, i.Suite)
	if err == nil && !slices.Contains(ports, i.port()) {
		err = cli.WithHint(fmt.Errorf("release %q of Debian has no %s", i.Suite, i.port()), "it has %s; --suite names another release", strings.Join(ports, ", "))
	}
	return err
}

// Installed returns an error if a program is not installed that makes the image.
func (i Image) Installed() error {
	if _, _, made := i.archive(); made {
		return nil
	}
	for _, name := range []string{"mmdebstrap", "arch-test"} {
		if _, err := exec.LookPath(name); err != nil {
			return cli.WithHint(fmt.Errorf("%s is not installed", name), "apt-get install mmdebstrap arch-test; --install does it")
		}
	}
	return nil
}

// Make makes the image, and hands it to Docker.
func (i Image) Make(ctx context.Context, say func(string, ...any)) error {
	archive, when, made := i.archive()
	if made {
		say("%s is there, made on %s: remove it for one of today's packages", archive, when.UTC().Format(time.DateOnly))
	} else {
		say("making %s …", archive)
		if err := i.bootstrap(ctx, archive); err != nil {
			return err
		}
	}
	layer, err := tarball.LayerFromFile(archive)
	if err != nil {
		return err
	}
	platform, err := v1.ParsePlatform(i.Arch.Platform())
	if err != nil {
		return err
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, Cmd: []string{"bash"}},
	})
	if err == nil {
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "mmdebstrap " + i.Suite}})
	}
	if err != nil {
		return err
	}
	return docker.Load(ctx, map[name.Reference]v1.Image{i.Tag: image})
}

// bootstrap makes the root file system, or nothing.
func (i Image) bootstrap(ctx context.Context, archive string) error {
	mirror, err := debian.Mirror()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(i.Dir, 0o755); err != nil {
		return err
	}
	return file.Replace(archive, 0o644, func(w io.Writer) error {
		var said strings.Builder
		cmd := program.Command(ctx, "mmdebstrap",
			"--variant=minbase", "--include=ca-certificates", "--architectures="+i.port(), "--format=tar",
			// Nobody reads these in a container.
			"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
			"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
			i.Suite, "-", mirror)
		task := progress.Start(ctx, "mmdebstrap %s for %s", i.Suite, i.port())
		defer task.End()
		cmd.Stdout, cmd.Stderr = w, io.MultiWriter(&said, progress.Lines(func(line string) { task.At(stage(line)) }))
		if err := cmd.Run(); err != nil {
			return cli.WithHint(program.Failed(cmd, err, said.String()), "a foreign architecture's programs must run here: register %s", i.port())
		}
		return nil
	})
}

// stage returns what mmdebstrap is at: "I: extracting archives...".
func stage(line string) string { return strings.TrimRight(strings.TrimPrefix(line, "I: "), ".") }
