package images

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
)

// setupQEMUAction returns a function that runs the compiled action
// docker/setup-qemu-action, which most of CI registers by, and returns its outputs. It is
// not ours to keep here: TEST_ACTION names its dist/index.cjs.
func setupQEMUAction(t *testing.T) func(t *testing.T, image, platforms, reset string) string {
	t.Helper()
	need(t)
	action := os.Getenv("TEST_ACTION")
	if action == "" {
		t.Skip("TEST_ACTION does not name dist/index.cjs of docker/setup-qemu-action")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip(err)
	}
	real, err := exec.LookPath("docker")
	require.NoError(t, err)

	// What --privileged gives, where that itself is not to be had.
	bin := t.TempDir()
	wrapper := "#!/bin/sh\nn=$#\nwhile [ $n -gt 0 ]; do\n\targ=$1; shift; n=$((n - 1))\n\tif [ \"$arg\" = --privileged ]; then set -- \"$@\" " +
		strings.Join(least, " ") + "; else set -- \"$@\" \"$arg\"; fi\ndone\nexec " + real + " \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "docker"), []byte(wrapper), 0o755))

	return func(t *testing.T, image, platforms, reset string) string {
		t.Helper()
		output := filepath.Join(t.TempDir(), "output")
		require.NoError(t, os.WriteFile(output, nil, 0o600))
		require.NoError(t, os.WriteFile(output+".state", nil, 0o600))
		cmd := exec.Command(node, action)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GITHUB_OUTPUT="+output, "GITHUB_STATE="+output+".state",
			"RUNNER_TEMP="+t.TempDir(), "RUNNER_TOOL_CACHE="+t.TempDir(), "GITHUB_REPOSITORY=o/r", "GITHUB_SERVER_URL=https://example.org",
			"INPUT_IMAGE="+image, "INPUT_PLATFORMS="+platforms, "INPUT_RESET="+reset, "INPUT_CACHE-IMAGE=false")
		r := commands.Run(t, cmd)
		require.Equal(t, 0, r.Status, "%s%s", r.Stdout, r.Stderr)
		assert.NotContains(t, r.Stdout, "::error")
		return commands.Read(t, output)
	}
}

// The action is green with our image.
func TestTheRealSetupQEMUActionIsGreen(t *testing.T) {
	setUp := setupQEMUAction(t)
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	image := push(t, tonistiigi, server.URL, "binfmt").image
	for _, platforms := range []string{"linux/amd64,linux/arm64", "all", "arm64,armv6", "arm64,s390x,linux/386"} {
		for _, reset := range []string{"false", "true"} {
			t.Run(platforms+" reset="+reset, func(t *testing.T) {
				fs := mounted(t)
				for range 2 { // and once more, with what is registered then
					said := setUp(t, image, platforms, reset)
					assert.Contains(t, said, "linux/amd64")
					assert.Contains(t, said, "linux/arm64")
				}
				helloRuns(t, "arm64")
				e, err := fs.Get("qemu-aarch64")
				require.NoError(t, err)
				assert.True(t, e.Flags.Has(binfmt.FixBinary))
			})
		}
	}
}
