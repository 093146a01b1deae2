// Package singlefiles makes crossrun and register as single files in which the
// emulators for a host are embedded: it packs these into an archive, has the go
// command link it in without writing to the source tree, and says what is in the
// files, as checksums and as SPDX.
package singlefiles

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/image/release"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/embedded/codec"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// Work is the directory in a Builder's in which files are replaced and removed.
const Work = "work"

// A Builder makes the commands for one host, in the root of the repository.
type Builder struct {
	Host      *elfmagic.Arch
	Targets   []*elfmagic.Arch // whose emulators are embedded; none: all
	Emulators string           // directory of emulators; empty: Debian's package is fetched
	Dir       string           // for the commands
	Archives  bool             // of each emulator, too
	Commands  []string
	Say       func(format string, args ...any)
	Toolchain *toolchain.Toolchain

	revision toolchain.Revision
}

// Build builds the commands, and what is said of them. It returns their files.
func (b *Builder) Build(ctx context.Context) (paths []string, err error) {
	b.revision = toolchain.ReadRevision(ctx, ".")
	if b.Dir, err = filepath.Abs(b.Dir); err != nil {
		return nil, err
	}
	work := filepath.Join(b.Dir, Work, b.Host.GOARCH)
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, err
	}
	if b.Emulators == "" {
		if b.Emulators, err = artifacts.FetchEmulators(ctx, b.Host, "", filepath.Join(work, "debian"), b.Say); err != nil {
			return nil, err
		}
	}
	emulators, err := artifacts.ReadEmulators(ctx, b.Host, b.Emulators, b.Targets, b.Say)
	if err != nil {
		return nil, err
	}
	if b.Archives {
		if paths, err = b.archives(emulators, filepath.Join(work, "papers")); err != nil {
			return nil, err
		}
	}
	programs, err := emulators.Programs(func(e *emulator.Emulator) string { return "qemu-" + e.Arch.Name })
	if err != nil {
		return nil, err
	}
	archive := filepath.Join(work, "emulators")
	if err := b.archive(ctx, emulators.Found, archive); err != nil {
		return nil, err
	}
	// The go command sees the archive in the source tree, which is not written to.
	overlay := filepath.Join(work, "overlay.json")
	if err := jsonfile.Write(overlay, map[string]map[string]string{"Replace": {"internal/embedded/emulators": archive}}); err != nil {
		return nil, err
	}
	for _, name := range b.Commands {
		path, err := b.command(ctx, name, overlay, programs, emulators.Origin)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, Checksums(b.Dir)
}

// archive packs emulators.
func (b *Builder) archive(ctx context.Context, found []*emulator.Emulator, path string) error {
	b.Say("packing %d emulators of %s …", len(found), b.Emulators)
	packer := embedded.NewPacker(b.Host, codec.Encode)
	task := progress.Start(ctx, "packing emulators")
	defer task.End()
	size := 0
	for i, e := range found {
		task.At(fmt.Sprintf("%d of %d", i+1, len(found)))
		program, err := os.ReadFile(e.Path)
		if err == nil {
			err = packer.Add(e.Arch, e.Version, program)
		}
		if err := cmp.Or(ctx.Err(), err); err != nil {
			return err
		}
		size += len(program)
	}
	var packed int64
	err := file.Replace(path, 0o644, func(w io.Writer) (err error) {
		packed, err = packer.WriteTo(w)
		return err
	})
	if err == nil {
		b.Say("%.1f MB, packed %.1f MB", float64(size)/1e6, float64(packed)/1e6)
	}
	return err
}

// command builds a command, and writes beside it what is in it, and what is to be
// distributed with it.
func (b *Builder) command(ctx context.Context, name, overlay string, emulators []artifacts.Program, origin artifacts.Origin) (string, error) {
	base := name + "-linux-" + b.Host.GOARCH
	path := filepath.Join(b.Dir, base)
	if err := b.Toolchain.Build(ctx, ".", b.Host, name, b.revision.Version, path, "-tags=embedded", "-overlay="+overlay); err != nil {
		return "", fmt.Errorf("cannot build %s: %w", name, err)
	}
	own, err := artifacts.Describe(b.Toolchain, b.Host, path, base, b.revision.Version)
	if err != nil {
		return "", err
	}
	work := filepath.Join(b.Dir, Work, b.Host.GOARCH, name)
	papers, err := artifacts.Whole{
		Name: base, Version: b.revision.Version, Purpose: "APPLICATION",
		Tool: "go-build-dist", Created: b.revision.Time,
	}.Papers(ctx, b.Toolchain, ".", work, append([]artifacts.Program{own}, emulators...))
	if err != nil {
		return "", err
	}
	files, err := origin.Files(work)
	if err != nil {
		return "", err
	}
	files = append(files, papers.Files...)
	for i := range files {
		files[i].Name = base + "/" + strings.TrimPrefix(files[i].Name, artifacts.ShareDir)
	}
	if err := rootfs.WriteFile(path+".licenses.tar.gz", files, b.revision.Time); err != nil {
		return "", err
	}
	document, err := os.ReadFile(papers.Document)
	if err == nil {
		err = os.WriteFile(path+".spdx.json", document, 0o644)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err == nil {
		b.Say("%s: %.1f MB, %d emulators", base, float64(info.Size())/1e6, len(emulators))
	}
	return path, err
}

// Checksums writes the checksums of all that is in a directory to be distributed, for
// other hosts, too, as sha256sum --check reads them.
func Checksums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || strings.HasPrefix(name, ".") { // half of one, of a run that was killed
			continue
		}
		if !strings.Contains(name, "-linux-") && !strings.HasSuffix(name, "-static.tar.gz") && name != release.SourcesFile && name != release.InstallerFile {
			continue
		}
		sum, err := file.SHA256(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, name)
	}
	return file.ReplaceWith(filepath.Join(dir, release.ChecksumsFile), 0o644, []byte(text.String()))
}
