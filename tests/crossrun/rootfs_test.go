package crossrun

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// smallRoot returns a root file system that has these programs, under the ends of
// their names.
func smallRoot(t *testing.T, programs ...string) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	for _, dir := range []string{"proc", "sys", "dev", "etc", "tmp", "usr/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for _, program := range programs {
		commands.CopyFile(t, program, filepath.Join(root, "usr/bin", filepath.Base(program)))
	}
	return root
}

// What a command leaves behind ends with it, and holds nobody up who reads its
// output to the end.
func TestNothingIsLeftInARootFileSystem(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	root := smallRoot(t, commands.GoProgram(t, "forker", "arm64"), commands.GoProgram(t, "sleeper", "arm64"))
	start := time.Now()
	r := commands.Crossrun(t, "--rootfs", root, "forker-arm64", "/usr/bin/sleeper-arm64")
	assert.Less(t, time.Since(start), time.Minute)
	assert.Equal(t, 3, r.Status, r.Stderr)
	assert.Equal(t, "left behind\n", r.Stdout)
	assert.Empty(t, children(t))
	out, err := exec.Command("pgrep", "-f", "sleeper-arm64").Output()
	assert.Error(t, err, "%s", out)
}

// A shell of a script has its terminal back when an interactive program ends.
func TestTheTerminalComesBack(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	root := smallRoot(t, commands.GoProgram(t, "looker", "arm64"))
	term := interactive(t)
	term.send("sh -c '" + commands.Command("crossrun").Path + " --rootfs " + root + " looker-arm64; read word; echo got $word'\n")
	term.expect("\r\n0 0 / ")
	term.send("it\n")
	term.expect("\r\ngot it")
}

// -v says who the users are, and why there are not more.
func TestARootFileSystemSaysItsUsers(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	root := smallRoot(t, commands.GoProgram(t, "looker", "arm64"))
	r := commands.Crossrun(t, "-v", "--rootfs", root, "looker-arm64")
	require.Zero(t, r.Status, r.Stderr)
	assert.Contains(t, r.Stderr, root+" is its root file system, with this machine's users (")
	assert.True(t, strings.HasPrefix(r.Stdout, "0 0 / "), r.Stdout)
}
