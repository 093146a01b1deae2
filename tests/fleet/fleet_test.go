package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A fleet is a cluster.
type fleet struct {
	prepared
	authority   *authority
	hierarchies []string          // of control groups
	groups      [nodes][]*os.File // by which nodes join theirs
	nodes       [nodes]*node
	foreign     string // an image for arm64, by its manifest's digest
	another     string // one for the architecture that only pods' own instances have
	ended       atomic.Bool
}

// newFleet makes the namespaces that these tests are in a network, and starts all that
// is not on nodes.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{}
	require.NoError(t, settings(&f.prepared))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""))
	require.NoError(t, unix.Mount("proc", "/proc", "proc", 0, ""))
	require.NoError(t, makeBridge())
	for hierarchy := range f.Groups {
		f.hierarchies = append(f.hierarchies, hierarchy)
	}
	for i := range nodes {
		files, err := f.Groups.open(f.hierarchies, i)
		require.NoError(t, err)
		f.groups[i] = files
	}
	require.NoError(t, hideGroups())
	f.authority = newAuthority(t, f.path("certificates"))
	f.authority.client(t, "admin", "admin", "system:masters")
	f.authority.kubeconfig(t, "admin")
	f.startRegistry(t)
	f.startEtcd(t)
	f.startServer(t)
	f.startControllers(t)
	t.Cleanup(func() {
		for _, n := range f.nodes {
			if n != nil {
				_ = n.cmd.Process.Kill()
			}
		}
	})
	return f
}

// kubectl runs kubectl as the administrator, which must succeed, and returns what it says.
func (f *fleet) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := f.tryKubectl(t, stdin, args...)
	require.NoError(t, err, "kubectl %s\n%s", strings.Join(args, " "), out)
	return out
}

func (f *fleet) tryKubectl(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(f.program(t, "kubectl"), append([]string{"--kubeconfig", f.authority.path("admin.kubeconfig")}, args...)...)
	cmd.Env, cmd.Stdin = append(os.Environ(), "HOME="+f.Dir), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// wait waits until objects have a condition.
func (f *fleet) wait(t *testing.T, condition string, args ...string) {
	t.Helper()
	f.kubectl(t, "", append([]string{"wait", "--for=" + condition, fmt.Sprintf("--timeout=%s", patience)}, args...)...)
}

// logs puts the ends of all logs into the test's when it failed.
func (f *fleet) logs(t *testing.T) {
	if !t.Failed() {
		return
	}
	if keep := os.Getenv("TEST_FLEET_KEEP"); keep != "" {
		_ = exec.Command("cp", "-r", f.Dir, keep).Run()
	}
	out, _ := f.tryKubectl(t, "", "get", "events,pods,nodes", "-A")
	t.Log(out)
	for _, pattern := range []string{"*.log", "*/*.log"} {
		files, _ := filepath.Glob(f.path(pattern))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			lines := strings.Split(string(text), "\n")
			t.Logf("%s:\n%s", file, strings.Join(lines[max(0, len(lines)-15):], "\n"))
		}
	}
}

func TestFleet(t *testing.T) {
	if os.Getenv("TEST_FLEET") == "" {
		t.Skip("builds Kubernetes, and makes a cluster in namespaces: make test-fleet")
	}
	began := time.Now()
	f := newFleet(t)
	t.Cleanup(func() { f.logs(t) })
	t.Logf("control plane after %v", time.Since(began).Round(time.Second))
	f.nodes[0] = f.startNode(t, 0)
	f.waitNode(t, 0)
	t.Logf("one node ready after %v", time.Since(began).Round(time.Second))
	f.step(t, "a node that has not mounted binfmt_misc", f.testMount)
	for i := 1; i < nodes; i++ {
		f.nodes[i] = f.startNode(t, i)
	}
	for i := 1; i < nodes; i++ {
		f.waitNode(t, i)
	}
	t.Logf("%d nodes ready after %v:\n%s", nodes, time.Since(began).Round(time.Second), f.kubectl(t, "", "get", "nodes", "-o", "wide"))
	f.step(t, "the chart", f.testChart)
	if nfdSource() == "" {
		f.step(t, "labels", f.testLabels)
	} else {
		f.startMaster(t)
		for _, n := range f.nodes {
			f.startWorker(t, n)
		}
		f.step(t, "labels by node-feature-discovery", f.testDiscovered)
	}
	f.step(t, "a foreign pod", f.testForeignPod)
	f.step(t, "pods in user namespaces", f.testUserNamespaces)
	f.step(t, "killed", f.testKilled)
	f.step(t, "updated", f.testUpdated)
	f.step(t, "healed", f.testHealed)
	f.step(t, "restarted", f.testRestarted)
	if nfdSource() != "" {
		f.step(t, "labels expire", f.testExpired)
	}
}

// step is a subtest that says how long it took. Those after it take it to have passed.
func (f *fleet) step(t *testing.T, name string, what func(*testing.T)) {
	began := time.Now()
	if !t.Run(name, what) {
		t.FailNow()
	}
	t.Logf("%s: %v", name, time.Since(began).Round(time.Second))
}

// waitNode waits until a node is ready.
func (f *fleet) waitNode(t *testing.T, i int) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := f.tryKubectl(t, "", "get", "node", nodeName(i))
		return err == nil
	}, patience, 200*time.Millisecond)
	f.wait(t, "condition=Ready", "node/"+nodeName(i))
}

// of are the options of kubectl that select the DaemonSet's pods.
var of = []string{"--namespace=kube-system", "--selector=app.kubernetes.io/name=register"}

// rolledOut waits until each node has the newest pod, one after the other, and that is
// ready: it ran a program of each architecture.
func (f *fleet) rolledOut(t *testing.T) {
	t.Helper()
	f.kubectl(t, "", "--namespace=kube-system", "rollout", "status", "daemonset/register", fmt.Sprintf("--timeout=%s", nodes*patience))
}
