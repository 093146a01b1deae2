package crossenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
)

func TestToolchainFiles(t *testing.T) {
	for _, test := range []struct {
		name         string
		o            Options
		cmake, meson string
	}{
		{"arm64", Options{}, `
# Made by crossrun --env for arm64; it overwrites changes.
set(CMAKE_SYSTEM_NAME "Linux")
set(CMAKE_SYSTEM_PROCESSOR "aarch64")
set(CMAKE_C_COMPILER "aarch64-linux-gnu-gcc")
set(CMAKE_CXX_COMPILER "aarch64-linux-gnu-g++")
set(CMAKE_LIBRARY_ARCHITECTURE "aarch64-linux-gnu")
set(CMAKE_CROSSCOMPILING_EMULATOR "/opt/bin/crossrun")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM "NEVER")
set(CMAKE_FIND_ROOT_PATH "/usr/aarch64-linux-gnu")
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY "BOTH")
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE "BOTH")
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE "BOTH")

set(ENV{PKG_CONFIG_LIBDIR} "/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig")
unset(ENV{PKG_CONFIG_SYSROOT_DIR})
`, `
# Made by crossrun --env for arm64; it overwrites changes.
[binaries]
c = ['aarch64-linux-gnu-gcc']
cpp = ['aarch64-linux-gnu-g++']
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'
exe_wrapper = ['/opt/bin/crossrun']

[properties]
needs_exe_wrapper = true
pkg_config_libdir = ['/usr/lib/aarch64-linux-gnu/pkgconfig', '/usr/share/pkgconfig']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
`},
		{"s390x", Options{Sysroot: "/srv/s390x"}, `
# Made by crossrun --env for s390x; it overwrites changes.
set(CMAKE_SYSTEM_NAME "Linux")
set(CMAKE_SYSTEM_PROCESSOR "s390x")
set(CMAKE_C_COMPILER "s390x-linux-gnu-gcc")
set(CMAKE_CXX_COMPILER "s390x-linux-gnu-g++")
set(CMAKE_LIBRARY_ARCHITECTURE "s390x-linux-gnu")
set(CMAKE_CROSSCOMPILING_EMULATOR "/opt/bin/crossrun;--sysroot;/srv/s390x")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM "NEVER")
set(CMAKE_SYSROOT "/srv/s390x")
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY "ONLY")
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE "ONLY")
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE "ONLY")

set(ENV{PKG_CONFIG_LIBDIR} "/srv/s390x/usr/lib/s390x-linux-gnu/pkgconfig:/srv/s390x/usr/lib/pkgconfig:/srv/s390x/usr/share/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "/srv/s390x")
`, `
# Made by crossrun --env for s390x; it overwrites changes.
[binaries]
c = ['s390x-linux-gnu-gcc', '--sysroot=/srv/s390x']
cpp = ['s390x-linux-gnu-g++', '--sysroot=/srv/s390x']
ar = 's390x-linux-gnu-ar'
strip = 's390x-linux-gnu-strip'
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'
exe_wrapper = ['/opt/bin/crossrun', '--sysroot', '/srv/s390x']

[properties]
needs_exe_wrapper = true
pkg_config_libdir = ['/srv/s390x/usr/lib/s390x-linux-gnu/pkgconfig', '/srv/s390x/usr/lib/pkgconfig', '/srv/s390x/usr/share/pkgconfig']
sys_root = '/srv/s390x'

[host_machine]
system = 'linux'
cpu_family = 's390x'
cpu = 's390x'
endian = 'big'
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Runner = "/opt/bin/crossrun"
			target := newTestTarget(t, test.name, test.o)
			assert.Equal(t, strings.TrimPrefix(test.cmake, "\n"), string(target.cmakeToolchain()))
			meson, err := target.mesonCrossFile()
			require.NoError(t, err)
			assert.Equal(t, strings.TrimPrefix(test.meson, "\n"), string(meson))
		})
	}
}

func TestMachinesAreNamedAsBuildToolsNameThem(t *testing.T) {
	for _, test := range []struct{ name, processor, family, endian string }{
		{"armhf", "armv7l", "arm", "little"},
		{"armel", "armv5tel", "arm", "little"},
		{"linux/arm/v6", "armv6l", "arm", "little"},
		{"386", "i686", "x86", "little"},
		{"amd64", "x86_64", "x86_64", "little"},
		{"mips64le", "mips64", "mips64", "little"},
		{"mipsle", "mips", "mips", "little"},
		{"mips", "mips", "mips", "big"},
		{"ppc64le", "ppc64le", "ppc64", "little"},
		{"ppc64", "ppc64", "ppc64", "big"},
		{"powerpc", "ppc", "ppc", "big"},
		{"riscv64", "riscv64", "riscv64", "little"},
		{"loong64", "loongarch64", "loongarch64", "little"},
		{"hppa", "parisc", "parisc", "big"},
	} {
		target := newTestTarget(t, test.name, Options{Runner: "/bin/crossrun"})
		assert.Contains(t, string(target.cmakeToolchain()), `CMAKE_SYSTEM_PROCESSOR "`+test.processor+`")`)
		meson, err := target.mesonCrossFile()
		require.NoError(t, err)
		assert.Contains(t, string(meson), "cpu_family = '"+test.family+"'\ncpu = '"+test.processor+"'\nendian = '"+test.endian+"'\n")
	}
}

// odd is a path with what files of settings may take for something else.
const odd = `/opt/it's a "$HOME" ${x} @y@ \n;# %z/crossrun`

func TestCMakeReadsPathsBack(t *testing.T) {
	cmake := program(t, "cmake")
	content := newTestTarget(t, "arm64", Options{Runner: odd, Sysroot: "/srv/arm64"}).cmakeToolchain()
	dir := t.TempDir()
	file := filepath.Join(dir, "toolchain.cmake")
	require.NoError(t, os.WriteFile(file, content, 0o644))
	script := filepath.Join(dir, "script.cmake")
	require.NoError(t, os.WriteFile(script, []byte(`
include("${CMAKE_CURRENT_LIST_DIR}/toolchain.cmake")
foreach(word IN LISTS CMAKE_CROSSCOMPILING_EMULATOR)
  message(NOTICE "<${word}>")
endforeach()
`), 0o644))
	out, err := exec.Command(cmake, "-P", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "<"+odd+">\n<--sysroot>\n</srv/arm64>\n", string(out))
}

func TestMesonReadsPathsBack(t *testing.T) {
	program(t, "meson")
	program(t, "ninja")
	for what, path := range map[string]string{
		"quotes":      `/it's "$HOME"/${x} @y@ ;# %z/crossrun`,
		"backslashes": `/a\nb/"/crossrun`,
	} {
		t.Run(what, func(t *testing.T) {
			name := foreign(t)
			dir := t.TempDir()
			runner := dir + path
			require.NoError(t, os.MkdirAll(filepath.Dir(runner), 0o755))
			require.NoError(t, os.Symlink(crossrun(t), runner))
			content, err := newTestTarget(t, name, Options{Runner: runner}).mesonCrossFile()
			require.NoError(t, err)
			cross := filepath.Join(dir, "cross.ini")
			require.NoError(t, os.WriteFile(cross, content, 0o644))
			project := filepath.Join(dir, "project")
			require.NoError(t, os.Mkdir(project, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(project, "meson.build"), []byte(`
project('hello', 'c')
assert(meson.get_compiler('c').run('int main(void) { return 7; }').returncode() == 7)
`), 0o644))
			out, err := exec.Command("meson", "setup", "--cross-file", cross, filepath.Join(dir, "build"), project).CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}

func TestQuotesThatMesonCannotRead(t *testing.T) {
	for _, path := range []string{`/it's a\b/crossrun`, `/it''s/crossrun`, `/crossrun'`} {
		_, err := newTestTarget(t, "arm64", Options{Runner: path}).mesonCrossFile()
		assert.ErrorContains(t, err, "a Meson cross file cannot have such quotes in a path")
		assert.NotEmpty(t, cli.Hint(err))
	}
}

func TestMesonStrings(t *testing.T) {
	assert.Equal(t, `'a \ "$x"'`, mesonString(`a \ "$x"`))
	assert.Equal(t, `'''it's'''`, mesonString(`it's`))
	assert.Equal(t, `['a', 'b c']`, mesonList([]string{"a", "b c"}))
	assert.Equal(t, `[]`, mesonList(nil))
}

// program returns the path of a program, without which the test is skipped.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("not installed: ", err)
	}
	return path
}
