// Artifacts builds what the go-build image is made of, as far as it is not made
// of Debian's packages: one archive for each part, for an architecture.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

func run(ctx context.Context, args []string, stderr io.Writer) int {
	b := artifacts.Builder{Root: ".", Progress: stderr}
	f := flag.NewFlagSet("artifacts", flag.ContinueOnError)
	f.SetOutput(stderr)
	arch := f.String("arch", runtime.GOARCH, "`architecture` of the image")
	only := f.String("only", "", "`parts` to build, with commas between them: "+strings.Join(artifacts.Parts(), ", "))
	f.StringVar(&b.File, "file", image.File, "versions `file`")
	f.StringVar(&b.Dir, "dir", "", "`directory` for the archives (default dist/image/ARCH)")
	emulators := f.String("emulators", "", "debian, built, or a `directory` of them (default: those that were built, if all are there, else Debian's)")
	f.BoolVar(&b.Update, "update", false, "ask Debian for newer emulators than those fetched before")
	pin := f.Bool("pin", false, "write image/kubernetes/go.mod for the version of Kubernetes in the versions file, and build nothing")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if f.NArg() > 0 {
		cli.Error(stderr, "artifacts", cli.WithHint(fmt.Errorf("%q is no flag", f.Arg(0)), "artifacts -help lists them"))
		return 2
	}
	var names []string
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	err := build(ctx, &b, *arch, *emulators, *pin, names)
	if err != nil && ctx.Err() != nil {
		err = cli.WithHint(fmt.Errorf("interrupted: %w", context.Cause(ctx)), "what was built is kept: run it again")
	}
	if err != nil {
		cli.Error(stderr, "artifacts", err)
		return 1
	}
	return 0
}

func build(ctx context.Context, b *artifacts.Builder, arch, emulators string, pin bool, names []string) (err error) {
	if b.Versions, err = image.Load(b.File); err != nil {
		return err
	}
	if b.Arch, err = image.Architecture(arch); err != nil {
		return err
	}
	if pin {
		return b.Pin(ctx)
	}
	if b.Emulators, err = artifacts.ChooseEmulators(emulators, b.Root, b.Arch); err != nil {
		return err
	}
	if b.Dir == "" {
		b.Dir = filepath.Join("dist", "image", b.Arch.GOARCH)
	}
	return b.Build(ctx, names...)
}
