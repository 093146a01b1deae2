// Package singlefiles makes crossrun and register as single files in which the
// emulators for a host are embedded: it packs these into an archive, has the go
// command link it in without writing to the source tree, and says what is in the
// files, as checksums and as SPDX.
package singlefiles

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/carry/codec"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// A Builder makes the commands for one host, in the root of the repository.
type Builder struct {
	Host      *elfmagic.Arch
	Targets   []*elfmagic.Arch // whose emulators are embedded; none: all
	Emulators string           // directory of emulators; empty: Debian's package is fetched
	Dir       string           // for the commands
	Commands  []string
	Say       func(format string, args ...any)
	Toolchain *toolchain.Toolchain

	pack     debian.Package // that they are from, if they are Debian's
	revision toolchain.Revision
}

// work returns a directory for what is made on the way.
func (b *Builder) work(name string) string {
	return filepath.Join(b.Dir, "work", b.Host.GOARCH, name)
}

// Build builds the commands, and what is said of them. It returns their files.
func (b *Builder) Build(ctx context.Context) (paths []string, err error) {
	b.revision = toolchain.ReadRevision(ctx, ".")
	if b.Dir, err = filepath.Abs(b.Dir); err != nil {
		return nil, err
	}
	if b.Emulators == "" {
		if b.Emulators, b.pack, err = artifacts.FetchEmulators(ctx, b.Host, b.work("debian"), b.Say); err != nil {
			return nil, err
		}
	}
	found, err := b.find()
	if err != nil {
		return nil, err
	}
	archive := b.work("emulators")
	programs, err := b.archive(ctx, found, archive)
	if err != nil {
		return nil, err
	}
	overlay, err := b.overlay(archive)
	if err != nil {
		return nil, err
	}
	for _, name := range b.Commands {
		path, err := b.command(ctx, name, overlay, programs)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, b.checksums()
}

// find returns the emulators that are embedded.
func (b *Builder) find() ([]*emulator.Emulator, error) {
	found, missing, err := artifacts.FindEmulators(b.Host, b.Emulators)
	if err != nil {
		return nil, err
	}
	if len(b.Targets) > 0 {
		found = slices.DeleteFunc(found, func(e *emulator.Emulator) bool { return !slices.Contains(b.Targets, e.Arch) })
		if len(found) < len(b.Targets) {
			return nil, fmt.Errorf("not all of the emulators that are wanted are in %s: only %d of %d", b.Emulators, len(found), len(b.Targets))
		}
		return found, nil
	}
	for _, arch := range missing {
		b.Say("no emulator for %s", arch)
	}
	return found, nil
}

// overlay has the go command see the archive in the source tree, which is not
// written to.
func (b *Builder) overlay(archive string) (string, error) {
	at, err := filepath.Abs("internal/carry/emulators")
	if err != nil {
		return "", err
	}
	overlay := b.work("overlay.json")
	return overlay, jsonfile.Write(overlay, map[string]map[string]string{"Replace": {at: archive}})
}

// archive packs emulators, and returns what is to be said of them.
func (b *Builder) archive(ctx context.Context, found []*emulator.Emulator, path string) ([]artifacts.Program, error) {
	b.Say("packing %d emulators of %s …", len(found), b.Emulators)
	packer := carry.NewPacker(b.Host, codec.Encode)
	programs, err := artifacts.EmulatorPrograms(found, b.Emulators, b.pack, func(e *emulator.Emulator) string { return "qemu-" + e.Arch.Name })
	if err != nil {
		return nil, err
	}
	size := 0
	for _, e := range found {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
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
	var packed int64
	err = file.Replace(path, 0o644, func(w io.Writer) (err error) {
		packed, err = packer.WriteTo(w)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.Say("%.1f MB, packed %.1f MB", float64(size)/1e6, float64(packed)/1e6)
	return programs, nil
}

// command builds a command, and writes beside it what is in it.
func (b *Builder) command(ctx context.Context, name, overlay string, emulators []artifacts.Program) (string, error) {
	base := name + "-linux-" + b.Host.GOARCH
	path := filepath.Join(b.Dir, base)
	if err := b.Toolchain.Build(ctx, ".", b.Host, name, b.revision.Version, path, "-tags=carry", "-overlay="+overlay); err != nil {
		return "", fmt.Errorf("cannot build %s: %w", name, err)
	}
	own, err := artifacts.Describe(b.Toolchain, b.Host, path, base, b.revision.Version)
	if err != nil {
		return "", err
	}
	document, err := artifacts.Whole{
		Name: base, Version: b.revision.Version, Purpose: "APPLICATION",
		Tool: "go-build-dist", Created: b.revision.Time,
	}.Document(append([]artifacts.Program{own}, emulators...))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path+".spdx.json", document, 0o644); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	b.Say("%s: %.1f MB, %d emulators", base, float64(info.Size())/1e6, len(emulators))
	return path, nil
}

// checksums writes the checksums of all that is in the directory, for other
// hosts, too, as sha256sum --check reads them.
func (b *Builder) checksums() error {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || !strings.Contains(name, "-linux-") {
			continue
		}
		sum, err := file.SHA256(filepath.Join(b.Dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, name)
	}
	return file.ReplaceWith(filepath.Join(b.Dir, "SHA256SUMS"), 0o644, []byte(text.String()))
}
