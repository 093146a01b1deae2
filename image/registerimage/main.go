// Registerimage makes the images from which emulators are registered, hands them
// to Docker, and prints their digests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/registerimages"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	b := registerimages.Builder{Root: ".", Say: func(format string, args ...any) {
		fmt.Fprintf(stderr, "registerimage: "+format+"\n", args...)
	}}
	f := flag.NewFlagSet("registerimage", flag.ContinueOnError)
	f.SetOutput(stderr)
	arch := f.String("arch", runtime.GOARCH, "`architecture` of the images: that of the hosts which they are for")
	f.StringVar(&b.Repository, "repository", "calico", "`prefix` of the images' names: a registry, an organization")
	f.StringVar(&b.Emulators, "emulators", "", "debian, built, or a `directory` of them (default: those that were built, if all are there, else Debian's)")
	f.StringVar(&b.Dir, "dir", "dist/register-image", "`directory` for what is made on the way, and for the images: ARCH/oci is an OCI layout of them")
	load := f.Bool("load", true, "hand the images to Docker")
	archive := f.String("tarball", "", "write the images to a `file`, for docker load")
	push := f.Bool("push", false, "push the images to the registry that -repository begins with")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := build(ctx, &b, *arch, *load, *archive, *push, stdout); err != nil {
		cli.Error(stderr, "registerimage", err)
		return 1
	}
	return 0
}

func build(ctx context.Context, b *registerimages.Builder, arch string, load bool, archive string, push bool, stdout io.Writer) (err error) {
	if load {
		if _, err := exec.LookPath("docker"); err != nil {
			return cli.WithHint(err, "install Docker, or make the images without it: -load=false")
		}
	}
	if b.Arch, err = elfmagic.Lookup(arch); err != nil {
		return err
	}
	b.Dir = filepath.Join(b.Dir, b.Arch.GOARCH)
	if b.Emulators, err = artifacts.ChooseEmulators(b.Emulators, b.Root, b.Arch); err != nil {
		return err
	}
	versions, err := image.Load(image.File)
	if err != nil {
		return err
	}
	if b.Toolchain, err = toolchain.Find(ctx, versions.Go); err != nil {
		return err
	}
	images, err := b.Build(ctx)
	if err == nil {
		err = images.Layout(filepath.Join(b.Dir, "oci"))
	}
	if err == nil && archive != "" {
		err = write(archive, images)
	}
	if err == nil && load {
		err = images.Load(ctx)
	}
	if err == nil && push {
		err = images.Push(ctx)
	}
	if err != nil {
		return err
	}
	return images.Print(stdout)
}

func write(file string, images registerimages.Images) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(images.Tarball(f), f.Close())
}
