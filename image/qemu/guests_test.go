package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

func TestEachTargetIsTrainedWithGuestsThatThereAre(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		by := arch(t, trainer(a))
		assert.NotEmpty(t, by.GOARCH, "%s by %s", a, by)
	}
	assert.Equal(t, []string{"aarch64", "arm", "s390x"}, trainers([]*elfmagic.Arch{arch(t, "s390x"), arch(t, "alpha"), arch(t, "armeb"), arch(t, "arm")}))
}

func TestMostUsedTargetsHaveAProfileOfTheirOwn(t *testing.T) {
	var archs []*elfmagic.Arch
	for _, name := range []string{"aarch64", "alpha", "s390x", "x86_64"} {
		archs = append(archs, arch(t, name))
	}
	assert.Equal(t, []group{
		{archs[:1], []string{"aarch64"}}, {archs[3:], []string{"x86_64"}}, {archs[1:3], []string{"aarch64", "s390x"}},
	}, together(archs))
	assert.Equal(t, []group{{archs[2:3], []string{"s390x"}}}, together(archs[2:3]))

	// Each target is in one group, and what an emulator is made of changes with its group's trainers.
	seen := make(map[string]int)
	for _, g := range together(elfmagic.Archs()) {
		for _, a := range g.targets {
			seen[a.Name]++
			assert.Contains(t, g.trainers, trainer(a), a)
		}
	}
	assert.Len(t, seen, len(elfmagic.Archs()))
	b := Builder{cache: "/cache", trained: map[string]training{"aarch64": {profile: "a"}, "s390x": {profile: "s"}}}
	merged, parts := b.profile([]string{"aarch64", "s390x"})
	assert.Regexp(t, "^/cache/profiles/merged-[0-9a-f]{16}.profdata$", merged)
	assert.Equal(t, []string{"a", "s"}, parts)
	one, _ := b.profile([]string{"s390x"})
	assert.NotEqual(t, merged, one)
	none, _ := b.profile(nil)
	assert.Empty(t, none)
}

func TestPortsAreDebiansNamesOfTheirTargets(t *testing.T) {
	for _, p := range ports {
		assert.Equal(t, p.target, arch(t, p.name).Name, p.name)
	}
}

func TestGuestsAreRunWithTheirOwnLibraries(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"usr/libexec/gcc/aarch64-linux-gnu/14/cc1", "bin/dash", "usr/lib/aarch64-linux-gnu/perl-base/file"} { // dash as in Debian 12
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name), nil, 0o755))
	}
	guests := portGuests(root, "/inputs", "/out")
	found := make(map[string]string)
	for _, g := range guests {
		assert.Positive(t, g.times)
		found[g.name] = strings.ReplaceAll(strings.Join(g.args, " "), root, "/guest")
	}
	assert.Equal(t, "-L /guest /guest/bin/dash /inputs/loop.sh", found["sh"])
	assert.Equal(t, "-L /guest /guest/usr/libexec/gcc/aarch64-linux-gnu/14/cc1 -quiet -O1 /inputs/work.i -o /out/work.s", found["cc1"])
	assert.Equal(t, "-E PYTHONHOME=/guest/usr -E PYTHONDONTWRITEBYTECODE=1 -L /guest /guest/usr/bin/python3 /inputs/work.py", found["python"])
	assert.Equal(t, "-E PERL5LIB=/guest/usr/lib/aarch64-linux-gnu/perl-base -L /guest /guest/usr/bin/perl /inputs/work.pl", found["perl"])
	assert.Len(t, portGuests(t.TempDir(), "/inputs", "/out"), len(guests)-1, "where there is no compiler")
}

func TestInputsAreTheSameEachTime(t *testing.T) {
	assert.Equal(t, textInput(), textInput())
	assert.Equal(t, cInput(), cInput())
	assert.Equal(t, 2500, strings.Count(textInput(), "\n"))
	assert.NotContains(t, cInput(), "%!")
}
