package emulators

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

const (
	suitesFile     = "testdata/suites.json"
	knownTestsFile = "testdata/suites-known"
	suitesDocument = "../../docs/suites.md"
)

// A tally is what came of the tests of a part.
type tally struct {
	Passed  int      `json:"passed"`
	Skipped int      `json:"skipped"`
	Alone   []string `json:"alone,omitempty"` // failed beside others, passed each time alone
	Failed  []string `json:"failed,omitempty"`

	Times     int            `json:"times,omitempty"`     // run so often once more
	Sometimes map[string]int `json:"sometimes,omitempty"` // how many of those times a test failed
}

// A suiteRow is a part's tallies, natively, under stock emulators, and under ours.
type suiteRow struct {
	Names   []string         `json:"names"` // in order
	Tallies map[string]tally `json:"tallies"`
}

func (r *suiteRow) add(name string, of tally) {
	if r.Tallies == nil {
		r.Tallies = map[string]tally{}
	}
	r.Names = append(r.Names, name)
	r.Tallies[name] = of
}

// with returns the row with the stock emulators of an earlier one, if it has none itself: they may be left out.
func (r suiteRow) with(earlier suiteRow) suiteRow {
	if slices.ContainsFunc(r.Names, isStock) {
		return r
	}
	whole := suiteRow{}
	whole.add("native", r.Tallies["native"])
	for _, name := range earlier.Names {
		if isStock(name) {
			whole.add(name, earlier.Tallies[name])
		}
	}
	whole.add("ours", r.Tallies["ours"])
	return whole
}

// isStock reports whether a tally's name is of a stock emulator: its version.
func isStock(name string) bool { return name != "native" && name != "ours" }

// worse are the tests that fail under ours, and not natively.
func (r suiteRow) worse() []string {
	native := r.Tallies["native"]
	return slices.DeleteFunc(slices.Clone(r.Tallies["ours"].Failed), func(name string) bool { return slices.Contains(native.Failed, name) })
}

// shakier are the tests that fail now and then under ours, and never natively.
func (r suiteRow) shakier() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.Tallies["ours"].Sometimes)), r.failsNatively)
}

// failsNatively reports whether a test does, each time or now and then.
func (r suiteRow) failsNatively(name string) bool {
	native := r.Tallies["native"]
	return native.Sometimes[name] > 0 || slices.Contains(native.Failed, name)
}

// suiteRows are rows by suite, target, and part.
type suiteRows map[string]map[string]map[string]suiteRow

func readSuites(t *testing.T) suiteRows {
	t.Helper()
	rows := suiteRows{}
	text, err := os.ReadFile(suitesFile)
	require.NoError(t, err)
	if len(text) == 0 {
		return rows // it is being made
	}
	require.NoError(t, json.Unmarshal(text, &rows))
	return rows
}

// updateSuites keeps a part's tallies, and writes the document anew.
func updateSuites(t *testing.T, suite, target, name string, row suiteRow) {
	t.Helper()
	file, err := os.OpenFile(suitesFile, os.O_RDWR|os.O_CREATE, 0o644)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, unix.Flock(int(file.Fd()), unix.LOCK_EX)) // parts run side by side, and so may suites
	rows := readSuites(t)
	if rows[suite] == nil {
		rows[suite] = map[string]map[string]suiteRow{}
	}
	if rows[suite][target] == nil {
		rows[suite][target] = map[string]suiteRow{}
	}
	rows[suite][target][name] = row.with(rows[suite][target][name])
	text, err := json.MarshalIndent(rows, "", "\t")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(suitesFile, append(text, '\n'), 0o644))
	require.NoError(t, os.WriteFile(suitesDocument, []byte(documentSuites(rows, readKnownTests(t))), 0o644))
}

// knownTests are lines of testdata/suites-known.
type knownTests []knownTest

// A knownTest fails under the emulators to judge and not natively, and why.
type knownTest struct{ suite, target, part, test, why string }

func readKnownTests(t *testing.T) knownTests {
	t.Helper()
	text, err := os.ReadFile(knownTestsFile)
	require.NoError(t, err)
	list, err := parseKnownTests(string(text))
	require.NoError(t, err)
	return list
}

// parseKnownTests reads lines of suite, target (* for all), part, test and reason, with
// "|" between them.
func parseKnownTests(text string) (list knownTests, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if len(fields) != 5 || slices.Contains(fields, "") {
			return nil, fmt.Errorf("not suite | target | part | test | reason: %s", line)
		}
		list = append(list, knownTest{fields[0], fields[1], fields[2], fields[3], fields[4]})
	}
	return list, nil
}

// is reports whether a line is of a test; the test's name may be a pattern with *.
func (k knownTest) is(suite, target, part, test string) bool {
	matches, _ := path.Match(k.test, test)
	return k.suite == suite && (k.target == "*" || k.target == target) && k.part == part && matches
}

// reason says why a test fails, if that is known.
func (l knownTests) reason(suite, target, part, test string) string {
	for _, k := range l {
		if k.is(suite, target, part, test) {
			return k.why
		}
	}
	return ""
}

// documentSuites is docs/suites.md.
func documentSuites(rows suiteRows, known knownTests) string {
	var b strings.Builder
	b.WriteString(`# Whole test suites, natively and under emulators

Test suites of others' software, as they are: natively (on amd64), under Debian's stock emulators, and under ours, by an ordinary user in
a binfmt_misc of its own. A test that fails is run up to three times more, alone, since the machine is busy and many have limits of
time; what passes then each time is counted with what passes. What fails under ours and not natively fails ` + "`make test-suites`" + `,
unless its reason is known. Go's have no ` + "`-short`" + `, but for ` + strings.Join(short, ", ") + `.
This file is written by ` + "`make test-suites TESTFLAGS=-update`" + `; only what was run is in it.

`)
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	for _, suite := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString("## " + suite + "\n\nPassed, failed, skipped.\n\n")
		line("target", "parts", "natively", "stock", "ours")
		line("---", "---:", "---", "---", "---")
		for _, target := range slices.Sorted(maps.Keys(rows[suite])) {
			line(suiteCells(target, rows[suite][target])...)
		}
		b.WriteString("\n" + suiteFailures(suite, rows[suite], known))
		b.WriteString(suiteSometimes(suite, rows[suite], known))
		b.WriteString(suiteParts(rows[suite]))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// suiteCells are of the sums of a target's parts.
func suiteCells(target string, parts map[string]suiteRow) []string {
	sums := map[string]tally{}
	ran := map[string]int{}
	var stock []string
	for _, row := range parts {
		for _, name := range row.Names {
			if isStock(name) && !slices.Contains(stock, name) {
				stock = append(stock, name)
			}
			sums[name] = sums[name].plus(row.Tallies[name])
			ran[name]++
		}
	}
	slices.SortFunc(stock, compareVersions)
	var under []string
	for _, name := range stock {
		of := ""
		if ran[name] < len(parts) {
			of = fmt.Sprintf(", in %d of %d", ran[name], len(parts))
		}
		under = append(under, fmt.Sprintf("%s (QEMU %s%s)", sums[name], name, of))
	}
	return []string{target, fmt.Sprint(len(parts)), sums["native"].String(), strings.Join(under, "; "), sums["ours"].String()}
}

func (a tally) plus(b tally) tally {
	return tally{
		Passed: a.Passed + b.Passed, Skipped: a.Skipped + b.Skipped,
		Alone: append(slices.Clone(a.Alone), b.Alone...), Failed: append(slices.Clone(a.Failed), b.Failed...),
	}
}

// ran reports whether any test of it passed.
func (a tally) ran() bool { return a.Passed+len(a.Alone) > 0 }

func (a tally) String() string {
	return fmt.Sprintf("%d, %d, %d", a.Passed+len(a.Alone), len(a.Failed), a.Skipped)
}

// suiteFailures are the tests that fail under an emulator, and not natively.
func suiteFailures(suite string, targets map[string]map[string]suiteRow, known knownTests) string {
	type failure struct{ part, test, under, why string }
	where := map[failure][]string{}
	for target, parts := range targets {
		for part, row := range parts {
			under := map[string][]string{}
			for _, name := range row.Names[1:] {
				for _, test := range row.Tallies[name].Failed {
					if !slices.Contains(row.Tallies["native"].Failed, test) {
						under[test] = append(under[test], name)
					}
				}
			}
			for test, names := range under {
				why := known.reason(suite, target, part, test)
				if !slices.Contains(names, "ours") {
					why = "–"
				}
				f := failure{part, test, strings.Join(names, ", "), why}
				where[f] = append(where[f], target)
			}
		}
	}
	if len(where) == 0 {
		return "All that passes natively passes under each emulator.\n\n"
	}
	var lines []string
	for f, targets := range where {
		slices.Sort(targets)
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s |\n", f.part, f.test, strings.Join(targets, ", "), f.under, f.why))
	}
	slices.Sort(lines)
	return "What fails, and not natively:\n\n| part | test | targets | under | reason |\n| --- | --- | --- | --- | --- |\n" + strings.Join(lines, "") + "\n"
}

// suiteSometimes are the parts that were run more often, and the tests that failed in some of those runs.
func suiteSometimes(suite string, targets map[string]map[string]suiteRow, known knownTests) string {
	var lines, ran []string
	for _, target := range slices.Sorted(maps.Keys(targets)) {
		for _, part := range slices.Sorted(maps.Keys(targets[target])) {
			row := targets[target][part]
			native, ours := row.Tallies["native"], row.Tallies["ours"]
			if ours.Times == 0 {
				continue
			}
			ran = append(ran, fmt.Sprintf("%s %s %d", target, part, ours.Times))
			names := map[string]int{}
			maps.Copy(names, native.Sometimes)
			maps.Copy(names, ours.Sometimes)
			for _, test := range slices.Sorted(maps.Keys(names)) {
				why := "natively, too"
				if !row.failsNatively(test) {
					why = known.reason(suite, target, part, test)
				}
				lines = append(lines, fmt.Sprintf("| %s | %s | %s | %d | %d | %d | %s |\n", target, part, test, ours.Times, native.Sometimes[test], ours.Sometimes[test], why))
			}
		}
	}
	if len(ran) == 0 {
		return ""
	}
	text := cli.Wrap("Run so many times more, to see what fails now and then: "+strings.Join(ran, ", ")+".", 121, 0) + "\n\n"
	if len(lines) == 0 {
		return text + "Nothing does.\n\n"
	}
	return text + "| target | part | test | runs | failed natively | failed under ours | reason |\n| --- | --- | --- | ---: | ---: | ---: | --- |\n" + strings.Join(lines, "") + "\n"
}

// suiteParts says which parts ran for which targets.
func suiteParts(targets map[string]map[string]suiteRow) string {
	ran := map[string][]string{} // parts, by their targets
	parts := map[string][]string{}
	for target, rows := range targets {
		for part := range rows {
			parts[part] = append(parts[part], target)
		}
	}
	for part, list := range parts {
		slices.Sort(list)
		key := strings.Join(list, ", ")
		ran[key] = append(ran[key], part)
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(ran)) {
		slices.Sort(ran[key])
		b.WriteString(cli.Wrap("Run for "+key+": "+strings.Join(ran[key], ", ")+".", 121, 0) + "\n\n")
	}
	return b.String()
}

// The document says what was counted, and what is known.
func TestSuitesDocument(t *testing.T) {
	want := documentSuites(readSuites(t), readKnownTests(t))
	if kerneltest.Updating() {
		require.NoError(t, os.WriteFile(suitesDocument, []byte(want), 0o644))
	}
	text, err := os.ReadFile(suitesDocument)
	require.NoError(t, err)
	assert.Equal(t, want, string(text), "go test -update writes it")
}

// What fails under ours has a reason, and what is said to fail does.
func TestKnownTestsAreThoseThatFail(t *testing.T) {
	rows, known := readSuites(t), readKnownTests(t)
	seen := map[knownTest]bool{}
	for suite, targets := range rows {
		for target, parts := range targets {
			for part, row := range parts {
				for _, test := range append(row.worse(), row.shakier()...) {
					assert.NotEmpty(t, known.reason(suite, target, part, test), "%s, %s: %s %s fails and is not in %s", suite, target, part, test, knownTestsFile)
					for _, k := range known {
						if k.is(suite, target, part, test) {
							seen[k] = true
						}
					}
				}
			}
		}
	}
	for _, k := range known {
		assert.True(t, seen[k], "%v is known to fail, and did not", k)
	}
}

func TestWhatFailsOnlyUnderOursIsWorse(t *testing.T) {
	row := suiteRow{}
	row.add("native", tally{Passed: 3, Failed: []string{"TestRoot"}})
	row.add("10.0.13", tally{Passed: 1, Failed: []string{"TestA", "TestB", "TestRoot"}})
	row.add("ours", tally{Passed: 2, Failed: []string{"TestA", "TestRoot"}})
	assert.Equal(t, []string{"TestA"}, row.worse())

	known, err := parseKnownTests("# comment\n\nS | * | p | TestA | because\n")
	require.NoError(t, err)
	text := documentSuites(suiteRows{"S": {"arm": {"p": row}}}, known)
	assert.Contains(t, text, "| arm | 1 | 3, 1, 0 | 1, 3, 0 (QEMU 10.0.13) | 2, 2, 0 |")
	assert.Contains(t, text, "| p | TestA | arm | 10.0.13, ours | because |")
	assert.Contains(t, text, "| p | TestB | arm | 10.0.13 | – |")
	assert.NotContains(t, text, "TestRoot |")

	judged := suiteRow{}
	judged.add("native", tally{Passed: 1})
	judged.add("ours", tally{Passed: 1})
	text = documentSuites(suiteRows{"S": {"arm": {"p": row, "q": judged}}}, known)
	assert.Contains(t, text, "| arm | 2 | 4, 1, 0 | 1, 3, 0 (QEMU 10.0.13, in 1 of 2) | 3, 2, 0 |")

	_, err = parseKnownTests("S | * | p | TestA\n")
	assert.Error(t, err)
}

func TestStockEmulatorsThatAreLeftOutStayInARow(t *testing.T) {
	earlier := suiteRow{}
	earlier.add("native", tally{Passed: 1})
	earlier.add("10.0.2", tally{Passed: 2})
	earlier.add("ours", tally{Passed: 3})
	row := suiteRow{}
	row.add("native", tally{Passed: 4})
	row.add("ours", tally{Passed: 5})

	whole := suiteRow{}
	whole.add("native", tally{Passed: 4})
	whole.add("10.0.2", tally{Passed: 2})
	whole.add("ours", tally{Passed: 5})
	assert.Equal(t, whole, row.with(earlier))
	assert.Equal(t, row, row.with(suiteRow{}))
	assert.Equal(t, earlier, earlier.with(whole), "it has some itself")
}

func TestWhatFailsNowAndThenIsShakierIfItNeverDoesNatively(t *testing.T) {
	row := suiteRow{}
	row.add("native", tally{Passed: 4, Failed: []string{"TestRoot"}, Times: 19, Sometimes: map[string]int{"TestSlow": 2}})
	row.add("ours", tally{Passed: 5, Times: 19, Sometimes: map[string]int{"TestSlow": 3, "TestRace": 1, "TestRoot": 4}})
	assert.Equal(t, []string{"TestRace"}, row.shakier())

	known, err := parseKnownTests("S | * | p | TestRace | because\n")
	require.NoError(t, err)
	text := suiteSometimes("S", map[string]map[string]suiteRow{"arm": {"p": row, "q": {Tallies: map[string]tally{"ours": {Times: 2}}}}}, known)
	assert.Contains(t, text, "arm p 19, arm q 2.")
	assert.Contains(t, text, "| arm | p | TestRace | 19 | 0 | 1 | because |")
	assert.Contains(t, text, "| arm | p | TestSlow | 19 | 2 | 3 | natively, too |")
	assert.Contains(t, text, "| arm | p | TestRoot | 19 | 0 | 4 | natively, too |")
	assert.Contains(t, suiteSometimes("S", map[string]map[string]suiteRow{"arm": {"q": {Tallies: map[string]tally{"ours": {Times: 2}}}}}, nil), "Nothing does.")
	assert.Empty(t, suiteSometimes("S", map[string]map[string]suiteRow{"arm": {"q": {}}}, nil))
}
