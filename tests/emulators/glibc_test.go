package emulators

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

const (
	glibc = "glibc"

	// glibcLimit is how long all tests of a directory may take.
	glibcLimit = time.Hour
)

// glibcPorts are Debian's names of the targets.
var glibcPorts = []string{"arm64", "s390x"}

// glibcParts are the directories of the C library whose tests are of what an emulator has to
// do with.
var glibcParts = []string{"nptl", "rt", "signal", "setjmp", "socket", "io", "misc", "posix", "dlfcn"}

// glibcOf makes the C library of an architecture, with the tests of some directories, and returns
// the directory where.
func glibcOf(t *testing.T, s settings, source, port string, parts []string) string {
	t.Helper()
	dir := filepath.Join(s.work, "suites", glibc+"-"+port)
	done := filepath.Join(dir, "libgcc_s.so.1") // comes last
	if _, err := os.Stat(done); err != nil {
		makeGlibc(t, source, port, dir)
	}
	for _, name := range parts {
		run(t, dir, "make", glibcArgs(source, dir, name, "tests", "run-built-tests=no")...)
	}
	require.NoError(t, ownTree(dir))
	return dir
}

// makeGlibc makes it without the tests.
func makeGlibc(t *testing.T, source, port, dir string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	native, triplet := tripletOf(t, runtime.GOARCH), tripletOf(t, port)
	gcc := triplet + "-gcc"
	// C++ is left out: its compilers are not among the tests' tools.
	run(t, dir, source+"/configure", "--prefix=/usr", "--disable-werror", "--build="+native, "--host="+triplet, "CC="+gcc, "CXX=false")
	run(t, dir, "make", "--jobs=2")
	// Threads that are cancelled load it.
	run(t, dir, "sh", "-c", `cp "$(`+gcc+` -print-file-name=libgcc_s.so.1)" .`)
}

// tripletOf is what the compiler of an architecture begins with.
func tripletOf(t *testing.T, name string) string {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch.Debian[0].Triplet
}

// glibcArgs are make's for targets in a directory of the C library. It has settings of its
// own, and the files that it writes are in one of those of another build.
func glibcArgs(source, build, part string, args ...string) []string {
	return append([]string{"-r", "--keep-going", "--jobs=6", "-C", filepath.Join(source, part), "objdir=" + build}, args...)
}

// glibcResult is what the C library's tests leave of each.
var glibcResult = regexp.MustCompile(`^(PASS|FAIL|XFAIL|XPASS|UNSUPPORTED): `)

// readGlibc returns how the tests of a directory ended.
func readGlibc(dir string) (ends, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.test-result"))
	got := ends{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m := glibcResult.FindSubmatch(text)
		if m == nil {
			continue // killed before it was told
		}
		name := strings.TrimSuffix(filepath.Base(file), ".test-result")
		switch string(m[1]) {
		case "PASS", "XPASS":
			got[name] = passes
		case "FAIL":
			got[name] = fails
		default:
			got[name] = skipped
		}
	}
	return got, err
}

// forgetGlibc removes what the last run left of all tests of a directory.
func forgetGlibc(dir string) error {
	for _, pattern := range []string{"*.test-result", "*.out"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestGlibcsSuite runs the C library's own tests, of Debian's source.
func TestGlibcsSuite(t *testing.T) {
	s := setupSuites(t)
	cross := crossrun(t, s)
	parts := chosen(glibcParts)
	if len(parts) == 0 {
		t.Skip("TEST_SUITES_ONLY names no directory of the C library")
	}
	source := unpackedSource(t, s, glibc)
	native := glibcOf(t, s, source, runtime.GOARCH, parts)
	for _, port := range glibcPorts {
		t.Run(port, func(t *testing.T) {
			contestants := s.suiteContestants(t, port)
			foreign := glibcOf(t, s, source, port, parts)
			for _, name := range parts {
				t.Run(name, func(t *testing.T) {
					run := func(c contestant, tests []string) (ends, string) {
						build := foreign
						if c.path == "" {
							build = native
						}
						dir := filepath.Join(build, name)
						require.NoError(t, forgetGlibc(dir))
						home, env := s.home(t)
						defer os.RemoveAll(home)
						targets := []string{"tests"}
						if len(tests) > 0 {
							targets = nil
							for _, test := range tests {
								targets = append(targets, filepath.Join(dir, test+".out"))
							}
						}
						args := slices.Concat([]string{cross, "--private", "make"}, glibcArgs(source, build, name, targets...), []string{"run-built-tests=yes"})
						o := execute(t.Context(), glibcLimit, home, slices.Concat(env, c.environment(t, port), []string{"TIMEOUTFACTOR=3"}), args...)
						got, err := readGlibc(dir)
						require.NoError(t, err)
						return got, o.String()
					}
					part{"glibc 2.36", port, name, nil, run}.test(t, contestants)
				})
			}
		})
	}
}

func TestWhatGlibcsTestsLeaveIsRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tst-a.test-result": "PASS: nptl/tst-a\noriginal exit status 0\n",
		"tst-b.test-result": "FAIL: nptl/tst-b\noriginal exit status 1\n",
		"tst-c.test-result": "UNSUPPORTED: nptl/tst-c\noriginal exit status 77\n",
		"tst-d.test-result": "",
		"tst-d.out":         "what it said\n",
		"tst-d.c":           "source",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	got, err := readGlibc(dir)
	require.NoError(t, err)
	require.Equal(t, ends{"tst-a": passes, "tst-b": fails, "tst-c": skipped}, got)

	require.NoError(t, forgetGlibc(dir))
	got, err = readGlibc(dir)
	require.NoError(t, err)
	require.Empty(t, got)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
}
