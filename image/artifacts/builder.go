// Package artifacts builds what images are made of: for an architecture, one
// archive of a root file system for each part of the image. Everything that Go
// builds is cross-compiled, static, and the same bytes wherever it is built from
// the same inputs. What a part was made of is kept beside its archive: a second
// run builds only what that differs for, and goes on where the first stopped.
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
	"github.com/projectcalico/go-build/image/progress"
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
	Update    bool                             // ask Debian for newer emulators and sysroots than those that are there
	Say       func(format string, args ...any) // is told of each step

	Licenses string // of all programs, once Build has built all parts

	toolchain *toolchain.Toolchain
}

// A part is what one archive has. Build builds what is missing, and says what goes
// into the archive.
type part struct {
	name  string
	build func(*Builder, context.Context) (contents, error)
}

// parts are in the order in which they are built: what takes seconds is first.
var parts = []part{
	{"own", (*Builder).own},
	{"emulators", (*Builder).emulators},
	{"sysroots", (*Builder).sysroots},
	{"go", (*Builder).golang},
	{"tools", (*Builder).tools},
	{"kubernetes", (*Builder).kubernetes},
}

// Parts returns the names of the parts.
func Parts() []string {
	var names []string
	for _, p := range parts {
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

// contents are the files of an archive, and the programs among them.
type contents struct {
	files    []rootfs.File
	programs []Program
}

// add adds a file.
func (c *contents) add(name, source string, mode int64) {
	c.files = append(c.files, rootfs.File{Name: name, Source: source, Mode: mode})
}

// built adds a program that Go built.
func (c *contents) built(b *Builder, name, source, version string) error {
	p, err := Describe(b.toolchain, b.Arch, source, name, version)
	c.programs = append(c.programs, p)
	c.add(name, source, 0o755)
	return err
}

// inputs is what something is made of, a line each: names, versions, options,
// digests. It is kept in a stamp file beside what was made.
type inputs []string

// inputs are lines after those that everything depends on.
func (b *Builder) inputs(lines ...string) inputs {
	return append(inputs{"recipe 2", "go " + b.Versions.Go + " for " + b.Arch.Platform()}, lines...)
}

// archived is what an archive of files depends on: these, and what is said of them.
func (b *Builder) archived(c contents) (inputs, error) {
	in := b.inputs(fmt.Sprint(c.programs))
	for _, f := range c.files {
		if f.Target != "" {
			in.add("%s -> %s", f.Name, f.Target)
		} else if err := in.addFile(fmt.Sprintf("%s %o", f.Name, f.Mode), f.Source); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (in *inputs) add(format string, args ...any) { *in = append(*in, fmt.Sprintf(format, args...)) }

// addFile adds a file's content, under a name that is the same on all machines.
func (in *inputs) addFile(name, path string) error {
	sum, err := file.SHA256(path)
	in.add("%s %s", name, sum)
	return err
}

func (in inputs) text() string { return strings.Join(in, "\n") + "\n" }

// stamped reports whether a stamp says the same, and the files that were made
// are there.
func (in inputs) stamped(stamp string, files ...string) bool {
	data, err := os.ReadFile(stamp)
	return err == nil && string(data) == in.text() &&
		!slices.ContainsFunc(files, func(file string) bool { _, err := os.Stat(file); return err != nil })
}

func (in inputs) stamp(stamp string) error { return os.WriteFile(stamp, []byte(in.text()), 0o644) }

// Build builds the named parts, or all, each into NAME.tar, and then, if all
// are there, manifest.tar, which says what they hold.
func (b *Builder) Build(ctx context.Context, names ...string) error {
	return b.Use(ctx, func() error { return nil }, names...)
}

// Use is Build, and then uses what was built: until it has, another run, which may be
// that of another branch's versions, waits and does not replace it.
func (b *Builder) Use(ctx context.Context, use func() error, names ...string) (err error) {
	if b.Dir, err = filepath.Abs(b.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return err
	}
	unlock, err := file.Lock(ctx, filepath.Join(b.Dir, "lock"), func() { b.Say("waiting for another run in %s …", b.Dir) })
	if err != nil {
		return err
	}
	defer unlock()
	if b.toolchain, err = toolchain.Find(ctx, b.Versions.Go); err != nil {
		return err
	}
	wanted := slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return len(names) > 0 && !slices.Contains(names, p.name) })
	for i, p := range wanted {
		b.Say("part %d of %d: %s", i+1, len(wanted), p.name)
		if err := b.part(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if err := b.manifest(ctx); err != nil {
		return err
	}
	return use()
}

// work returns a path for what is built on the way to an archive.
func (b *Builder) work(elements ...string) string {
	return filepath.Join(append([]string{b.Dir, "work"}, elements...)...)
}

// part builds one part, and its archive unless that was made of the same. All times
// in it are the toolchain's.
func (b *Builder) part(ctx context.Context, p part) error {
	start := time.Now()
	c, err := p.build(b, ctx)
	if err != nil {
		return err
	}
	in, err := b.archived(c)
	if err != nil {
		return err
	}
	name := filepath.Join(b.Dir, p.name)
	if in.stamped(name+".stamp", name+".tar", name+".json") {
		b.Say("%s.tar is up to date", p.name)
		return nil
	}
	if err := os.RemoveAll(name + ".stamp"); err != nil {
		return err
	}
	err = errors.Join(jsonfile.Write(name+".json", c.programs), rootfs.WriteFile(name+".tar", c.files, b.toolchain.Released))
	if err != nil {
		return err
	}
	info, err := os.Stat(name + ".tar")
	if err != nil {
		return err
	}
	b.Say("%s.tar: %d programs, %d MB, %s", p.name, len(c.programs), info.Size()/1e6, time.Since(start).Round(time.Second))
	return in.stamp(name + ".stamp")
}

// step builds something in a directory of its own, unless it is there and was
// made of the same.
func (b *Builder) step(ctx context.Context, dir, what string, in inputs, build func() error) error {
	stamp := filepath.Join(dir, "stamp")
	if in.stamped(stamp) {
		return nil
	}
	b.Say("building %s for %s …", what, b.Arch.Platform())
	defer progress.Start(ctx, "building %s", what).End()
	err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
	if err == nil {
		err = build()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return in.stamp(stamp)
}
