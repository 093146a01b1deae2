// Gobuild builds the go-build image for an architecture: its parts, then, with
// Docker, the image of them.
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
	"slices"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	b := builder{stdout: stdout, stderr: stderr}
	f := flag.NewFlagSet("gobuild", flag.ContinueOnError)
	f.SetOutput(stderr)
	arch := f.String("arch", runtime.GOARCH, "`architecture` of the image")
	f.StringVar(&b.base, "base", "debian:stable-slim", "`image` that it is made from")
	f.StringVar(&b.repository, "repository", "calico", "`prefix` of the image's name: a registry, an organization")
	emulators := f.String("emulators", "", "debian, built, or a `directory` of them (default: those that were built, if all are there, else Debian's)")
	f.BoolVar(&b.core, "core", false, "build core-ARCH only: Go, the emulators and this project's own commands, from the same Dockerfile. It takes a minute, and is for tests")
	if err := f.Parse(args); err != nil {
		return 2
	}
	err := b.configure(*arch, *emulators, f.Args())
	if err != nil {
		cli.Error(stderr, "gobuild", err)
		return 2
	}
	if err := b.run(ctx); err != nil {
		cli.Error(stderr, "gobuild", err)
		return 1
	}
	return 0
}

// A builder builds the image for one architecture.
type builder struct {
	versions   *image.Versions
	arch       *elfmagic.Arch
	base       string
	repository string
	core       bool
	emulators  string // directory; empty: Debian's
	dir        string // for the parts

	stdout, stderr io.Writer
}

func (b *builder) configure(arch, emulators string, args []string) (err error) {
	if len(args) > 0 {
		return cli.WithHint(fmt.Errorf("%q is no flag", args[0]), "gobuild -help lists them")
	}
	if b.arch, err = image.Architecture(arch); err != nil {
		return err
	}
	if b.emulators, err = artifacts.ChooseEmulators(emulators, ".", b.arch); err != nil {
		return err
	}
	b.dir = filepath.Join("dist", "image", b.arch.GOARCH)
	b.versions, err = image.Load(image.File)
	return err
}

func (b *builder) run(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return cli.WithHint(err, "install Docker; go run ./image/artifacts builds what goes into the image without it")
	}
	if err := b.runs(ctx); err != nil {
		return err
	}
	var parts []string // all
	if b.core {
		parts = []string{"own", "emulators", "go"}
	}
	artifact := artifacts.Builder{Root: ".", File: image.File, Versions: b.versions, Arch: b.arch, Dir: b.dir, Emulators: b.emulators, Progress: b.stderr}
	if err := artifact.Build(ctx, parts...); err != nil {
		return err
	}
	where, err := b.context(parts)
	if err != nil {
		return err
	}
	return b.image(ctx, where)
}

// runs returns an error if the kernel does not run the architecture's
// programs: packages' scripts are run in the image.
func (b *builder) runs(ctx context.Context) error {
	program, err := tinyelf.Program(b.arch)
	if err == nil {
		err = tinyelf.Run(ctx, program, nil)
	}
	if err != nil {
		return cli.WithHint(fmt.Errorf("%s programs do not run here: %w", b.arch.GOARCH, err), "as root: bin/register %s", b.arch.GOARCH)
	}
	return nil
}

// context puts together what goes to the daemon, and nothing else: links, so
// that nothing is copied. Parts that are not wanted are there in name.
func (b *builder) context(parts []string) (dir string, err error) {
	dir = filepath.Join(b.dir, "context")
	if b.core {
		dir += "-core"
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return "", err
	}
	for _, part := range append(artifacts.Parts(), "manifest") {
		archive := part + ".tar"
		if len(parts) > 0 && !slices.Contains(parts, part) {
			// Docker takes an archive without files for a file, and its
			// classic builder loses one of two layers that are the same.
			files := []rootfs.File{{Name: "usr/share/go-build/without-" + part, Target: "versions.yaml"}}
			if part == "manifest" {
				files = append(files, rootfs.File{Name: "usr/share/go-build/versions.yaml", Source: image.File, Mode: 0o644})
			}
			err = rootfs.WriteFile(filepath.Join(dir, archive), files, time.Unix(0, 0))
		} else {
			err = os.Link(filepath.Join(b.dir, archive), filepath.Join(dir, archive))
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

// image has Docker build the image, and prints its names.
func (b *builder) image(ctx context.Context, dir string) error {
	tag, latest := b.versions.Tag(b.arch), image.Latest(b.arch)
	llvm, kubernetes := b.versions.LLVM, b.versions.Kubernetes
	if b.core {
		tag, latest = "core-"+b.arch.GOARCH, ""
		llvm, kubernetes = "", ""
	}
	name := b.repository + "/go-build:"
	revision := toolchain.ReadRevision(ctx, ".")
	fmt.Fprintf(b.stderr, "gobuild: building %s …\n", name+tag)
	err := docker.Build{
		Tag: name + tag, Platform: b.arch.Platform(), File: "image/gobuild/Dockerfile", Context: dir, Progress: b.stderr,
		Args: []string{
			"BASE_IMAGE=" + b.base, "GO_VERSION=" + b.versions.Go, "LLVM_VERSION=" + llvm, "KUBERNETES_VERSION=" + kubernetes,
			"VERSION=" + tag, "REVISION=" + revision.Commit, "CREATED=" + revision.Time.UTC().Format(time.RFC3339),
		},
	}.Run(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(b.stdout, name+tag)
	if latest == "" {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "docker", "tag", name+tag, name+latest).CombinedOutput(); err != nil {
		return fmt.Errorf("docker tag: %w: %s", err, out)
	}
	fmt.Fprintln(b.stdout, name+latest)
	return nil
}
