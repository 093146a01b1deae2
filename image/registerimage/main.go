// Registerimage builds the images from which emulators are registered: it puts
// their files together, has Docker build the targets of image/Dockerfile from
// them, and sets the platform where the builder does not.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/debian"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/message"
	"github.com/projectcalico/go-build/internal/rootfs"
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
	version    string
	revision   string
	when       time.Time // of everything in the images
	dir        string    // for what is put together
	emulators  string    // directory with emulators; empty: Debian's
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
	f.StringVar(&b.emulators, "emulators", "", "`directory` of emulators, instead of Debian's package")
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
		message.Error(stderr, "registerimage", err)
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
	// The same source gives the same images: all their times are the commit's.
	git := func(args ...string) string {
		out, _ := exec.CommandContext(ctx, "git", args...).Output()
		return strings.TrimSpace(string(out))
	}
	b.version = or(git("describe", "--tags", "--always", "--dirty"), "unknown")
	b.revision = or(git("rev-parse", "HEAD"), "unknown")
	var seconds int64
	if _, err := fmt.Sscan(or(os.Getenv("SOURCE_DATE_EPOCH"), git("log", "-1", "--format=%ct")), &seconds); err != nil {
		seconds = 0
	}
	b.when = time.Unix(seconds, 0).UTC()
	return nil
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// prepare puts the images' files together.
func (b *builder) prepare(ctx context.Context) error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	b.say("building register for linux/%s …", b.arch.GOARCH)
	register := filepath.Join(b.dir, "register")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X github.com/projectcalico/go-build/internal/version.linked="+b.version, "-o", register, "./cmd/register")
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
		if err := b.fetch(ctx); err != nil {
			return err
		}
	}
	// What is the host's own is not needed; i386 is, where a kernel lacks it.
	search := emulator.Search{Dirs: []string{b.emulators}, Static: true, Native: []*elfmagic.Arch{b.arch}}
	count := 0
	for _, arch := range elfmagic.Archs() {
		found, err := search.Find(arch)
		switch {
		case arch == b.arch:
			continue
		case errors.Is(err, emulator.ErrMissing):
			b.say("no emulator for %s", arch)
			continue
		case err != nil:
			return err
		}
		b.qemuVersion = found.Version
		files = append(files, rootfs.File{Name: "usr/bin/qemu-" + arch.Name + "-static", Source: found.Path, Mode: 0o755})
		count++
	}
	if count == 0 {
		return fmt.Errorf("no static emulator for linux/%s in %s", b.arch.GOARCH, b.emulators)
	}
	b.say("%d emulators of QEMU %s", count, b.qemuVersion)
	return b.write("emulators.tar", files)
}

// fetch gets Debian's newest static emulators for the host architecture.
func (b *builder) fetch(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	port := b.arch.Debian[0].Name
	apt, err := debian.Open(filepath.Join(cache, "calico-go-build", "apt"), port)
	if err != nil {
		return err
	}
	b.say("looking for Debian's emulators for %s …", port)
	if err := apt.Update(ctx); err != nil {
		return err
	}
	newest, err := apt.StaticEmulators(ctx)
	if err != nil {
		return err
	}
	b.qemuPackage = newest.Name + " " + newest.Version
	b.say("fetching %s …", b.qemuPackage)
	deb, err := apt.Download(ctx, newest.Name, newest.Version)
	if err != nil {
		return err
	}
	unpacked := filepath.Join(b.dir, "emulators")
	if err := os.RemoveAll(unpacked); err != nil {
		return err
	}
	if err := debian.Unpack(ctx, deb, unpacked); err != nil {
		return err
	}
	b.emulators = filepath.Join(unpacked, "usr/bin")
	return nil
}

func (b *builder) write(name string, files []rootfs.File) error {
	f, err := os.Create(filepath.Join(b.dir, name))
	if err != nil {
		return err
	}
	return errors.Join(rootfs.Write(f, files, b.when), f.Close())
}

// build has Docker build the targets, and prints the images' names.
func (b *builder) build(ctx context.Context, stdout io.Writer) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return message.WithHint(err, "install Docker; what goes into the images is in %s", b.dir)
	}
	ignore := "*\n!*.tar\n" // only these are sent to the daemon
	if err := os.WriteFile(filepath.Join(b.dir, ".dockerignore"), []byte(ignore), 0o644); err != nil {
		return err
	}
	for _, i := range images {
		tag := b.repository + "/" + i.image + "-" + b.arch.GOARCH
		b.say("building %s …", tag)
		args := []string{"build", "--quiet", "--platform", b.arch.Platform(), "--file", "image/Dockerfile", "--target", i.target, "--tag", tag}
		for _, arg := range []string{
			"VERSION=" + b.version, "REVISION=" + b.revision, "CREATED=" + b.when.Format(time.RFC3339),
			"QEMU_VERSION=" + b.qemuVersion, "QEMU_PACKAGE=" + b.qemuPackage,
		} {
			args = append(args, "--build-arg", arg)
		}
		var said strings.Builder
		cmd := exec.CommandContext(ctx, "docker", append(args, b.dir)...)
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil {
			return message.WithHint(fmt.Errorf("docker build of %s: %w: %s", tag, err, said.String()), "docker info says whether the daemon runs")
		}
		if err := b.setPlatform(ctx, tag); err != nil {
			return fmt.Errorf("%s: cannot set its platform: %w", tag, err)
		}
		fmt.Fprintln(stdout, tag)
	}
	return nil
}

// setPlatform makes an image say that it is for the architecture: Docker's
// classic builder says of each that it is for the daemon's.
func (b *builder) setPlatform(ctx context.Context, tag string) error {
	out, err := exec.CommandContext(ctx, "docker", "image", "inspect", tag).Output()
	if err != nil {
		return err
	}
	var inspected []struct{ Architecture, Variant string }
	if err := json.Unmarshal(out, &inspected); err != nil {
		return err
	}
	platform, err := v1.ParsePlatform(b.arch.Platform())
	if err != nil {
		return err
	}
	if len(inspected) == 1 && inspected[0].Architecture == platform.Architecture {
		return nil
	}
	saved := filepath.Join(b.dir, "saved.tar")
	defer os.Remove(saved)
	if err := docker(ctx, "save", "--output", saved, tag); err != nil {
		return err
	}
	ref, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	image, err := tarball.ImageFromPath(saved, &ref)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Architecture, config.Variant = platform.Architecture, platform.Variant
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	fixed := filepath.Join(b.dir, "fixed.tar")
	defer os.Remove(fixed)
	if err := tarball.WriteToFile(fixed, ref, image); err != nil {
		return err
	}
	return docker(ctx, "load", "--quiet", "--input", fixed)
}

func docker(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return nil
}
