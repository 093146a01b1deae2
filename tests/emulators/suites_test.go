package emulators

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// How a test of a suite ended.
const (
	passes  = "pass"
	fails   = "fail"
	skipped = "skip"
)

// alone is how often a test that failed is run by itself: what passes each time
// then has failed because of what ran beside it.
const alone = 3

// suiteLimit is how long the tests of a package may take, before one is said to hang.
const suiteLimit = 8 * time.Minute

// ends are how the tests of a part of a suite ended; those that did not are not there.
type ends map[string]string

// A part is of one suite, for one target: a package, or a module.
type part struct {
	suite, target, name string

	// list returns the names of the tests, or nothing if only a run says them.
	list func(c contestant) []string

	// run runs tests, or all, and says what became of the run as a whole.
	run func(c contestant, tests []string) (ends, string)
}

// settle runs a part, again what did not end, and alone what failed.
func (p part) settle(t *testing.T, c contestant) tally {
	got, said := p.run(c, nil)
	names := p.names(c, got)
	if len(names) == 0 {
		return tally{Failed: []string{p.name + " (it did not run)"}}
	}
	lacking := func() []string {
		return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool { return got[name] != "" })
	}
	for rounds := 0; rounds < 3 && len(lacking()) > 0; rounds++ {
		before := len(lacking())
		t.Logf("%s: %d tests of %s did not end: %s", c.name, before, p.name, said)
		var more ends
		more, said = p.run(c, lacking())
		maps.Copy(got, more)
		if len(lacking()) == before {
			break
		}
	}
	result := tally{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch got[name] {
		case passes:
			result.Passed++
		case skipped:
			result.Skipped++
		default:
			if p.passesAlone(t, c, name) {
				result.Alone = append(result.Alone, name)
			} else {
				result.Failed = append(result.Failed, name)
			}
		}
	}
	return result
}

// names are of the tests that runs told of, and of those that the part lists.
func (p part) names(c contestant, runs ...ends) map[string]bool {
	names := map[string]bool{}
	for _, got := range runs {
		for name := range got {
			names[name] = true
		}
	}
	if p.list != nil {
		for _, name := range p.list(c) {
			names[name] = true
		}
	}
	return names
}

// again runs a part so many times more, and says how often each test failed, or did not end.
func (p part) again(c contestant, times int) map[string]int {
	var runs []ends
	for range times {
		got, _ := p.run(c, nil)
		runs = append(runs, got)
	}
	failed := map[string]int{}
	for name := range p.names(c, runs...) {
		for _, got := range runs {
			if got[name] != passes && got[name] != skipped {
				failed[name]++
			}
		}
	}
	return failed
}

// passesAlone reports whether a test passes by itself, each time.
func (p part) passesAlone(t *testing.T, c contestant, name string) bool {
	for range alone {
		if got, said := p.run(c, []string{name}); got[name] != passes {
			t.Logf("%s: %s %s: %s", c.name, p.name, name, said)
			return false
		}
	}
	return true
}

// test runs a part natively, under stock emulators and under the one to judge, and
// fails for what fails only there, and is not among those known.
func (p part) test(t *testing.T, contestants []contestant) {
	t.Helper()
	row := suiteRow{}
	native := p.natively(t)
	if !native.ran() && native.Skipped > 0 && len(native.Failed) == 0 {
		t.Skipf("natively each of the %d tests of %s is skipped", native.Skipped, p.name)
	}
	row.add("native", native)
	for _, c := range contestants {
		name := c.name
		if c.judged {
			name = "ours"
		}
		row.add(name, p.tally(t, c))
	}
	for _, name := range row.Names {
		require.True(t, row.Tallies[name].ran(), "%s passes nothing, %s", p.name, name)
	}
	for _, name := range row.worse() {
		if reason := readKnownTests(t).reason(p.suite, p.target, p.name, name); reason == "" {
			t.Errorf("%s %s fails, and does not natively", p.name, name)
		}
	}
	for _, name := range row.shakier() {
		if reason := readKnownTests(t).reason(p.suite, p.target, p.name, name); reason == "" {
			t.Errorf("%s %s fails %d times of %d, and never natively", p.name, name, row.Tallies["ours"].Sometimes[name], row.Tallies["ours"].Times)
		}
	}
	if kerneltest.Updating() {
		updateSuites(t, p.suite, p.target, p.name, row)
	}
}

// tally runs a part, and as often once more as is asked for, but under stock emulators.
func (p part) tally(t *testing.T, c contestant) tally {
	t.Helper()
	result := p.settle(t, c)
	if times := timesMore(t); times > 0 && (c.judged || c.path == "") {
		result.Times, result.Sometimes = times, p.again(c, times)
		maps.DeleteFunc(result.Sometimes, func(test string, _ int) bool { return slices.Contains(result.Failed, test) })
	}
	return result
}

// natively is what came of a part that ran natively: once, whatever the targets are.
func (p part) natively(t *testing.T) tally {
	t.Helper()
	once, _ := nativeTallies.LoadOrStore(p.suite+" "+p.name, &nativeTally{})
	of := once.(*nativeTally)
	of.Do(func() { of.tally = p.tally(t, contestant{name: "native"}) })
	return of.tally
}

// nativeTallies are the parts that ran natively, by suite and name.
var nativeTallies sync.Map

type nativeTally struct {
	sync.Once
	tally
}

// timesMore is how often each part is run once more, to find what fails now and then.
func timesMore(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TEST_SUITES_AGAIN")
	if text == "" {
		return 0
	}
	times, err := strconv.Atoi(text)
	require.NoError(t, err, "TEST_SUITES_AGAIN")
	return times
}

// setupSuites is as setup, where suites are asked for.
func setupSuites(t *testing.T) settings {
	t.Helper()
	if os.Getenv("TEST_SUITES") == "" {
		t.Skip("TEST_SUITES is not set: make test-suites runs whole suites, which takes hours")
	}
	return setup(t)
}

// suiteContestants are the stock emulators and the one to judge, or, with TEST_SUITES_STOCK=no,
// that one only.
func (s *settings) suiteContestants(t *testing.T, target string) []contestant {
	t.Helper()
	arch, err := elfmagic.Lookup(target)
	require.NoError(t, err)
	list := s.contestants(t, arch)
	if os.Getenv("TEST_SUITES_STOCK") == "no" {
		list = slices.DeleteFunc(list, func(c contestant) bool { return !c.judged })
	}
	return list
}

// home returns a directory for the files of one run, and what it is called in the environment.
func (s *settings) home(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir, err := os.MkdirTemp(s.work, "home-")
	require.NoError(t, err)
	require.NoError(t, own(dir))
	return dir, []string{"HOME=" + dir, "TMPDIR=" + dir}
}

// environment names the emulator, if it is one.
func (c contestant) environment(t *testing.T, target string) []string {
	t.Helper()
	if c.path == "" {
		return nil
	}
	arch, err := elfmagic.Lookup(target)
	require.NoError(t, err)
	return []string{emulatorVariable(arch, c)}
}

// short are packages whose tests are run with -short: without, those of net ask servers of others, which there are none
// of in this test; and the others' take one to three minutes of processor time natively, so more than [suiteLimit] emulated.
var short = []string{"crypto/internal/fips140test", "crypto/x509", "hash/maphash", "net", "net/http", "runtime"}

// TestGosSuite runs the tests of Go's standard library, those too that -short leaves out (but see
// [short]): of all packages, or of those that TEST_SUITES_ONLY names.
func TestGosSuite(t *testing.T) {
	s := setupSuites(t)
	cross := crossrun(t, s)
	goroot := strings.TrimSpace(goOutput(t, "env", "GOROOT"))
	packages := chosen(strings.Fields(goOutput(t, "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "std")))
	packages = slices.DeleteFunc(packages, func(pkg string) bool { return onlyBenchmarks(t, filepath.Join(goroot, "src", pkg)) })
	for _, goarch := range append([]string{"loong64", "mips64le", "ppc64"}, goarchs...) {
		t.Run(goarch, func(t *testing.T) {
			contestants := s.suiteContestants(t, goarch)
			for _, pkg := range packages {
				t.Run(pkg, func(t *testing.T) {
					t.Parallel()
					binaries := map[bool]string{
						true:  compiledTests(t, filepath.Join(s.work, "suites", runtime.GOARCH), runtime.GOARCH, pkg, "-ldflags=-w"),
						false: compiledTests(t, filepath.Join(s.work, "suites", goarch), goarch, pkg, "-ldflags=-w"),
					}
					var flags []string
					if slices.Contains(short, pkg) {
						flags = []string{"-test.short"}
					}
					dir := filepath.Join(goroot, "src", pkg)
					if _, err := os.Stat(dir); err != nil {
						t.Skip("the source of its tests is not here: ", err)
					}
					run := func(c contestant, tests []string) (ends, string) {
						home, env := s.home(t)
						defer os.RemoveAll(home)
						list, o, err := runGoTests(t.Context(), cross, dir, binaries[c.path == ""], suiteLimit, append(env, c.environment(t, goarch)...), anyOf(tests), "", flags...)
						require.NoError(t, err)
						got := ends{}
						for name, how := range list {
							_, end, _ := strings.Cut(lastLine(how, name), " ")
							got[name] = end
						}
						return got, o.String()
					}
					list := func(c contestant) []string {
						o := execute(t.Context(), suiteLimit, dir, c.environment(t, goarch), cross, "--private", binaries[c.path == ""], "-test.list=^(Test|Fuzz)")
						return slices.DeleteFunc(strings.Fields(o.stdout), func(name string) bool { return name == "TestMain" })
					}
					part{"Go's standard library", goarch, pkg, list, run}.test(t, contestants)
				})
			}
		})
	}
}

// onlyBenchmarks reports whether none of a package's test files has a test.
func onlyBenchmarks(t *testing.T, dir string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if goTest.Match(text) {
			return false
		}
	}
	return len(files) > 0
}

// goTest is how a test of Go's begins, or an example ends that is run.
var goTest = regexp.MustCompile(`(?mi)^func (Test|Fuzz)|^\s*// (unordered )?output:`)

// goOutput is what the go command says.
func goOutput(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", args...).Output()
	require.NoError(t, err)
	return string(out)
}

// chosen are those of the names that TEST_SUITES_ONLY has, or all.
func chosen(names []string) []string {
	only := os.Getenv("TEST_SUITES_ONLY")
	if only == "" {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(strings.Split(only, ","), name) })
}

// anyOf is an expression for the flag -test.run.
func anyOf(tests []string) string {
	if len(tests) == 0 {
		return ""
	}
	var quoted []string
	for _, name := range tests {
		quoted = append(quoted, regexp.QuoteMeta(name))
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

// compiledTests compiles a package's tests into a directory.
func compiledTests(t *testing.T, dir, goarch, pkg string, flags ...string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	binary := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")+".test")
	cmd := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"test", "-c", "-vet=off", "-buildvcs=false", "-o", binary}, flags, []string{pkg})...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

// fakePart has tests that end as they are told to, one run after another.
func fakePart(runs ...ends) (p part, asked *[][]string) {
	asked = &[][]string{}
	return part{name: "part", run: func(_ contestant, tests []string) (ends, string) {
		*asked = append(*asked, tests)
		got := ends{}
		if i := len(*asked) - 1; i < len(runs) {
			maps.Copy(got, runs[i])
		}
		return got, fmt.Sprint("run ", len(*asked))
	}}, asked
}

func TestWhatDoesNotEndIsRunAgainAndWhatFailsAlone(t *testing.T) {
	p, asked := fakePart(
		ends{"TestA": passes, "TestB": fails, "TestC": skipped},
		ends{"TestD": passes}, ends{"TestE": fails},
		ends{"TestB": passes}, ends{"TestB": passes}, ends{"TestB": passes},
		ends{"TestE": passes}, ends{"TestE": fails}, // enough is known
	)
	p.list = func(contestant) []string { return []string{"TestA", "TestB", "TestC", "TestD", "TestE"} }
	require.Equal(t, tally{Passed: 2, Skipped: 1, Alone: []string{"TestB"}, Failed: []string{"TestE"}}, p.settle(t, contestant{}))
	require.Equal(t, [][]string{nil, {"TestD", "TestE"}, {"TestE"}, {"TestB"}, {"TestB"}, {"TestB"}, {"TestE"}, {"TestE"}}, *asked)

	p, asked = fakePart()
	require.Equal(t, []string{"part (it did not run)"}, p.settle(t, contestant{}).Failed)
	require.Len(t, *asked, 1)
}

func TestWhatFailsNowAndThenIsCounted(t *testing.T) {
	p, asked := fakePart(
		ends{"TestA": passes, "TestB": skipped, "TestC": fails},
		ends{"TestA": fails, "TestB": skipped}, // it breaks off
		ends{"TestA": passes, "TestB": skipped, "TestC": passes},
	)
	p.list = func(contestant) []string { return []string{"TestA", "TestB", "TestC", "TestD"} }
	require.Equal(t, map[string]int{"TestA": 1, "TestC": 2, "TestD": 3}, p.again(contestant{}, 3))
	require.Equal(t, [][]string{nil, nil, nil}, *asked)
}

func TestAPackageMayHaveOnlyBenchmarks(t *testing.T) {
	dir := t.TempDir()
	require.False(t, onlyBenchmarks(t, dir), "its source is not there")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a_test.go"), []byte("package a\n\nfunc BenchmarkTest(b *testing.B) {}\n"), 0o644))
	require.True(t, onlyBenchmarks(t, dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b_test.go"), []byte("package a\n\nfunc ExampleA() {\n}\n"), 0o644))
	require.True(t, onlyBenchmarks(t, dir), "an example is run if its output is told")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b_test.go"), []byte("package a\n\nfunc ExampleA() {\n\t// Output:\n}\n"), 0o644))
	require.False(t, onlyBenchmarks(t, dir))
}

func TestAnExpressionIsOfWholeNames(t *testing.T) {
	require.Empty(t, anyOf(nil))
	require.Equal(t, "^(TestA|Test.B)$", strings.ReplaceAll(anyOf([]string{"TestA", "Test.B"}), `\.`, "."))
	require.NotRegexp(t, anyOf([]string{"TestA"}), "TestAB")
}
