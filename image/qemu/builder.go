package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// A Builder builds emulators for one host.
type Builder struct {
	Root    string // the repository
	Host    *elfmagic.Arch
	Targets []*elfmagic.Arch
	Out     string                           // directory for the emulators
	Update  bool                             // ask Debian for newer sources and packages than those of before
	Plain   bool                             // without patches and profiles: to compare the others with
	Keep    bool                             // leave what was built on the way: unstripped emulators
	Say     func(format string, args ...any) // is told of each step

	cache    string
	native   *elfmagic.Arch
	compiler Compiler
	patches  []Patch
	rest     []Patch // after fixes of another series
	source   Source
	libs     tree             // for the host
	sources  []debian.Package // of these
	asked    map[string]bool  // for which trees Debian was asked anew
	work     string           // directory of the guests and their inputs
	trained  map[string]training
}

// path returns one below the cache.
func (b *Builder) path(elements ...string) string {
	return filepath.Join(append([]string{b.cache}, elements...)...)
}

// count says how many of something there are.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// mode is what for it builds.
func (b *Builder) mode() mode {
	if b.Plain {
		return plain
	}
	return optimised
}

// open finds what each build requires, and where it is kept.
func (b *Builder) open(ctx context.Context) (err error) {
	b.asked, b.trained = make(map[string]bool), make(map[string]training)
	if b.Root, err = filepath.Abs(b.Root); err != nil {
		return err
	}
	if b.native, err = elfmagic.Lookup(runtime.GOARCH); err != nil {
		return err
	}
	name := "qemu"
	if b.Plain {
		name = "qemu-plain" // trees of sources are kept of one kind each
	}
	if b.cache, err = workdir.Cache(name); err != nil {
		return err
	}
	if b.compiler, err = findCompiler(ctx); err != nil {
		return err
	}
	if missing := missingTools(ctx); len(missing) > 0 {
		return cli.WithHint(fmt.Errorf("not installed: %s", strings.Join(missing, ", ")), installTools)
	}
	if !b.Plain {
		b.patches, err = readPatches(filepath.Join(b.Root, patchesDir))
		if err == nil {
			b.rest, err = readPatches(filepath.Join(b.Root, fixesDir))
		}
	}
	return err
}

// Build builds the emulators that are missing, and puts all of them, and the
// manifest, into Out.
func (b *Builder) Build(ctx context.Context) (err error) {
	start := time.Now()
	if err := b.open(ctx); err != nil {
		return err
	}
	unlock, err := file.Lock(ctx, b.path("lock"), func() { b.Say("waiting for another run …") })
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.prepareSource(ctx); err != nil {
		return err
	}
	if b.libs, err = b.libraries(ctx, b.Host); err != nil {
		return err
	}
	if b.sources, err = b.readSources(ctx); err != nil {
		return err
	}
	if err := b.prepareGuests(ctx); err != nil {
		return err
	}
	groups := b.groups()
	missing := b.missing(groups)
	if err := b.train(ctx, missing); err != nil {
		return err
	}
	var failures error
	for i, g := range missing {
		b.Say("group %d of %d: %s", i+1, len(missing), strings.Join(names(g.targets), " "))
		failures = errors.Join(failures, b.optimise(ctx, g))
		if ctx.Err() != nil {
			return failures
		}
	}
	built, err := b.install(groups)
	if err := errors.Join(failures, err); err != nil {
		return err
	}
	var total int64
	for _, e := range built {
		total += e.Size
	}
	b.Say("%s in %s, %.1f MB, %s", count(len(built), "emulator", "emulators"), b.Out, float64(total)/1e6, time.Since(start).Round(time.Second))
	return nil
}

// groups are those of the targets that are built at once.
func (b *Builder) groups() []group {
	if b.Plain {
		return []group{{targets: b.Targets}}
	}
	return together(b.Targets)
}

// finished is the file that a group's target is when it is finished.
func (b *Builder) finished(g group, target *elfmagic.Arch) string {
	profile, _ := b.profile(g.trainers)
	in := append(b.inputs(b.mode(), b.Host, b.libs), "target "+target.Name, "profile "+filepath.Base(profile))
	return b.path("finished", b.Host.GOARCH+"-"+target.Name+"-"+in.key())
}

// missing returns the groups with those of their targets that are not finished.
func (b *Builder) missing(groups []group) (missing []group) {
	left := 0
	for _, g := range groups {
		g.targets = slices.DeleteFunc(slices.Clone(g.targets), func(t *elfmagic.Arch) bool { return exists(b.finished(g, t)) })
		if len(g.targets) > 0 {
			missing = append(missing, g)
			left += len(g.targets)
		}
	}
	b.Say("%s for %s of QEMU %s with %s: %d there, %d to build", count(len(b.Targets), "emulator", "emulators"), b.Host.Platform(),
		b.source.Version, b.compiler.Version, len(b.Targets)-left, left)
	return missing
}

// version is what the emulators say of themselves.
func (b *Builder) version() string {
	version := b.source.Upstream() + " (" + pkgVersion(b.source, b.patches) + ")"
	if b.Plain {
		return version
	}
	return version + emulator.ExecHelper
}

// install puts the finished emulators into Out, with what there is of others
// made of the same.
func (b *Builder) install(groups []group) (built []Built, err error) {
	if err := os.MkdirAll(b.Out, 0o755); err != nil {
		return nil, err
	}
	for _, g := range groups {
		for _, t := range g.targets {
			content, err := os.ReadFile(b.finished(g, t))
			if errors.Is(err, os.ErrNotExist) {
				continue // it failed
			}
			e := Built{t.Name, fileName(t.Name), int64(len(content)), digest(content), g.trainers}
			path := filepath.Join(b.Out, e.File)
			if there, thereErr := file.SHA256(path); err == nil && (thereErr != nil || there != e.SHA256) {
				err = file.ReplaceWith(path, 0o755, content)
			}
			if err != nil {
				return nil, err
			}
			built = append(built, e)
		}
	}
	if len(built) == 0 {
		return nil, nil // all failed: what is there stays
	}
	m := &Manifest{
		Host: b.Host.GOARCH, Version: b.version(), Debian: b.source.Version,
		Patches: slices.Concat(b.patches, b.restOfFixes()), Compiler: b.compiler.Version, Recipe: options(b.mode(), everywhere...),
		Sources: slices.Clone(b.sources),
	}
	for _, f := range []debian.File{b.source.Orig(), b.source.Debian()} {
		m.Source = append(m.Source, SourceArchive{f.Name, f.SHA256})
	}
	for _, s := range b.source.Fixes {
		m.Source = append(m.Source, SourceArchive{s.Orig().Name, s.Orig().SHA256})
		m.Sources = append(m.Sources, debian.Package{Name: sourcePackage, Version: s.Version})
	}
	for _, f := range b.libs.Files {
		m.Libraries = append(m.Libraries, f.Name)
	}
	m.Emulators = b.others(m, built)
	return built, errors.Join(b.installLicenses(), jsonfile.Write(filepath.Join(b.Out, ManifestFile), m))
}

// others adds the emulators of an earlier run that are there and of the same
// sources. What is of others is removed: a directory has one manifest.
func (b *Builder) others(m *Manifest, built []Built) []Built {
	all := slices.Clone(built)
	old, err := ReadManifest(b.Out)
	if err != nil {
		return all
	}
	for _, e := range old.Emulators {
		if slices.ContainsFunc(built, func(n Built) bool { return n.Target == e.Target }) {
			continue
		}
		path := filepath.Join(b.Out, filepath.Base(e.File))
		sum, err := file.SHA256(path)
		if err != nil {
			continue
		}
		if old.Version != m.Version || old.Compiler != m.Compiler || !slices.Equal(old.Recipe, m.Recipe) || sum != e.SHA256 {
			os.Remove(path)
			b.Say("%s is of other sources: removed", e.File)
			continue
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Built) int { return strings.Compare(a.Target, b.Target) })
	return all
}
