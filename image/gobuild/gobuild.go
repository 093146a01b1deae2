// Package gobuild builds the go-build image for an architecture: its parts, then,
// with Docker, the image of them.
package gobuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/licenses"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// A Builder builds the image for one architecture, in the root of the repository.
type Builder struct {
	artifacts.Builder        // of its parts
	Base              string // image that it is made from; empty: base-image's, if Docker has it, else Debian's
	Repository        string // before the image's name: a registry, an organization
	Core              bool   // Go, the emulators and our own commands only
	Progress          io.Writer
}

// Build builds the image, and returns its names. What Docker's builder prints goes
// to Progress.
func (b *Builder) Build(ctx context.Context) (names []string, err error) {
	if err := b.runs(ctx); err != nil {
		return nil, err
	}
	b.Root, b.Dir = ".", filepath.Join("dist", "image", b.Arch.GOARCH)
	if b.Base == "" {
		b.Base = b.Versions.Base
		made := b.Repository + "/go-build-base:" + versions.Latest(b.Arch)
		if _, err := docker.Inspect(ctx, made); err == nil {
			b.Base = made
		}
	}
	var parts []string // all
	if b.Core {
		parts = []string{"own", "emulators", "go"}
	}
	err = b.Use(ctx, func() error {
		dir, err := b.context(parts)
		if err == nil {
			names, err = b.image(ctx, dir)
		}
		return err
	}, parts...)
	return names, err
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

// ours are the repository's own files in the image, and their modes there, which an umask
// may have taken from those of a clone.
var ours = map[string]os.FileMode{
	"image/entrypoint": 0o755, "image/install-packages": 0o755, "image/gobuild/check-versions": 0o755,
	"image/gobuild/not-unpacked": 0o644, "image/gobuild/ssh_known_hosts": 0o644,
}

// context puts together what goes to the daemon, and nothing else: links to what is large,
// so that it is not copied. Parts that are not wanted are there in name.
func (b *Builder) context(parts []string) (dir string, err error) {
	dir = filepath.Join(b.Dir, "context")
	if b.Core {
		dir += "-core"
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	for path, mode := range ours {
		content, err := os.ReadFile(filepath.Join(b.Root, path))
		if err == nil {
			err = file.ReplaceWith(filepath.Join(dir, filepath.Base(path)), mode, content)
		}
		if err != nil {
			return "", err
		}
	}
	for _, part := range append(artifacts.Parts(), "manifest") {
		if !b.Core || slices.Contains(parts, part) {
			if err := os.Link(filepath.Join(b.Dir, part+".tar"), filepath.Join(dir, part+".tar")); err != nil {
				return "", err
			}
			continue
		}
		// Docker adds an archive without files as a file, and its
		// classic builder loses one of two layers that are the same.
		files := []rootfs.File{
			{Name: "usr/share/go-build/without-" + part, Target: "versions.yaml"},
			{Name: "usr/share/go-build/versions.yaml", Source: b.File, Mode: 0o644},
		}
		if err := rootfs.WriteFile(filepath.Join(dir, part+".tar"), files, time.Unix(0, 0)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// image has Docker build the image, and returns its names.
func (b *Builder) image(ctx context.Context, dir string) ([]string, error) {
	tag, llvm, kubernetes := b.Versions.Tag(b.Arch), b.Versions.LLVM, b.Versions.Kubernetes
	cc, cxx := "clang --sysroot="+artifacts.Sysroot(b.Arch), "clang++"
	if b.Core {
		tag, llvm, kubernetes, cc, cxx = versions.Core(b.Arch), "", "", "", ""
	}
	name := b.Repository + "/go-build:"
	revision := toolchain.ReadRevision(ctx, ".")
	if revision.Dirty() { // its label names the commit
		b.Say("warning: there are changes that are in no commit: nobody else can make this image")
	}
	args := []string{"--file", "image/gobuild/Dockerfile"}
	for _, value := range []string{
		"BASE_IMAGE=" + b.Base, "GO_VERSION=" + b.Versions.Go, "LLVM_VERSION=" + llvm, "KUBERNETES_VERSION=" + kubernetes,
		"CC=" + cc, "CXX=" + cxx,
		"VERSION=" + tag, "REVISION=" + revision.Commit, "CREATED=" + revision.Time.UTC().Format(time.RFC3339),
		// Debian's packages have theirs in /usr/share/doc.
		"LICENSES=" + licenses.All(licenses.Own, licenses.QEMU, b.Licenses, "LicenseRef-Debian-packages"),
	} {
		args = append(args, "--build-arg", value)
	}
	b.Say("building %s from %s …", name+tag, b.Base)
	err := docker.Build(ctx, name+tag, b.Arch.Platform(), b.Progress, append(args, dir)...)
	if err != nil || b.Core {
		return []string{name + tag}, err
	}
	names := []string{name + tag, name + b.Versions.NewestFor(b.Arch)}
	if b.Arch.GOARCH == runtime.GOARCH {
		names = append(names, name+b.Versions.Newest()) // what docker run takes if it is told nothing
	}
	for _, other := range names[1:] {
		if _, err := docker.Run(ctx, "tag", name+tag, other); err != nil {
			return nil, err
		}
	}
	return names, nil
}
