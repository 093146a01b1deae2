package emulators

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
)

const (
	// unpackedSuite is the release of Debian's that unpackedRoot takes packages of.
	unpackedSuite = "bookworm"

	// python is its program, and the package of its tests depends on the rest.
	python         = "python3.11"
	pythonPackages = "libpython3.11-testsuite python3.11 dash coreutils base-files base-passwd libc-bin netbase"

	// pythonLimit is how long a module's tests may take.
	pythonLimit = time.Hour
)

// pythonModules are those of what an emulator has to do with.
var pythonModules = []string{
	"test_subprocess", "test_os", "test_signal", "test_threading", "test_socket", "test_mmap", "test_posix", "test_ctypes",
	"test_multiprocessing_fork", "test_asyncio",
}

// pythonPorts are Debian's names of the targets.
var pythonPorts = []string{"arm64", "armhf", "s390x", "ppc64el"} // riscv64 is no port of this release

// aptDir is where states of apt are kept.
func aptDir(t *testing.T) string {
	t.Helper()
	cache, err := workdir.Cache("apt")
	require.NoError(t, err)
	return cache
}

// unpackedRoot returns a root file system of Debian's packages, made without running any
// program of it, so that it is the same for each emulator.
func unpackedRoot(t *testing.T, s settings, name, port, packages string) string {
	t.Helper()
	root := filepath.Join(s.work, "suites", name+"-"+port)
	if _, err := os.Stat(root); err == nil {
		return root
	}
	apt, err := debian.Open(aptDir(t), port, unpackedSuite)
	require.NoError(t, err)
	require.NoError(t, apt.Update(t.Context()))
	files, err := apt.Closure(t.Context(), strings.Fields(packages)...)
	require.NoError(t, err)
	debs, err := apt.Get(t.Context(), files)
	require.NoError(t, err)
	partial := root + ".partial"
	require.NoError(t, os.RemoveAll(partial))
	require.NoError(t, debian.UnpackTree(t.Context(), partial, debs...))
	// What scripts of packages would do.
	script := `cd "$1"
		cp usr/share/base-passwd/passwd.master etc/passwd && cp usr/share/base-passwd/group.master etc/group
		ln -sf dash usr/bin/sh
		echo 127.0.0.1 localhost >etc/hosts
		mkdir -p tmp && chmod 1777 tmp`
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", script, "sh", partial).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, ownTree(partial)) // Python writes its compiled modules there
	require.NoError(t, os.Rename(partial, root))
	return root
}

// unpackedRoots are the root file systems of a target, and of this machine: true is the native one.
func unpackedRoots(t *testing.T, s settings, name, port, packages string) map[bool]string {
	t.Helper()
	return map[bool]string{true: unpackedRoot(t, s, name, "amd64", packages), false: unpackedRoot(t, s, name, port, packages)}
}

// temporary makes a directory in a root file system for one run, and returns its path there, too.
func temporary(t *testing.T, root string) (dir, inside string) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join(root, "tmp"), "tests-")
	require.NoError(t, err)
	require.NoError(t, own(dir))
	return dir, strings.TrimPrefix(dir, root)
}

// A testReport is what Python's tests write (--junit-xml).
type testReport struct {
	Cases []struct {
		Name    string    `xml:"name,attr"`
		Failure *struct{} `xml:"failure"`
		Error   *struct{} `xml:"error"`
		Skipped *struct{} `xml:"skipped"`
	} `xml:"testsuite>testcase"`
}

// readReport returns how the tests of a report ended.
func readReport(text []byte) (ends, error) {
	var report testReport
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	got := ends{}
	for _, c := range report.Cases {
		switch {
		case c.Failure != nil || c.Error != nil:
			got[c.Name] = fails
		case got[c.Name] != "": // of which a part, a subtest, was told before
		case c.Skipped != nil:
			got[c.Name] = skipped
		default:
			got[c.Name] = passes
		}
	}
	return got, nil
}

// TestPythonsSuite runs modules of CPython's tests, of Debian's packages.
func TestPythonsSuite(t *testing.T) {
	s := setupSuites(t)
	cross := crossrun(t, s)
	for _, port := range pythonPorts {
		t.Run(port, func(t *testing.T) {
			contestants := s.suiteContestants(t, port)
			roots := unpackedRoots(t, s, "python", port, pythonPackages)
			for _, module := range chosen(pythonModules) {
				t.Run(module, func(t *testing.T) {
					t.Parallel()
					run := func(c contestant, tests []string) (ends, string) {
						root := roots[c.path == ""]
						dir, inside := temporary(t, root)
						defer os.RemoveAll(dir)
						args := []string{cross, "--rootfs", root, python, "-m", "test", "--junit-xml", inside + "/report.xml", "--tempdir", inside}
						for _, name := range tests {
							args = append(args, "--match", name)
						}
						o := execute(t.Context(), pythonLimit, root, c.environment(t, port), append(args, module)...)
						text, err := os.ReadFile(filepath.Join(dir, "report.xml"))
						if err != nil {
							return ends{}, o.String()
						}
						got, err := readReport(text)
						require.NoError(t, err)
						return got, o.String()
					}
					part{"CPython 3.11", port, module, nil, run}.test(t, contestants)
				})
			}
		})
	}
}

func TestAReportsTestsEndOnce(t *testing.T) {
	got, err := readReport([]byte(`<testsuites tests="4"><testsuite>
		<testcase name="A.a" status="run" result="completed"/>
		<testcase name="A.b" status="run"><failure>x</failure></testcase><testcase name="A.b" status="run"/>
		<testcase name="A.c" status="run"><skipped>no</skipped></testcase>
		<testcase name="A.d" status="run"/><testcase name="A.d" status="run"><error>x</error></testcase>
		</testsuite></testsuites>`))
	require.NoError(t, err)
	require.Equal(t, ends{"A.a": passes, "A.b": fails, "A.c": skipped, "A.d": fails}, got)
}
