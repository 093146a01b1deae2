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
			started := filepath.Join(t.TempDir(), "started")
			script(t, "docker", `echo $PPID $$ >"`+started+`.part"; mv "`+started+`.part" "`+started+`"; exec sleep 1000`)
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
			require.NoError(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			require.Eventually(t, func() bool { _, err := os.Stat(started); return err == nil }, 5*time.Minute, 50*time.Millisecond)
			text, err := os.ReadFile(started)
			require.NoError(t, err)
			signal := unix.SIGTERM
			if name == "go run, killed" {
				signal = unix.SIGKILL
			}
			require.NoError(t, cmd.Process.Signal(signal))
			assert.Error(t, <-ended)
			for _, word := range strings.Fields(string(text)) {
				pid, err := strconv.Atoi(word)
				require.NoError(t, err)
				if !assert.Eventually(t, func() bool { return kerneltest.Ended(pid) }, 30*time.Second, 50*time.Millisecond, "process %d of %q goes on", pid, text) {
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
		})
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
