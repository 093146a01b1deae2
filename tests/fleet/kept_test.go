package fleet

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watchers returns the process IDs of a node's register --watch, as the node has them:
// none as long as nobody can look.
func (n *node) watchers() []string {
	out, _ := n.in("sh", "-c", `for p in /proc/[0-9]*; do [ "$(readlink $p/exe)" != /usr/bin/register ] || echo ${p#/proc/}; done`).Output()
	return strings.Fields(string(out))
}

// testKilled kills each node's watcher, twice. kubelet starts it again, the second time
// after ten seconds.
func (f *fleet) testKilled(t *testing.T) {
	f.withLoops(t, func() {
		for times := 1; times <= 2; times++ {
			for _, n := range f.nodes {
				killed := n.watchers()
				require.Len(t, killed, 1)
				require.NoError(t, n.in("kill", "-KILL", killed[0]).Run())
			}
			restarted := strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d/true ", times), nodes))
			require.Eventually(t, func() bool {
				return restarted == strings.TrimSpace(f.kubectl(t, "", append([]string{"get", "pods", "-o",
					"jsonpath={range .items[*]}{.status.containerStatuses[0].restartCount}/{.status.containerStatuses[0].ready} {end}"}, of...)...))
			}, patience, 500*time.Millisecond)
		}
	})
}

// testUpdated has the DaemonSet go over to other emulators, one node after the other.
func (f *fleet) testUpdated(t *testing.T) {
	f.withLoops(t, func() {
		f.kubectl(t, "", "apply", "--server-side", "-f", f.path("b.yaml"))
		f.rolledOut(t)
	})
	f.runsVersion(t, f.Versions[1])
	t.Logf("emulators %s, then %s", f.Versions[0], f.Versions[1])
}

// testRestarted ends a node, with all that was in it, and starts it again.
func (f *fleet) testRestarted(t *testing.T) {
	const i = nodes - 1
	require.NoError(t, f.nodes[i].cmd.Process.Kill())
	require.Eventually(t, func() bool { return exec.Command("ip", "link", "show", "to-"+nodeName(i)).Run() != nil }, patience, 100*time.Millisecond)
	began := time.Now()
	f.nodes[i] = f.startNode(t, i)
	program := f.path("tiny-arm64")
	// Until it has an instance of its own, the machine's entries serve it.
	require.Eventually(t, func() bool { return len(f.nodes[i].watchers()) == 1 && ran(f.nodes[i].in(program)) == nil }, patience, 100*time.Millisecond)
	t.Logf("foreign programs run %v after the node's start", time.Since(began).Round(100*time.Millisecond))
	f.rolledOut(t)
}
