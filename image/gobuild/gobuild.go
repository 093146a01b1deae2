// Package gobuild builds the go-build image for an architecture: its parts, then,
// with Docker, the image of them.
package gobuild

import (
	"context"
	"errors"
	"fmt"
	"github.com/projectcalico/go-build/image/toolchain"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// A Builder builds the image for one architecture, in the root of the repository.
type Builder struct {
	Versions   *versions.Versions
	File       string // that they are of
	Arch       *elfmagic.Arch
	Base       string // image that it is made from; empty: base-image's, if Docker has it, else Debian's
	Repository string // before the image's name: a registry, an organization
	Core       bool   // Go, the emulators and our own commands only
	Emulators  string // directory; empty: Debian's
	Say        func(format string, args ...any)
	Progress   io.Writer // for what Docker's builder prints
}

// dir is where the parts are.
func (b *Builder) dir() string { return filepath.Join("dist", "image", b.Arch.GOARCH) }

// Build builds the image, and returns its names.
func (b *Builder) Build(ctx context.Context) ([]string, error) {
	if err := b.runs(ctx); err != nil {
		return nil, err
	}
	if b.Base == "" {
		b.Base = "debian:stable-slim"
		made := b.Repository + "/base:" + versions.Latest(b.Arch)
		if _, err := docker.Inspect(ctx, made); err == nil {
			b.Base = made
		}
	}
	var parts []string // all
	if b.Core {
		parts = []string{"own", "emulators", "go"}
	}
	artifact := artifacts.Builder{Root: ".", File: b.File, Versions: b.Versions, Arch: b.Arch, Dir: b.dir(), Emulators: b.Emulators, Say: b.Say}
	if err := artifact.Build(ctx, parts...); err != nil {
		return nil, err
	}
	where, err := b.context(parts)
	if err != nil {
		return nil, err
	}
	return b.image(ctx, where)
}

// runs returns an error if the kernel does not run the architecture's
// programs: packages' scripts are run in the image.
func (b *Builder) runs(ctx context.Context) error {
	program, err := tinyelf.Program(b.Arch)
	if err == nil {
		err = tinyelf.Run(ctx, program, nil)
	}
	if err != nil {
		return cli.WithHint(fmt.Errorf("%s programs do not run here: %w", b.Arch.GOARCH, err), "as root: bin/register %s", b.Arch.GOARCH)
	}
	return nil
}

// context puts together what goes to the daemon, and nothing else: links, so
// that nothing is copied. Parts that are not wanted are there in name.
func (b *Builder) context(parts []string) (dir string, err error) {
	dir = filepath.Join(b.dir(), "context")
	if b.Core {
		dir += "-core"
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	for _, part := range append(artifacts.Parts(), "manifest") {
		archive := part + ".tar"
		if len(parts) > 0 && !slices.Contains(parts, part) {
			// Docker adds an archive without files as a file, and its
			// classic builder loses one of two layers that are the same.
			files := []rootfs.File{{Name: "usr/share/go-build/without-" + part, Target: "versions.yaml"}}
			if part == "manifest" {
				files = append(files, rootfs.File{Name: "usr/share/go-build/versions.yaml", Source: b.File, Mode: 0o644})
			}
			err = rootfs.WriteFile(filepath.Join(dir, archive), files, time.Unix(0, 0))
		} else {
			err = os.Link(filepath.Join(b.dir(), archive), filepath.Join(dir, archive))
		}
		if err != nil {
			return "", err
		}
	}
	for _, file := range []string{"image/entrypoint", "image/install-packages", "image/gobuild/check-versions"} {
		if err := os.Link(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// image has Docker build the image, and returns its names.
func (b *Builder) image(ctx context.Context, dir string) ([]string, error) {
	tag, llvm, kubernetes := b.Versions.Tag(b.Arch), b.Versions.LLVM, b.Versions.Kubernetes
	if b.Core {
		tag, llvm, kubernetes = versions.Core(b.Arch), "", ""
	}
	name := b.Repository + "/go-build:"
	revision := toolchain.ReadRevision(ctx, ".")
	b.Say("building %s from %s …", name+tag, b.Base)
	err := docker.Build{
		Tag: name + tag, Platform: b.Arch.Platform(), File: "image/gobuild/Dockerfile", Context: dir, Progress: b.Progress,
		Args: []string{
			"BASE_IMAGE=" + b.Base, "GO_VERSION=" + b.Versions.Go, "LLVM_VERSION=" + llvm, "KUBERNETES_VERSION=" + kubernetes,
			"VERSION=" + tag, "REVISION=" + revision.Commit, "CREATED=" + revision.Time.UTC().Format(time.RFC3339),
		},
	}.Run(ctx)
	if err != nil || b.Core {
		return []string{name + tag}, err
	}
	latest := name + versions.Latest(b.Arch)
	return []string{name + tag, latest}, docker.Tag(ctx, name+tag, latest)
}
