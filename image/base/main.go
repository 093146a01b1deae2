// Base makes an image of Debian's base system, like Debian's own slim image,
// from its packages: for machines without a registry. Programs of a foreign
// architecture are run by what is registered with the kernel.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("base", flag.ContinueOnError)
	f.SetOutput(stderr)
	arch := f.String("arch", runtime.GOARCH, "`architecture` of the image")
	suite := f.String("suite", "stable", "Debian's `release`")
	tag := f.String("tag", "", "`name` of the image")
	dir := f.String("dir", "dist/base", "`directory` for the root file system, which is kept")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := base(ctx, *arch, *suite, *tag, *dir, stderr); err != nil {
		cli.Error(stderr, "base", err)
		return 1
	}
	fmt.Fprintln(stdout, *tag)
	return 0
}

func base(ctx context.Context, archName, suite, tag, dir string, stderr io.Writer) error {
	arch, err := elfmagic.Lookup(archName)
	if err != nil {
		return err
	}
	if len(arch.Debian) == 0 {
		return fmt.Errorf("%s: there is no port of Debian for it", arch)
	}
	ref, err := name.NewTag(tag)
	if err != nil {
		return cli.WithHint(fmt.Errorf("-tag: %w", err), "calico/base:latest-%s is one", archName)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	archive := filepath.Join(dir, fmt.Sprintf("%s-%s.tar", suite, arch.Debian[0].Name))
	if _, err := os.Stat(archive); err != nil {
		fmt.Fprintf(stderr, "base: making %s …\n", archive)
		if err := bootstrap(ctx, suite, arch.Debian[0].Name, archive); err != nil {
			return err
		}
	}
	layer, err := tarball.LayerFromFile(archive)
	if err != nil {
		return err
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "mmdebstrap " + suite}})
	if err != nil {
		return err
	}
	platform, err := v1.ParsePlatform(arch.Platform())
	if err != nil {
		return err
	}
	if image, err = docker.WithPlatform(image, platform); err != nil {
		return err
	}
	if image, err = mutate.Config(image, v1.Config{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, Cmd: []string{"bash"}}); err != nil {
		return err
	}
	return docker.Load(ctx, map[name.Reference]v1.Image{ref: image})
}

// bootstrap makes the root file system, or nothing.
func bootstrap(ctx context.Context, suite, port, archive string) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return cli.WithHint(err, "apt-get install mmdebstrap arch-test")
	}
	mirror, err := debian.Mirror()
	if err != nil {
		return cli.WithHint(err, "name another base: make image BASE_IMAGE=…")
	}
	partial := archive + ".partial"
	defer os.Remove(partial)
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "mmdebstrap",
		"--variant=minbase", "--include=ca-certificates", "--architectures="+port, "--format=tar",
		// Nobody reads these in a container.
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright",
		suite, partial, mirror)
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return cli.WithHint(fmt.Errorf("mmdebstrap: %w\n%s", err, said.String()), "a foreign architecture's programs must run here: register %s", port)
	}
	return os.Rename(partial, archive)
}
