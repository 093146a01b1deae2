package instances

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// A pod with hostUsers: false is a user namespace with 65536 IDs, in which each container has a
// mount namespace of its own.
type pod struct {
	t     *testing.T
	pause *exec.Cmd
}

func newPod(t *testing.T) *pod {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("root maps IDs")
	}
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1 << 20, Size: 1 << 16}}
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &pod{t, cmd}
}

// container is a command in a container of the pod's, as a user of the pod.
func (p *pod) container(user string, args ...string) *exec.Cmd {
	words := []string{"--target", fmt.Sprint(p.pause.Process.Pid), "--user", "--mount", "unshare", "--mount", "setpriv", "--reuid", user, "--regid", user, "--clear-groups"}
	return exec.Command("nsenter", append(words, args...)...)
}

// runs reports whether a program runs in a container without privilege.
func (p *pod) runs(program string) bool {
	out, err := p.container("1000", program).CombinedOutput()
	return err == nil && strings.HasPrefix(string(out), "hello from ")
}

// A sidecar has an instance for all containers of its pod, though only it has that mounted.
func TestASidecarServesThePodsOtherContainers(t *testing.T) {
	needNamespaces(t)
	commands.FindEmulator(t, arch)
	program := commands.GoHello(t, goarch)
	p := newPod(t)
	if p.runs(program) {
		t.Skip("the machine has entries of its own")
	}
	log := filepath.Join(t.TempDir(), "log")
	start := func() *exec.Cmd {
		out, err := os.Create(log)
		require.NoError(t, err)
		defer out.Close()
		cmd := p.container("0", filepath.Join(commands.Dir(), "register"), "--watch", "--own-instance", "--output", "json", goarch)
		cmd.Stdout, cmd.Stderr = out, out
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return strings.Contains(commands.Read(t, log), `"event":"registered"`) }, patience, 10*time.Millisecond, "it registers")
		return cmd
	}
	sidecar := start()
	assert.True(t, p.runs(program), "in the other containers")
	r := commands.Run(t, p.container("1000", filepath.Join(commands.Dir(), "register"), "--uninstall"))
	assert.NotContains(t, r.Stdout, "removed", "they cannot change it")
	assert.True(t, p.runs(program))

	// Its mount namespace ends with it, and its entries with the last mount. kubelet starts it
	// again.
	require.NoError(t, sidecar.Process.Kill())
	_ = sidecar.Wait()
	t.Log("while there is no sidecar programs run: ", p.runs(program))
	sidecar = start()
	assert.True(t, p.runs(program), "when it is started again: %s", commands.Read(t, log))
	require.NoError(t, sidecar.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, sidecar.Wait(), commands.Read(t, log))
}
