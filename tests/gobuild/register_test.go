package gobuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// instead are flags with which docker run gives what registering takes, where
// the machine itself lacks a capability that --privileged would give.
var instead = []string{"--cap-add", "SYS_ADMIN", "--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"}

// One docker run line registers, and then what is built for another
// architecture runs by its own name: in the image, and on the host.
func TestWhatTheImageRegistersRuns(t *testing.T) {
	native(t)
	if os.Geteuid() != 0 {
		t.Skip("mounts the machine's binfmt_misc, which takes root")
	}
	fs := binfmt.New("")
	mine, err := fs.Mount()
	if err != nil {
		t.Skip("the machine's binfmt_misc cannot be mounted: ", err)
	}
	before, err := fs.List()
	require.NoError(t, err)
	t.Cleanup(func() {
		now, err := fs.List()
		require.NoError(t, err)
		known := make(map[string]bool)
		for _, e := range before {
			known[e.Name] = true
		}
		for _, e := range now {
			if !known[e.Name] && strings.HasPrefix(e.Name, "qemu-") { // register's own
				require.NoError(t, fs.Remove(e.Name))
			}
		}
		if mine {
			require.NoError(t, fs.Unmount())
		}
	})
	kerneltest.NothingRegistered(t) // it would be changed

	flags := []string{"--privileged"}
	r := container(t, flags, "register")
	if strings.Contains(r.Stderr, "unable to apply caps") {
		t.Log("--privileged asks for capabilities that this machine does not have; single ones are given instead")
		r = container(t, instead, "register")
	}
	require.Zero(t, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "linux/s390x")

	line := imagesLines(t)[1]
	require.Contains(t, line, "-e GOARCH=s390x ")
	src := sourceDir(t, "module")
	r = typed(t, src, nil, line)
	assert.Equal(t, "hello from s390x\n", r.Stdout, r.Stderr)
	out, err := exec.Command(filepath.Join(src, "hello")).CombinedOutput()
	require.NoError(t, err, "on the host, whose entries outlive the container: %s", out)
	assert.Equal(t, "hello from s390x\n", string(out))
}
