// Build builds register and crossrun as they are shipped, and prints the files.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("build", flag.ContinueOnError)
	f.SetOutput(stderr)
	dir := f.String("dir", "bin", "`directory` for the commands of this machine's architecture; those of architectures that are named go into DIR/ARCH")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := build(ctx, *dir, f.Args(), stdout); err != nil {
		cli.Error(stderr, "build", err)
		return 1
	}
	return 0
}

func build(ctx context.Context, dir string, names []string, stdout io.Writer) error {
	versions, err := image.Load(image.File)
	if err != nil {
		return err
	}
	tc, err := toolchain.Find(ctx, versions.Go)
	if err != nil {
		return err
	}
	dirs := map[string]*elfmagic.Arch{dir: tc.Host}
	if len(names) > 0 {
		clear(dirs)
	}
	for _, name := range names {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			return err
		}
		if arch.GOARCH == "" {
			return fmt.Errorf("%s: no command can be built for it: Go has no port", arch)
		}
		dirs[filepath.Join(dir, arch.GOARCH)] = arch
	}
	for _, into := range slices.Sorted(maps.Keys(dirs)) {
		files, err := tc.BuildCommands(ctx, ".", into, dirs[into])
		if err != nil {
			return err
		}
		for _, file := range files {
			fmt.Fprintln(stdout, file)
		}
	}
	return nil
}
