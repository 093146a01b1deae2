package private_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Who can choose a program's argv[0] and descriptors gets nothing from one that
// imports the package and is set-user-ID root, or root's in any other way.
func TestAPrivilegedProgramGivesNobodyAnything(t *testing.T) {
	kerneltest.Need(t)
	const nobody = 65534
	dir := t.TempDir()
	attacker, victim := filepath.Join(dir, "attacker"), filepath.Join(dir, "victim")
	if os.Chown(dir, nobody, nobody) != nil {
		t.Skip("there is one user only: the run as root shows it")
	}
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	build := exec.Command("go", "build", "-o", attacker, "./testdata/privileged")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	content, err := os.ReadFile(attacker)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(victim, content, 0o755)) // root's
	require.NoError(t, os.Chmod(victim, 0o755|os.ModeSetuid))

	run := func(user uint32, name string, environment []string, args ...string) string {
		cmd := exec.Command(args[0], args[1:]...)
		if name != "" {
			cmd.Args[0] = name
		}
		cmd.Env = environment
		// The tests' user namespace is as new as a helper's: with another kind of
		// namespace of its own it is what a machine's or a container's is.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}, Cloneflags: syscall.CLONE_NEWUTS}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	require.Equal(t, "real 65534, effective 0\n", run(nobody, "", nil, victim), "the test can fail: it is root's")
	const own = "binfmt-private: error: this name is for the program's own use: "
	const privileged = own + "the program is privileged (set-user-ID, or with capabilities)\n"
	assert.Equal(t, privileged+"exit status 125", run(nobody, "binfmt-private", nil, victim))
	assert.Equal(t, privileged+"victim: exit status 125; answer: \"\"\n", run(nobody, "", nil, attacker, "attack", victim))
	assert.Equal(t, own+"it is in no user namespace of its own\nvictim: exit status 125; answer: \"\"\n",
		run(0, "", nil, attacker, "attack", attacker), "nor does one that root runs")
	assert.Equal(t, "real 65534, effective 0\nvictim: <nil>; answer: \"\"\n",
		run(nobody, "", []string{"PRIVILEGED_NO_MAIN=1"}, attacker, "attack", victim), "without Main nothing happens")

	entries, err := binfmt.New("").List()
	require.NoError(t, err)
	assert.Empty(t, entries)
}
