package single

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// BuildKit executes its copy of the file with what a step runs, which is looked up in
// PATH. What is written there comes to be in the image.
func TestInBuildKitsContainersNothingIsKept(t *testing.T) {
	kerneltest.Need(t)
	const name = "/dev/.buildkit_qemu_emulator"
	root := bare(t)
	commands.CopyFile(t, single(t, "crossrun"), filepath.Join(root, name))
	require.NoError(t, os.Remove(filepath.Join(root, "crossrun")))
	in := func(args ...string) commands.Result {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = "/", []string{"HOME=/", "PATH=/"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		return commands.Run(t, cmd)
	}
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", "hello", "-v", "--help")}, in("hello", "-v", "--help"))
	assert.Equal(t, commands.Result{Status: 1}, in("/false"))
	assert.Contains(t, in("-v").Stderr, "-v: not found in PATH", "it has no flags")
	assert.NoDirExists(t, filepath.Join(root, ".cache"))

	// With /proc what it starts is watched: no namespace is made in a chroot.
	arm64, s390x := commands.Foreigners(t)
	commands.CopyFile(t, arm64, filepath.Join(root, "arm64"))
	commands.CopyFile(t, s390x, filepath.Join(root, "s390x"))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "proc"), 0o755))
	require.NoError(t, unix.Mount("/proc", filepath.Join(root, "proc"), "", unix.MS_BIND|unix.MS_REC, ""))
	defer unix.Unmount(filepath.Join(root, "proc"), unix.MNT_DETACH)
	require.NoError(t, os.Symlink("/proc/self/fd", filepath.Join(root, "dev/fd")))
	want := "started by arm64\nstarted by s390x\n" + commands.GoSaying("arm64", "/hello")
	assert.Equal(t, commands.Result{Stdout: want}, in("/arm64", "/s390x", "/hello"))
	assert.NoDirExists(t, filepath.Join(root, ".cache"))
}

func TestLinksForBuildKitAreForWhatIsInside(t *testing.T) {
	kerneltest.Need(t)
	dir := t.TempDir()
	r := commands.Run(t, exec.Command(single(t, "crossrun"), "--link", dir, "--names", "buildkit"))
	assert.Equal(t, commands.Result{Stdout: dir + "/buildkit-qemu-aarch64\n" + dir + "/buildkit-qemu-s390x\n"}, r)
	hello := commands.GoHello(t, "s390x")
	cmd := exec.Command(filepath.Join(dir, "buildkit-qemu-s390x"), hello, "-x")
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("s390x", hello, "-x")}, commands.Run(t, cmd))
}

func TestADamagedCommandSaysSo(t *testing.T) {
	kerneltest.Need(t)
	damaged := filepath.Join(t.TempDir(), "crossrun")
	host := kerneltest.Lookup(t, runtime.GOARCH).Name
	commands.CopyFile(t, single(t, "crossrun"), damaged, "emulators-2 "+host+"\n", "emulators-9 "+host+"\n")
	r := commands.Run(t, exec.Command(damaged, "--version"))
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "crossrun: error: this command is damaged: the emulators in it: not an archive of emulators\ncrossrun: hint: copy or download it again\n")
	assert.NotContains(t, r.Stderr, "goroutine")
}
