package emulators

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
)

const (
	// postgres is the source package; what is installed in the root file system is the
	// server and what it depends on.
	postgres         = "postgresql-15"
	postgresPackages = "postgresql-15 libc-bin base-files base-passwd dash netbase tzdata"
	postgresDir      = "usr/lib/postgresql/15"

	// postgresLimit is how long all of its tests may take.
	postgresLimit = time.Hour
)

// postgresPorts are Debian's names of the targets.
var postgresPorts = []string{"arm64", "s390x"}

// A postgresSystem is a server of an architecture, and its tests.
type postgresSystem struct{ root, source, bin, lib, regress string }

// unpackedSource returns a package's source, which dpkg-source unpacks with these flags.
func unpackedSource(t *testing.T, s settings, pkg string, flags ...string) string {
	t.Helper()
	dir := filepath.Join(s.work, "suites", pkg+"-source")
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	apt, err := debian.OpenSources(aptDir(t), unpackedSuite)
	require.NoError(t, err)
	require.NoError(t, apt.Update(t.Context()))
	versions, err := apt.Versions(t.Context(), pkg)
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	_, archives, err := apt.GetSource(t.Context(), pkg, versions[0])
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o755))
	run(t, archives, "dpkg-source", append(append([]string{"--no-check"}, flags...), "--extract", pkg+"_"+versions[0]+".dsc", dir)...)
	return dir
}

// run runs a command that is to succeed.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", cmd, out)
}

// postgresOf makes a system. The tests' library is compiled; its headers are in a package
// whose dependencies, a compiler, are not used.
func postgresOf(t *testing.T, s settings, port string) postgresSystem {
	t.Helper()
	p := postgresSystem{root: unpackedRoot(t, s, "postgres", port, postgresPackages), source: filepath.Join(unpackedSource(t, s, postgres, "--skip-patches"), "src/test/regress")}
	p.bin, p.lib = filepath.Join(p.root, postgresDir, "bin"), filepath.Join(p.root, postgresDir, "lib")
	p.regress = filepath.Join(p.lib, "pgxs/src/test/regress/pg_regress")
	development := p.root + "-development"
	library := filepath.Join(p.lib, "regress.so")
	if _, err := os.Stat(library); err == nil {
		return p
	}
	apt, err := debian.Open(aptDir(t), port, unpackedSuite)
	require.NoError(t, err)
	files, err := apt.Packages(t.Context(), "postgresql-server-dev-15")
	require.NoError(t, err)
	debs, err := apt.Get(t.Context(), files)
	require.NoError(t, err)
	require.NoError(t, debian.Unpack(t.Context(), debs[0], development))
	gcc := tripletOf(t, port) + "-gcc"
	if _, err := exec.LookPath(gcc); err != nil {
		t.Skip("no compiler for the tests' library: ", err)
	}
	run(t, p.source, gcc, "-O2", "-fPIC", "-shared", "-o", library, "-I.", "-I"+filepath.Join(development, "usr/include/postgresql/15/server"), "regress.c")
	return p
}

// cLibrary are the files of the C library, which must be of one version with the loader.
var cLibrary = regexp.MustCompile(`^(ld-linux|ld64|libc\.|libm\.|libmvec\.|lib(pthread|dl|rt|resolv|util|anl|nsl|nss_\w+|thread_db|BrokenLocale)[.-])`)

// librariesOf makes a directory of links to the libraries of a native system, but for the C
// library, which is this machine's.
func librariesOf(t *testing.T, s settings, root string) string {
	t.Helper()
	dir := filepath.Join(s.work, "suites", "postgres-libraries")
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "usr/lib"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".so.") || cLibrary.MatchString(d.Name()) {
			return err
		}
		if err := os.Symlink(path, filepath.Join(dir, d.Name())); !os.IsExist(err) {
			return err
		}
		return nil
	}))
	return dir
}

// regressLine is what pg_regress says of a test, by itself or in a group:
//
//	test tablespace                   ... ok          338 ms
//	     boolean                      ... FAILED       32 ms
var regressLine = regexp.MustCompile(`(?m)^(?:test )? *(\S+) +\.\.\. (ok|FAILED|failed \(ignored\))`)

func readRegress(text string) ends {
	got := ends{}
	for _, m := range regressLine.FindAllStringSubmatch(text, -1) {
		switch m[2] {
		case "ok":
			got[m[1]] = passes
		case "FAILED":
			got[m[1]] = fails
		default:
			got[m[1]] = skipped
		}
	}
	return got
}

// TestPostgresSuite runs PostgreSQL's regression tests: a server, its clients and what
// compares their answers, all of the target.
func TestPostgresSuite(t *testing.T) {
	s := setupSuites(t)
	cross := crossrun(t, s)
	native := postgresOf(t, s, "amd64")
	links := librariesOf(t, s, native.root)
	for _, port := range chosen(postgresPorts) {
		t.Run(port, func(t *testing.T) {
			contestants := s.suiteContestants(t, port)
			foreign := postgresOf(t, s, port)
			arch, err := elfmagic.Lookup(port)
			require.NoError(t, err)
			whole := func(c contestant) (ends, string) {
				p, env := foreign, append(c.environment(t, port), "CROSSRUN_SYSROOT_"+strings.ToUpper(arch.Name)+"="+foreign.root)
				if c.path == "" {
					p, env = native, []string{"LD_LIBRARY_PATH=" + links}
				}
				home, vars := s.home(t)
				defer os.RemoveAll(home)
				o := execute(t.Context(), postgresLimit, home, append(append(env, vars...), "LC_ALL=C"), cross, "--private", p.regress,
					"--temp-instance="+home+"/instance", "--inputdir="+p.source, "--outputdir="+home, "--bindir="+p.bin, "--dlpath="+p.lib,
					"--no-locale", "--encoding=UTF8", "--max-connections=4", "--schedule="+p.source+"/parallel_schedule")
				if differences, err := os.ReadFile(filepath.Join(home, "regression.diffs")); err == nil {
					t.Logf("%s: %s", c.name, differences)
				}
				return readRegress(o.stdout), o.String()
			}
			part{"PostgreSQL 15", port, "regress", nil, wholes(whole)}.test(t, contestants)
		})
	}
}

// wholes makes tests that need those before them a part: each that is asked for alone is
// taken from another run of all.
func wholes(whole func(c contestant) (ends, string)) func(c contestant, tests []string) (ends, string) {
	again, asked := map[string][]ends{}, map[[2]string]int{}
	return func(c contestant, tests []string) (ends, string) {
		if len(tests) == 0 {
			return whole(c)
		}
		key := [2]string{c.name, strings.Join(tests, " ")}
		n := asked[key]
		if asked[key]++; len(again[c.name]) <= n {
			got, _ := whole(c)
			again[c.name] = append(again[c.name], got)
		}
		got := maps.Clone(again[c.name][n])
		maps.DeleteFunc(got, func(name, _ string) bool { return name != tests[0] && len(tests) == 1 })
		return got, "as in the run of all"
	}
}

func TestWhatRegressSaysIsRead(t *testing.T) {
	require.Equal(t, ends{"test_setup": passes, "boolean": passes, "random": skipped, "int8": fails}, readRegress(`============== running regression test queries        ==============
test test_setup                   ... ok          338 ms
parallel group (20 tests):  boolean int8
     boolean                      ... ok           32 ms
     random                       ... failed (ignored)       63 ms
     int8                         ... FAILED       40 ms
 1 of 3 tests failed.
`))
}

func TestATestOfAWholeIsTakenFromAnotherRun(t *testing.T) {
	runs := 0
	part := wholes(func(contestant) (ends, string) {
		runs++
		if runs == 2 {
			return ends{"a": passes, "b": fails}, ""
		}
		return ends{"a": fails, "b": passes}, ""
	})
	got, _ := part(contestant{}, nil)
	require.Equal(t, ends{"a": fails, "b": passes}, got)
	for _, want := range []ends{{"a": passes}, {"a": fails}} {
		got, _ = part(contestant{}, []string{"a"})
		require.Equal(t, want, got)
	}
	got, _ = part(contestant{}, []string{"b"})
	require.Equal(t, ends{"b": fails}, got, "of the second run, as a was")
	require.Equal(t, 3, runs)
}
