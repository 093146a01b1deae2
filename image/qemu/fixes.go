package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// fixedSource is the oldest version that has what was mended in Debian stable's
// series: with an older one, what changed there since the series began is merged in.
const fixedSource = "1:11.1"

// stableSuites have the series with the newest fixes, and an old version of it. What
// differs between the two are fixes.
var stableSuites = []string{"trixie", "bookworm-backports"}

// fixed are the directories that emulators of user programs are made of.
var fixed = []string{
	"accel/tcg", "common-user", "crypto", "fpu", "gdbstub", "include/crypto", "include/exec", "include/fpu", "include/qemu",
	"include/tcg", "include/user", "libdecnumber", "linux-user", "target", "tcg", "util",
}

// unfixed are files, or directories of any place, that are left as they are.
var unfixed = []struct{ name, why string }{
	{"hvf", "another accelerator"},
	{"kvm", "another accelerator"},
	{"nvmm", "another accelerator"},
	{"whpx", "another accelerator"},
	{"system", "emulates machines"},
	{"tcg/loongarch64", "a host that no emulators are built for"},
	{"include/qemu/coroutine.h", "for machines"},
	{"util/qemu-coroutine-sleep.c", "for machines"},
	{"util/meson.build", "for machines"},
	{"linux-user/aarch64/signal.c", "10.2 has the same in another place of the file, and both would be there"},
}

func isUnfixed(name string) bool {
	for _, u := range unfixed {
		if u.name == name || u.name == filepath.Base(name) {
			return true
		}
	}
	return false
}

// chooseFixes returns the versions between which fixes are: the oldest that is known of
// the newest one's series, and the newest. The versions are sorted, the newest first.
func chooseFixes(versions []string) []string {
	if len(versions) == 0 {
		return nil
	}
	minor := func(v string) string { // 10.0, of 1:10.0.13+ds-0+deb13u1
		series := strings.SplitN(Source{Version: v}.Upstream(), ".", 3)
		return strings.Join(series[:min(2, len(series))], ".")
	}
	series := minor(versions[0])
	var oldest string
	for _, v := range versions[1:] {
		if minor(v) == series {
			oldest = v
		}
	}
	if oldest == "" {
		return nil
	}
	return []string{oldest, versions[0]}
}

// wantsFixes reports whether there are fixes that the chosen source lacks.
func (b *Builder) wantsFixes(ctx context.Context) bool {
	return !b.Plain && !debian.AtLeast(ctx, b.source.Version, fixedSource)
}

// findFixes finds the sources between which fixes are for the chosen one. None is no
// error: mirrors and archives have old versions for a while.
func (b *Builder) findFixes(ctx context.Context) (fixes []Source, err error) {
	fixes = []Source{}
	if !b.wantsFixes(ctx) {
		return fixes, nil
	}
	apt, err := debian.OpenSources(b.aptDir(), stableSuites...)
	if err != nil {
		return nil, err
	}
	updateErr := apt.Update(ctx)
	versions, err := apt.Versions(ctx, sourcePackage)
	if err != nil {
		return nil, errors.Join(updateErr, err)
	}
	const warning = "warning: built without the fixes of Debian stable's QEMU: "
	chosen := chooseFixes(versions)
	if chosen == nil {
		b.Say(warning+"there are no two versions of one series in %s", strings.Join(stableSuites, " and "))
	}
	for _, version := range chosen {
		archive, _, err := apt.GetUpstream(ctx, sourcePackage, version)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			b.Say(warning+"%s", debian.Reason(err))
			return []Source{}, nil
		}
		fixes = append(fixes, Source{Version: version, Files: []debian.File{archive}})
	}
	return fixes, nil
}

// restOfFixes are the patches that are applied after fixes, if there are any.
func (b *Builder) restOfFixes() []Patch {
	if len(b.source.Fixes) == 0 {
		return nil
	}
	return b.rest
}

// unpackFixes unpacks the sources between which fixes are into directories below one.
func (b *Builder) unpackFixes(ctx context.Context, below string) (dirs []string, err error) {
	apt, err := debian.OpenSources(b.aptDir(), stableSuites...)
	if err != nil {
		return nil, err
	}
	for _, s := range b.source.Fixes {
		_, archive, err := apt.GetUpstream(ctx, sourcePackage, s.Version)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(below, s.Upstream())
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		if _, err := b.command(ctx, dir, "tar", "--extract", "--strip-components=1", "--file", archive); err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// mergeFixes merges into the tree what changed in Debian stable's series.
func (b *Builder) mergeFixes(ctx context.Context, tree string) error {
	b.Say("merging the fixes of QEMU %s …", b.source.Fixes[1].Upstream())
	below, err := os.MkdirTemp(b.cache, "fixes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(below)
	dirs, err := b.unpackFixes(ctx, below)
	if err != nil {
		return err
	}
	merged, left, err := merge(ctx, tree, dirs[0], dirs[1])
	if err == nil {
		err = b.patch(ctx, tree, fixesDir, b.restOfFixes())
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return err // interrupted
	case err != nil:
		return &unfitError{err}
	}
	b.Say("%s of QEMU %s are merged, %s left where this one has something else", count(merged, "change", "changes"),
		b.source.Fixes[1].Upstream(), count(left, "is", "are"))
	return nil
}

// unfitError says why fixes cannot be merged.
type unfitError struct{ error }

func (e *unfitError) Unwrap() error { return e.error }

// merge merges what changed from one tree to another into a third, where that does not
// have something else in the same place, and returns how many changes were merged and
// how many were left.
func merge(ctx context.Context, tree, from, to string) (merged, left int, err error) {
	names, err := changed(from, to)
	for _, name := range names {
		three := []string{filepath.Join(tree, name), filepath.Join(from, name), filepath.Join(to, name)}
		if err != nil || !exists(three[0]) {
			continue
		}
		var easy, overlaps []byte
		if easy, err = diff3(ctx, three, "--easy-only"); err == nil {
			overlaps, err = diff3(ctx, three, "--overlap-only")
		}
		left += commands(overlaps)
		if n := commands(easy); n > 0 && err == nil {
			merged += n
			err = mergeFile(ctx, three)
		}
	}
	return merged, left, err
}

// mergeFile merges into the first of three files.
func mergeFile(ctx context.Context, three []string) error {
	content, err := diff3(ctx, three, "--merge", "--easy-only")
	if err != nil {
		return err
	}
	st, err := os.Stat(three[0])
	if err != nil {
		return err
	}
	return file.ReplaceWith(three[0], st.Mode().Perm(), content)
}

// diff3 runs diff3(1) of three files. Its exit status 1 tells of conflicts.
func diff3(ctx context.Context, three []string, args ...string) ([]byte, error) {
	cmd := program.Command(ctx, "diff3", append(args, three...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("diff3 %s: %w%s", three[0], err, cli.Quoted(said.String()))
	}
	return out.Bytes(), nil
}

// commands counts those of a script for ed(1) that diff3(1) wrote, each with the lines
// that it adds. Others restore the dots of these.
func commands(script []byte) (n int) {
	text := false
	for line := range bytes.Lines(script) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if text {
			text = !bytes.Equal(line, []byte("."))
		} else if i := len(line) - 1; i > 0 && bytes.IndexByte([]byte("acd"), line[i]) >= 0 {
			n++
			text = line[i] != 'd'
		}
	}
	return n
}

// changed returns the files that both trees have and that are not the same, of those that
// emulators are made of.
func changed(from, to string) (names []string, err error) {
	for _, dir := range fixed {
		if !exists(filepath.Join(to, dir)) {
			continue
		}
		err := filepath.WalkDir(filepath.Join(to, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(to, path)
			if err != nil {
				return err
			}
			if isUnfixed(name) && d.IsDir() {
				return filepath.SkipDir
			}
			if isUnfixed(name) || !d.Type().IsRegular() {
				return nil
			}
			old, err := os.ReadFile(filepath.Join(from, name))
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			now, readErr := os.ReadFile(path)
			if err == nil && !bytes.Equal(old, now) {
				names = append(names, name)
			}
			return errors.Join(err, readErr)
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}
