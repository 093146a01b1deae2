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

func (b *Builder) sourceDir() string {
	return b.path("src", b.sourceInputs().key())
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
	if !b.Update && jsonfile.Read(memory, &b.source) == nil && b.source.check() == nil && (b.Plain || b.source.Fixes != nil) {
		b.sayWithout(ctx)
		if exists(b.sourceDir()) {
			return nil
		}
		_, dir, err := apt.GetSource(ctx, sourcePackage, b.source.Version)
		if err == nil {
			return errors.Join(b.unpackSource(ctx, dir), jsonfile.Write(memory, b.source))
		}
		b.Say("QEMU %s is no longer available: %s", b.source.Version, debian.Reason(err))
	}
	b.Say("looking for Debian's newest source of QEMU …")
	updateErr := apt.Update(ctx)
	versions, err := apt.Versions(ctx, sourcePackage)
	if err != nil {
		return errors.Join(updateErr, err)
	}
	versions = slices.DeleteFunc(versions, func(v string) bool { return !debian.AtLeast(ctx, v, oldestSource) })
	if err := choose(versions, b.Say, func(version string) error { return b.getSource(ctx, apt, version) }); err != nil {
		return errors.Join(updateErr, err)
	}
	return jsonfile.Write(memory, b.source)
}

// sayWithout warns, at each run, where a source is remembered that could have fixes.
func (b *Builder) sayWithout(ctx context.Context) {
	if len(b.source.Fixes) == 0 && b.wantsFixes(ctx) {
		b.Say("warning: QEMU %s is without the fixes of Debian stable's QEMU: --update looks for them again", b.source.Upstream())
	}
}

// getSource downloads the source of a version, and makes its tree.
func (b *Builder) getSource(ctx context.Context, apt *debian.Apt, version string) error {
	files, dir, err := apt.GetSource(ctx, sourcePackage, version)
	if err != nil {
		return err
	}
	b.source = Source{Version: version, Files: files}
	if err := b.source.check(); err != nil {
		return err
	}
	if b.source.Fixes, err = b.findFixes(ctx); err != nil {
		return err
	}
	return b.unpackSource(ctx, dir)
}

// unpackSource makes the tree of sources from archives in a directory, without fixes if
// these do not fit.
func (b *Builder) unpackSource(ctx context.Context, archives string) error {
	err := b.makeSource(ctx, archives)
	if _, unfit := errors.AsType[*unfitError](err); unfit {
		b.Say("warning: built without the fixes of QEMU %s: %s", b.source.Fixes[1].Upstream(), debian.Reason(err))
		b.source.Fixes = []Source{}
		err = b.makeSource(ctx, archives)
	}
	return err
}

func (b *Builder) makeSource(ctx context.Context, archives string) error {
	return whole(b.sourceDir(), func(dir string) error {
		b.Say("unpacking QEMU %s, with %s of ours …", b.source.Version, count(len(b.patches), "patch", "patches"))
		if err := os.Remove(dir); err != nil { // dpkg-source makes it itself
			return err
		}
		if _, err := b.command(ctx, archives, "dpkg-source", "--extract", b.source.file(".dsc").Name, dir); err != nil {
			return err
		}
		if err := b.patch(ctx, dir, patchesDir, b.patches); err != nil {
			return err
		}
		if len(b.source.Fixes) > 0 {
			if err := b.mergeFixes(ctx, dir); err != nil {
				return err
			}
		}
		old, err := filepath.Glob(b.path("src", "*"))
		for _, other := range old {
			if other != dir {
				os.RemoveAll(other)
			}
		}
		return errors.Join(err, os.RemoveAll(b.path("build"))) // of these, and interrupted
	})
}

// patch applies patches of a directory of ours to a tree.
func (b *Builder) patch(ctx context.Context, tree, from string, patches []Patch) error {
	for _, p := range patches {
		// As it is: what fits only roughly may be in the wrong place.
		_, err := b.command(ctx, tree, "patch", "-p1", "--silent", "--force", "--fuzz=0", "--no-backup-if-mismatch", "--input", filepath.Join(b.Root, from, p.Name))
		if err != nil {
			return cli.WithHint(fmt.Errorf("%s/%s does not apply to QEMU %s: %w", from, p.Name, b.source.Version, err),
				"make the patch again for that version's source with Debian's patches")
		}
	}
	return nil
}

// command runs a command in a directory, and returns what it printed.
func (b *Builder) command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := program.Command(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return program.Output(cmd)
}
