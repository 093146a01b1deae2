package instances

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// patience is for what takes a second at most where nobody else has the machine.
const patience = time.Minute

// The programs that are kept running, and the name of the watchers' entry for them.
const goarch, name = "s390x", "qemu-s390x"

var arch, _ = elfmagic.Lookup(goarch)

// setting returns what a variable of the environment says, or what is else.
func setting[T any](t *testing.T, variable string, parse func(string) (T, error), or T) T {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return or
	}
	value, err := parse(text)
	require.NoError(t, err, variable)
	return value
}

// perOwner is how many of the watchers one user owns: a few less than may have inotify where the
// kernel's limit was not raised (fs.inotify.max_user_instances: 128), so that only those at the
// end have none.
const perOwner = 120

// Many instances, each with its own watcher, are changed at random. In the end programs run in
// each, by the entry by which they should.
func TestManyInstancesChangedAtRandom(t *testing.T) {
	n := setting(t, "TEST_INSTANCES", strconv.Atoi, 12)
	long := setting(t, "TEST_INSTANCES_FOR", time.ParseDuration, 5*time.Second)
	atRest := long / 10
	needNamespaces(t)
	program := commands.GoHello(t, goarch)
	dirs, _ := commands.TwoVersions(t, arch)
	file := name + "-static"
	readable(t, dirs[:])
	own, others := filepath.Join(dirs[0], file), filepath.Join(dirs[1], file)

	empty, err := use(nil)
	require.NoError(t, err)
	instances := startAll(t, n, commands.RegisterWithServer(t), "--qemu-path", dirs[0], "--listen", "127.0.0.1:0", goarch)
	polling := 0
	for _, i := range instances {
		if i.polls {
			polling++
		}
	}
	t.Logf("%d watchers, of which %d poll", n, polling)
	started, err := use(instances)
	require.NoError(t, err)
	time.Sleep(atRest)
	rested, err := use(instances)
	require.NoError(t, err)

	// Each instance is changed some four times.
	apart := max(long/time.Duration(4*n), 10*time.Millisecond)
	r := changeAtRandom(instances, others, apart, long)
	changed, err := use(instances)
	require.NoError(t, err)
	for _, err := range r.errs {
		assert.NoError(t, err)
	}
	wrong := allRight(t, instances, own, others, program)
	events := counted(t, instances)
	text := fmt.Sprintf("%d watchers, of which %d had no inotify; %s.\n\n", n, polling, commands.Conditions(t)) +
		table(n, empty, started, rested, changed) + fmt.Sprintf("\nDone: %s. At the end %d were wrong. What the watchers said: %s.\n\n", list(r.did), wrong, list(events)) + r.heals.Markdown()
	t.Log(text)
	if kerneltest.Updating() {
		commands.WriteSection(t, "../../docs/nodes.md", "instances", text)
	}
}

// needNamespaces skips where instances cannot be made.
func needNamespaces(t *testing.T) {
	t.Helper()
	kerneltest.NothingRegistered(t)
	for _, tool := range []string{"setpriv", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("makes and enters namespaces: ", err)
		}
	}
	if err := private.Available(t.Context()); err != nil {
		t.Skip(err)
	}
}

// readable lets the owners of instances read directories that the test made.
func readable(t *testing.T, dirs []string) {
	t.Helper()
	for _, dir := range dirs {
		require.NoError(t, os.Chmod(dir, 0o755))
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	}
}

// startAll starts watchers, some at a time.
func startAll(t *testing.T, n int, command string, args ...string) []*instance {
	t.Helper()
	dir := t.TempDir()
	instances, errs := make([]*instance, n), make([]error, n)
	var all sync.WaitGroup
	turns := make(chan struct{}, 4)
	owners := max(1, n*95/100/perOwner)
	for number := range n {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			instances[number], errs[number] = newInstance([]string{command}, dir, number, number%owners, args...)
		})
	}
	all.Wait()
	t.Cleanup(func() {
		for _, i := range instances {
			if i != nil {
				i.close()
			}
		}
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	for _, i := range instances {
		events, err := i.events()
		require.NoError(t, err)
		i.polls = slices.ContainsFunc(events, func(e event) bool { return e.Event == "warned" && strings.Contains(e.Error, "inotify") })
	}
	return instances
}

// allRight sees that nothing is wrong anywhere, and returns where something is.
func allRight(t *testing.T, instances []*instance, own, others, program string) (wrong int) {
	t.Helper()
	errs := make([]error, len(instances))
	for began, rounds := time.Now(), 0; rounds == 0 || time.Since(began) < patience && errors.Join(errs...) != nil; rounds++ {
		for number, i := range instances {
			if rounds == 0 || errs[number] != nil {
				errs[number] = i.wrong(own, others, program)
			}
		}
	}
	for number, err := range errs {
		if err != nil {
			events, _ := instances[number].events()
			assert.NoError(t, err, "instance %d; events: %+v", number, events[max(0, len(events)-20):])
			wrong++
		}
	}
	return wrong
}

// expected are failures of what the test does: too many watchers for inotify, and a look at an
// instance that is just disabled.
var expected = regexp.MustCompile("all entries (of binfmt_misc )?are disabled")

// counted returns how often the watchers said that something happened, and sees that nothing
// else failed.
func counted(t *testing.T, instances []*instance) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for number, i := range instances {
		events, err := i.events()
		require.NoError(t, err)
		for _, e := range events {
			counts[strings.TrimSpace(e.Event+" "+e.Cause)]++
			if e.Event == "failed" {
				assert.Regexp(t, expected, e.Error, "instance %d", number)
			}
		}
	}
	return counts
}

// table is what is used by each of n watchers.
func table(n int, empty, started, rested, changed usage) string {
	var b strings.Builder
	row := func(what string, of func(now, before usage) string) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", what, of(rested, started), of(changed, rested))
	}
	span := func(now, before usage) string { return now.when.Sub(before.when).Round(time.Second).String() }
	fmt.Fprintf(&b, "| of each | at rest, %s | changed at random, %s |\n| --- | ---: | ---: |\n", span(rested, started), span(changed, rested))
	row("CPU, with the programs that it runs, of one core", func(now, before usage) string {
		each, most, same := now.cpuSince(before)
		return fmt.Sprintf("%.4f %% (%.4f %% at most; of %d that were not killed)", 100*each, 100*most, same)
	})
	row("resident (VmRSS)", func(now, _ usage) string {
		return fmt.Sprintf("%.1f MiB (%.1f at most)", mib(now.resident)/float64(n), mib(now.largest))
	})
	row("of that, its share (Pss)", func(now, _ usage) string { return fmt.Sprintf("%.1f MiB", mib(now.own)/float64(n)) })
	row("threads; inotify watches", func(now, _ usage) string {
		return fmt.Sprintf("%.1f; %.1f", float64(now.threads)/float64(n), float64(now.watches)/float64(n))
	})
	for _, line := range kernels {
		row("the machine's "+line+", more than before", func(now, _ usage) string { return fmt.Sprintf("%d KiB", (now.kernel[line]-empty.kernel[line])/n) })
	}
	return b.String()
}

// list says how often what happened.
func list(counts map[string]int) string {
	var words []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(words, "; ")
}

func mib(kib int) float64 { return float64(kib) / 1024 }
