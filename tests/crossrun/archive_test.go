package crossrun

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// systemArchive returns a tar archive of a system that has two programs of arm64.
func systemArchive(t *testing.T) string {
	t.Helper()
	commands.Foreigners(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	system := filepath.Join(dir, "system")
	commands.CopyFile(t, commands.GoProgram(t, "counter", "arm64"), filepath.Join(system, "bin", "counter"))
	commands.CopyFile(t, commands.GoProgram(t, "starter", "s390x"), filepath.Join(system, "bin", "starter"))
	require.NoError(t, os.WriteFile(filepath.Join(system, "lines"), []byte("first\n"), 0o644))
	archive := filepath.Join(dir, "system.tar.gz")
	out, err := exec.Command("tar", "-C", system, "-czf", archive, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return archive
}

func TestAnArchiveIsATemplate(t *testing.T) {
	kerneltest.Instance(t)
	archive := systemArchive(t)
	cache := t.TempDir()
	require.NoError(t, os.Chmod(cache, 0o700))
	run := func(args ...string) commands.Result {
		cmd := commands.Command("crossrun", args...)
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
		return commands.Run(t, cmd)
	}
	for range 2 {
		assert.Equal(t, commands.Result{Stdout: "started by s390x\narm64 2 <nil>\n"}, run("--rootfs", archive, "starter", "/bin/counter", "/lines"), "no run sees what another wrote")
	}
	assert.Equal(t, "arm64 1 <nil>\n", run("--rootfs", archive, "counter", "/new").Stdout)
	trees, err := filepath.Glob(filepath.Join(cache, "crossrun", "rootfs", "sha256-*"))
	require.NoError(t, err)
	require.Len(t, trees, 1)
	assert.Equal(t, "first\n", commands.Read(t, filepath.Join(trees[0], "lines")))
	for _, name := range []string{"new", "proc", "dev", "sys"} {
		assert.NoFileExists(t, filepath.Join(trees[0], name))
		assert.NoDirExists(t, filepath.Join(trees[0], name))
	}

	r := run("--print", "--rootfs", archive, "counter", "/lines")
	assert.Equal(t, filepath.Join(commands.Dir(), "crossrun")+" --rootfs "+archive+" counter /lines\n", r.Stdout)
	r = run("-v", "--rootfs", archive, "counter", "/lines")
	assert.Contains(t, r.Stderr, "of which no change is kept")
	r = run("--rootfs", trees[0], "counter", "/lines")
	assert.Equal(t, "arm64 2 <nil>\n", r.Stdout, r.Stderr)
	assert.Equal(t, "first\nline\n", commands.Read(t, filepath.Join(trees[0], "lines")), "a directory is none")
}

// What an archive was before is removed, but not while something runs in it.
func TestWhatAnArchiveWasGoesWhenNothingRunsInIt(t *testing.T) {
	kerneltest.Instance(t)
	archive := systemArchive(t)
	system := filepath.Join(filepath.Dir(archive), "system")
	commands.CopyFile(t, commands.GoProgram(t, "sleeper", "arm64"), filepath.Join(system, "bin", "sleeper"))
	cache := t.TempDir()
	require.NoError(t, os.Chmod(cache, 0o700))
	command := func(args ...string) *exec.Cmd {
		cmd := commands.Command("crossrun", append([]string{"--rootfs", archive}, args...)...)
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
		return cmd
	}
	change := func(content string) {
		require.NoError(t, os.WriteFile(filepath.Join(system, "lines"), []byte(content), 0o644))
		out, err := exec.Command("tar", "-C", system, "-czf", archive, ".").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	trees := func() int {
		list, err := filepath.Glob(filepath.Join(cache, "crossrun", "rootfs", "sha256-*"))
		require.NoError(t, err)
		return len(list)
	}
	change("1\n")
	sleeping := command("starter", "/bin/sleeper")
	stdout, err := sleeping.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, sleeping.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "started by s390x\n", line)
	change("1\n2\n")
	assert.Equal(t, "arm64 3 <nil>\n", commands.Run(t, command("counter", "/lines")).Stdout)
	assert.Equal(t, 2, trees())
	require.NoError(t, sleeping.Process.Kill())
	_ = sleeping.Wait()
	change("1\n2\n3\n")
	assert.Equal(t, "arm64 4 <nil>\n", commands.Run(t, command("counter", "/lines")).Stdout)
	assert.Equal(t, 1, trees())
}

func TestArchivesThatAreNone(t *testing.T) {
	kerneltest.Instance(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("text"), 0o644))
	r := commands.Crossrun(t, "--rootfs", text, "sh")
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "crossrun: error: --rootfs: "+text+": no whole tar archive: unexpected EOF\ncrossrun: hint: --rootfs takes a directory, a tar archive")
	r = commands.Crossrun(t, "--rootfs", t.TempDir(), "--platform", "arm64", "sh")
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "--platform is for an image")
	r = commands.Crossrun(t, "--rootfs", "/dev/null", "sh")
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "--rootfs: /dev/null is not a directory")
}
