package single

import (
	"math"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A single file has the emulators of all architectures wherever its programs are: in an
// empty root file system, and in a chroot that one of them makes.
func TestHandedOnEmulatorsAreEmbedded(t *testing.T) {
	kerneltest.Need(t)
	if e := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")); !e.HandsOn() {
		t.Skip(e.Path, " is not one of ours, which TEST_EMULATORS names: make emulators")
	}
	// What whoever runs the tests has left open is not counted.
	require.NoError(t, unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)) // 5.11
	root := bare(t)
	executer := func(triplet string) string {
		return commands.CProgram(t, commands.Port(triplet), "executer", "-static", "-O1", "../testdata/executer.c")
	}
	commands.CopyFile(t, executer("aarch64-linux-gnu"), filepath.Join(root, "arm64"))
	commands.CopyFile(t, executer("s390x-linux-gnu"), filepath.Join(root, "s390x"))
	tree := []string{"clear", "exec", "/s390x", "run", "/arm64", "run", "/s390x", "inherited", "run", "/false"}

	cmd := exec.Command("/crossrun", append([]string{"--handed-on", "/arm64"}, tree...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir, cmd.Env = "/", []string{}
	assert.Equal(t, commands.Result{Stdout: "open:\nignored:\n", Status: 1}, commands.Run(t, cmd))

	// What is unpacked for programs in a chroot is not put there; elsewhere it is in the
	// first program's cache, whatever becomes of the environment.
	run := func(args ...string) (cached []string) {
		cache := filepath.Join(t.TempDir(), "cache")
		cmd := exec.Command(single(t, "crossrun"), append([]string{"--handed-on", executer("aarch64-linux-gnu")}, args...)...)
		cmd.Env = []string{"HOME=/home", "CROSSRUN_CACHE=" + cache}
		assert.Equal(t, commands.Result{Stdout: "open:\nignored:\n", Status: 1}, commands.Run(t, cmd))
		cached, err := filepath.Glob(filepath.Join(cache, "*"))
		require.NoError(t, err)
		return cached
	}
	assert.Len(t, run(append([]string{"chroot", root}, tree[1:]...)...), 1)
	assert.NoDirExists(t, filepath.Join(root, "home"))
	assert.Len(t, run("clear", "exec", filepath.Join(root, "s390x"), "run", filepath.Join(root, "arm64"), "inherited", "run", filepath.Join(root, "false")), 2)
}
