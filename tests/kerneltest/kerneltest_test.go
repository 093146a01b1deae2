package kerneltest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// failing, in the environment, makes a test of this package fail: for all
// users, or for ordinary ones only.
const failing = "TEST_FAILING"

func TestMain(m *testing.M) { os.Exit(kerneltest.Main(m)) }

// ordinary reports whether an ordinary user runs this: root of a namespace with
// one user.
func ordinary() bool {
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.HasSuffix(strings.TrimSpace(string(ids)), " 1")
}

func TestTheInstanceIsEmptyAndMayBeChanged(t *testing.T) {
	kerneltest.Need(t)
	fs := binfmt.New("")
	entries, err := fs.List()
	require.NoError(t, err)
	assert.Empty(t, entries)
	require.NoError(t, fs.Register(binfmt.Entry{Name: "left", Extension: "left", Interpreter: "/bin/true"}))
	if os.Getenv(failing) == "" {
		require.NoError(t, fs.Remove("left"))
	}
	// Else it is left there, and the next user's run must find it gone.
}

func TestSomethingFails(t *testing.T) {
	switch os.Getenv(failing) {
	case "all":
		require.Fail(t, "asked for")
	case "ordinary":
		require.False(t, ordinary(), "asked for")
	case "":
		t.Skip("another test runs it")
	}
}

// again runs this package's tests again, from the start.
func again(t *testing.T, test, environment string) (string, error) {
	t.Helper()
	kerneltest.Need(t)
	if ordinary() {
		t.Skip("this user namespace has one user only: the run as root shows it")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$", "-test.v")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TEST_PHASE=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, failing+"="+environment)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestEachUsersInstanceIsAnother(t *testing.T) {
	out, err := again(t, "TestTheInstanceIsEmptyAndMayBeChanged", "none")
	require.NoError(t, err, out)
	assert.Equal(t, 2, strings.Count(out, "--- PASS: TestTheInstanceIsEmptyAndMayBeChanged"), "as root and as an ordinary user: %s", out)
	assert.NotContains(t, out, "SKIP")
}

func TestWhatFailsFailsForAll(t *testing.T) {
	out, err := again(t, "TestSomethingFails", "none")
	require.NoError(t, err, out)
	for _, who := range []string{"all", "ordinary"} {
		out, err := again(t, "TestSomethingFails", who)
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s: %s", who, out)
		assert.Equal(t, 1, exit.ExitCode())
		assert.Contains(t, out, "--- FAIL: TestSomethingFails")
	}
}
