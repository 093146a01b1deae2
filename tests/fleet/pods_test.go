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

// example reads a manifest of deploy/kubernetes/examples, with replacements.
func example(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy/kubernetes/examples", name))
	require.NoError(t, err)
	for i := 0; i < len(replace); i += 2 {
		require.Contains(t, string(text), replace[i])
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

// ofExample is the image in examples/foreign-pod.yaml.
var ofExample = "registry.example.com/busybox@sha256:" + strings.Repeat("0", 64)

// foreignPod is the example of a foreign pod, with an image of ours.
func foreignPod(t *testing.T, name, image string, replace ...string) string {
	return example(t, "foreign-pod.yaml", append([]string{"name: foreign", "name: " + name, ofExample, image, "      command: [uname, -m]\n", ""}, replace...)...)
}

// run creates a pod, waits until it has ended well, and returns the log of a container.
func (f *fleet) run(t *testing.T, manifest, name, container string) string {
	t.Helper()
	f.kubectl(t, manifest, "apply", "--server-side", "-f", "-")
	f.wait(t, "jsonpath={.status.phase}=Succeeded", "pod/"+name)
	return f.kubectl(t, "", "logs", name, "-c", container)
}

// untilSaid waits until a pod's status, events or log have words.
func (f *fleet) untilSaid(t *testing.T, name, words string) {
	t.Helper()
	var said string
	ok := assert.Eventually(t, func() bool {
		said = f.kubectl(t, "", "get", "pod", name, "-o", "jsonpath={.status.containerStatuses[*].state}{.status.containerStatuses[*].lastState}")
		events := f.kubectl(t, "", "events", "--for=pod/"+name)
		log, _ := f.tryKubectl(t, "", "logs", name)
		said += "\n" + events + log
		return strings.Contains(said, words)
	}, patience, time.Second, words)
	require.True(t, ok, said)
}

// testForeignPod runs a pod of another architecture: by the manifest's digest. From an
// index containerd takes the node's own platform, which there is not.
func (f *fleet) testForeignPod(t *testing.T) {
	assert.Contains(t, f.run(t, foreignPod(t, "foreign", f.foreign), "foreign", "uname"), "hello from arm64")

	f.kubectl(t, foreignPod(t, "indexed", registryAddress+"/foreign:index"), "apply", "--server-side", "-f", "-")
	f.untilSaid(t, "indexed", "no match for platform in manifest")
	f.kubectl(t, "", "delete", "pod", "indexed", "--wait=false")
}

// testUserNamespaces runs pods with hostUsers: false. The node's entries serve them, and
// the sidecar of the examples gives them an instance of their own.
func (f *fleet) testUserNamespaces(t *testing.T) {
	apart := []string{"spec:\n", "spec:\n  hostUsers: false\n"}
	assert.Contains(t, f.run(t, foreignPod(t, "apart", f.foreign, apart...), "apart", "uname"), "hello from arm64")

	f.kubectl(t, foreignPod(t, "without", f.another, apart...), "apply", "--server-side", "-f", "-")
	f.untilSaid(t, "without", "exec format error")
	f.kubectl(t, "", "delete", "pod", "without", "--wait=false")

	manifest := example(t, "sidecar.yaml", "calico/qemu-user-static:latest", fmt.Sprintf("%s/qemu-user-static:a", repository),
		"registry.example.com/builder", f.another, "arm64", another)
	assert.Contains(t, f.run(t, manifest, "builder", "build"), "hello from "+another)
}
