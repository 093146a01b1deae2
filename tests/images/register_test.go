package images

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/tests/commands"
)

func execCombined(path string) (string, error) {
	out, err := exec.Command(path).CombinedOutput()
	return string(out), err
}

// With F, programs run everywhere once the container that registered is gone:
// on the host, in a container without emulators, and in another architecture's
// Debian.
func TestRegisteredProgramsRunEverywhere(t *testing.T) {
	fs := mounted(t)
	register(t, multiarch, "--reset", "-p", "yes")
	assert.Equal(t, "POF", flags(t, fs, "qemu-aarch64"))
	helloRuns(t, "arm64")
	helloRuns(t, "s390x")

	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("a Debian of another architecture is made with mmdebstrap: image/base/install-tools: ", err)
	}
	cache, err := workdir.Cache("base")
	require.NoError(t, err)
	debian := repository + "/debian:arm64"
	cmd := exec.Command("go", "run", "./image", "base", "--arch", "arm64", "--tag", debian, "--dir", cache)
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "aarch64\n", docker(t, nil, debian, "uname", "-m").Stdout)
	assert.Regexp(t, `^apt \d+\.\d+\S* \(arm64\)`, docker(t, nil, debian, "apt-get", "--version").Stdout)
}

// Without F, the emulator is the container's.
func TestWithoutFProgramsRunWhereTheEmulatorIs(t *testing.T) {
	fs := mounted(t)
	r := register(t, noFiles, "--reset", "arm64")
	assert.Contains(t, r.Stdout, "not tried: its emulator is to be in each container")
	assert.Equal(t, "", flags(t, fs, "qemu-aarch64"))

	r = docker(t, nil, scratch, "/hello-arm64")
	assert.NotEqual(t, 0, r.Status)
	assert.Contains(t, r.Stderr, "no such file or directory")
	r = docker(t, []string{"--volume", packed(t, "aarch64").Path + ":/usr/bin/qemu-aarch64-static"}, scratch, "/hello-arm64")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "hello from arm64")
}

// unmounted makes sure that the machine has not mounted binfmt_misc.
func unmounted(t *testing.T) binfmt.FS {
	t.Helper()
	need(t)
	fs := binfmt.New("")
	state, err := fs.State()
	require.NoError(t, err)
	if state != binfmt.NotMounted {
		t.Skipf("binfmt_misc is %v, and may be somebody's", state)
	}
	return fs
}

func isMounted(t *testing.T, fs binfmt.FS) bool {
	t.Helper()
	state, err := fs.State()
	require.NoError(t, err)
	return state == binfmt.Mounted
}

func TestOnAHostThatHasNotMountedNothingIsReportedThatWouldNotLast(t *testing.T) {
	fs := unmounted(t)
	for _, command := range [][]string{{multiarch}, {multiarch, "--reset", "-p", "yes"}, {multiarch, "--dry-run"}, {tonistiigi, "--install", "all"}, {noFiles}} {
		r := docker(t, least, command[0], command[1:]...)
		assert.Equal(t, 1, r.Status)
		assert.Contains(t, r.Stderr, "error: the host has not mounted binfmt_misc: what is registered from this container would be gone when it exits")
		assert.Contains(t, r.Stderr, "docker run --privileged --pid=host")
		assert.False(t, isMounted(t, fs))
		_, err := execCombined(hello("arm64"))
		assert.ErrorContains(t, err, "exec format error")
	}
}

func TestWithTheHostsProcessesItIsMountedForTheHost(t *testing.T) {
	fs := unmounted(t)
	r := docker(t, forHost, multiarch, "arm64", "s390x")
	t.Cleanup(func() {
		if !isMounted(t, fs) {
			return
		}
		removeMade(t, fs, nil)
		require.NoError(t, fs.Unmount())
	})
	require.Equal(t, 0, r.Status, r.Stderr)
	assert.True(t, isMounted(t, fs), "still, although the container is gone")
	helloRuns(t, "arm64")
	helloRuns(t, "s390x")
}

// A failure after that leaves nothing mounted.
func TestWhatIsMountedForTheHostInVainIsUnmounted(t *testing.T) {
	fs := unmounted(t)
	r := docker(t, forHost, multiarch, "--qemu-path", "/nowhere", "arm64")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "no emulator found")
	assert.False(t, isMounted(t, fs))
}

func TestMissingPrivilegesAreNamed(t *testing.T) {
	unmounted(t)
	for _, test := range []struct {
		name  string
		flags []string
		err   string
		hint  string
	}{
		{"none", nil, "operation not permitted", "this requires CAP_SYS_ADMIN"},
		{"no capability", []string{"--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined"}, "operation not permitted", "this requires CAP_SYS_ADMIN"},
		{"another user", append([]string{"--user", "1000"}, least...), "operation not permitted", "in a container docker run --user 0 --privileged"},
		{"host's processes, not to be looked at", append([]string{"--pid=host"}, least...), "CAP_SYS_PTRACE", "--cap-add SYS_PTRACE"},
	} {
		r := docker(t, test.flags, multiarch, "arm64")
		assert.Equal(t, 1, r.Status, test.name)
		assert.Contains(t, r.Stderr, test.err, test.name)
		assert.Contains(t, r.Stderr, test.hint, test.name)
	}
}

func TestAReadOnlyProcSysIsNamed(t *testing.T) {
	fs := mounted(t)
	// As the host's mount appears in a container: bound, and read-only.
	r := docker(t, append([]string{"--volume", "/proc/sys/fs/binfmt_misc:/binfmt:ro"}, least...), multiarch, "--mount", "/binfmt", "arm64")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "read-only file system")
	assert.Contains(t, r.Stderr, "hint: /proc/sys is read-only")
	_, err := fs.Get("qemu-aarch64")
	assert.Error(t, err)
}

// The whole of --privileged is not needed, but does.
func TestPrivileged(t *testing.T) {
	fs := mounted(t)
	r := docker(t, []string{"--privileged"}, multiarch, "arm64")
	if strings.Contains(r.Stderr, "unable to apply caps") {
		t.Skip("this machine lacks a capability that docker run --privileged gives: ", r.Stderr)
	}
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Equal(t, "POF", flags(t, fs, "qemu-aarch64"))
	helloRuns(t, "arm64")
}

// state is what binfmt prints without arguments.
type state struct{ Supported, Emulators []string }

func stateOf(t *testing.T, r commands.Result) (s state) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &s), "%+v", r)
	return s
}
