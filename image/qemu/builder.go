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
	"github.com/projectcalico/go-build/internal/cli"
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
	source   Source
	passed   []Passed
	libs     []debian.File       // for the host
	sources  []debian.Package    // of these
	sysroots map[string]string   // directories, by the host's name
	guests   map[string]inputs   // by trainer
	roots    map[string][]string // of Debian's guests, by trainer
	work     string              // directory of the guests' inputs
	updated  map[string]bool
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
	b.sysroots, b.updated = make(map[string]string), make(map[string]bool)
	if b.native, err = elfmagic.Lookup(runtime.GOARCH); err != nil {
		return err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	b.cache = filepath.Join(cache, "calico-go-build", "qemu")
	if b.Plain {
		b.cache += "-plain" // trees of sources are kept of one kind each
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	if b.compiler, err = FindCompiler(ctx); err != nil {
		return err
	}
	if missing := missingTools(ctx); len(missing) > 0 {
		return cli.WithHint(fmt.Errorf("not installed: %s", strings.Join(missing, ", ")), installTools)
	}
	if !b.Plain {
		if b.patches, err = ReadPatches(filepath.Join(b.Root, "image/qemu/patches")); err != nil {
			return err
		}
	}
	return nil
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
	profiles, err := b.profiles(ctx)
	if err != nil {
		return err
	}
	missing, finished := b.plan(profiles)
	if err := b.train(ctx, missing, profiles); err != nil {
		return err
	}
	var failures error
	for i, g := range missing {
		b.Say("group %d of %d: %s", i+1, len(missing), strings.Join(names(g.targets), " "))
		profile, err := b.profile(ctx, g.trainers, profiles)
		if err != nil {
			return err
		}
		failures = errors.Join(failures, b.optimise(ctx, g.targets, profile, g.trainers, finished))
		if ctx.Err() != nil {
			return failures
		}
	}
	built, err := b.install(finished)
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

// profiles returns what the trainers' profiles are made of. A plain build has none.
func (b *Builder) profiles(ctx context.Context) (map[string]inputs, error) {
	if b.Plain {
		return nil, nil
	}
	if err := b.prepareGuests(ctx); err != nil {
		return nil, err
	}
	native := b.libs
	if b.Host != b.native {
		var err error
		if native, err = b.libraries(ctx, b.native); err != nil {
			return nil, err
		}
	}
	profiles := make(map[string]inputs)
	for _, t := range trainers(b.Targets) {
		profiles[t] = trainingInputs(b.source, b.patches, b.compiler, b.native, native, b.guests[t])
	}
	return profiles, nil
}

// plan returns the groups with those of their targets that are missing, and where
// each target is when it is finished.
func (b *Builder) plan(profiles map[string]inputs) (missing []group, finished map[string]string) {
	groups := together(b.Targets)
	if b.Plain {
		groups = []group{{targets: b.Targets}}
	}
	finished = make(map[string]string)
	there := 0
	for _, g := range groups {
		profile := mergedInputs(g.trainers, profiles)
		m := group{trainers: g.trainers}
		for _, t := range g.targets {
			in := emulatorInputs(t.Name, b.mode(), b.source, b.patches, b.compiler, b.Host, b.libs, profile)
			dir := b.path("finished", b.Host.GOARCH+"-"+t.Name+"-"+in.key())
			finished[t.Name] = dir
			if _, err := os.Stat(filepath.Join(dir, "built.json")); err != nil {
				m.targets = append(m.targets, t)
			} else {
				there++
			}
		}
		if len(m.targets) > 0 {
			missing = append(missing, m)
		}
	}
	b.Say("%s for %s of QEMU %s with %s: %d there, %d to build", count(len(b.Targets), "emulator", "emulators"), b.Host.Platform(),
		b.source.Version, b.compiler.Version, there, len(b.Targets)-there)
	return missing, finished
}

// install puts the finished emulators into Out, with what there is of others
// made of the same.
func (b *Builder) install(finished map[string]string) ([]Built, error) {
	if err := os.MkdirAll(b.Out, 0o755); err != nil {
		return nil, err
	}
	m := &Manifest{
		Host: b.Host.GOARCH, Version: b.source.Upstream() + " (" + PkgVersion(b.source, b.patches) + ")", Debian: b.source.Version,
		Patches: b.patches, PassedOver: b.passed, Compiler: b.compiler.Version, Recipe: recipeOf(b.mode()),
		Sources: b.sources,
	}
	for _, f := range []debian.File{b.source.Orig(), b.source.Debian()} {
		m.Source = append(m.Source, SourceArchive{f.Name, f.SHA256})
	}
	for _, f := range b.libs {
		m.Libraries = append(m.Libraries, f.Name)
	}
	var built []Built
	for _, t := range b.Targets {
		dir := finished[t.Name]
		var e Built
		err := jsonfile.Read(filepath.Join(dir, "built.json"), &e)
		if errors.Is(err, os.ErrNotExist) {
			continue // it failed
		}
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(filepath.Join(dir, e.File))
		if err != nil {
			return nil, err
		}
		if digest(content) != e.SHA256 {
			return nil, cli.WithHint(fmt.Errorf("%s is not what was built", filepath.Join(dir, e.File)), "remove its directory, and run this again")
		}
		path := filepath.Join(b.Out, e.File)
		if there, err := file.SHA256(path); err != nil || there != e.SHA256 {
			if err := file.ReplaceWith(path, 0o755, content); err != nil {
				return nil, err
			}
		}
		built = append(built, e)
	}
	if len(built) == 0 {
		return nil, nil // all failed: what is there stays
	}
	m.Emulators = b.others(m, built)
	return built, errors.Join(b.installLicenses(), m.write(b.Out))
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
		file := filepath.Join(b.Out, filepath.Base(e.File))
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if old.Version != m.Version || old.Compiler != m.Compiler || !slices.Equal(old.Recipe, m.Recipe) || digest(content) != e.SHA256 {
			os.Remove(file)
			b.Say("%s is of other sources: removed", e.File)
			continue
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Built) int { return strings.Compare(a.Target, b.Target) })
	return all
}
