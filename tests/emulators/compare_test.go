package emulators

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An outcome is what came of a program: how it ended, and what it said. Two that
// are equal are the same.
type outcome struct{ end, stdout, stderr string }

func (o outcome) String() string {
	return fmt.Sprintf("%s\nstdout: %s\nstderr: %s", o.end, shorten(o.stdout), shorten(o.stderr))
}

func shorten(s string) string {
	const limit = 1500
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}

// execute runs a command to its end, or for so long.
func execute(ctx context.Context, limit time.Duration, dir string, env []string, argv ...string) outcome {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := command(ctx, dir, env, argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	o := outcome{"exit status 0", stdout.String(), stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		// How far it came is a matter of time.
		return outcome{end: "did not end"}
	case errors.As(err, &exit):
		o.end = exit.Error()
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
			o.end = "signal: " + status.Signal().String()
		}
	case err != nil:
		o.end = err.Error()
	}
	return o
}

// A mask hides what legitimately differs from one run of a test to the next.
type mask struct {
	what  *regexp.Regexp
	order bool // the order of lines, and how often each is there, too
	why   string
}

var number = regexp.MustCompile(`\d+`)

// masks are for the tests that need them: anything else must be the same, to the
// bit.
var masks = map[string]mask{
	"mte-8":      {regexp.MustCompile(`0x[0-9a-f]+`), false, "prints where the kernel put a mapping, and its random tag"},
	"pauth-1":    {regexp.MustCompile(`\d+\.\d+%`), false, "keys are random: how often two hashes happen to be the same"},
	"pauth-4":    {regexp.MustCompile(`\d+\.\d+%|\d+`), false, "likewise"},
	"signals":    {number, true, "counts alarms that came in some time, in ten threads"},
	"sysregs":    {regexp.MustCompile(`cntvct_el0 .*`), false, "reads the clock"},
	"test-mmap":  {regexp.MustCompile(`addr=0x[0-9a-f]{6,12}\b`), false, "prints where the kernel put mappings"},
	"testthread": {number, true, "two threads print as they like"},
}

// normalized is a test's outcome without the emulator's path, and masked.
func (o outcome) normalized(test string, c contestant) outcome {
	m, masked := masks[test]
	for _, s := range []*string{&o.stdout, &o.stderr} {
		*s = strings.ReplaceAll(*s, c.path, "EMULATOR")
		*s = strings.ReplaceAll(*s, filepath.Base(c.path)+":", "EMULATOR:") // as it begins its messages
		if masked {
			*s = m.what.ReplaceAllString(*s, "MASKED")
		}
		if m.order {
			*s = strings.Join(slices.Compact(slices.Sorted(strings.Lines(*s))), "")
		}
	}
	return o
}

// A verdict is what was found out about a test under the emulator to judge.
type verdict string

const (
	same    verdict = "same"
	byAge   verdict = "by version" // stock ones differ, and it is like one of them
	flaky   verdict = "flaky"      // under a stock one, too, one run is not like another
	differs verdict = "differs"
)

// again is how often a test is run on either side when it seems to differ.
const again = 6

// A comparison is of one test, under all contestants.
type comparison struct {
	name    string
	verdict verdict
	passed  bool            // by the emulator to judge: it ended well
	like    map[string]bool // for each stock contestant: did it do the same?
	detail  string
}

// compare runs a test under each contestant. Stock emulators of the version of
// the one to judge are what it must be like; if there are none, those of any
// version.
func compare(t *testing.T, name string, contestants []contestant, run func(c contestant) outcome) comparison {
	t.Helper()
	judged := contestants[len(contestants)-1]
	stock := contestants[:len(contestants)-1]
	result := comparison{name: name, like: map[string]bool{}}
	first := make(map[string][]outcome)
	do := func(c contestant) { first[c.name] = append(first[c.name], run(c).normalized(name, c)) }
	do(judged)
	result.passed = first[judged.name][0].end == "exit status 0"
	alike := func(c contestant) bool {
		return slices.ContainsFunc(first[c.name], func(o outcome) bool { return slices.Contains(first[judged.name], o) })
	}
	must := stock
	if equal := slices.DeleteFunc(slices.Clone(stock), func(c contestant) bool { return c.version != judged.version }); len(equal) > 0 {
		must = equal
	}
	for _, c := range stock {
		do(c)
		result.like[c.name] = alike(c)
	}
	likeMust := func() (any, all bool) {
		all = true
		for _, c := range must {
			like := result.like[c.name]
			any, all = any || like, all && like
		}
		return any, all
	}
	switch any, all := likeMust(); {
	case all:
		result.verdict = same
		return result
	case any:
		result.verdict = byAge
		return result
	}
	for range again {
		do(judged)
		for _, c := range must {
			do(c)
		}
	}
	varies := false
	for _, c := range must {
		result.like[c.name] = alike(c)
		for _, o := range first[c.name] {
			varies = varies || o != first[c.name][0]
		}
	}
	switch any, _ := likeMust(); {
	case any && varies:
		result.verdict = flaky
	case any:
		// It varies, and stock ones do not, or were lucky: somebody should look.
		result.verdict = differs
		result.detail = "only under the emulator to judge is one run not like another"
	default:
		result.verdict = differs
	}
	var detail strings.Builder
	for _, c := range append(slices.Clone(must), judged) {
		seen := map[outcome]int{}
		for _, o := range first[c.name] {
			seen[o]++
		}
		for o, n := range seen {
			fmt.Fprintf(&detail, "\n%s (%s), %d of %d: %s", c.name, c.version, n, len(first[c.name]), o)
		}
	}
	result.detail += detail.String()
	return result
}

// report adds a target's line to a table, and fails for what differs.
func report(t *testing.T, table, target string, contestants []contestant, results []comparison, note string) {
	t.Helper()
	counts := map[verdict]int{}
	names := map[verdict][]string{}
	likes := map[string]int{}
	passed := 0
	for _, r := range results {
		counts[r.verdict]++
		names[r.verdict] = append(names[r.verdict], r.name)
		if r.passed {
			passed++
		}
		for name, like := range r.like {
			if like {
				likes[name]++
			}
		}
		switch r.verdict {
		case differs:
			t.Errorf("%s differs:%s", r.name, r.detail)
		case flaky:
			t.Logf("%s is flaky:%s", r.name, r.detail)
		}
	}
	head := []string{"target", "tests", "passed", string(same), string(byAge), string(flaky), string(differs)}
	row := []string{target, fmt.Sprint(len(results)), fmt.Sprint(passed)}
	for _, v := range []verdict{same, byAge, flaky, differs} {
		row = append(row, fmt.Sprint(counts[v]))
	}
	var alike []string
	for _, c := range contestants[:len(contestants)-1] {
		alike = append(alike, fmt.Sprintf("%s: %d", c.name, likes[c.name]))
	}
	head = append(head, "like stock", "which, and what was left out")
	var which []string
	for _, v := range []verdict{byAge, flaky, differs} {
		if len(names[v]) > 0 {
			which = append(which, string(v)+": "+strings.Join(names[v], " "))
		}
	}
	if note != "" {
		which = append(which, note)
	}
	row = append(row, strings.Join(alike, ", "), strings.Join(which, "; "))
	tables.add(table, strings.Join(head, "\t"), strings.Join(row, "\t"))
	t.Logf("%s: %s", target, strings.Join(row[1:], " | "))
}
