package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Go run is sent SIGTERM by make, or by who runs that, and hands it to nobody: what it ran would go on.
func TestWhatGoRunStartedEndsWithIt(t *testing.T) {
	for name, args := range map[string][]string{
		"go run, ended":  {"go", "run", "./image", "push", "--registry", "localhost:1"},
		"go run, killed": {"go", "run", "./image", "push", "--registry", "localhost:1"},
		"make":           {"make", "push", "REGISTRY=localhost:1"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, pids := started(t, "exec sleep 1000", args...)
			signal := unix.SIGTERM
			if name == "go run, killed" {
				signal = unix.SIGKILL
			}
			require.NoError(t, cmd.Process.Signal(signal))
			assert.Error(t, cmd.Wait())
			ended(t, pids...)
		})
	}
}

// So does what ends without a word to it: by a second signal, or SIGKILL. A first one it may not obey.
func TestWhatImageStartedEndsWithIt(t *testing.T) {
	for name, signals := range map[string][]unix.Signal{
		"a second signal": {unix.SIGINT, unix.SIGINT},
		"another one":     {unix.SIGTERM, unix.SIGINT},
		"killed":          {unix.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			told := filepath.Join(t.TempDir(), "told")
			cmd, pids := started(t, `trap 'touch "`+told+`"' INT; while :; do sleep 0.1; done`, "go", "run", "./image", "push", "--registry", "localhost:1")
			image, docker := pids[0], pids[1]
			for i, signal := range signals {
				require.NoError(t, unix.Kill(image, signal))
				if i < len(signals)-1 {
					require.Eventually(t, func() bool { _, err := os.Stat(told); return err == nil }, 30*time.Second, 50*time.Millisecond)
					assert.False(t, kerneltest.Ended(image) || kerneltest.Ended(docker), "one has time to clean up")
				}
			}
			assert.Error(t, cmd.Wait())
			ended(t, docker)
		})
	}
}

// started starts a command that runs image, in which Docker is a script, and returns the processes
// of image and Docker once that has begun.
func started(t *testing.T, docker string, args ...string) (cmd *exec.Cmd, pids []int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "started")
	script(t, "docker", `echo $PPID $$ >"`+file+`.part"; mv "`+file+`.part" "`+file+`"; `+docker)
	cmd = exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, 5*time.Minute, 50*time.Millisecond)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	require.Len(t, pids, 2)
	return cmd, pids
}

// ended sees that processes end, or ends them.
func ended(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if !assert.Eventually(t, func() bool { return kerneltest.Ended(pid) }, 30*time.Second, 50*time.Millisecond, "process %d of %v goes on", pid, pids) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// What a shell of make's starts is not ended with make: a loop's next commands, for one.
func TestMakeStartsEachCommandItself(t *testing.T) {
	cmd := exec.Command("make", "-n", "--no-print-directory", "images", "DIST_HOSTS=amd64 s390x")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 2)
	for i, arch := range []string{"amd64", "s390x"} {
		assert.True(t, strings.HasPrefix(lines[i], "go run ./image register-images --arch "+arch+" "), lines[i])
		assert.Contains(t, lines[i], "register-images-linux-"+arch+".tar")
		assert.NotContains(t, lines[i], ";")
	}
}
