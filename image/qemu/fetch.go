package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/internal/cli"
)

// chosen is what is remembered of a choice.
type chosen struct {
	Source Source
	Passed []Passed
}

func (b *Builder) sourceDir() string {
	return b.path("src", sourceInputs(b.source, b.patches).key())
}

// prepareSource chooses a version, and makes the tree of its sources with
// Debian's patches and ours. The choice is remembered: Debian is asked again
// only when that is wanted.
func (b *Builder) prepareSource(ctx context.Context) error {
	memory := b.path("source.json")
	apt, err := debian.OpenSources(b.aptDir(), sourceSuites...)
	if err != nil {
		return err
	}
	var c chosen
	if !b.Update && jsonfile.Read(memory, &c) == nil && c.Source.check() == nil {
		b.source, b.passed = c.Source, c.Passed
		if _, err := os.Stat(b.sourceDir()); err == nil {
			return nil
		}
		_, dir, err := apt.GetSource(ctx, sourcePackage, b.source.Version)
		if err == nil {
			return b.unpackSource(ctx, dir)
		}
		b.Say("QEMU %s is no longer available: %s", b.source.Version, reason(err))
	}
	b.Say("looking for Debian's newest source of QEMU …")
	updateErr := apt.Update(ctx)
	versions, err := apt.SourceVersions(ctx, sourcePackage)
	if err != nil {
		return errors.Join(updateErr, err)
	}
	newEnough := func(v string) bool { return debian.AtLeast(ctx, v, oldestSource) }
	_, passed, err := choose(versions, newEnough, func(version string) (err error) {
		b.source.Version = version
		var dir string
		if b.source.Files, dir, err = apt.GetSource(ctx, sourcePackage, version); err != nil {
			return err
		}
		if err := b.source.check(); err != nil {
			return err
		}
		return b.unpackSource(ctx, dir)
	})
	for _, p := range passed {
		b.Say("passed over QEMU %s: %s", p.Version, p.Reason)
	}
	if err != nil {
		return errors.Join(updateErr, err)
	}
	b.passed = passed
	return jsonfile.Write(memory, chosen{b.source, passed})
}

// unpackSource makes the tree of sources from archives in a directory.
func (b *Builder) unpackSource(ctx context.Context, archives string) error {
	dir := b.sourceDir()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	b.Say("unpacking QEMU %s, with %s of ours …", b.source.Version, count(len(b.patches), "patch", "patches"))
	temporary := dir + ".new"
	if err := errors.Join(os.RemoveAll(temporary), os.MkdirAll(temporary, 0o755)); err != nil {
		return err
	}
	orig, packaging := b.source.Orig().Name, b.source.Debian().Name
	for _, args := range [][]string{
		{"--extract", "--no-same-owner", "--strip-components=1", "--file", filepath.Join(archives, orig)},
		{"--extract", "--no-same-owner", "--file", filepath.Join(archives, packaging)},
	} {
		if _, err := b.command(ctx, temporary, "tar", args...); err != nil {
			return err
		}
	}
	list, err := os.ReadFile(filepath.Join(temporary, "debian/patches/series"))
	if err != nil {
		return err
	}
	for _, name := range series(string(list)) {
		if err := b.patch(ctx, temporary, filepath.Join("debian/patches", name)); err != nil {
			return fmt.Errorf("patch %s of Debian's does not apply: %w", name, err)
		}
	}
	for _, p := range b.patches {
		file, err := filepath.Abs(filepath.Join(b.Root, "image/qemu/patches", p.Name))
		if err != nil {
			return err
		}
		if err := b.patch(ctx, temporary, file); err != nil {
			return cli.WithHint(fmt.Errorf("image/qemu/patches/%s does not apply to QEMU %s: %w", p.Name, b.source.Version, err),
				"make the patch again for that version's source with Debian's patches")
		}
	}
	old, err := filepath.Glob(b.path("src", "*"))
	if err != nil {
		return err
	}
	for _, other := range slices.DeleteFunc(old, func(o string) bool { return o == temporary }) {
		os.RemoveAll(other)
	}
	os.RemoveAll(b.path("build")) // of these, and interrupted
	return os.Rename(temporary, dir)
}

// patch applies a patch as it is: what fits only roughly may be in the wrong place.
func (b *Builder) patch(ctx context.Context, dir, file string) error {
	_, err := b.command(ctx, dir, "patch", "-p1", "--silent", "--force", "--fuzz=0", "--no-backup-if-mismatch", "--input", file)
	return err
}

// command runs a command in a directory, and returns what it printed.
func (b *Builder) command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := program.Command(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return program.Output(cmd)
}
