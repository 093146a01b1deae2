// Emulators builds QEMU's user-mode emulators from Debian's source, static and
// optimised, for a host architecture, and says what they are made of.
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

	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

const usage = `Usage: emulators [FLAGS] [TARGET…]

Builds emulators for the targets, by any of their names, or for all. What is
finished is kept in the user's cache directory, and not built again.

`

func run(ctx context.Context, args []string, stderr io.Writer) int {
	b := qemu.Builder{Root: ".", Progress: stderr}
	f := flag.NewFlagSet("emulators", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stderr, usage); f.PrintDefaults() }
	host := f.String("host", runtime.GOARCH, "`architecture` that they run on: "+strings.Join(qemu.Hosts(), ", "))
	f.StringVar(&b.Out, "out", "", "`directory` for them (default bin/emulators/HOST)")
	f.BoolVar(&b.Update, "update", false, "ask Debian for newer sources and packages than those of the last time")
	f.BoolVar(&b.Plain, "plain", false, "without our patches and optimisation, to compare with (default directory bin/emulators-plain/HOST)")
	f.BoolVar(&b.Keep, "keep", false, "leave the directories that they are built in, with unstripped programs")
	if err := f.Parse(args); err != nil {
		return 2
	}
	var err error
	if b.Host, err = qemu.Host(*host); err == nil {
		b.Targets, err = qemu.Targets(f.Args())
	}
	if err != nil {
		cli.Error(stderr, "emulators", err)
		return 2
	}
	if b.Out == "" {
		b.Out = filepath.Join("bin", "emulators", b.Host.GOARCH)
		if b.Plain {
			b.Out = filepath.Join("bin", "emulators-plain", b.Host.GOARCH)
		}
	}
	err = b.Build(ctx)
	if err != nil && ctx.Err() != nil {
		err = cli.WithHint(fmt.Errorf("interrupted: %w", context.Cause(ctx)), "what was built is kept: run it again")
	}
	if err != nil {
		cli.Error(stderr, "emulators", err)
		return 1
	}
	return 0
}
