package artifacts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// A Builder builds the parts of an image for one architecture.
type Builder struct {
	Versions  *versions.Versions // of File
	File      string
	Arch      *elfmagic.Arch
	Root      string                           // the repository
	Dir       string                           // for the archives
	Emulators string                           // directory with emulators; empty: Debian's
	Update    bool                             // ask Debian for newer emulators than those that are there
	Say       func(format string, args ...any) // is told of each step

	toolchain *toolchain.Toolchain
}

// A part is what one archive has, and how it comes about.
type part struct {
	name string

	// inputs says all that the archive depends on.
	inputs func(context.Context) (inputs, error)

	// build builds what is missing, and says what goes into the archive.
	build func(context.Context) (contents, error)
}

type contents struct {
	files    []rootfs.File
	programs []Program
}

// parts are in the order in which they are built: what takes seconds is first.
func (b *Builder) parts() []part {
	return []part{
		{"own", b.ownInputs, b.own},
		{"emulators", b.emulatorInputs, b.emulators},
		{"go", b.goInputs, b.golang},
		{"tools", b.toolInputs, b.tools},
		{"kubernetes", b.kubernetesInputs, b.kubernetes},
	}
}

// Parts returns the names of the parts.
func Parts() []string {
	var names []string
	for _, p := range new(Builder).parts() {
		names = append(names, p.name)
	}
	return names
}

// CheckParts returns an error if one of the names is that of no part.
func CheckParts(names []string) error {
	for _, name := range names {
		if !slices.Contains(Parts(), name) {
			return cli.WithHint(fmt.Errorf("no part %q", name), "there are %s", strings.Join(Parts(), ", "))
		}
	}
	return nil
}

// Build builds the named parts, or all, each into NAME.tar, and then, if all
// are there, manifest.tar, which says what they hold.
func (b *Builder) Build(ctx context.Context, names ...string) error {
	if err := CheckParts(names); err != nil {
		return err
	}
	var err error
	if b.Root, err = filepath.Abs(b.Root); err != nil {
		return err
	}
	if b.Dir, err = filepath.Abs(b.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return err
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if b.toolchain, err = toolchain.Find(ctx, b.Versions.Go); err != nil {
		return err
	}
	for _, p := range b.parts() {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		if err := b.part(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.manifest()
}

// work returns a directory for what is built on the way to an archive.
func (b *Builder) work(elements ...string) string {
	return filepath.Join(append([]string{b.Dir, "work"}, elements...)...)
}

// lock keeps two runs from building in the same directory.
func (b *Builder) lock(ctx context.Context) (unlock func(), err error) {
	return file.Lock(ctx, filepath.Join(b.Dir, "lock"), func() { b.Say("waiting for another run in %s …", b.Dir) })
}

// part builds one part, unless its archive was made of the same.
func (b *Builder) part(ctx context.Context, p part) error {
	start := time.Now()
	in, err := p.inputs(ctx)
	if err != nil {
		return err
	}
	archive, programs := filepath.Join(b.Dir, p.name+".tar"), filepath.Join(b.Dir, p.name+".json")
	stamp := filepath.Join(b.Dir, p.name+".stamp")
	if in.stamped(stamp, archive, programs) {
		b.Say("%s.tar is up to date", p.name)
		return nil
	}
	if err := os.Remove(stamp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c, err := p.build(ctx)
	if err != nil {
		return err
	}
	if err := jsonfile.Write(programs, c.programs); err != nil {
		return err
	}
	if err := b.archive(archive, c.files); err != nil {
		return err
	}
	if err := in.stamp(stamp); err != nil {
		return err
	}
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	b.Say("%s.tar: %d programs, %d MB, %s", p.name, len(c.programs), info.Size()/1e6, time.Since(start).Round(time.Second))
	return nil
}

// archive writes an archive, or leaves what is there. All times in it are the
// toolchain's, whose version is an input of every part.
func (b *Builder) archive(name string, files []rootfs.File) error {
	return rootfs.WriteFile(name, files, b.toolchain.Released)
}

// step builds something in a directory of its own, unless it is there and was
// made of the same.
func (b *Builder) step(dir, what string, in inputs, build func() error) error {
	stamp := filepath.Join(dir, "stamp")
	if in.stamped(stamp) {
		return nil
	}
	b.Say("building %s for %s …", what, b.Arch.Platform())
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := build(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return in.stamp(stamp)
}
