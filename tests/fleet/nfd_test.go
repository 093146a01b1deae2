package fleet

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nfd is the namespace of node-feature-discovery.
const nfd = "node-feature-discovery"

// nfdSource is a clone of its repository with its programs in bin, or empty: its module is
// not to be had without its repository.
func nfdSource() string { return os.Getenv("TEST_NFD") }

// startMaster installs what node-feature-discovery has in the API, and starts its master
// beside the control plane. It and the workers may do what its own roles permit.
func (f *fleet) startMaster(t *testing.T) {
	t.Helper()
	f.kubectl(t, "", "create", "namespace", nfd)
	for _, base := range []string{"nfd-crds", "rbac"} {
		f.kubectl(t, "", "apply", "--server-side", "-k", filepath.Join(nfdSource(), "deployment/base", base))
	}
	f.wait(t, "condition=Established", "crd", "--all")
	for _, name := range []string{"nfd-master", "nfd-worker"} {
		f.authority.client(t, name, "system:serviceaccount:"+nfd+":"+name, "system:serviceaccounts")
		f.authority.kubeconfig(t, name)
		out, err := exec.Command(nfdProgram(name), "--version").CombinedOutput()
		require.NoError(t, err, "%s", out)
		t.Logf("%s", out)
	}
	f.start(t, "nfd-master", "env", "NODE_NAME="+f.nodes[0].name, nfdProgram("nfd-master"), "--kubeconfig", f.authority.path("nfd-master.kubeconfig"))
}

func nfdProgram(name string) string { return filepath.Join(nfdSource(), "bin", name) }

// startWorker starts node-feature-discovery's worker on a node, beside kubelet. It ends
// with the node.
func (f *fleet) startWorker(t *testing.T, n *node) {
	t.Helper()
	log, err := os.OpenFile(f.path(n.name, "nfd-worker.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	require.NoError(t, err)
	defer log.Close()
	cmd := n.in("env", "NODE_NAME="+n.name, "KUBERNETES_NAMESPACE="+nfd, nfdProgram("nfd-worker"),
		"--kubeconfig", f.authority.path("nfd-worker.kubeconfig"), "--options", `{"core": {"sleepInterval": "5s"}}`)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	go func() { _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
}

// testDiscovered sees that node-feature-discovery has labelled all nodes: its worker has
// read what register wrote, and its master has noted which labels are its own.
func (f *fleet) testDiscovered(t *testing.T) {
	for _, n := range f.nodes {
		for _, goarch := range architectures {
			f.wait(t, `jsonpath={.metadata.labels.feature\.node\.kubernetes\.io/linux-`+goarch+`}=emulated`, "node/"+n.name)
		}
		noted := f.kubectl(t, "", "get", "node", n.name, "-o", `jsonpath={.metadata.annotations.nfd\.node\.kubernetes\.io/feature-labels}`)
		assert.Contains(t, strings.Split(noted, ","), "linux-arm64")
	}
}

// testExpired removes register. Its labels expire, and a pod that asks for one finds no
// node any more.
func (f *fleet) testExpired(t *testing.T) {
	f.startWorker(t, f.nodes[nodes-1]) // which was restarted
	f.kubectl(t, "", "delete", "-f", f.path("b.yaml"), "--wait")
	began := time.Now()
	var labels string
	ok := assert.Eventually(t, func() bool {
		labels = f.kubectl(t, "", "get", "nodes", "-o", "jsonpath={.items[*].metadata.labels}")
		return !strings.Contains(labels, "feature.node.kubernetes.io/linux-")
	}, 4*patience, 2*time.Second) // a date is twice checkEvery and a minute ahead
	require.True(t, ok, labels)
	t.Logf("labels are gone %v after register", time.Since(began).Round(time.Second))
	f.kubectl(t, foreignPod(t, "late", f.foreign), "apply", "--server-side", "-f", "-")
	f.untilSaid(t, "late", "didn't match Pod's node affinity/selector")
}
