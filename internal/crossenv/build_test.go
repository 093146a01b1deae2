package crossenv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// built is crossrun, built from this checkout when the first test needs it.
var built struct {
	sync.Once
	dir string
	err error
}

func crossrun(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "crossenv-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir+"/crossrun", "../../cmd/crossrun").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, "crossrun")
}

// foreign returns the name of an architecture that has a cross compiler and an
// emulator here, and that the kernel runs no programs of: what runs them is
// crossrun.
func foreign(t *testing.T) string {
	t.Helper()
	entries, err := binfmt.New("").List()
	if err != nil && !errors.Is(err, binfmt.ErrNotMounted) {
		t.Log("no entries are known: ", err)
	}
	var reasons []string
	for _, name := range []string{"arm64", "s390x", "riscv64", "ppc64le", "armhf", "mips64le"} {
		target, err := findTarget(lookup(t, name), name)
		require.NoError(t, err)
		reason := unfit(target, entries)
		if kerneltest.Native(t, target.arch) {
			reason = "it is native"
		}
		if reason == "" {
			t.Log("built for ", name)
			return name
		}
		reasons = append(reasons, name+": "+reason)
	}
	t.Skip(strings.Join(reasons, "; "))
	return ""
}

// unfit says why a target is not to be built for here.
func unfit(target *target, entries []binfmt.Entry) string {
	for _, e := range entries {
		if e.Name == emulator.EntryName(target.arch) || e.Pattern.Magic != nil && bytes.Equal(e.Pattern.Magic, target.arch.Pattern().Magic) {
			return "the kernel has an entry for it"
		}
	}
	if _, err := exec.LookPath(target.tool("gcc")); err != nil {
		return err.Error()
	}
	for _, suffix := range []string{"-static", ""} {
		if _, err := exec.LookPath(emulator.EntryName(target.arch) + suffix); err == nil {
			return ""
		}
	}
	return "no emulator is installed"
}

// A build is a directory with a project, and the environment to build it with.
type build struct {
	t           *testing.T
	dir         string
	target      *target
	environment string
}

// newBuild writes the project's files. The paths of crossrun's own files have
// in them what is quoted one way or another.
func newBuild(t *testing.T, files map[string]string) *build {
	t.Helper()
	return newBuildIn(t, foreign(t), "", files)
}

// newBuildIn is newBuild with a sysroot.
func newBuildIn(t *testing.T, name, sysroot string, files map[string]string) *build {
	t.Helper()
	runner := filepath.Join(t.TempDir(), "it's", "crossrun")
	require.NoError(t, os.MkdirAll(filepath.Dir(runner), 0o755))
	require.NoError(t, os.Symlink(crossrun(t), runner))
	target, err := newTarget(lookup(t, name), Options{Name: name, Runner: runner, Sysroot: sysroot})
	require.NoError(t, err)
	cache := filepath.Join(t.TempDir(), "it's its cache")
	require.NoError(t, target.writeFiles(cache))
	b := &build{t: t, dir: t.TempDir(), target: target}
	b.environment, err = target.environment(cache)
	require.NoError(t, err)
	for name, content := range files {
		path := filepath.Join(b.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return b
}

// sh runs a script in the project's directory, after eval of the environment.
func (b *build) sh(script string) string {
	b.t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `set -eu; eval "$1"; eval "$2"`, "sh", b.environment, script)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	require.NoError(b.t, err, "%s\n%s\n%s", b.environment, script, out)
	b.t.Logf("%s\n%s", script, out)
	return string(out)
}

// isForeign checks that a program is the target's, and that the kernel does not
// run it.
func (b *build) isForeign(path string) {
	b.t.Helper()
	f, err := os.Open(path)
	require.NoError(b.t, err)
	defer f.Close()
	header, err := elfmagic.Identify(f)
	require.NoError(b.t, err)
	assert.Equal(b.t, b.target.arch, header.Arch)
	if entries, _ := binfmt.New("").List(); unfit(b.target, entries) != "" {
		b.t.Log("not executed as it is: ", unfit(b.target, entries))
		return // somebody registered it since
	}
	assert.ErrorIs(b.t, exec.Command(path).Run(), syscall.ENOEXEC)
}

// helloC exits with 0 if it has no arguments.
const helloC = `#include <stdio.h>
int main(int argc, char **argv) { printf("hello from %s\n", argv[0]); return argc - 1; }
`

func TestCMakeBuildsAndTests(t *testing.T) {
	program(t, "cmake")
	program(t, "ctest")
	program(t, "make")
	b := newBuild(t, map[string]string{
		"hello.c": helloC,
		"CMakeLists.txt": `
cmake_minimum_required(VERSION 3.21)
project(hello C)
include(CheckCSourceRuns)
check_c_source_runs("int main(void) { return 0; }" RUNS)
if(NOT RUNS)
  message(FATAL_ERROR "nothing runs")
endif()
message(STATUS "for ${CMAKE_SYSTEM_PROCESSOR}")
enable_testing()
add_executable(hello hello.c)
add_test(NAME hello COMMAND hello)
add_test(NAME fails COMMAND hello x)
set_tests_properties(fails PROPERTIES WILL_FAIL TRUE)
`})
	out := b.sh("cmake -S . -B build -G 'Unix Makefiles' && cmake --build build && cd build && ctest --verbose")
	assert.Contains(t, out, "for "+b.target.machine()+"\n")
	assert.Contains(t, out, "100% tests passed, 0 tests failed out of 2")
	assert.Contains(t, out, "hello from ")
	b.isForeign(filepath.Join(b.dir, "build", "hello"))
}

func TestMesonBuildsAndTests(t *testing.T) {
	program(t, "meson")
	program(t, "ninja")
	b := newBuild(t, map[string]string{
		"hello.c": helloC,
		"meson.build": `
project('hello', 'c')
assert(meson.is_cross_build())
cc = meson.get_compiler('c')
assert(cc.run('int main(void) { return 0; }').returncode() == 0)
message('for', host_machine.cpu_family())
hello = executable('hello', 'hello.c')
test('hello', hello)
test('fails', hello, args: 'x', should_fail: true)
`})
	out := b.sh(`meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build && meson test -C build --verbose`)
	assert.Contains(t, out, "for "+b.target.family+"\n")
	assert.NotContains(t, out, "WARNING")
	assert.Regexp(t, `(?m)^Ok: +1 *$`, out)
	assert.Regexp(t, `(?m)^Expected Fail: +1 *$`, out)
	assert.Contains(t, out, "hello from ")
	b.isForeign(filepath.Join(b.dir, "build", "hello"))
}

// What Meson runs while it builds finds this machine's compiler and libraries.
func TestMesonsNativeProgramsAreTheHosts(t *testing.T) {
	program(t, "meson")
	program(t, "ninja")
	program(t, "pkg-config")
	list := exec.Command("pkg-config", "--list-package-names")
	list.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := list.Output()
	if err != nil || len(strings.Fields(string(out))) == 0 {
		t.Skip("pkg-config knows no library: ", err)
	}
	library := strings.Fields(string(out))[0]
	b := newBuild(t, map[string]string{
		"hello.c": helloC,
		"meson.build": fmt.Sprintf(`
project('hello', 'c')
add_languages('c', native: true)
dependency('%s', native: true, method: 'pkg-config')
custom_target('said', output: 'said', command: executable('hello', 'hello.c', native: true), capture: true, build_by_default: true)
`, library)})
	b.sh(`meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build && ninja -C build`)
	said, err := os.ReadFile(filepath.Join(b.dir, "build", "said"))
	require.NoError(t, err)
	assert.Contains(t, string(said), "hello from ")
}

// A kernel of amd64 may run programs of i386, but not without their loader.
func TestMesonTestsI386(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("not on amd64")
	}
	program(t, "meson")
	program(t, "ninja")
	target, err := findTarget(lookup(t, "386"), "")
	require.NoError(t, err)
	if reason := unfit(target, nil); reason != "" {
		t.Skip(reason)
	}
	b := newBuildIn(t, "386", "", map[string]string{
		"hello.c":     helloC,
		"meson.build": "project('hello', 'c')\ntest('hello', executable('hello', 'hello.c'))\n",
	})
	out := b.sh(`meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build && meson test -C build`)
	assert.Regexp(t, `(?m)^Ok: +1 *$`, out)
}

func TestCargoBuildsAndTests(t *testing.T) {
	program(t, "cargo")
	rustc := program(t, "rustc")
	target, err := findTarget(lookup(t, foreign(t)), "")
	require.NoError(t, err)
	out, err := exec.Command(rustc, "--print", "target-libdir", "--target", target.rust).Output()
	if err != nil {
		t.Skip("rustc --print target-libdir: ", err)
	}
	if _, err := os.Stat(strings.TrimSpace(string(out))); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("rustc has no standard library for %s", target.rust)
	}
	b := newBuild(t, map[string]string{
		"Cargo.toml": "[package]\nname = \"hello\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
		"src/main.rs": `fn main() { println!("hello from {}", std::env::consts::ARCH); }
#[test] fn passes() { assert_eq!(std::env::consts::OS, "linux"); }
#[test] #[should_panic] fn fails() { panic!(); }
`})
	text := b.sh("cargo test --offline && cargo run --offline")
	assert.Contains(t, text, "test result: ok. 2 passed")
	assert.Contains(t, text, "hello from ")
	b.isForeign(filepath.Join(b.dir, "target", b.target.rust, "debug", "hello"))
}

func TestGoBuildsAndTests(t *testing.T) {
	b := newBuild(t, map[string]string{
		"go.mod": "module example.test/hello\n\ngo 1.24\n",
		"main.go": `package main

// int twice(int n) { return 2 * n; }
import "C"
import (
	"fmt"
	"runtime"
)

func twice(n int) int { return int(C.twice(C.int(n))) }

func main() { fmt.Println("hello from", runtime.GOARCH, twice(21)) }
`,
		"main_test.go": `package main

import "testing"

func TestTwice(t *testing.T) {
	if got := twice(4); got != 8 {
		t.Fatal(got)
	}
}
`})
	text := b.sh("export GOWORK=off GOTOOLCHAIN=local; go test -count=1 -v . && go run . && go build -o hello .")
	assert.Contains(t, text, "--- PASS: TestTwice")
	assert.Contains(t, text, "hello from "+b.target.arch.GOARCH+" 42\n")
	b.isForeign(filepath.Join(b.dir, "hello"))
}

// newSysroot returns a system of the target with what its cross compiler has,
// and a library "only" that is nowhere else.
func newSysroot(t *testing.T, target *target) string {
	t.Helper()
	root := t.TempDir()
	cross := filepath.Join("/usr", target.triplet)
	lib := filepath.Join(root, "usr", "lib")
	multiarch := filepath.Join(lib, target.multiarch)
	require.NoError(t, os.MkdirAll(filepath.Join(multiarch, "pkgconfig"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr", "include"), 0o755))
	require.NoError(t, os.Symlink("usr/lib", filepath.Join(root, "lib")))
	require.NoError(t, os.Symlink(cross, filepath.Join(root, cross))) // of libc.so, which is a linker script
	libraries, err := os.ReadDir(filepath.Join(cross, "lib"))
	if err != nil {
		t.Skip("no libraries of the target: ", err)
	}
	for _, library := range libraries {
		require.NoError(t, os.Symlink(filepath.Join(cross, "lib", library.Name()), filepath.Join(lib, library.Name())))
	}
	source := filepath.Join(t.TempDir(), "only.c")
	require.NoError(t, os.WriteFile(source, []byte("int only(void) { return 42; }\n"), 0o644))
	out, err := exec.Command(target.tool("gcc"), "-shared", "-fPIC", "-o", filepath.Join(multiarch, "libonly.so"), source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr", "include", "only.h"), []byte("int only(void);\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(multiarch, "pkgconfig", "only.pc"), []byte(
		"Name: only\nDescription: only\nVersion: 1\nLibs: -L/usr/lib/"+target.multiarch+" -lonly\nCflags: -I/usr/include\n"), 0o644))
	return root
}

const onlyC = `#include <only.h>
int main(void) { return only() - 42; }
`

// All tools find the library, and the programs that need it run.
func TestASysrootIsUsed(t *testing.T) {
	name := foreign(t)
	target, err := findTarget(lookup(t, name), name)
	require.NoError(t, err)
	root := newSysroot(t, target)
	for what, test := range map[string]struct {
		tools  []string
		files  map[string]string
		script string
		want   string
	}{
		"cc": {nil, map[string]string{"only.c": onlyC},
			`$CC only.c -lonly -o only && "` + crossrun(t) + `" ./only && echo fine`, "fine\n"},
		"pkg-config": {[]string{"pkg-config"}, map[string]string{"only.c": onlyC},
			`pkg-config --list-all | wc -l && $CC only.c $(pkg-config --cflags --libs only) -o only`, "1\n"},
		"cmake": {[]string{"cmake", "ctest", "make", "pkg-config"}, map[string]string{"only.c": onlyC, "CMakeLists.txt": `
cmake_minimum_required(VERSION 3.21)
project(only C)
find_path(INCLUDE only.h REQUIRED)
find_library(LIBRARY only REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(ONLY REQUIRED IMPORTED_TARGET only)
enable_testing()
add_executable(found only.c)
target_link_libraries(found ${LIBRARY})
add_executable(told only.c)
target_link_libraries(told PkgConfig::ONLY)
add_test(NAME found COMMAND found)
add_test(NAME told COMMAND told)
`}, "cmake -S . -B build -G 'Unix Makefiles' && cmake --build build && cd build && ctest", "100% tests passed, 0 tests failed out of 2"},
		"meson": {[]string{"meson", "ninja", "pkg-config"}, map[string]string{"only.c": onlyC, "meson.build": `
project('only', 'c')
found = meson.get_compiler('c').find_library('only')
test('found', executable('found', 'only.c', dependencies: found))
test('told', executable('told', 'only.c', dependencies: dependency('only', method: 'pkg-config')))
`}, `meson setup --cross-file "$CROSSRUN_MESON_CROSS_FILE" build && meson test -C build && echo fine`, "fine\n"},
		"go": {[]string{"pkg-config"}, map[string]string{"go.mod": "module example.test/only\n\ngo 1.24\n", "main.go": `package main

// #cgo pkg-config: only
// #include <only.h>
import "C"

func main() { println("only", C.only()) }
`}, "GOWORK=off GOTOOLCHAIN=local go run .", "only 42\n"},
	} {
		t.Run(what, func(t *testing.T) {
			for _, tool := range test.tools {
				program(t, tool)
			}
			b := newBuildIn(t, name, root, test.files)
			assert.Contains(t, b.sh(test.script), test.want)
		})
	}
}
