package instances

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// What one watcher uses that has nothing to do but to check, as images have it: with a server.
func TestAWatchUsesLittleAtRest(t *testing.T) {
	needNamespaces(t)
	long := setting(t, "TEST_WATCH_REST", time.ParseDuration, time.Second)
	sets := [][]string{{"s390x"}, {"arm64", "arm", "ppc64le", "riscv64", "s390x"}, nil}
	command := commands.RegisterWithServer(t)
	commands.FindEmulator(t, arch)
	var text strings.Builder
	fmt.Fprintf(&text, "| keeps | CPU in %v, of one core | with the programs that it ran | resident | its own | threads | inotify watches |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n", long)
	rows := make([]string, len(sets))
	var all sync.WaitGroup
	for n, archs := range sets {
		all.Go(func() {
			i, err := newInstance([]string{command}, t.TempDir(), n, 1000+n, append([]string{"--listen", "127.0.0.1:0"}, archs...)...)
			if !assert.NoError(t, err) {
				return
			}
			defer i.close()
			time.Sleep(min(long, 10*time.Second)) // until all have been tried
			before, err := use([]*instance{i})
			assert.NoError(t, err)
			ownBefore, err := ownTime("/proc/" + i.pid())
			assert.NoError(t, err)
			time.Sleep(long)
			after, err := use([]*instance{i})
			assert.NoError(t, err)
			what := strings.Join(archs, ", ")
			if archs == nil {
				events, err := i.events()
				assert.NoError(t, err)
				what = fmt.Sprintf("all (%d registered)", len(events))
			}
			own, err := ownTime("/proc/" + i.pid())
			assert.NoError(t, err)
			with, _, _ := after.cpuSince(before)
			seconds := after.when.Sub(before.when).Seconds()
			assert.Less(t, after.largest, 20<<10, "KiB resident")
			rows[n] = fmt.Sprintf("| %s | %.4f %% | %.4f %% | %.1f MiB | %.1f MiB | %d | %d |\n",
				what, 100*(own-ownBefore).Seconds()/seconds, 100*with, mib(after.resident), mib(after.anonymous), after.threads, after.watches)
		})
	}
	all.Wait()
	text.WriteString(strings.Join(rows, ""))
	t.Log(text.String())
	if kerneltest.Updating() {
		require.False(t, t.Failed())
		commands.WriteSection(t, "../../docs/nodes.md", "rest", text.String()+"\n"+commands.Conditions(t)+".")
	}
}
