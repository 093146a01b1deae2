package crossenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
)

// aRunner returns the path of a program that is not to be run.
func aRunner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "crossrun")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
	return path
}

func TestLinksAreMadeForAllOfGosPorts(t *testing.T) {
	runner := aRunner(t)
	dir := filepath.Join(t.TempDir(), "a", "b")
	got, err := Link(dir, runner, nil, ForGo)
	require.NoError(t, err)
	assert.Contains(t, got, "go_linux_"+foreignGOARCH()+"_exec")
	assert.NotContains(t, got, "go_linux_"+runtime.GOARCH+"_exec")
	assert.True(t, slices.IsSorted(got))
	assert.Equal(t, got, names(t, dir))
	for _, name := range got {
		to, err := os.Readlink(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, runner, to)
	}

	out, err := exec.Command("go", "tool", "dist", "list").Output()
	require.NoError(t, err)
	var want []string
	for port := range strings.FieldsSeq(string(out)) {
		if goarch, ok := strings.CutPrefix(port, "linux/"); ok && goarch != runtime.GOARCH {
			want = append(want, "go_linux_"+goarch+"_exec")
		}
	}
	assert.ElementsMatch(t, want, got, "go tool dist list")
}

func TestLinksThatAreThereAreKept(t *testing.T) {
	runner := aRunner(t)
	dir := t.TempDir()
	first, err := Link(dir, runner, nil, ForGo)
	require.NoError(t, err)

	// One is gone, and one is relative.
	require.NoError(t, os.Remove(filepath.Join(dir, first[0])))
	relative, err := filepath.Rel(dir, runner)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, first[1])))
	require.NoError(t, os.Symlink(relative, filepath.Join(dir, first[1])))
	kept, err := os.Lstat(filepath.Join(dir, first[2]))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o644))

	second, err := Link(dir, runner, nil, ForGo)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	assert.Equal(t, append(slices.Clone(first), "other"), names(t, dir))
	to, err := os.Readlink(filepath.Join(dir, first[1]))
	require.NoError(t, err)
	assert.Equal(t, relative, to)
	now, err := os.Lstat(filepath.Join(dir, first[2]))
	require.NoError(t, err)
	assert.True(t, os.SameFile(kept, now))
}

func TestWhatSomebodyElseHasIsLeftAlone(t *testing.T) {
	runner, other := aRunner(t), aRunner(t)
	name := "go_linux_" + foreignGOARCH() + "_exec"
	for what, test := range map[string]struct {
		make func(path string) error
		want string
	}{
		"a file":          {func(path string) error { return os.WriteFile(path, nil, 0o755) }, "is there, and is no link"},
		"a directory":     {func(path string) error { return os.Mkdir(path, 0o755) }, "is there, and is no link"},
		"another link":    {func(path string) error { return os.Symlink(other, path) }, "is a link to " + other},
		"a dangling link": {func(path string) error { return os.Symlink("nowhere", path) }, "is a link to nowhere"},
		"the same file":   {func(path string) error { return os.Link(runner, path) }, "is there, and is no link"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			require.NoError(t, test.make(path))
			got, err := Link(dir, runner, nil, ForGo)
			assert.EqualError(t, err, path+": "+test.want)
			assert.Contains(t, cli.Hint(err), "nothing was changed")
			assert.Empty(t, got)
			assert.Equal(t, []string{name}, names(t, dir))
		})
	}
}

func TestEachForeignFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	for _, goarch := range []string{"mips", "riscv64"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go_linux_"+goarch+"_exec"), nil, 0o644))
	}
	_, err := Link(dir, aRunner(t), nil, ForGo)
	assert.ErrorContains(t, err, "go_linux_mips_exec")
	assert.ErrorContains(t, err, "go_linux_riscv64_exec")
}

func TestLinksThatCannotBeMade(t *testing.T) {
	runner := aRunner(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, nil, 0o644))
	before := names(t, dir)
	for _, test := range []struct{ dir, runner, want, hint string }{
		{dir, "/no/such/crossrun", "runner: stat /no/such/crossrun: no such file or directory", "crossrun's own file"},
		{text, runner, text + ": is not a directory", "name a directory"},
		{text + "/x", runner, "not a directory", ""},
	} {
		got, err := Link(test.dir, test.runner, nil, ForGo)
		assert.ErrorContains(t, err, test.want)
		assert.Contains(t, cli.Hint(err), test.hint)
		assert.Empty(t, got)
		assert.Equal(t, before, names(t, dir))
	}
}

// A link that fails takes those before it away again.
func TestAllLinksOrNone(t *testing.T) {
	runner := aRunner(t)
	dir := filepath.Join(t.TempDir(), "new")
	err := makeLinks(dir, runner, []link{{"a", false}, {"b", true}, {"no/such/c", false}})
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.NotEmpty(t, cli.Hint(err))
	assert.NoDirExists(t, dir)

	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b"), nil, 0o644))
	err = makeLinks(dir, runner, []link{{"a", true}, {"b", false}})
	assert.ErrorIs(t, err, os.ErrExist)
	assert.Equal(t, []string{"b"}, names(t, dir))
}

func TestLinksForThoseWhoCallQEMU(t *testing.T) {
	runner := aRunner(t)
	dir := t.TempDir()
	got, err := Link(dir, runner, nil, ForGo, ForQEMU)
	require.NoError(t, err)
	for _, name := range []string{"qemu-s390x", "qemu-aarch64", "qemu-aarch64-static", "qemu-x86_64", "go_linux_" + foreignGOARCH() + "_exec"} {
		assert.Contains(t, got, name)
		to, err := os.Readlink(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, runner, to)
	}
	assert.Equal(t, got, names(t, dir))
}

// inside is what a runner has in it.
var inside = &embedded.Archive{Emulators: func() (all []*embedded.Emulator) {
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH != "" {
			all = append(all, &embedded.Emulator{Arch: arch})
		}
	}
	return all
}()}

// BuildKit copies the file: a symbolic link would lead nowhere.
func TestLinksForBuildKitAreTheFileItself(t *testing.T) {
	runner := aRunner(t)
	want, err := os.Stat(runner)
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(runner, link))
	dir := t.TempDir()
	for range 2 {
		got, err := Link(dir, link, inside, ForBuildKit)
		require.NoError(t, err)
		assert.Contains(t, got, "buildkit-qemu-s390x")
		assert.NotContains(t, got, "buildkit-qemu-alpha", "no emulator is inside")
		for _, name := range got {
			is, err := os.Lstat(filepath.Join(dir, name))
			require.NoError(t, err)
			assert.True(t, os.SameFile(want, is), name)
		}
	}
	native, err := elfmagic.Lookup(runtime.GOARCH)
	require.NoError(t, err)
	assert.NoFileExists(t, filepath.Join(dir, "buildkit-qemu-"+native.Name), "BuildKit executes its own")

	other := filepath.Join(dir, "buildkit-qemu-s390x")
	require.NoError(t, os.Remove(other))
	require.NoError(t, os.WriteFile(other, []byte("another"), 0o755))
	_, err = Link(dir, runner, inside, ForBuildKit)
	assert.EqualError(t, err, other+": is there, and is not this crossrun")
	_, err = Link(dir, runner, nil, ForBuildKit)
	assert.ErrorContains(t, err, "has no emulators in it")
	assert.Contains(t, cli.Hint(err), "make dist")
}

// /dev/shm is another file system than that of temporary files.
func TestOnAnotherFileSystemThereIsOneCopy(t *testing.T) {
	runner := aRunner(t)
	dir, err := os.MkdirTemp("/dev/shm", "links-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	got, err := Link(dir, runner, inside, ForBuildKit)
	require.NoError(t, err)
	first, err := os.Stat(filepath.Join(dir, got[0]))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), first.Mode())
	for _, name := range got {
		is, err := os.Lstat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.True(t, os.SameFile(first, is), name)
	}
	again, err := Link(dir, runner, inside, ForBuildKit)
	assert.NoError(t, err)
	assert.Equal(t, got, again)
}

func TestKindsOfLinks(t *testing.T) {
	kinds, err := ParseKinds("go,buildkit")
	assert.NoError(t, err)
	assert.Equal(t, []Kind{ForGo, ForBuildKit}, kinds)
	for _, list := range []string{"", "go,", "docker"} {
		_, err := ParseKinds(list)
		assert.ErrorContains(t, err, "is no kind of names")
		assert.Equal(t, "known are go, qemu and buildkit", cli.Hint(err))
	}
}
