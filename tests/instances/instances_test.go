package instances

import (
	"fmt"
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

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
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
	for _, tool := range []string{"setpriv", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("makes and enters namespaces: ", err)
		}
	}
	if err := exec.Command("unshare", "--user", "--map-root-user", "--mount", "true").Run(); err != nil {
		t.Skip("user namespaces cannot be made here: ", err)
	}
	program := commands.GoHello(t, goarch)
	dirs, _ := commands.TwoVersions(t, arch)
	file := name + "-static"
	for _, dir := range dirs {
		require.NoError(t, os.Chmod(dir, 0o755))
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	}
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
	t.Log(rested.memory(empty, n))
	each, most, _ := rested.cpuSince(started)
	t.Logf("at rest for %v: %.4f %% of a core each, %.4f %% at most", atRest, 100*each, 100*most)

	// Each instance is changed some four times in an hour.
	apart := max(900*time.Second/time.Duration(n), 10*time.Millisecond)
	if long < time.Minute {
		apart = 10 * time.Millisecond
	}
	r := changeAtRandom(instances, others, apart, long)
	changed, err := use(instances)
	require.NoError(t, err)
	each, most, same := changed.cpuSince(rested)
	t.Logf("%v of changes: %.4f %% of a core each, %.4f %% at most (of %d watchers that were not killed)", long, 100*each, 100*most, same)
	t.Log(changed.memory(empty, n))
	r.log(t)
	for _, err := range r.errs {
		assert.NoError(t, err)
	}
	allRight(t, instances, own, others, program)
	counted(t, instances)
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
			instances[number], errs[number] = newInstance(command, dir, number, number%owners, args...)
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
		i.polls = slices.ContainsFunc(events, func(e event) bool { return strings.Contains(e.Error, "inotify") })
	}
	return instances
}

// allRight sees that nothing is wrong anywhere.
func allRight(t *testing.T, instances []*instance, own, others, program string) {
	t.Helper()
	wrong := 0
	for number, i := range instances {
		if err := i.eventuallyRight(own, others, program); !assert.NoError(t, err, "instance %d", number) {
			wrong++
		}
	}
	t.Logf("%d of %d are wrong at the end", wrong, len(instances))
}

// expected are failures of what the test does: too many watchers for inotify, and a look at an
// instance that is just disabled.
var expected = regexp.MustCompile("inotify|^all entries of binfmt_misc are disabled")

// counted logs what the watchers said that happened, and sees that nothing else failed.
func counted(t *testing.T, instances []*instance) {
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
	t.Log("events: ", counts)
}

// memory says how much memory is used, beside what was before.
func (u usage) memory(before usage, n int) string {
	var kernel []string
	for _, line := range kernels {
		more := u.kernel[line] - before.kernel[line]
		kernel = append(kernel, fmt.Sprintf("%s %d KiB", line, more/n))
	}
	return fmt.Sprintf("each: %d KiB resident (%d at most), %d KiB of these its own (PSS), %d threads, %.1f inotify watches; the machine's kernel, for each: %s",
		u.resident/n, u.largest, u.own/n, u.threads/n, float64(u.watches)/float64(n), strings.Join(kernel, ", "))
}

func (r *record) log(t *testing.T) {
	t.Log("done: ", r.did)
	for what, gaps := range map[string][]time.Duration{"with inotify": r.gaps, "polling": r.polls} {
		if slices.Sort(gaps); len(gaps) > 0 {
			t.Logf("healed %d times %s: median %v, 99 %% %v, worst %v", len(gaps), what, gaps[len(gaps)/2], gaps[len(gaps)*99/100], gaps[len(gaps)-1])
		}
	}
}
