package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// discovery is the environment variable that names a directory with what node-feature-discovery
// is made of: nfd-master, nfd-worker, and nfd-api-crds.yaml (CONTRIBUTING.md).
const discovery = "TEST_NFD"

// labels are those that register is to write, as kubectl selects by them.
func labels() (list []string) {
	for _, goarch := range architectures {
		list = append(list, "feature.node.kubernetes.io/linux-"+goarch+"=emulated")
	}
	return list
}

// testLabels has node-feature-discovery label nodes by what register has written for it.
// Without that the test does, so that those after it have pods that select by labels.
func (f *fleet) testLabels(t *testing.T) {
	for _, n := range f.nodes {
		out, err := n.in("cat", "/etc/kubernetes/node-feature-discovery/features.d/register").CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "expiry-time=", "%s", out)
		for _, label := range labels() {
			assert.Contains(t, string(out), strings.TrimPrefix(label, "feature.node.kubernetes.io/")+"\n", "%s", out)
		}
	}
	dir := os.Getenv(discovery)
	if dir == "" {
		for _, n := range f.nodes {
			f.kubectl(t, "", append([]string{"label", "node", n.name}, labels()...)...)
		}
		t.Log(discovery + " names no directory with node-feature-discovery: the test gave nodes their labels")
		return
	}
	began := time.Now()
	f.startDiscovery(t, dir)
	for _, n := range f.nodes {
		f.untilLabelled(t, n.name, true)
	}
	t.Logf("node-feature-discovery has labelled %d nodes after %v", nodes, time.Since(began).Round(time.Second))
	f.testExpiry(t)
}

// startDiscovery starts nfd-master beside the control plane, and nfd-worker on each node, where
// it would be a pod with the host's directories.
func (f *fleet) startDiscovery(t *testing.T, dir string) {
	t.Helper()
	f.kubectl(t, "", "apply", "--server-side", "-f", filepath.Join(dir, "nfd-api-crds.yaml"))
	f.wait(t, "condition=Established", "customresourcedefinitions", "--all")
	config := f.authority.path("admin.kubeconfig")
	environment := []string{"KUBERNETES_NAMESPACE=kube-system"}
	f.startWith(t, environment, "nfd-master", filepath.Join(dir, "nfd-master"), "-kubeconfig="+config)
	for i, n := range f.nodes {
		// It ends with nsenter, which waits for it.
		cmd := n.in("setpriv", "--pdeathsig", "KILL", filepath.Join(dir, "nfd-worker"), "-kubeconfig="+config, "-no-owner-refs", "-feature-sources=local", "-label-sources=local",
			`-options={"core": {"sleepInterval": "2s"}}`)
		f.startWith(t, append(environment, "NODE_NAME="+n.name), fmt.Sprintf("nfd-worker-%d", i+1), cmd.Path, cmd.Args[1:]...)
	}
}

// untilLabelled waits until a node has all labels, or none.
func (f *fleet) untilLabelled(t *testing.T, name string, all bool) {
	t.Helper()
	var said string
	ok := assert.Eventually(t, func() bool {
		said = f.kubectl(t, "", "get", "node", name, "--show-labels")
		for _, label := range labels() {
			if strings.Contains(said, label) != all {
				return false
			}
		}
		return true
	}, 2*patience, time.Second)
	require.True(t, ok, "%s: labelled is not to be %v: %s", name, !all, said)
}

// testExpiry has one node without register: its labels are gone when they expire, and a pod that
// asks for one is not scheduled there until register is back.
func (f *fleet) testExpiry(t *testing.T) {
	const without = nodes - 1
	name := nodeName(without)
	f.kubectl(t, "", "label", "node", name, "without=register")
	stay := `{"spec":{"template":{"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"without","operator":"DoesNotExist"}]}]}}}}}}}`
	f.kubectl(t, "", "--namespace=kube-system", "patch", "daemonset", "register", "--type=merge", "--patch="+stay)
	require.Eventually(t, func() bool { return len(f.nodes[without].watchers()) == 0 }, patience, time.Second)
	began := time.Now()
	f.untilLabelled(t, name, false)
	t.Logf("without register, a node has lost its labels after %v", time.Since(began).Round(time.Second))

	there := foreignPod(t, "expired", f.foreign, "nodeSelector:\n", "nodeSelector:\n    kubernetes.io/hostname: "+name+"\n")
	f.kubectl(t, there, "apply", "--server-side", "-f", "-")
	f.untilSaid(t, "expired", "didn't match Pod's node affinity/selector")
	f.kubectl(t, "", "label", "node", name, "without-")
	f.untilLabelled(t, name, true)
	f.wait(t, "jsonpath={.status.phase}=Succeeded", "pod/expired")
	assert.Contains(t, f.kubectl(t, "", "logs", "expired"), "hello from arm64")
	f.kubectl(t, "", "--namespace=kube-system", "patch", "daemonset", "register", "--type=merge", `--patch={"spec":{"template":{"spec":{"affinity":null}}}}`)
	f.rolledOut(t)
	f.kubectl(t, "", "delete", "pod", "expired")
}
