package images

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// podman returns what runs rootless Podman as a user that has subordinate IDs, with
// images and containers in a directory of the test's.
func podman(t *testing.T) func(args ...string) commands.Result {
	t.Helper()
	need(t)
	for _, tool := range []string{"podman", "runc", "newuidmap", "fuse-overlayfs"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("rootless Podman: apt-get install podman runc uidmap fuse-overlayfs: ", err)
		}
	}
	text, err := os.ReadFile("/etc/subuid")
	if err != nil {
		t.Skip(err)
	}
	var who *user.User
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, ":")
		if who, err = user.Lookup(name); err == nil {
			break
		}
	}
	if who == nil {
		t.Skip("no user has subordinate IDs in /etc/subuid: useradd makes one")
	}
	uid, err := strconv.Atoi(who.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(who.Gid)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "podman-")
	require.NoError(t, err)
	require.NoError(t, os.Chown(dir, uid, gid))
	run := func(args ...string) commands.Result {
		t.Helper()
		cmd := exec.Command("podman", slices.Concat([]string{"--root", dir + "/storage", "--runroot", dir + "/run", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--log-level", "error"}, args)...)
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return commands.Run(t, cmd)
	}
	t.Cleanup(func() {
		// What belongs to subordinate IDs is removed among them.
		run("unshare", "rm", "-rf", dir+"/storage", dir+"/run")
		run("system", "migrate") // ends the process that keeps the namespace
		assert.NoError(t, os.RemoveAll(dir))
	})
	for name, from := range map[string]string{"hello-s390x": hello("s390x"), "hello-arm64": hello("arm64"), "qemu-s390x-static": installed("s390x"), "qemu-aarch64-static": installed("aarch64")} {
		commands.CopyFile(t, from, filepath.Join(dir, "image", name))
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "image", "register"), "../../cmd/register")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, exec.Command("tar", "-C", filepath.Join(dir, "image"), "-cf", filepath.Join(dir, "image.tar"), ".").Run())
	require.NoError(t, exec.Command("chmod", "-R", "a+rX", dir).Run())
	r := run("import", "-q", filepath.Join(dir, "image.tar"), "emulators")
	require.Equal(t, 0, r.Status, r.Stderr)
	return func(args ...string) commands.Result {
		t.Helper()
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "DIR", dir)
		}
		return run(args...)
	}
}

// A container of rootless Podman's cannot register for others, and says so; the user's
// namespace can, by podman unshare, and then all of the user's containers run the
// programs.
// installed returns the path of Debian's emulator, whose name depends on the release.
func installed(arch string) string {
	path := "/usr/bin/qemu-" + arch
	if _, err := os.Stat(path + "-static"); err == nil {
		path += "-static"
	}
	return path
}

func TestRootlessPodman(t *testing.T) {
	podman := podman(t)
	container := func(args ...string) commands.Result {
		t.Helper()
		return podman(append([]string{"run", "--rm", "--network", "none"}, args...)...)
	}
	inContainer := func(args ...string) commands.Result {
		t.Helper()
		return container(append([]string{"--privileged", "emulators", "/register", "--qemu-path", "/"}, args...)...)
	}

	r := container("emulators", "/hello-s390x")
	if strings.Contains(r.Stderr, "cgroup") || strings.Contains(r.Stderr, "OCI runtime error") {
		t.Skip("rootless containers do not start here: ", r.Stderr)
	}
	require.NotEqual(t, 0, r.Status)
	for _, args := range [][]string{{"s390x"}, {}, {"--reset"}} {
		r := inContainer(args...)
		assert.Equal(t, 1, r.Status, "it would be gone with the container")
		assert.Contains(t, r.Stderr, "register: error: this container is in a user namespace")
		assert.Contains(t, r.Stderr, "podman unshare register")
	}
	assert.Contains(t, inContainer("--status").Stdout, "no entries can be seen, and no other architecture's programs run")

	// The way that works.
	r = podman("unshare", "DIR/image/register", "--qemu-path", "/usr/bin", "s390x")
	require.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "added, runs")
	for _, flags := range [][]string{nil, {"--userns", "keep-id"}} {
		r = container(append(flags, "emulators", "/hello-s390x")...)
		assert.Equal(t, 0, r.Status, r.Stderr)
		assert.Contains(t, r.Stdout, "hello from s390x")
	}
	assert.NotEqual(t, 0, container("emulators", "/hello-arm64").Status)

	// Containers see that it runs, and take nothing away.
	r = inContainer("--status")
	assert.Equal(t, 0, r.Status)
	assert.Regexp(t, `linux/s390x .*its entry cannot be seen from here, runs`, r.Stdout)
	r = inContainer("s390x")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "left alone (it runs, by an entry that cannot be seen from here)")
	assert.Equal(t, 1, inContainer("arm64").Status)
	assert.Equal(t, 0, container("emulators", "/hello-s390x").Status, "still")

	require.Equal(t, 0, podman("unshare", "DIR/image/register", "--uninstall").Status)
	assert.NotEqual(t, 0, container("emulators", "/hello-s390x").Status)
}

// What register --rootless runs in the foreground keeps a user's containers running.
func TestRootlessPodmanIsKept(t *testing.T) {
	podman := podman(t)
	const script = `DIR/image/register --watch --own-instance --uninstall-on-exit s390x & pid=$!
wait_for() { i=0; until [ -e /proc/sys/fs/binfmt_misc/qemu-s390x ] || [ $((i += 1)) = 300 ]; do sleep 0.1; done; }
wait_for; echo -1 > /proc/sys/fs/binfmt_misc/qemu-s390x; wait_for
podman --root DIR/storage --runroot DIR/run --cgroup-manager cgroupfs --runtime runc run --rm --network none emulators /hello-s390x
kill $pid; wait $pid`
	r := podman("unshare", "sh", "-c", script)
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "hello from s390x", r.Stderr)
}

// Buildah's and Podman's builds for other platforms run what is registered so: the
// programs that they copy, and those of the platform's own systems.
func TestRootlessBuildsForOtherPlatforms(t *testing.T) {
	podman := podman(t)
	require.Equal(t, 0, podman("unshare", "DIR/image/register", "--qemu-path", "/usr/bin", "arm64", "s390x").Status)
	build := func(containerfile, platforms string, tool ...string) commands.Result {
		t.Helper()
		r := podman("unshare", "sh", "-c", `printf "$1" >DIR/Containerfile`, "sh", containerfile)
		require.Equal(t, 0, r.Status, r.Stderr)
		r = podman(append(tool, "build", "--platform", platforms, "--isolation", "chroot", "--manifest", fmt.Sprint("built-", len(tool)), "-f", "DIR/Containerfile", "DIR/image")...)
		assert.Equal(t, 0, r.Status, r.Stderr)
		return r
	}
	tools := [][]string{nil} // Podman itself
	if _, err := exec.LookPath("buildah"); err == nil {
		tools = append(tools, []string{"unshare", "buildah", "--root", "DIR/storage", "--runroot", "DIR/run"})
	} else {
		t.Log("without Buildah: ", err)
	}
	r := build(`FROM scratch\nCOPY hello-s390x /\nRUN ["/hello-s390x"]\n`, "linux/s390x")
	assert.Contains(t, r.Stdout, "hello from s390x")

	for _, goarch := range []string{"arm64", "s390x"} {
		archive := filepath.Join(t.TempDir(), "system.tar")
		require.NoError(t, exec.Command("tar", "-C", commands.BusyboxRoot(t, goarch), "-cf", archive, ".").Run())
		for _, dir := range []string{filepath.Dir(archive), filepath.Dir(filepath.Dir(archive))} {
			require.NoError(t, os.Chmod(dir, 0o755)) // for the user
		}
		r := podman("import", "-q", "--arch", goarch, "--change", "ENV=PATH=/bin", archive, "system-"+goarch)
		require.Equal(t, 0, r.Status, r.Stderr)
	}
	for _, tool := range tools {
		r := build(`ARG TARGETARCH\nFROM localhost/system-$TARGETARCH\nRUN echo "built on $(uname -m)"\n`, "linux/arm64,linux/s390x", tool...)
		assert.Contains(t, r.Stdout, "built on aarch64\n")
		assert.Contains(t, r.Stdout, "built on s390x\n")
	}
}
