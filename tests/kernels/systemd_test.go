package kernels

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// play is what the machine does at its first boot, and, with the files that register
// has written, at its second.
const play = `#!/bin/sh
exec >/dev/console 2>&1
try() {
	name=$1
	shift
	"$@" >/tmp/out 2>&1
	echo "PLAY $name: $?"
	sed 's/^/SAID /' /tmp/out
}
# There is no machined to register with; the unit is this service's.
container() {
	try "$1" systemd-nspawn --quiet --register=no --keep-unit --console=pipe -D /srv/arm64 /bin/sh -c 'uname -m; exec env -i A=B /bin/env'
}
try "systemd-binfmt is active" systemctl is-active systemd-binfmt
if [ ! -e /played ]; then
	touch /played
	try "hello with Debian's entries" hello
	try "register" register
	try "hello" hello
	container "container"
	try "restart" systemctl restart systemd-binfmt
	try "hello after the restart" hello
	try "register after the restart" register
	try "export" register --systemd ALL
	try "restart with files" systemctl restart systemd-binfmt
	try "status with files" register --status
	sync
	systemctl reboot
else
	try "hello after the reboot" hello
	container "container after the reboot"
	try "status after the reboot" register --status
	try "register after the reboot" register
	sync
	systemctl poweroff
fi
`

const unit = `[Unit]
After=systemd-binfmt.service multi-user.target
[Service]
Type=idle
ExecStart=/usr/local/sbin/play
[Install]
WantedBy=multi-user.target
`

// A Debian with systemd has entries of its own, which its service removes and makes
// anew when it is restarted: the first command that is typed there succeeds, then
// and ever after. What is registered runs in systemd-nspawn's containers, too.
func TestADebianWithSystemd(t *testing.T) {
	if os.Getenv("TEST_KERNELS") == "" {
		t.Skip("boots a virtual machine: make test-kernels")
	}
	if os.Geteuid() != 0 {
		t.Skip("unpacks a root file system with its owners: root does")
	}
	for _, tool := range []string{"mke2fs", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	archive := commands.Archive(t, "systemd-container", func(path, mirror string) *exec.Cmd {
		return exec.Command("mmdebstrap", "--variant=minbase", "--include=systemd-sysv,systemd-container,qemu-user-static,linux-image-cloud-amd64,e2fsprogs",
			"--architectures=amd64", "--format=tar", "bookworm", path, mirror)
	})
	dir := t.TempDir()
	root, disk := filepath.Join(dir, "root"), filepath.Join(dir, "disk")
	must := func(name string, args ...string) {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		require.NoError(t, err, "%s %q: %s", name, args, out)
	}
	require.NoError(t, os.Mkdir(root, 0o755))
	must("tar", "-C", root, "-xf", archive, "--exclude=./dev/*")
	for path, content := range map[string]string{"usr/local/sbin/play": play, "etc/systemd/system/play.service": unit} {
		require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(content), 0o755))
	}
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	require.NoError(t, os.MkdirAll(wants, 0o755))
	require.NoError(t, os.Symlink("../play.service", filepath.Join(wants, "play.service")))
	for path, build := range map[string][]string{"register": {"amd64", "../../cmd/register"}, "hello": {"arm64", "../testdata/hello"}} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(root, "usr/local/bin", path), build[1])
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+build[0])
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	must("mv", commands.BusyboxRoot(t, "arm64"), filepath.Join(root, "srv/arm64"))
	must("mke2fs", "-q", "-t", "ext4", "-d", root, disk, "1500M")
	boot := func(name string) string {
		t.Helper()
		paths, err := filepath.Glob(filepath.Join(root, "boot", name))
		require.NoError(t, err)
		require.Len(t, paths, 1)
		return paths[0]
	}

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-cpu", "max", "-m", "1024", "-nographic", "-nic", "none",
		"-kernel", boot("vmlinuz-*"), "-initrd", boot("initrd.img-*"), "-append", "root=/dev/vda rw console=ttyS0 loglevel=3 systemd.show_status=0",
		"-drive", "if=virtio,format=raw,file="+disk)
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	require.NoError(t, cmd.Run(), "%s", &console)

	said := map[string]string{} // by step
	step := ""
	for line := range strings.Lines(strings.ReplaceAll(console.String(), "\r", "")) {
		if _, name, ok := strings.Cut(line, "PLAY "); ok {
			name, status, _ := strings.Cut(strings.TrimSpace(name), ": ")
			assert.Equal(t, "0", status, name)
			step = name
			said[step] = ""
		} else if text, ok := strings.CutPrefix(line, "SAID "); ok {
			said[step] += text
		}
	}
	for _, name := range []string{"hello with Debian's entries", "hello", "hello after the restart", "hello after the reboot"} {
		assert.Contains(t, said[name], "hello from arm64", name)
	}
	for _, name := range []string{"container", "container after the reboot"} {
		assert.Equal(t, "aarch64\nA=B\n", said[name], name)
	}
	rows := func(step string) (list []string) {
		for line := range strings.Lines(said[step]) {
			if strings.HasPrefix(line, "linux/") {
				list = append(list, strings.TrimSpace(line))
			}
		}
		return list
	}
	for step, want := range map[string]string{
		"register": "runs", "register after the restart": "runs", "status with files": "runs",
		"status after the reboot": "runs", "register after the reboot": "kept, runs",
	} {
		assert.Greater(t, len(rows(step)), 20, "%s: %s", step, said[step])
		for _, row := range rows(step) {
			// What a version of QEMU does wrong comes last.
			assert.Regexp(t, want+"(, QEMU .*)?$", row, step)
		}
	}
	assert.Contains(t, said["register"], "qemu-microblaze", "whose entry is for an old machine number in Debian's files")
	t.Logf("%s", said["register after the reboot"])
}
