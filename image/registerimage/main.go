// Registerimage builds the images from which emulators are registered: it puts
// their files together, has Docker build the targets of image/Dockerfile from
// them, and sets the platform where the builder does not.
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
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A builder builds the images for one architecture.
type builder struct {
	arch       *elfmagic.Arch
	repository string // before the names of the images: calico
	revision   artifacts.Revision
	dir        string // for what is put together
	emulators  string // directory with emulators; empty: Debian's
	stderr     io.Writer

	qemuVersion, qemuPackage string
}

// images are the targets of the Dockerfile, and the names of their images
// before "-ARCH".
var images = []struct{ target, image string }{
	{"qemu-user-static", "qemu-user-static:latest"},
	{"register", "qemu-user-static:register"},
	{"binfmt", "binfmt:latest"},
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	b := builder{stderr: stderr}
	f := flag.NewFlagSet("registerimage", flag.ContinueOnError)
	f.SetOutput(stderr)
	arch := f.String("arch", runtime.GOARCH, "`architecture` of the images: that of the hosts which they are for")
	f.StringVar(&b.repository, "repository", "calico", "`prefix` of the images' names: a registry, an organization")
	f.StringVar(&b.emulators, "emulators", "", "debian, built, or a `directory` of them (default: those that were built, if all are there, else Debian's)")
	f.StringVar(&b.dir, "dir", "dist/register-image", "`directory` for what goes into the images")
	contextOnly := f.Bool("context-only", false, "put together what goes into the images, and build none")
	if err := f.Parse(args); err != nil {
		return 2
	}
	err := b.configure(ctx, *arch)
	if err == nil {
		err = b.prepare(ctx)
	}
	if err == nil && !*contextOnly {
		err = b.build(ctx, stdout)
	}
	if err != nil {
		cli.Error(stderr, "registerimage", err)
		return 1
	}
	return 0
}

func (b *builder) say(format string, args ...any) {
	fmt.Fprintf(b.stderr, "registerimage: "+format+"\n", args...)
}

// configure finds out what the images are of.
func (b *builder) configure(ctx context.Context, arch string) (err error) {
	if b.arch, err = elfmagic.Lookup(arch); err != nil {
		return err
	}
	if b.arch.GOARCH == "" {
		return fmt.Errorf("%s: register cannot be built for it: Go has no port", b.arch)
	}
	if b.dir, err = filepath.Abs(filepath.Join(b.dir, b.arch.GOARCH)); err != nil {
		return err
	}
	if b.emulators, err = artifacts.ChooseEmulators(b.emulators, ".", b.arch); err != nil {
		return err
	}
	b.revision = artifacts.ReadRevision(ctx, ".")
	return nil
}

// prepare puts the images' files together.
func (b *builder) prepare(ctx context.Context) error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	b.say("building register for linux/%s …", b.arch.GOARCH)
	register := filepath.Join(b.dir, "register")
	args := append([]string{"build", "-o", register}, artifacts.CommandFlags(b.revision.Version)...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/register")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch.GOARCH)
	cmd.Stderr = b.stderr
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
	if b.emulators == "" {
		dir, newest, err := artifacts.FetchEmulators(ctx, b.arch, filepath.Join(b.dir, "emulators"), b.say)
		if err != nil {
			return err
		}
		b.emulators, b.qemuPackage = dir, newest.Name+" "+newest.Version
	}
	if file, built := artifacts.EmulatorManifest(b.emulators); built {
		m, err := qemu.ReadManifest(b.emulators)
		if err != nil {
			return err
		}
		b.qemuPackage = "qemu " + m.Debian + " (source)"
		files = append(files, file)
	}
	found, missing, err := artifacts.FindEmulators(b.arch, b.emulators)
	if err != nil {
		return err
	}
	for _, arch := range missing {
		b.say("no emulator for %s", arch)
	}
	for _, e := range found {
		b.qemuVersion = e.Version
		files = append(files, artifacts.EmulatorFile(e))
	}
	b.say("%d emulators of QEMU %s", len(found), b.qemuVersion)
	return b.write("emulators.tar", files)
}

func (b *builder) write(name string, files []rootfs.File) error {
	// The same source gives the same images: all their times are the commit's.
	return rootfs.WriteFile(filepath.Join(b.dir, name), files, b.revision.Time)
}

// build has Docker build the targets, and prints the images' names.
func (b *builder) build(ctx context.Context, stdout io.Writer) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return cli.WithHint(err, "install Docker; what goes into the images is in %s", b.dir)
	}
	ignore := "*\n!*.tar\n" // only these are sent to the daemon
	if err := os.WriteFile(filepath.Join(b.dir, ".dockerignore"), []byte(ignore), 0o644); err != nil {
		return err
	}
	for _, i := range images {
		tag := b.repository + "/" + i.image + "-" + b.arch.GOARCH
		b.say("building %s …", tag)
		err := docker.Build{
			Tag: tag, Platform: b.arch.Platform(), File: "image/Dockerfile", Target: i.target, Context: b.dir,
			Args: []string{
				"VERSION=" + b.revision.Version, "REVISION=" + b.revision.Commit, "CREATED=" + b.revision.Time.Format(time.RFC3339),
				"QEMU_VERSION=" + b.qemuVersion, "QEMU_PACKAGE=" + b.qemuPackage,
			},
		}.Run(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, tag)
	}
	return nil
}
