package gobuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// environment returns docker run's flags for environment variables.
func environment(variables ...string) []string {
	var flags []string
	for _, v := range variables {
		flags = append(flags, "--env", v)
	}
	return flags
}

// Files that a command writes to a volume are the caller's.
func TestFilesBelongToTheCaller(t *testing.T) {
	tested(t)
	for _, test := range []struct {
		environment []string
		uid         uint32
	}{
		{nil, 9001},
		{[]string{"LOCAL_USER_ID=1234"}, 1234},
		{[]string{"LOCAL_USER_ID=33"}, 33}, // Debian's www-data
		{[]string{"LOCAL_USER_ID=0"}, 0},
		{[]string{"RUN_AS_ROOT=true"}, 0},
		{[]string{"RUN_AS_ROOT=true", "LOCAL_USER_ID=1234"}, 0},
		{[]string{"RUN_AS_ROOT=false", "LOCAL_USER_ID=1234"}, 1234},
	} {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o777))
		said := prints(t, append(environment(test.environment...), "--volume", dir+":/src"), "sh", "-c", "touch /src/file; id -u")
		assert.Equal(t, strconv.Itoa(int(test.uid)), said, test.environment)
		info, err := os.Stat(filepath.Join(dir, "file"))
		require.NoError(t, err)
		owner := info.Sys().(*syscall.Stat_t)
		assert.Equal(t, test.uid, owner.Uid, test.environment)
		assert.Equal(t, test.uid, owner.Gid, test.environment)
	}
}

func TestUserHasAHomeAndCaches(t *testing.T) {
	said := prints(t, environment("LOCAL_USER_ID=1234"), "sh", "-c", `echo "$HOME"; touch ~/file && stat -c %u ~/file; go env GOPATH GOTOOLCHAIN GOCACHE GOMODCACHE; mkdir -p "$(go env GOCACHE)" && touch /go/file /go/bin/file "$(go env GOCACHE)/file" && echo writable`)
	assert.Equal(t, "/home/user\n1234\n/go\nlocal\n/caches/go-build-cache/1234\n/caches/go-mod-cache\nwritable",
		strings.Replace(said, "/caches/go-mod-cache/1234", "/caches/go-mod-cache", 1))
	assert.Equal(t, "/root", prints(t, environment("RUN_AS_ROOT=true"), "sh", "-c", "echo ~"))
	assert.Equal(t, "/elsewhere", prints(t, environment("GOCACHE=/elsewhere"), "go", "env", "GOCACHE"), "the caller's choice stays")
}

func TestExtraGroup(t *testing.T) {
	assert.Equal(t, "1234 4321", prints(t, environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=4321"), "id", "-G"), "a new one")
	assert.Equal(t, "1234 33", prints(t, environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=33"), "id", "-G"), "one of Debian's")
	assert.Equal(t, "1234 0", prints(t, environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=0"), "id", "-G"), "root's")
	assert.Equal(t, "1234", prints(t, environment("LOCAL_USER_ID=1234"), "id", "-G"), "none")

	dir := t.TempDir() // its group may write to it, others not
	require.NoError(t, os.Chown(dir, 0, 4321))
	require.NoError(t, os.Chmod(dir, 0o770))
	flags := append(environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=4321"), "--volume", dir+":/src")
	assert.Equal(t, "1234 1234", prints(t, flags, "sh", "-c", "touch /src/file && stat -c '%u %g' /src/file"))
}

func TestBadIDsAreErrors(t *testing.T) {
	tested(t)
	for variable, hint := range map[string]string{
		"LOCAL_USER_ID=me": "LOCAL_USER_ID=$(id -u)", "LOCAL_USER_ID=-1": "LOCAL_USER_ID=$(id -u)", "EXTRA_GROUP_ID=docker": "EXTRA_GROUP_ID=$(id -u)",
	} {
		r := container(t, environment(variable), "echo", "ran")
		assert.Equal(t, 125, r.Status, variable)
		assert.Empty(t, r.Stdout)
		assert.Equal(t, "entrypoint: error: "+variable+" is not a number\nentrypoint: hint: "+hint+" is usual\n", r.Stderr)
	}
}

// A user whom docker run names is left alone, whoever that is.
func TestDockersUserStays(t *testing.T) {
	assert.Equal(t, "5678 8765", prints(t, []string{"--user", "5678:8765", "--env", "LOCAL_USER_ID=1"}, "sh", "-c", "echo $(id -u) $(id -g)"))
}

// The command takes the entrypoint's place.
func TestCommandIsTheContainersFirstProcess(t *testing.T) {
	for _, variable := range []string{"LOCAL_USER_ID=1234", "RUN_AS_ROOT=true"} {
		assert.Equal(t, "1", prints(t, environment(variable), "sh", "-c", "echo $$"), variable)
		assert.Equal(t, 37, container(t, environment(variable), "sh", "-c", "exit 37").Status, variable)
		assert.Equal(t, 137, container(t, environment(variable), "bash", "-c", "(kill -9 $BASHPID); exit $?").Status, variable)
	}
	r := container(t, nil, "no-such-command")
	assert.Equal(t, 127, r.Status)
	assert.Contains(t, r.Stderr, "no-such-command")
}

func TestASignalIsTheCommands(t *testing.T) {
	name := "go-build-test-" + strconv.Itoa(os.Getpid())
	cmd := exec.Command("docker", "run", "--rm", "--name", name, "--network", "none", tested(t),
		"bash", "-c", `trap 'echo stopped; exit 42' TERM; echo started; while :; do sleep 0.1; done`)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer exec.Command("docker", "rm", "--force", name).Run()
	buffer := make([]byte, len("started\n"))
	_, err = out.Read(buffer)
	require.NoError(t, err)
	require.Equal(t, "started\n", string(buffer))
	start := time.Now()
	require.Zero(t, run(t, "docker", "stop", "--time", "60", name).Status)
	rest := make([]byte, 100)
	n, _ := out.Read(rest)
	assert.Equal(t, "stopped\n", string(rest[:n]))
	err = cmd.Wait()
	assert.Equal(t, 42, cmd.ProcessState.ExitCode(), "%v", err)
	assert.Less(t, time.Since(start), 50*time.Second, "it was not killed in the end")
}

// A container that is started again finds the user there.
func TestAContainerCanBeStartedAgain(t *testing.T) {
	name := "go-build-again-" + strconv.Itoa(os.Getpid())
	r := run(t, "docker", "run", "--name", name, "--network", "none", "--env", "LOCAL_USER_ID=1234", "--env", "EXTRA_GROUP_ID=4321", tested(t), "id")
	defer exec.Command("docker", "rm", "--force", name).Run()
	require.Zero(t, r.Status, r.Stderr)
	again := run(t, "docker", "start", "--attach", name)
	assert.Zero(t, again.Status, again.Stderr)
	assert.Equal(t, r.Stdout, again.Stdout)
}

func TestRegisterIsRootAlways(t *testing.T) {
	for _, command := range []string{"register", "/usr/bin/register", "/usr/local/bin/register"} {
		if container(t, nil, "test", "-x", command).Status != 0 && command != "register" {
			continue
		}
		// Without privilege it gets as far as root does.
		r := container(t, environment("LOCAL_USER_ID=1234"), command, "--status")
		root := container(t, environment("RUN_AS_ROOT=true"), command, "--status")
		assert.Equal(t, root, r, command)
	}
}
