package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testMount installs by kustomize, as docs/kubernetes.md says, on a node that has not
// mounted binfmt_misc: a pod is not ready, says why, and is ready once it is mounted. The
// component that mounts it is not for this node: it is in a user namespace, where
// register mounts nothing that others are to see. Its init container says so, and has
// mounted nothing.
func (f *fleet) testMount(t *testing.T) {
	n := f.nodes[0]
	require.NoError(t, n.in("umount", "/proc/sys/fs/binfmt_misc").Run())
	mounts := f.kustomization(t, "mounting", "mount")
	f.kubectl(t, "", "apply", "--server-side", "-k", mounts)
	f.untilLogged(t, "this container is in a user namespace", "--container=mount")
	assert.Equal(t, "true true", f.kubectl(t, "", append([]string{"get", "pods", "-o", "jsonpath={.items[*].spec.hostPID} {.items[*].spec.initContainers[0].securityContext.privileged}"}, of...)...))
	assert.Error(t, n.in("mountpoint", "-q", "/proc/sys/fs/binfmt_misc").Run())
	f.kubectl(t, "", "delete", "-k", mounts, "--wait")
	f.wait(t, "delete", append([]string{"pods"}, of...)...)

	base := f.kustomization(t, "plain")
	f.kubectl(t, "", "apply", "--server-side", "-k", base)
	f.untilLogged(t, "binfmt_misc")
	assert.NotContains(t, f.kubectl(t, "", append([]string{"get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].ready}"}, of...)...), "true")

	require.NoError(t, n.in("mount", "-t", "binfmt_misc", "binfmt_misc", "/proc/sys/fs/binfmt_misc").Run())
	f.rolledOut(t)
	f.kubectl(t, "", "delete", "-k", base, "--wait")
	f.wait(t, "delete", append([]string{"pods"}, of...)...)                                 // they heal until then
	require.NoError(t, n.in("sh", "-c", "echo -1 > /proc/sys/fs/binfmt_misc/status").Run()) // entries stay
}

// untilLogged waits until the DaemonSet's pods have logged words.
func (f *fleet) untilLogged(t *testing.T, words string, options ...string) {
	t.Helper()
	var said string
	ok := assert.Eventually(t, func() bool {
		said, _ = f.tryKubectl(t, "", slices.Concat([]string{"logs", "--tail=50"}, options, of)...)
		return strings.Contains(said, words)
	}, patience, time.Second)
	require.True(t, ok, said)
	t.Log(said)
}

// kustomization writes one for the base with components, the cluster's image and the
// fleet's architectures, and returns its directory.
func (f *fleet) kustomization(t *testing.T, name string, components ...string) string {
	t.Helper()
	dir := mkdir(f.path("kustomize"))
	if !isFile(filepath.Join(dir, "base")) {
		require.NoError(t, exec.Command("cp", "-r", "../../deploy/kubernetes/base", "../../deploy/kubernetes/components", dir).Run())
	}
	text := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../base]
images: [{name: calico/qemu-user-static, newName: %s/qemu-user-static, newTag: a}]
`, repository)
	for i, component := range components {
		if i == 0 {
			text += "components:\n"
		}
		text += "- ../components/" + component + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(mkdir(filepath.Join(dir, name)), "kustomization.yaml"), []byte(text), 0o644))
	return filepath.Join(dir, name)
}

// testChart installs the chart by server-side apply, for all nodes.
func (f *fleet) testChart(t *testing.T) {
	f.kubectl(t, "", "apply", "--server-side", "-f", f.path("a.yaml"))
	f.rolledOut(t)
	pods := strings.Fields(f.kubectl(t, "", append([]string{"get", "pods", "-o", "name"}, of...)...))
	assert.Len(t, pods, nodes)
	f.runsVersion(t, f.Versions[0])
}

// runsVersion sees in all pods' metrics, through the API server, that the emulators are
// of a version.
func (f *fleet) runsVersion(t *testing.T, version string) {
	t.Helper()
	number, _, _ := strings.Cut(version, " ")
	for pod := range strings.FieldsSeq(f.kubectl(t, "", append([]string{"get", "pods", "-o", "jsonpath={.items[*].metadata.name}"}, of...)...)) {
		metrics := f.kubectl(t, "", "get", "--raw", "/api/v1/namespaces/kube-system/pods/"+pod+":9836/proxy/metrics")
		assert.Contains(t, metrics, "register_ready 1\n", pod)
		for _, goarch := range architectures {
			assert.Regexp(t, `register_emulator_info\{architecture="linux/`+goarch+`".*version="`+number, metrics, pod)
		}
	}
}

// testLabels gives nodes the labels that register has written for node-feature-discovery.
// The real one is not here: its module is not to be had without its repository.
func (f *fleet) testLabels(t *testing.T) {
	for _, n := range f.nodes {
		out, err := n.in("cat", "/etc/kubernetes/node-feature-discovery/features.d/register").CombinedOutput()
		require.NoError(t, err, "%s", out)
		labels := 0
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				f.kubectl(t, "", "label", "node", n.name, "feature.node.kubernetes.io/"+strings.TrimPrefix(line, "feature.node.kubernetes.io/"))
				labels++
			}
		}
		assert.GreaterOrEqual(t, labels, len(architectures), "%s", out)
		assert.Contains(t, string(out), "expiry-time=", "%s", out)
	}
}
