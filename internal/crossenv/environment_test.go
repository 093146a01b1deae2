package crossenv

import (
	"cmp"
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
	o.Runner = cmp.Or(o.Runner, "/opt/bin/crossrun")
	target, err := newTarget(lookup(t, name), o)
	require.NoError(t, err)
	out, err := target.environment("/cache/x")
	require.NoError(t, err)
	return out
}

// hostVariables are what is set for the host's part of a build unless the user has set it.
var hostVariables = []string{"HOST_CC", "HOST_CXX", "HOST_AR", "PKG_CONFIG_PATH_FOR_BUILD", "HOST_PKG_CONFIG_LIBDIR", "HOST_PKG_CONFIG_SYSROOT_DIR"}

func TestTheEnvironmentOfAnArchitecture(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("PATH is another on ", runtime.GOARCH)
	}
	for _, name := range hostVariables {
		t.Setenv(name, "")
	}
	for _, test := range []struct {
		name      string
		o         Options
		compilers []string
		want      string
	}{
		{"arm64", Options{}, everything(), `
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
export HOST_CC=cc
export HOST_CXX=c++
export HOST_AR=ar
export CMAKE_TOOLCHAIN_FILE=/cache/x/toolchain.cmake
export CROSSRUN_MESON_CROSS_FILE=/cache/x/cross.ini
export PATH=/cache/x/bin"${PATH:+:$PATH}"
# Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build
`},
		{"armhf", Options{}, []string{"arm-linux-gnueabihf-gcc"}, `
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
export HOST_CC=cc
export HOST_CXX=c++
export HOST_AR=ar
export CMAKE_TOOLCHAIN_FILE=/cache/x/toolchain.cmake
export CROSSRUN_MESON_CROSS_FILE=/cache/x/cross.ini
export PATH=/cache/x/bin"${PATH:+:$PATH}"
# arm-linux-gnueabihf-g++ is not installed: apt-get install g++-arm-linux-gnueabihf
# Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build
`},
		{"s390x", Options{Sysroot: "/srv/s390x", Runner: "/opt/it's/crossrun"}, everything(), `
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
export HOST_CC=cc
export HOST_CXX=c++
export HOST_AR=ar
export QEMU_LD_PREFIX=/srv/s390x
export CMAKE_TOOLCHAIN_FILE=/cache/x/toolchain.cmake
export CROSSRUN_MESON_CROSS_FILE=/cache/x/cross.ini
export PATH=/cache/x/bin"${PATH:+:$PATH}"
# Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build
`},
		{"mips64le", Options{}, nil, `
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
export HOST_CC=cc
export HOST_CXX=c++
export HOST_AR=ar
export CMAKE_TOOLCHAIN_FILE=/cache/x/toolchain.cmake
export CROSSRUN_MESON_CROSS_FILE=/cache/x/cross.ini
export PATH=/cache/x/bin"${PATH:+:$PATH}"
# mips64el-linux-gnuabi64-gcc is not installed, so cgo is off: apt-get install gcc-mips64el-linux-gnuabi64
# Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build
`},
		{"hppa", Options{}, everything(), `
unset GOOS
unset GOARCH
export CC=hppa-linux-gnu-gcc
export CXX=hppa-linux-gnu-g++
export AR=hppa-linux-gnu-ar
export PKG_CONFIG_LIBDIR=/usr/lib/hppa-linux-gnu/pkgconfig:/usr/share/pkgconfig
unset PKG_CONFIG_SYSROOT_DIR
export PKG_CONFIG_ALLOW_CROSS=1
unset CARGO_BUILD_TARGET
export CMAKE_TOOLCHAIN_FILE=/cache/x/toolchain.cmake
export CROSSRUN_MESON_CROSS_FILE=/cache/x/cross.ini
# Go has no port for hppa
# Rust has no target for hppa
# Meson reads no variable: meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			compilers(t, test.compilers...)
			assert.Equal(t, strings.TrimPrefix(test.want, "\n"), printed(t, test.name, test.o))
		})
	}
}

// Build scripts, macros and native programs are the host's.
func TestWhatABuildRunsIsForTheHost(t *testing.T) {
	compilers(t, everything()...)
	// As pkg-config does: it prints what the variable says, if that is set.
	fake := filepath.Join(os.Getenv("PATH"), "pkg-config")
	require.NoError(t, os.WriteFile(fake, []byte("#!/bin/sh\necho \"${PKG_CONFIG_LIBDIR-/host/pkgconfig}\"\n"), 0o755))
	for _, name := range hostVariables {
		t.Setenv(name, "")
	}
	t.Setenv("PKG_CONFIG_LIBDIR", "/of/the/target/before")
	text := printed(t, "arm64", Options{})
	for _, line := range []string{"HOST_CC=cc", "HOST_CXX=c++", "HOST_AR=ar", "PKG_CONFIG_PATH_FOR_BUILD=/host/pkgconfig", "HOST_PKG_CONFIG_LIBDIR=/host/pkgconfig"} {
		assert.Contains(t, text, "export "+line+"\n")
	}
	assert.NotContains(t, text, "HOST_PKG_CONFIG_SYSROOT_DIR")
	assert.Contains(t, printed(t, "arm64", Options{Sysroot: "/srv/arm64"}), "export HOST_PKG_CONFIG_SYSROOT_DIR=''\n")
	for _, name := range []string{"hppa", runtime.GOARCH} { // Rust has no port for the one, and the other is the host's
		text = printed(t, name, Options{})
		assert.NotContains(t, text, "HOST_")
		assert.Contains(t, text, "export PKG_CONFIG_PATH_FOR_BUILD=/host/pkgconfig\n")
	}
	for _, name := range hostVariables {
		t.Setenv(name, "mine")
	}
	text = printed(t, "arm64", Options{Sysroot: "/srv/arm64"})
	for _, name := range hostVariables {
		assert.NotContains(t, text, name)
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
		compilers(t)
		out := printed(t, name, Options{})
		assert.Contains(t, out, want)
		assert.NotContains(t, out, "export CC=")
		assert.NotContains(t, out, "CGO_ENABLED=1")
	}
}

// Debian's i386 has compilers for i686, and libraries of i386.
func TestLibrariesOfI386(t *testing.T) {
	compilers(t, "i686-linux-gnu-gcc")
	out := printed(t, "386", Options{})
	assert.Contains(t, out, "export CC=i686-linux-gnu-gcc\n")
	assert.Contains(t, out, "=/usr/lib/i386-linux-gnu/pkgconfig:")
	assert.NotContains(t, out, "GO386", "Go's default is left alone")
}

// The go command runs the host's own programs itself.
func TestTheHostsOwnArchitectureNeedsNoLink(t *testing.T) {
	out := printed(t, runtime.GOARCH, Options{})
	assert.NotContains(t, out, "PATH=/cache/x/bin")
	assert.Contains(t, out, "CMAKE_TOOLCHAIN_FILE")
}

func TestEveryArchitectureOfGoHasAnEnvironment(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH == "" {
			continue
		}
		out := printed(t, arch.GOARCH, Options{})
		assert.Contains(t, out, "export GOARCH="+arch.GOARCH+"\n")
		assert.Contains(t, out, "export CARGO_BUILD_TARGET=")
	}
}

func TestWhatBuildToolsCannotTakeIsRefused(t *testing.T) {
	const noSysroot = ": build tools accept no sysroot with a space or special character in its path"
	const noRunner = ": Cargo accepts no runner with a space in its path"
	for _, test := range []struct{ runner, sysroot, cache, want, hint string }{
		{"/my bin/crossrun", "", "/cache", `"/my bin/crossrun"` + noRunner, "a directory whose path has none"},
		{"/my\u00a0bin/crossrun", "", "/cache", `"/my\u00a0bin/crossrun"` + noRunner, "a directory whose path has none"},
		{"/a\nb", "", "/cache", `runner: "/a\nb" has a control character in it`, "rename"},
		{"/crossrun", "/my root", "/cache", `"/my root"` + noSysroot, "symbolic link"},
		{"/crossrun", "/a$b", "/cache", `"/a$b"` + noSysroot, "symbolic link"},
		{"/crossrun", "/a:b", "/cache", `"/a:b"` + noSysroot, "symbolic link"},
		{"/crossrun", "/a\nb", "/cache", `"/a\nb"` + noSysroot, "symbolic link"},
		{"/crossrun", "", "/a:b", `"/a:b/crossrun/arm64": a directory with a colon in its path cannot be in PATH`, "XDG_CACHE_HOME"},
		{"/it''s/crossrun", "", "/nowhere", `"/it''s/crossrun": a Meson cross file cannot have such quotes in a path`, "whose path has none"},
	} {
		t.Setenv("XDG_CACHE_HOME", test.cache)
		shell, err := Prepare(lookup(t, "arm64"), Options{Runner: test.runner, Sysroot: test.sysroot})
		assert.EqualError(t, err, test.want)
		assert.Contains(t, cli.Hint(err), test.hint, test.want)
		assert.Empty(t, shell)
	}
}

// shells are those of the machine that POSIX describes.
func shells(t *testing.T) [][]string {
	t.Helper()
	list := [][]string{{"/bin/sh"}}
	for _, shell := range [][]string{{"bash", "--posix"}, {"busybox", "sh"}} {
		path, err := exec.LookPath(shell[0])
		if err != nil {
			t.Log("not tried: ", err)
			continue
		}
		list = append(list, []string{path, shell[1]})
	}
	return list
}

func TestShellsReadTheEnvironmentBack(t *testing.T) {
	const path = `/opt/it's/"$HOME"/` + "`id`" + `/a\b*;&#/crossrun`
	const dir = `/cache/it's "$HOME" \`
	target, err := newTarget(lookup(t, "arm"), Options{Name: "arm/v6", Runner: path})
	require.NoError(t, err)
	all := shells(t)
	compilers(t)
	out, err := target.environment(dir)
	require.NoError(t, err)
	for _, shell := range all {
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

func TestValuesAreOneWord(t *testing.T) {
	var s shell
	for _, value := range []string{"b", "", "b c", "it's", "~", "ü"} {
		s.set("A", value)
	}
	assert.Equal(t, "export A=b\nexport A=''\nexport A='b c'\nexport A='it'\\''s'\nexport A='~'\nexport A='ü'\n", s.lines.String())
}

// Without a sysroot nothing stays of the one that was evaluated before; what the user has set
// does.
func TestASysrootIsForgottenWithTheNextEnvironment(t *testing.T) {
	const rustflags = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS"
	t.Setenv("PKG_CONFIG_SYSROOT_DIR", "/old")
	t.Setenv("QEMU_LD_PREFIX", "/old")
	t.Setenv(rustflags, "-Clink-arg=--sysroot=/old")
	compilers(t)
	text := printed(t, "arm64", Options{})
	for _, name := range []string{"PKG_CONFIG_SYSROOT_DIR", "QEMU_LD_PREFIX", rustflags} {
		assert.Contains(t, text, "unset "+name+"\n")
	}
	t.Setenv("QEMU_LD_PREFIX", "/mine")
	t.Setenv(rustflags, "-Ctarget-cpu=neoverse-n1")
	text = printed(t, "arm64", Options{})
	assert.NotContains(t, text, "QEMU_LD_PREFIX")
	assert.NotContains(t, text, rustflags)
}
