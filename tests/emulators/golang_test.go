package emulators

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// goarchs are those whose tests are run, and goPackages the packages: those with
// much arithmetic, many threads, signals, system calls, or processes.
var (
	goarchs    = []string{"arm64", "s390x", "ppc64le", "riscv64", "arm"}
	goPackages = []string{
		"archive/zip", "bytes", "compress/gzip", "crypto/sha256", "encoding/json", "fmt", "go/parser", "hash/crc32", "math", "math/big",
		"net/http", "os", "os/exec", "os/signal", "reflect", "regexp", "runtime", "sort", "strconv", "strings", "sync", "sync/atomic",
		"text/template", "time", "unicode/utf8",
	}
)

// flaws are tests that stock emulators fail now and then, by GOARCH, and why: they
// are not run, since a run that breaks off at one hides those after it.
var flaws = map[string]map[string]string{
	"ppc64le": {"TestNilDeref": "stock emulators store no fault address in a signal's frame: in 1 of 10 to 20 runs Go takes what lies there for one, " +
		"and a nil pointer for a fatal fault. Ours do: TestSignalFramesSayWhereTheFaultWas"},
}

// goLimit is how long a package's tests may take.
const goLimit = 15 * time.Minute

// crossrun builds it, for what test programs start: they start themselves.
func crossrun(t *testing.T, s settings) string {
	t.Helper()
	path := filepath.Join(s.work, "bin", "crossrun")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "github.com/projectcalico/go-build/cmd/crossrun")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// emulatorVariable has crossrun use a contestant, in private instances, too.
func emulatorVariable(arch *elfmagic.Arch, c contestant) string {
	return "CROSSRUN_EMULATOR_" + strings.ToUpper(arch.Name) + "=" + c.path
}

// goTests is what came of a package's tests: for each top-level test, how it and
// its subtests ended.
type goTests map[string]string

// goEvent is a line of go tool test2json.
type goEvent struct{ Action, Test string }

// runGoTests runs a package's tests, or those that the expression matches, without
// those that skip does, with other flags.
func runGoTests(ctx context.Context, cross, dir, binary string, limit time.Duration, env []string, expression, skip string, flags ...string) (goTests, outcome, error) {
	args := append([]string{cross, "--private", binary, "-test.v=test2json", "-test.timeout=" + limit.String()}, flags...)
	if expression != "" {
		args = append(args, "-test.run="+expression)
	}
	if skip != "" {
		args = append(args, "-test.skip="+skip)
	}
	o := execute(ctx, limit+time.Minute, dir, env, args...)
	convert := exec.CommandContext(ctx, "go", "tool", "test2json")
	convert.Stdin = strings.NewReader(o.stdout)
	out, err := convert.Output()
	if err != nil {
		return nil, o, err
	}
	lines := map[string][]string{}
	scanner := bufio.NewScanner(strings.NewReader(string(out)))
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var e goEvent
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			return nil, o, err
		}
		if e.Test == "" || !slices.Contains([]string{"pass", "fail", "skip"}, e.Action) {
			continue
		}
		top, _, _ := strings.Cut(e.Test, "/")
		lines[top] = append(lines[top], e.Test+" "+e.Action)
	}
	tests := goTests{}
	for top, list := range lines {
		slices.Sort(list)
		tests[top] = strings.Join(list, "\n")
	}
	return tests, o, scanner.Err()
}

func TestGosStandardLibrary(t *testing.T) {
	s := setup(t)
	goroot := strings.TrimSpace(goOutput(t, "env", "GOROOT"))
	cross := crossrun(t, s)
	for _, goarch := range goarchs {
		t.Run(goarch, func(t *testing.T) {
			arch, err := elfmagic.Lookup(goarch)
			require.NoError(t, err)
			contestants := nearest(s.contestants(t, arch))
			skip := strings.Join(slices.Sorted(maps.Keys(flaws[goarch])), "|")
			if skip != "" {
				skip = "^(" + skip + ")$"
				t.Logf("not run: %v", flaws[goarch])
			}
			for _, pkg := range goPackages {
				t.Run(pkg, func(t *testing.T) {
					t.Parallel()
					binary := compiledTests(t, filepath.Join(s.work, "go", goarch), goarch, pkg)

					// Without the go command in PATH, tests that would build are skipped.
					src := filepath.Join(goroot, "src", pkg)
					run := func(c contestant, expression string) (goTests, outcome) {
						home, env := s.home(t)
						defer os.RemoveAll(home)
						tests, o, err := runGoTests(t.Context(), cross, src, binary, goLimit, append(env, emulatorVariable(arch, c)), expression, skip, "-test.short")
						require.NoError(t, err)
						return tests, o
					}
					ran := map[string]goTests{}
					names := map[string]bool{}
					for _, c := range contestants {
						tests, o := run(c, "")
						if len(tests) == 0 {
							t.Logf("%s: no test ran: %s", c.name, o)
						}
						if o.end != "exit status 0" && !slices.ContainsFunc(slices.Collect(maps.Values(tests)), func(how string) bool { return strings.Contains(how, " fail") }) {
							t.Logf("%s: the run broke off: %s", c.name, o)
						}
						ran[c.name] = tests
						for name := range tests {
							names[name] = true
						}
					}
					require.NotEmpty(t, names, "no test ran")
					var results []comparison
					for _, name := range slices.Sorted(maps.Keys(names)) {
						// What was seen is the first run of each; if it differs, the test is
						// run alone.
						seen := map[string]bool{}
						results = append(results, compare(t, name, contestants, func(c contestant) outcome {
							tests := ran[c.name]
							if seen[c.name] {
								tests, _ = run(c, "^"+regexp.QuoteMeta(name)+"$")
							}
							seen[c.name] = true
							how := tests[name]
							o := outcome{end: "exit status 0", stdout: how}
							switch {
							case how == "":
								o.end = "it did not end"
							case strings.HasSuffix(lastLine(how, name), " fail"):
								o.end = "it failed"
							case strings.HasSuffix(lastLine(how, name), " skip"):
								o.end = "it was skipped"
							}
							return o
						}))
					}
					report(t, "Go's standard library", goarch+" "+pkg, contestants, results, "")
				})
			}
		})
	}
}

// lastLine is the line of the test itself, among those of its subtests.
func lastLine(how, name string) string {
	for line := range strings.Lines(how) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, name+" "); ok && !strings.Contains(rest, "/") {
			return line
		}
	}
	return ""
}

// nearest are the one to judge and the stock emulators of its version, or, if
// there are none, the next older and the next newer one: these tests take long.
func nearest(contestants []contestant) []contestant {
	judged := contestants[len(contestants)-1]
	stock := slices.Clone(contestants[:len(contestants)-1])
	if equal := slices.DeleteFunc(slices.Clone(stock), func(c contestant) bool { return c.version != judged.version }); len(equal) > 0 {
		return append(equal, judged)
	}
	slices.SortStableFunc(stock, func(a, b contestant) int { return compareVersions(a.version, b.version) })
	var list []contestant
	for i, c := range stock {
		older := compareVersions(c.version, judged.version) < 0
		if older && (i+1 == len(stock) || compareVersions(stock[i+1].version, judged.version) > 0) || !older && len(list) < 2 {
			list = append(list, c)
		}
	}
	return append(list[:min(len(list), 2)], judged)
}

// compareVersions compares numbers with dots.
func compareVersions(a, b string) int {
	numbers := func(s string) (list []int) {
		for part := range strings.SplitSeq(s, ".") {
			n := 0
			if _, err := fmt.Sscan(part, &n); err != nil {
				n = -1
			}
			list = append(list, n)
		}
		return list
	}
	return slices.Compare(numbers(a), numbers(b))
}
