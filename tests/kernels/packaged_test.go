package kernels

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// withThePackage is what runs where the first login prompt would be shown: at the first boot
// the package is installed and its service enabled, at the second one it is upgraded and purged.
const withThePackage = onTheConsole + `if [ ! -e /played ]; then
	touch /played
	try "nothing runs" fails hello
	try "install" dpkg --force-depends --install /srv/crossrun.deb
	try "it is not enabled" fails systemctl is-enabled register
	try "nothing runs yet" fails hello
	try "enable" systemctl enable --now register
	try "hello" hello
	sync
	reboot
else
	try "hello at the first login" hello
	try "is it active" systemctl is-active register
	try "upgrade" dpkg --force-depends --install /srv/crossrun.deb
	try "hello after the upgrade" hello
	try "is it still active" systemctl is-active register
	try "purge" dpkg --purge crossrun
	try "nothing runs any more" fails hello
	try "entries" ls /proc/sys/fs/binfmt_misc
	try "what is left" find / -xdev \( -name 'crossrun*' -o -name 'register.service*' -o -name 'register.1*' \) -not -path '/srv/*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/*'
	sync
	poweroff
fi
`

// The package's service registers at boot, keeps what it has registered through an upgrade,
// and takes it away when the package goes.
func TestThePackagesServiceRegistersAtBoot(t *testing.T) {
	needSystems(t)
	dirs := os.Getenv("TEST_PACKAGES")
	if dirs == "" {
		t.Skip("TEST_PACKAGES names no packages: make packages DIST_HOSTS=amd64 makes them")
	}
	arch := kerneltest.Lookup(t, "arm64")
	emulator := commands.FindEmulator(t, arch)
	s := unpackSystem(t, trixie(t, "packaged-systemd", "systemd-sysv"))
	s.write("usr/local/sbin/play", withThePackage)
	s.write("etc/systemd/system/serial-getty@ttyS0.service.d/play.conf", "[Service]\nExecStart=\nExecStart=/usr/local/sbin/play\nRestart=no\nStandardInput=null\n")
	s.build("usr/local/bin/hello", "arm64", "../testdata/hello")
	commands.CopyFile(t, emulator.Path, s.path("usr/bin/qemu-"+arch.Name+"-static"))
	commands.CopyFile(t, filepath.Join(strings.Split(dirs, ":")[0], "crossrun-linux-amd64.deb"), s.path("srv/crossrun.deb"))
	said := s.boot("systemd.show_status=0")
	for _, step := range []string{"hello", "hello at the first login", "hello after the upgrade"} {
		assert.Contains(t, said[step], "hello from arm64", step)
	}
	for _, step := range []string{"is it active", "is it still active"} {
		assert.Equal(t, "active", strings.TrimSpace(said[step]), step)
	}
	assert.Equal(t, "register\nstatus", strings.TrimSpace(said["entries"]))
	assert.Empty(t, said["what is left"])
}
