// Dist makes crossrun and register as single files that carry the emulators for
// a host: it packs these into an archive, has the go command link it in without
// writing to the source tree, and says what is in the files, as checksums and as
// SPDX.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/carry/codec"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// A builder makes the commands for one host.
type builder struct {
	host      *elfmagic.Arch
	targets   []*elfmagic.Arch // whose emulators are carried; none: all
	from      string           // directory of emulators, or what chooses one
	pack      debian.Package   // that they are from, if they are Debian's
	dir       string           // for the commands
	commands  []string
	revision  toolchain.Revision
	toolchain *toolchain.Toolchain
	stdout    io.Writer
	stderr    io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	b := builder{stdout: stdout, stderr: stderr}
	f := flag.NewFlagSet("dist", flag.ContinueOnError)
	f.SetOutput(stderr)
	arch := f.String("arch", runtime.GOARCH, "`architecture` of the hosts that the commands are for")
	targets := f.String("targets", "all", "`architectures` whose emulators are carried: a list with commas")
	f.StringVar(&b.from, "emulators", "", "`which` static emulators: built (those in bin/emulators/ARCH), debian (those in /usr/bin for this host, else Debian's package), or a directory, of which ARCH/ is taken if it is there (default: built if all are there, else debian)")
	f.StringVar(&b.dir, "dir", "dist", "`directory` for the commands")
	commands := f.String("commands", "crossrun,register", "which `commands`: a list with commas")
	if err := f.Parse(args); err != nil {
		return 2
	}
	b.commands = strings.Split(*commands, ",")
	err := b.configure(ctx, *arch, *targets)
	if err == nil {
		err = b.build(ctx)
	}
	if err != nil {
		cli.Error(stderr, "dist", err)
		return 1
	}
	return 0
}

func (b *builder) say(format string, args ...any) {
	fmt.Fprintf(b.stderr, "dist: "+format+"\n", args...)
}

// configure finds out what the commands are made of.
func (b *builder) configure(ctx context.Context, arch, targets string) (err error) {
	if b.host, err = elfmagic.Lookup(arch); err != nil {
		return err
	}
	if b.host.GOARCH == "" {
		return fmt.Errorf("%s: no command can be built for it: Go has no port", b.host)
	}
	if targets != "all" {
		for name := range strings.SplitSeq(targets, ",") {
			target, err := elfmagic.Lookup(name)
			if err != nil {
				return err
			}
			b.targets = append(b.targets, target)
		}
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	b.revision = toolchain.ReadRevision(ctx, ".")
	v, err := image.Load(image.File)
	if err != nil {
		return err
	}
	if b.toolchain, err = toolchain.Find(ctx, v.Go); err != nil {
		return err
	}
	return b.choose(ctx)
}

// choose decides where the emulators are taken from.
func (b *builder) choose(ctx context.Context) (err error) {
	built := filepath.Join(artifacts.BuiltEmulators, b.host.GOARCH)
	if b.from == "" { // all of them, or Debian's
		if b.from, err = artifacts.ChooseEmulators("", ".", b.host); err != nil {
			return err
		}
	}
	there := func(dir string) bool {
		_, _, err := artifacts.FindEmulators(b.host, dir)
		return err == nil
	}
	switch {
	case b.from == "built":
		b.from = built
	case b.from != "" && b.from != "debian":
		if dir := filepath.Join(b.from, b.host.GOARCH); there(dir) {
			b.from = dir
		}
	case b.host.GOARCH == runtime.GOARCH && there("/usr/bin"):
		b.from = "/usr/bin"
	default:
		b.from, b.pack, err = artifacts.FetchEmulators(ctx, b.host, b.work("debian"), b.say)
	}
	return err
}

// work returns a directory for what is made on the way.
func (b *builder) work(name string) string {
	return filepath.Join(b.dir, "work", b.host.GOARCH, name)
}

// build makes the commands, and what is said of them.
func (b *builder) build(ctx context.Context) error {
	found, missing, err := artifacts.FindEmulators(b.host, b.from)
	if err != nil {
		return err
	}
	if len(b.targets) > 0 {
		found = slices.DeleteFunc(found, func(e *emulator.Emulator) bool { return !slices.Contains(b.targets, e.Arch) })
		if len(found) < len(b.targets) {
			return fmt.Errorf("not all of the emulators that are wanted are in %s: only %d of %d", b.from, len(found), len(b.targets))
		}
	} else {
		for _, arch := range missing {
			b.say("no emulator for %s", arch)
		}
	}
	archive := b.work("emulators")
	programs, err := b.archive(found, archive)
	if err != nil {
		return err
	}
	overlay := b.work("overlay.json")
	at, err := filepath.Abs("internal/carry/emulators")
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {at: archive}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, text, 0o644); err != nil {
		return err
	}
	for _, name := range b.commands {
		if err := b.command(ctx, name, overlay, programs); err != nil {
			return err
		}
	}
	return b.checksums()
}

// archive packs emulators, and returns what is to be said of them.
func (b *builder) archive(found []*emulator.Emulator, path string) ([]artifacts.Program, error) {
	b.say("packing %d emulators of %s …", len(found), b.from)
	packer := carry.NewPacker(b.host, codec.Encode)
	programs, err := artifacts.EmulatorPrograms(found, b.from, b.pack, func(e *emulator.Emulator) string { return "qemu-" + e.Arch.Name })
	if err != nil {
		return nil, err
	}
	size := 0
	for _, e := range found {
		program, err := os.ReadFile(e.Path)
		if err != nil {
			return nil, err
		}
		if err := packer.Add(e.Arch, e.Version, program); err != nil {
			return nil, err
		}
		size += len(program)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	packed, err := packer.WriteTo(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	b.say("%.1f MB, packed %.1f MB", float64(size)/1e6, float64(packed)/1e6)
	return programs, nil
}

// command builds a command, and writes beside it what is in it.
func (b *builder) command(ctx context.Context, name, overlay string, emulators []artifacts.Program) error {
	file := name + "-linux-" + b.host.GOARCH
	path := filepath.Join(b.dir, file)
	if err := b.toolchain.Build(ctx, ".", b.host, name, b.revision.Version, path, "-tags=carry", "-overlay="+overlay); err != nil {
		return fmt.Errorf("cannot build %s: %w", name, err)
	}
	own, _, err := artifacts.Describe(b.host, path, file, b.revision.Version)
	if err != nil {
		return err
	}
	document, err := artifacts.Whole{
		Name: file, Version: b.revision.Version, Purpose: "APPLICATION", Arch: b.host,
		Tool: "go-build-dist", Created: b.revision.Time,
	}.Document(append([]artifacts.Program{own}, emulators...), own.SHA256[:16])
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".spdx.json", document, 0o644); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	b.say("%s: %.1f MB, %d emulators", file, float64(info.Size())/1e6, len(emulators))
	fmt.Fprintln(b.stdout, path)
	return nil
}

// checksums writes the checksums of all that is in the directory, for other
// hosts, too, as sha256sum --check reads them.
func (b *builder) checksums() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || !strings.Contains(name, "-linux-") {
			continue
		}
		f, err := os.Open(filepath.Join(b.dir, name))
		if err != nil {
			return err
		}
		hash := sha256.New()
		_, err = io.Copy(hash, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", hash.Sum(nil), name)
	}
	return os.WriteFile(filepath.Join(b.dir, "SHA256SUMS"), []byte(text.String()), 0o644)
}
