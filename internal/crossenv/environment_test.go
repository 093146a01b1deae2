package crossenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// printed is the environment as it is printed.
func printed(t *testing.T, name string, o Options) string {
	t.Helper()
	o.Name = name
	if o.Runner == "" {
		o.Runner = "/opt/bin/crossrun"
	}
	variables, err := Environment(lookup(t, name), o)
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, Print(&out, variables))
	return out.String()
}

func TestTheEnvironmentOfAnArchitecture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("PATH is another on ", runtime.GOARCH)
	}
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"arm64", Options{LookPath: everything, Dir: "/cache/arm64"}, `
export GOOS=linux
export GOARCH=arm64
export CGO_ENABLED=1
export CC=aarch64-linux-gnu-gcc
export CXX=aarch64-linux-gnu-g++
export AR=aarch64-linux-gnu-ar
export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
unset PKG_CONFIG_SYSROOT_DIR
export PKG_CONFIG_ALLOW_CROSS=1
export CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=/opt/bin/crossrun
export CMAKE_TOOLCHAIN_FILE=/cache/arm64/toolchain.cmake
export CROSSRUN_MESON_CROSS_FILE=/cache/arm64/cross.ini
export PATH=/cache/arm64/bin"${PATH:+:$PATH}"
# Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build
`},
		{"armhf", Options{LookPath: only("arm-linux-gnueabihf-gcc")}, `
export GOOS=linux
export GOARCH=arm
export GOARM=7
export CGO_ENABLED=1
export CC=arm-linux-gnueabihf-gcc
unset CXX
export AR=arm-linux-gnueabihf-ar
export PKG_CONFIG_LIBDIR=/usr/lib/arm-linux-gnueabihf/pkgconfig:/usr/share/pkgconfig
unset PKG_CONFIG_SYSROOT_DIR
export PKG_CONFIG_ALLOW_CROSS=1
export CARGO_BUILD_TARGET=armv7-unknown-linux-gnueabihf
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER=/opt/bin/crossrun
# arm-linux-gnueabihf-g++ is not installed: apt-get install g++-arm-linux-gnueabihf
`},
		{"s390x", Options{LookPath: everything, Sysroot: "/srv/s390x", Runner: "/opt/it's/crossrun"}, `
export GOOS=linux
export GOARCH=s390x
export CGO_ENABLED=1
export CC='s390x-linux-gnu-gcc --sysroot=/srv/s390x'
export CXX='s390x-linux-gnu-g++ --sysroot=/srv/s390x'
export AR=s390x-linux-gnu-ar
export PKG_CONFIG_LIBDIR=/srv/s390x/usr/lib/s390x-linux-gnu/pkgconfig:/srv/s390x/usr/lib/pkgconfig:/srv/s390x/usr/share/pkgconfig
export PKG_CONFIG_SYSROOT_DIR=/srv/s390x
export PKG_CONFIG_ALLOW_CROSS=1
export CARGO_BUILD_TARGET=s390x-unknown-linux-gnu
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER=s390x-linux-gnu-gcc
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUSTFLAGS='-Clink-arg=--sysroot=/srv/s390x'
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER='/opt/it'\''s/crossrun --sysroot /srv/s390x'
export QEMU_LD_PREFIX=/srv/s390x
`},
		{"mips64le", Options{LookPath: nothing}, `
export GOOS=linux
export GOARCH=mips64le
export GOMIPS64=hardfloat
export CGO_ENABLED=0
unset CC
unset CXX
unset AR
export PKG_CONFIG_LIBDIR=/usr/lib/mips64el-linux-gnuabi64/pkgconfig:/usr/share/pkgconfig
unset PKG_CONFIG_SYSROOT_DIR
export PKG_CONFIG_ALLOW_CROSS=1
export CARGO_BUILD_TARGET=mips64el-unknown-linux-gnuabi64
export CARGO_TARGET_MIPS64EL_UNKNOWN_LINUX_GNUABI64_LINKER=mips64el-linux-gnuabi64-gcc
export CARGO_TARGET_MIPS64EL_UNKNOWN_LINUX_GNUABI64_RUNNER=/opt/bin/crossrun
# mips64el-linux-gnuabi64-gcc is not installed, so cgo is off: apt-get install gcc-mips64el-linux-gnuabi64
`},
		{"hppa", Options{LookPath: everything, Dir: "/cache/hppa"}, `
unset GOOS
unset GOARCH
export CC=hppa-linux-gnu-gcc
export CXX=hppa-linux-gnu-g++
export AR=hppa-linux-gnu-ar
export PKG_CONFIG_LIBDIR=/usr/lib/hppa-linux-gnu/pkgconfig:/usr/share/pkgconfig
unset PKG_CONFIG_SYSROOT_DIR
export PKG_CONFIG_ALLOW_CROSS=1
unset CARGO_BUILD_TARGET
export CMAKE_TOOLCHAIN_FILE=/cache/hppa/toolchain.cmake
export CROSSRUN_MESON_CROSS_FILE=/cache/hppa/cross.ini
# Go has no port for hppa
# Rust has no target for hppa
# Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, strings.TrimPrefix(test.want, "\n"), printed(t, test.name, test.o))
		})
	}
}

func TestMissingCompilersAreNamedWithTheirPackages(t *testing.T) {
	for name, want := range map[string]string{
		"arm64": "# aarch64-linux-gnu-gcc is not installed, so cgo is off: apt-get install gcc-aarch64-linux-gnu\n",
		"amd64": "# x86_64-linux-gnu-gcc is not installed, so cgo is off: apt-get install gcc-x86-64-linux-gnu\n",
		"armel": "# arm-linux-gnueabi-gcc is not installed, so cgo is off: apt-get install gcc-arm-linux-gnueabi\n",
		"hppa":  "# hppa-linux-gnu-gcc is not installed: apt-get install gcc-hppa-linux-gnu\n",
		"or1k":  "# or1k-linux-gnu-gcc is not installed: Debian has no package of it\n",
	} {
		out := printed(t, name, Options{LookPath: nothing})
		assert.Contains(t, out, want)
		assert.NotContains(t, out, "export CC=")
		assert.NotContains(t, out, "CGO_ENABLED=1")
	}
}

func TestCompilersAreLookedForInPATH(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "s390x-linux-gnu-gcc"), []byte("#!/bin/sh\n"), 0o755))
	t.Setenv("PATH", dir)
	assert.Contains(t, printed(t, "s390x", Options{}), "export CC=s390x-linux-gnu-gcc\nunset CXX\n")
	t.Setenv("PATH", t.TempDir())
	assert.Contains(t, printed(t, "s390x", Options{}), "export CGO_ENABLED=0\nunset CC\n")
}

// Debian's i386 has compilers for i686, and libraries of i386.
func TestLibrariesOfI386(t *testing.T) {
	out := printed(t, "386", Options{LookPath: everything})
	assert.Contains(t, out, "export CC=i686-linux-gnu-gcc\n")
	assert.Contains(t, out, "=/usr/lib/i386-linux-gnu/pkgconfig:")
	assert.NotContains(t, out, "GO386", "Go's default is left alone")
}

// The go command runs the host's own programs itself.
func TestTheHostsOwnArchitectureNeedsNoLink(t *testing.T) {
	out := printed(t, runtime.GOARCH, Options{LookPath: everything, Dir: "/cache/x"})
	assert.NotContains(t, out, "PATH=/cache/x/bin")
	assert.Contains(t, out, "CMAKE_TOOLCHAIN_FILE")
}

func TestEveryArchitectureOfGoHasAnEnvironment(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH == "" {
			continue
		}
		out := printed(t, arch.GOARCH, Options{LookPath: everything})
		assert.Contains(t, out, "export GOARCH="+arch.GOARCH+"\n")
		assert.Contains(t, out, "export CARGO_BUILD_TARGET=")
	}
}

func TestWhatBuildToolsCannotTakeIsRefused(t *testing.T) {
	good := Options{Runner: "/bin/crossrun", LookPath: everything}
	with := func(change func(*Options)) Options {
		o := good
		change(&o)
		return o
	}
	for _, test := range []struct {
		o          Options
		want, hint string
	}{
		{with(func(o *Options) { o.Runner = "" }), "runner: no path given", ""},
		{with(func(o *Options) { o.Runner = "bin/crossrun" }), `runner: "bin/crossrun" is not an absolute path`, "from / on"},
		{with(func(o *Options) { o.Runner = "/my bin/crossrun" }), `"/my bin/crossrun": Cargo accepts no runner with a space in its path`, "a directory whose path has none"},
		{with(func(o *Options) { o.Runner = "/my\u00a0bin/crossrun" }), `"/my\u00a0bin/crossrun": Cargo accepts no runner with a space in its path`, "a directory whose path has none"},
		{with(func(o *Options) { o.Runner = "/a\nb" }), `runner: "/a\nb" has a control character in it`, "rename"},
		{with(func(o *Options) { o.Sysroot = "srv" }), `sysroot: "srv" is not an absolute path`, "from / on"},
		{with(func(o *Options) { o.Sysroot = "/my root" }), `"/my root": build tools accept no sysroot with a space or special character in its path`, "symbolic link"},
		{with(func(o *Options) { o.Sysroot = "/a$b" }), `"/a$b": build tools accept no sysroot with a space or special character in its path`, "symbolic link"},
		{with(func(o *Options) { o.Sysroot = "/a:b" }), `"/a:b": build tools accept no sysroot with a space or special character in its path`, "symbolic link"},
		{with(func(o *Options) { o.Dir = "cache" }), `directory: "cache" is not an absolute path`, "from / on"},
		{with(func(o *Options) { o.Dir = "/a:b" }), `"/a:b": a directory with a colon in its path cannot be in PATH`, "XDG_CACHE_HOME"},
		{with(func(o *Options) { o.Variant = "v1" }), `aarch64: unknown variant "v1"`, "known are"},
	} {
		_, err := Environment(lookup(t, "arm64"), test.o)
		assert.EqualError(t, err, test.want)
		if test.hint != "" {
			assert.Contains(t, cli.Hint(err), test.hint, test.want)
		}
	}
	_, err := Environment(lookup(t, "arm64"), good)
	assert.NoError(t, err)
}

// shells are those of the machine that POSIX describes.
func shells(t *testing.T) [][]string {
	t.Helper()
	list := [][]string{{"/bin/sh"}}
	for _, shell := range [][]string{{"bash", "--posix"}, {"busybox", "sh"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			t.Log("not tried: ", err)
			continue
		}
		list = append(list, shell)
	}
	return list
}

func TestShellsReadTheEnvironmentBack(t *testing.T) {
	const path = `/opt/it's/"$HOME"/` + "`id`" + `/a\b*;&#/crossrun`
	const dir = `/cache/it's "$HOME" \`
	out := printed(t, "arm/v6", Options{LookPath: nothing, Runner: path, Dir: dir})
	for _, shell := range shells(t) {
		script := `set -eu
CC=leftover; export CC
eval "$1"
printf '%s\n' "$GOARCH$GOARM" "${CC-unset}" "$CARGO_TARGET_ARM_UNKNOWN_LINUX_GNUEABI_RUNNER" "$CMAKE_TOOLCHAIN_FILE" "$PATH"
env | grep -c '^GOARM=6$'`
		cmd := exec.Command(shell[0], append(shell[1:], "-c", script, "sh", out)...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/home"}
		got, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s\n%s", shell, got, out)
		bin := "/usr/bin:/bin"
		if runtime.GOARCH != "arm" {
			bin = dir + "/bin:" + bin
		}
		assert.Equal(t, strings.Join([]string{"arm6", "unset", path, dir + "/toolchain.cmake", bin, "1", ""}, "\n"), string(got), shell)
	}
}

func TestAVariableIsOneLine(t *testing.T) {
	for _, test := range []struct {
		variable Variable
		want     string
	}{
		{Variable{Name: "A", Value: "b"}, "export A=b"},
		{Variable{Name: "A"}, "export A=''"},
		{Variable{Name: "A", Value: "b c"}, "export A='b c'"},
		{Variable{Name: "A", Value: "it's"}, `export A='it'\''s'`},
		{Variable{Name: "A", Value: "~"}, "export A='~'"},
		{Variable{Name: "A", Value: "ü"}, "export A='ü'"},
		{Variable{Name: "A", Unset: true}, "unset A"},
		{Variable{Name: "A", Value: "b c", Prepend: true}, `export A='b c'"${A:+:$A}"`},
		{Variable{Comment: "all is well"}, "# all is well"},
		{Variable{Comment: "a\nrm -rf /"}, "# a rm -rf /"},
		{Variable{}, "#"},
	} {
		assert.Equal(t, test.want, test.variable.String())
	}
}
