// Package registerimage builds the images from which emulators are registered: it
// puts their files together, has Docker build the targets of image/Dockerfile from
// them, and sets the platform where the builder does not.
package registerimage

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/image/rootfs"
)

// A Builder builds the images for one architecture, in the root of the repository.
type Builder struct {
	Arch       *elfmagic.Arch
	Repository string // before the names of the images: calico
	Dir        string // for what is put together
	Emulators  string // directory with emulators; empty: Debian's
	Say        func(format string, args ...any)
	Stderr     io.Writer

	revision                 artifacts.Revision
	qemuVersion, qemuPackage string
}

// images are the targets of the Dockerfile, and the names of their images
// before "-ARCH".
var images = []struct{ target, image string }{
	{"qemu-user-static", "qemu-user-static:latest"},
	{"register", "qemu-user-static:register"},
	{"binfmt", "binfmt:latest"},
}

// Prepare puts the images' files together.
func (b *Builder) Prepare(ctx context.Context) error {
	b.revision = artifacts.ReadRevision(ctx, ".")
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return err
	}
	b.Say("building register for linux/%s …", b.Arch.GOARCH)
	register := filepath.Join(b.Dir, "register")
	args := append([]string{"build", "-o", register}, artifacts.CommandFlags(b.revision.Version)...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/register")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.Arch.GOARCH)
	cmd.Stderr = b.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot build register: %w", err)
	}
	files := []rootfs.File{
		{Name: "usr/bin/register", Source: register, Mode: 0o755},
		{Name: "usr/bin/binfmt", Target: "register"},
	}
	if err := b.write("register.tar", files); err != nil {
		return err
	}
	if b.Emulators == "" {
		dir, newest, err := artifacts.FetchEmulators(ctx, b.Arch, filepath.Join(b.Dir, "emulators"), b.Say)
		if err != nil {
			return err
		}
		b.Emulators, b.qemuPackage = dir, newest.Name+" "+newest.Version
	}
	if file, built := artifacts.EmulatorManifest(b.Emulators); built {
		m, err := qemu.ReadManifest(b.Emulators)
		if err != nil {
			return err
		}
		b.qemuPackage = "qemu " + m.Debian + " (source)"
		files = append(files, file)
	}
	found, missing, err := artifacts.FindEmulators(b.Arch, b.Emulators)
	if err != nil {
		return err
	}
	for _, arch := range missing {
		b.Say("no emulator for %s", arch)
	}
	for _, e := range found {
		b.qemuVersion = e.Version
		files = append(files, artifacts.EmulatorFile(e))
	}
	b.Say("%d emulators of QEMU %s", len(found), b.qemuVersion)
	return b.write("emulators.tar", files)
}

func (b *Builder) write(name string, files []rootfs.File) error {
	// The same source gives the same images: all their times are the commit's.
	return rootfs.WriteFile(filepath.Join(b.Dir, name), files, b.revision.Time)
}

// Build has Docker build the targets, and returns the images' names.
func (b *Builder) Build(ctx context.Context) (names []string, err error) {
	ignore := "*\n!*.tar\n" // only these are sent to the daemon
	if err := os.WriteFile(filepath.Join(b.Dir, ".dockerignore"), []byte(ignore), 0o644); err != nil {
		return names, err
	}
	for _, i := range images {
		tag := b.Repository + "/" + i.image + "-" + b.Arch.GOARCH
		b.Say("building %s …", tag)
		err := docker.Build{
			Tag: tag, Platform: b.Arch.Platform(), File: "image/Dockerfile", Target: i.target, Context: b.Dir,
			Args: []string{
				"VERSION=" + b.revision.Version, "REVISION=" + b.revision.Commit, "CREATED=" + b.revision.Time.Format(time.RFC3339),
				"QEMU_VERSION=" + b.qemuVersion, "QEMU_PACKAGE=" + b.qemuPackage,
			},
		}.Run(ctx)
		if err != nil {
			return names, err
		}
		names = append(names, tag)
	}
	return names, nil
}
