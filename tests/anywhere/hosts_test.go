package anywhere

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/machine"
)

// A host is a place in which crossrun is tried.
type host struct {
	name  string // as the tables have it
	note  string
	root  bool // chroot(2) is allowed
	small bool // it is a virtual machine without hardware support: what takes minutes is not tried

	// run runs a command line there, with these variables besides PATH, and returns
	// what it said.
	run func(t *testing.T, b bundle, env []string, argv ...string) string
}

// hostLimit is how long all checks of a way may take on a host.
const hostLimit = 90 * time.Minute

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// nobody has a command run as Debian's ordinary user without files.
func nobody(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

func hosts() []host {
	return []host{
		{
			name: "here", note: "this kernel, as an ordinary user, who may make user namespaces",
			run: func(t *testing.T, b bundle, env []string, argv ...string) string { return here(t, env, argv...) },
		},
		{
			name: "no user namespaces", note: "this kernel, as an ordinary user, with `user.max_user_namespaces=0`",
			run: func(t *testing.T, b bundle, env []string, argv ...string) string {
				// The limit is one of a user namespace, whose user has no capability in the end.
				limit := `echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all "$@"`
				return here(t, env, append([]string{"unshare", "--user", "--map-user=65534", "--map-group=65534", "--keep-caps", "sh", "-c", limit, "sh"}, argv...)...)
			},
		},
		{
			name: "docker run", note: "Docker's default profile and capabilities: `docker run --rm` without any flag but a volume and a tmpfs", root: true,
			run: func(t *testing.T, b bundle, env []string, argv ...string) string {
				return inDocker(t, b, nil, env, argv...)
			},
		},
		{
			name: "docker run, restricted", note: "`docker run --rm --user 1000 --cap-drop ALL --security-opt no-new-privileges --read-only --tmpfs /tmp:exec`",
			run: func(t *testing.T, b bundle, env []string, argv ...string) string {
				return inDocker(t, b, []string{"--user", "1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--tmpfs", "/tmp:exec", "--env", "TMPDIR=/tmp"}, env, argv...)
			},
		},
		virtual("Linux 5.10", "Debian 11's kernel, as an ordinary user", "bullseye", ""),
		virtual("Linux 6.1", "Debian 12's kernel, as an ordinary user", "bookworm", ""),
		virtual("AppArmor", "Debian 13's Linux 6.12, as an ordinary user whom AppArmor denies the capabilities of user namespaces, as Ubuntu does since 23.10 "+
			"(there by kernel.apparmor_restrict_unprivileged_userns, which only its kernels have; here by a profile)", "trixie",
			"printf '%s\\n' 'abi <abi/4.0>,' 'profile unprivileged_userns flags=(attach_disconnected) { allow all, audit deny capability, }' >/run/profile\n"+
				"apparmor_parser --replace /run/profile || exit\naa=aa-exec\n"),
	}
}

// virtual is a virtual machine, whose first process prepares it and runs the checks as
// nobody.
func virtual(name, note, suite, prepare string) host {
	return host{name: name, note: note + ", in a virtual machine", small: true, run: func(t *testing.T, b bundle, env []string, argv ...string) string {
		machineOf := []string{"qemu-system-x86_64", "-cpu", "max"}
		if _, err := exec.LookPath(machineOf[0]); err != nil {
			t.Skipf("%v: tests/kernels/install-tools installs it", err)
		}
		if runtime.GOARCH != "amd64" {
			t.Skip("its checks are programs of this machine's architecture, and the kernel is amd64's")
		}
		ctx, cancel := context.WithTimeout(t.Context(), hostLimit)
		defer cancel()
		dir := t.TempDir()
		kernel, _ := machine.Kernel(t, ctx, "amd64", suite, "linux-image-cloud-amd64", filepath.Join(dir, "kernel"))
		init := "#!/bin/sh\nexport " + path + "\n" +
			"mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev; mount -t securityfs securityfs /sys/kernel/security\n" +
			"trap 'echo o >/proc/sysrq-trigger; sleep 60' EXIT\necho 1 >/proc/sys/kernel/printk\nchmod 1777 /tmp; ln -s /proc/self/fd /dev/fd\n" + prepare +
			"setpriv --reuid 65534 --regid 65534 --clear-groups ${aa:+aa-exec -p unprivileged_userns} env"
		for _, word := range append(env, argv...) {
			init += " '" + word + "'"
		}
		initrd := filepath.Join(dir, "initrd")
		writeInitrd(t, initrd, b, init+" 2>&1\n")
		out := said(t, machine.Command(ctx, machineOf, kernel, initrd, "console=ttyS0"))
		return strings.ReplaceAll(out, "\r", "")
	}}
}

// writeInitrd writes a small Debian, with the bundle at its path but for what is not
// run in virtual machines.
func writeInitrd(t *testing.T, path string, b bundle, init string) {
	t.Helper()
	debianArchive := commands.Archive(t, "anywhere-small-"+runtime.GOARCH, func(path, mirror string) *exec.Cmd {
		return exec.Command("mmdebstrap", "--variant=minbase", "--include=make,apparmor", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--format=tar", "trixie", path, mirror)
	})
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	initrd := cpio.NewWriter(file)
	for _, archive := range []*exec.Cmd{
		exec.Command("cat", debianArchive),
		exec.Command("tar", "-C", "/", "-c", "--exclude=*/gotest", "--exclude=*/system", strings.TrimPrefix(b.dir, "/")),
	} {
		out, err := archive.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, archive.Start())
		require.NoError(t, machine.AppendTar(initrd, out))
		require.NoError(t, archive.Wait())
	}
	require.NoError(t, initrd.WriteHeader(&cpio.Header{Name: "init", Mode: cpio.TypeReg | 0o755, Size: int64(len(init))}))
	_, err = initrd.Write([]byte(init))
	require.NoError(t, err)
	require.NoError(t, initrd.Close())
}

// here runs a command on this machine as nobody.
func here(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hostLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{path}, env...)
	nobody(cmd)
	return said(t, cmd)
}

// said returns what a command wrote, on both streams.
func said(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(&out, os.Stderr)
	err := cmd.Run()
	require.NoError(t, err, "%s: %s", cmd, &out)
	return out.String()
}

// image is a container image with a Debian that can build and make.
var image = fmt.Sprintf("go-build-test-anywhere-%d", os.Getpid())

// makeImage makes it from Debian's packages, and removes it in the end.
func makeImage(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("Docker does not answer: %s", out)
	}
	archive := commands.Archive(t, "anywhere-"+runtime.GOARCH, func(path, mirror string) *exec.Cmd {
		return exec.Command("mmdebstrap", "--variant=minbase", "--include=make,gcc,libc6-dev,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross",
			"--format=tar", "bookworm", path, mirror)
	})
	out, err := exec.Command("docker", "import", archive, image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() {
		out, err := exec.Command("docker", "rmi", image).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
}

// inDocker runs a command in a container that has the bundle and Go at their paths.
func inDocker(t *testing.T, b bundle, flags, env []string, argv ...string) string {
	t.Helper()
	// Where Docker keeps its containers with fuse-overlayfs there can be no devices.
	args := []string{"run", "--rm", "--volume", b.dir + ":" + b.dir + ":ro", "--tmpfs", "/srv:exec,dev,suid,mode=1777", "--env", "TMPDIR=/srv"}
	if archive, err := filepath.EvalSymlinks(b.path("system/first-stage.tar")); err == nil {
		args = append(args, "--volume", archive+":"+archive+":ro")
	}
	for _, v := range env {
		if goroot, ok := strings.CutPrefix(v, "GOROOT="); ok {
			args = append(args, "--volume", goroot+":"+goroot+":ro")
		}
		args = append(args, "--env", v)
	}
	args = append(append(args, flags...), image)
	ctx, cancel := context.WithTimeout(t.Context(), hostLimit)
	defer cancel()
	return said(t, exec.CommandContext(ctx, "docker", append(args, argv...)...))
}
