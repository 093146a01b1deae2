// Package rootless tests register --rootless with the Podman that is installed, as a user
// who is there for the test only.
package rootless

import (
	"fmt"
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

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Outside()
	os.Exit(commands.Main(m))
}

const uid = 4711

// A user has subordinate IDs, in files that are bound over the machine's in a mount namespace
// of each command's own.
type user struct {
	t   *testing.T
	dir string // their home
	etc string
}

func newUser(t *testing.T) *user {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("root makes a user")
	}
	for _, tool := range []string{"podman", "runc", "newuidmap", "fuse-overlayfs", "setpriv", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("rootless Podman: apt-get install podman runc uidmap fuse-overlayfs: ", err)
		}
	}
	u := &user{t, t.TempDir(), t.TempDir()}
	for _, dir := range []string{u.dir, u.etc, filepath.Dir(u.dir)} {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	const ids = "somebody:1000000:65536\n"
	for name, text := range map[string]string{
		"passwd": commands.Read(t, "/etc/passwd") + fmt.Sprintf("somebody:x:%d:%d::%s:/bin/sh\n", uid, uid, u.dir),
		"group":  commands.Read(t, "/etc/group") + fmt.Sprintf("somebody:x:%d:\n", uid), "subuid": ids, "subgid": ids,
	} {
		if _, err := os.Stat("/etc/" + name); err != nil {
			t.Skip("cannot be bound over: ", err)
		}
		require.NoError(t, os.WriteFile(filepath.Join(u.etc, name), []byte(text), 0o644))
	}
	require.NoError(t, os.Chown(u.dir, uid, uid))
	t.Cleanup(func() {
		// What belongs to subordinate IDs is removed among them.
		u.podman("unshare", "rm", "-rf", u.dir+"/.local")
		u.podman("system", "migrate") // ends the process that keeps the namespace
	})
	return u
}

// command is one that the user types.
func (u *user) command(args ...string) *exec.Cmd {
	const script = `for f in passwd group subuid subgid; do mount --bind "$0/$f" /etc/$f; done; mount --make-rshared /; exec "$@"`
	words := []string{"--mount", "--propagation", "private", "sh", "-ec", script, u.etc,
		"setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(uid), "--init-groups",
		"env", "-i", "HOME=" + u.dir, "XDG_RUNTIME_DIR=" + u.dir, "PATH=" + os.Getenv("PATH")}
	cmd := exec.Command("unshare", append(words, args...)...)
	cmd.Dir = u.dir
	return cmd
}

func (u *user) podman(args ...string) commands.Result {
	u.t.Helper()
	global := []string{"podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--log-level", "error"}
	return commands.Run(u.t, u.command(append(global, args...)...))
}

func (u *user) container(args ...string) commands.Result {
	u.t.Helper()
	return u.podman(append([]string{"run", "--rm", "--network", "none"}, args...)...)
}

// image imports an image with a program of s390x, and what registers riscv64.
func (u *user) image(hello string) {
	u.t.Helper()
	image, archive := u.t.TempDir(), filepath.Join(u.dir, "image.tar")
	riscv64 := commands.FindEmulator(u.t, kerneltest.Lookup(u.t, "riscv64"))
	for name, from := range map[string]string{"hello": hello, "register": filepath.Join(commands.Dir(), "register"), "qemu-riscv64-static": riscv64.Path} {
		commands.CopyFile(u.t, from, filepath.Join(image, name))
	}
	out, err := exec.Command("tar", "-C", image, "-cf", archive, ".").CombinedOutput()
	require.NoError(u.t, err, "%s", out)
	r := u.podman("import", "-q", archive, "emulators")
	if r.Status != 0 {
		u.t.Skip("rootless Podman does not work here: ", r.Stderr)
	}
}

// While register --rootless runs, so do all of the user's containers, whoever removes the
// entries. A container that would register itself fails, says how it is done, and hides nothing.
func TestRootlessPodmansContainersRunWhileItIsKept(t *testing.T) {
	arch := kerneltest.Lookup(t, "s390x")
	found := commands.FindEmulator(t, arch)
	u := newUser(t)
	u.image(commands.GoProgram(t, "hello", "s390x"))
	r := u.container("emulators", "/hello")
	if strings.Contains(r.Stderr, "cgroup") || strings.Contains(r.Stderr, "OCI runtime error") {
		t.Skip("rootless containers do not start here: ", r.Stderr)
	}
	require.NotZero(t, r.Status, "nothing runs it yet")

	cmd := u.command(filepath.Join(commands.Dir(), "register"), "--rootless", "--qemu-path", filepath.Dir(found.Path), "s390x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said commands.Output
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, <-ended, &said)
	}()
	until := func(event string, n int) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Count(said.String(), "event="+event) >= n }, time.Minute, 10*time.Millisecond, "%s: %s", event, &said)
	}
	until("registered", 1)
	runs := func(when string) {
		t.Helper()
		r := u.container("emulators", "/hello")
		assert.Contains(t, r.Stdout, "hello from s390x", "%s: %s", when, r.Stderr)
	}
	runs("registered")

	r = u.podman("unshare", "sh", "-c", "echo -1 >/proc/sys/fs/binfmt_misc/status")
	require.Zero(t, r.Status, r.Stderr)
	until("healed", 1)
	runs("healed")

	r = u.container("--privileged", "emulators", "/register", "--qemu-path", "/", "riscv64")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "register: error: this container is in a user namespace")
	assert.Contains(t, r.Stderr, "register --rootless ARCH")
	assert.NotContains(t, r.Stderr, "warning", "nothing is hidden, as nothing was mounted")
	runs("another one tried to register")
}
