package probes

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

const (
	countsFile   = "testdata/counts.json"
	knownFile    = "testdata/known"
	documentFile = "../../docs/probes.md"
)

// known are lines of testdata/known.
type known []knownProbe

// A knownProbe is one that fails under the emulators to judge, and why.
type knownProbe struct {
	targets   []string // or * for all
	probe     string   // family/name, or family/* for all of one
	fault     string   // its number in the table of faults
	sometimes bool
	reason    string
}

func readKnown(t *testing.T) known {
	t.Helper()
	text, err := os.ReadFile(knownFile)
	require.NoError(t, err)
	list, err := parseKnown(string(text))
	require.NoError(t, err)
	return list
}

// parseKnown reads lines of targets with commas, a probe, its fault (with ~ if it
// passes sometimes) and the reason.
func parseKnown(text string) (known, error) {
	var list known
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.Contains(fields[1], "/") {
			return nil, fmt.Errorf("not targets, probe, fault and reason: %s", line)
		}
		fault, sometimes := strings.CutSuffix(fields[2], "~")
		list = append(list, knownProbe{strings.Split(fields[0], ","), fields[1], fault, sometimes, strings.Join(fields[3:], " ")})
	}
	return list, nil
}

func (l known) find(target, probe string) (knownProbe, bool) {
	family, _, _ := strings.Cut(probe, "/")
	for _, k := range l {
		if (k.probe == probe || k.probe == family+"/*") && (k.targets[0] == "*" || slices.Contains(k.targets, target)) {
			return k, true
		}
	}
	return knownProbe{}, false
}

// A targetRow has how many probes of each family there are for a target, and what
// passed under each emulator.
type targetRow struct {
	Probes map[string]int `json:"probes"`
	Runs   []emulatorRun  `json:"runs"`
}

type emulatorRun struct {
	Name   string         `json:"name"`
	Passed map[string]int `json:"passed"`
}

func (r *targetRow) add(name string, names []string, got results) {
	run := emulatorRun{name, map[string]int{}}
	r.Probes = map[string]int{}
	for _, probe := range names {
		family, _, _ := strings.Cut(probe, "/")
		r.Probes[family]++
		if got.of(probe).Status == passed {
			run.Passed[family]++
		}
	}
	r.Runs = append(r.Runs, run)
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func (r emulatorRun) total() int { return sum(r.Passed) }

// ours returns the run of the emulators to judge.
func (r targetRow) ours() (emulatorRun, bool) {
	last := r.Runs[len(r.Runs)-1]
	return last, last.Name == "ours"
}

func readCounts(t *testing.T) map[string]targetRow {
	t.Helper()
	var rows map[string]targetRow
	require.NoError(t, jsonfile.Read(countsFile, &rows))
	return rows
}

// update keeps a target's counts, and writes the document anew.
func update(t *testing.T, target string, row targetRow) {
	t.Helper()
	rows := readCounts(t)
	rows[target] = row
	require.NoError(t, jsonfile.Write(countsFile, rows))
	require.NoError(t, os.WriteFile(documentFile, []byte(document(rows, readKnown(t))), 0o644))
}

// document is docs/probes.md.
func document(rows map[string]targetRow, list known) string {
	var b strings.Builder
	b.WriteString(`# What emulators do that Linux does not: a battery of probes

Each probe is a small program, C or Go, that asks for one thing that programs rely on (` + "`tests/probes`" + `). It is cross-compiled for each
target, and run by an ordinary user through binfmt_misc: natively (as amd64, and as i386 beside 32-bit targets), under Debian's
stock emulators, and under ours. What is right natively and wrong under ours fails ` + "`make test-emulators`" + `, unless it is among the known
ones below. This file is written by ` + "`make test-emulators TESTFLAGS=\"-run TestProbes -update\"`" + `.

## Targets

Right natively, and of those how many are right under each.

`)
	order := slices.DeleteFunc(slices.Clone(targets), func(target string) bool { _, has := rows[target]; return !has })
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line("target", "natively", "stock", "newest stock", "ours", "ours of natively")
	line("---", "---:", "---", "---", "---:", "---:")
	for _, target := range order {
		row := rows[target]
		n := sum(row.Probes)
		cells := []string{target, fmt.Sprint(n), "–", "–", "–", "–"}
		ours, has := row.ours()
		stock := row.Runs
		if has {
			stock = row.Runs[:len(row.Runs)-1]
			cells[4], cells[5] = fmt.Sprint(ours.total()), fmt.Sprintf("%.1f %%", 100*float64(ours.total())/float64(n))
		}
		for i, run := range stock[:min(2, len(stock))] {
			cells[2+i] = fmt.Sprintf("%d (%s)", run.total(), run.Name)
		}
		line(cells...)
	}
	b.WriteString("\n## Families\n\nOf how many that are right natively (after \"of\") which are right under stock, newest stock and ours, in this order.\n\n")
	families := map[string]bool{}
	for _, row := range rows {
		for family := range row.Probes {
			families[family] = true
		}
	}
	for part := range slices.Chunk(order, 6) {
		line(append([]string{"family"}, part...)...)
		line(strings.Split("---"+strings.Repeat(",---", len(part)), ",")...)
		for _, family := range slices.Sorted(maps.Keys(families)) {
			cells := []string{family}
			for _, target := range part {
				cells = append(cells, rows[target].cell(family))
			}
			line(cells...)
		}
		b.WriteString("\n")
	}
	b.WriteString("## Known\n\nWhat fails under ours, with the number of the fault where it has one; \"~\" is said of what passes sometimes.\n\n")
	line("targets", "probe", "fault", "reason")
	line("---", "---", "---", "---")
	for _, k := range list {
		targets := strings.Join(k.targets, ", ")
		if targets == "*" {
			targets = "all"
		}
		if k.sometimes {
			k.fault += " ~"
		}
		line(targets, k.probe, k.fault, k.reason)
	}
	return b.String()
}

func (r targetRow) cell(family string) string {
	n := r.Probes[family]
	if n == 0 {
		return "–"
	}
	var passes []string
	for _, run := range r.Runs {
		passes = append(passes, fmt.Sprint(run.Passed[family]))
	}
	return fmt.Sprintf("%s of %d", strings.Join(passes, ", "), n)
}

// The document says what was counted, and what is known.
func TestDocument(t *testing.T) {
	want := document(readCounts(t), readKnown(t))
	if kerneltest.Updating() {
		require.NoError(t, os.WriteFile(documentFile, []byte(want), 0o644))
	}
	text, err := os.ReadFile(documentFile)
	require.NoError(t, err)
	assert.Equal(t, want, string(text), "go test -update writes it")
}

func TestParseKnown(t *testing.T) {
	list, err := parseKnown("# comment\n\n* exec/a E3 why it is so\narm,mips wide/* E5~ because\n")
	require.NoError(t, err)
	k, found := list.find("s390x", "exec/a")
	assert.True(t, found)
	assert.Equal(t, knownProbe{[]string{"*"}, "exec/a", "E3", false, "why it is so"}, k)
	k, found = list.find("mips", "wide/b")
	assert.True(t, found)
	assert.True(t, k.sometimes)
	_, found = list.find("s390x", "wide/b")
	assert.False(t, found)
	_, err = parseKnown("* exec/a E3")
	assert.Error(t, err)
}

// sourceOf is a family's text.
func sourceOf(t *testing.T, family string) string {
	t.Helper()
	path := filepath.Join("testdata", family+".c")
	if family == "golang" {
		path = "golang/probes.go"
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// What is known is of probes that are there.
func TestKnownProbesAreThere(t *testing.T) {
	for _, k := range readKnown(t) {
		family, name, _ := strings.Cut(k.probe, "/")
		if text := sourceOf(t, family); name != "*" {
			assert.Regexp(t, `[("]`+regexp.QuoteMeta(name)+`[),"]`, text, k.probe)
		}
		for _, target := range k.targets {
			assert.Contains(t, append([]string{"*"}, targets...), target, k.probe)
		}
	}
}

// Each fault of the list (E0 to E19) has a probe, which is marked with its number.
func TestEveryFaultHasAProbe(t *testing.T) {
	families, err := sources()
	require.NoError(t, err)
	var all strings.Builder
	for _, family := range families {
		all.WriteString(sourceOf(t, family))
	}
	for fault := range 20 {
		assert.Regexp(t, fmt.Sprintf(`// E%d\b`, fault), all.String())
	}
}

// Probes that the kernel lacks natively are not asked of emulators; those that only
// the target has are.
func TestExpected(t *testing.T) {
	native := results{"f/a": {Status: passed}, "f/b": {Status: unsupported}, "f/c": {Status: passed}, "f/d": {Status: passed}}
	target := results{"f/a": {Status: failed}, "f/b": {Status: passed}, "f/c": {Status: elsewhere}, "f/d": {Status: unsupported}, "f/e": {Status: failed}, "f/g": {Status: unsupported}}
	assert.Equal(t, []string{"f/a", "f/d", "f/e"}, expected(native, target))
	var row targetRow
	row.add("one", []string{"f/a", "f/d", "f/never run"}, target)
	assert.Equal(t, targetRow{map[string]int{"f": 3}, []emulatorRun{{"one", map[string]int{}}}}, row)
}
