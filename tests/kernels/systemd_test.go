package kernels

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/tests/commands"
)

// play is what the machine does at its first boot, and, with the files that register
// has written, at its second.
const play = onTheConsole + `# There is no machined to register with; the unit is this service's.
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
	needSystems(t)
	archive := commands.Archive(t, "systemd-container", func(path, mirror string) *exec.Cmd {
		return exec.Command("mmdebstrap", "--variant=minbase", "--include=systemd-sysv,systemd-container,qemu-user-static,linux-image-cloud-amd64,e2fsprogs",
			"--architectures=amd64", "--format=tar", "bookworm", path, mirror)
	})
	s := unpackSystem(t, archive)
	s.write("usr/local/sbin/play", play)
	s.write("etc/systemd/system/play.service", unit)
	s.link("../play.service", "etc/systemd/system/multi-user.target.wants/play.service")
	s.build("usr/local/bin/register", "amd64", "../../cmd/register")
	s.build("usr/local/bin/hello", "arm64", "../testdata/hello")
	s.run("mv", commands.BusyboxRoot(t, "arm64"), filepath.Join(s.root, "srv/arm64"))
	said := s.boot("systemd.show_status=0")
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
