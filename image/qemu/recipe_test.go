package qemu

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/kerneltest"
)

var arch = kerneltest.Lookup

func aSetup(t *testing.T, m mode) setup {
	t.Helper()
	s := setup{
		mode: m, compiler: Compiler{Major: 19}, host: arch(t, "arm64"), targets: []string{"arm", "s390x"}, pkgversion: "Debian 1:10.2.2+ds-1, go-build 1 patch 0123456789",
		sysroot: "/cache/sysroot", meson: "/cache/meson",
	}
	if m == optimised {
		s.profile, s.cache = "/cache/p.profdata", "/cache/thinlto"
	}
	return s
}

func TestConfigureIsToldTheRecipe(t *testing.T) {
	args := aSetup(t, optimised).arguments()
	for _, want := range []string{
		"--static", "--disable-pie", "--disable-capstone", "--disable-stack-protector", "-Db_lto=true", "-Db_lto_mode=thin",
		"--target-list=arm-linux-user,s390x-linux-user",
		"--cc=clang-19 --target=aarch64-linux-gnu --sysroot=/cache/sysroot",
		"--cross-prefix=aarch64-linux-gnu-",
		"--with-pkgversion=Debian 1:10.2.2+ds-1, go-build 1 patch 0123456789",
	} {
		assert.Contains(t, args, want)
	}
	line := func(prefix string) string {
		i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, prefix) })
		require.GreaterOrEqual(t, i, 0, prefix)
		return args[i] + " "
	}
	for _, want := range []string{" -ffunction-sections ", "-DPROVIDE_STUBS_FOR_STATIC ", " -fprofile-use=/cache/p.profdata "} {
		assert.Contains(t, line("--extra-cflags="), want)
	}
	for _, want := range []string{" -fuse-ld=lld-19 ", " -Wl,--thinlto-cache-dir=/cache/thinlto ", " -fprofile-use=/cache/p.profdata ", "-Wl,--icf=safe "} {
		assert.Contains(t, line("--extra-ldflags="), want)
	}
	assert.NotContains(t, strings.Join(args, " "), "-fprofile-generate")
}

func TestAnInstrumentedBuildHasNoProfileAndNoLTO(t *testing.T) {
	args := strings.Join(aSetup(t, instrumented).arguments(), " ")
	assert.Contains(t, args, "-fprofile-generate")
	for _, not := range []string{"-fprofile-use", "b_lto", "thinlto", "icf"} {
		assert.NotContains(t, args, not)
	}
}

func TestAPlainBuildIsWhatQEMUMakesOfIt(t *testing.T) {
	args := strings.Join(aSetup(t, plain).arguments(), " ")
	assert.Contains(t, args, "--static")
	for _, not := range []string{"-fprofile", "b_lto", "thinlto", "icf"} {
		assert.NotContains(t, args, not)
	}
}

func TestLibrariesAreTheSysroots(t *testing.T) {
	env := aSetup(t, optimised).environment()
	for _, want := range []string{
		"PKG_CONFIG_LIBDIR=/cache/sysroot/usr/lib/aarch64-linux-gnu/pkgconfig:/cache/sysroot/usr/share/pkgconfig",
		"PKG_CONFIG_SYSROOT_DIR=/cache/sysroot", "PYTHONPATH=/cache/meson", "AR=llvm-ar-19", "STRIP=llvm-strip-19", "LC_ALL=C",
	} {
		assert.Contains(t, env, want)
	}
}

func TestEachLineOfTheRecipeSaysWhy(t *testing.T) {
	for _, o := range recipe {
		assert.NotEmpty(t, o.why, o.text)
		assert.NotZero(t, o.in, o.text)
	}
}

func TestTheNewestWholeCompilerIsUsed(t *testing.T) {
	installed := func(except string, majors ...int) func(string) bool {
		return func(tool string) bool {
			for _, m := range majors {
				for _, name := range tools {
					if tool == (Compiler{Major: m}).tool(name) {
						return tool != except
					}
				}
			}
			return false
		}
	}
	c, err := newestCompiler(installed("", 14, 19, 22))
	require.NoError(t, err)
	assert.Equal(t, 22, c.Major)
	c, err = newestCompiler(installed("lld-22", 19, 22))
	require.NoError(t, err)
	assert.Equal(t, 19, c.Major)
	_, err = newestCompiler(installed("lld-22", 22))
	assert.EqualError(t, err, "lld-22 is not installed")
	_, err = newestCompiler(installed("", 14, 18))
	assert.EqualError(t, err, "clang 19 or newer is not installed")
}

func TestHostsThatThereIsNoBuildForAreRefused(t *testing.T) {
	for _, name := range []string{"arm64", "aarch64", "linux/amd64"} {
		_, err := Host(name)
		assert.NoError(t, err, name)
	}
	_, err := Host("s390x")
	assert.EqualError(t, err, "emulators are not built for s390x")
	_, err = Host("vax")
	assert.Error(t, err)
}

func TestTargetsAreSortedAndOnceEach(t *testing.T) {
	archs, err := Targets([]string{"s390x", "arm64", "linux/s390x"})
	require.NoError(t, err)
	assert.Equal(t, []string{"aarch64", "s390x"}, names(archs))
	archs, err = Targets(nil)
	require.NoError(t, err)
	assert.Len(t, archs, 33)
	_, err = Targets([]string{"vax"})
	assert.Error(t, err)
}
