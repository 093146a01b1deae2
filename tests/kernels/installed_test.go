package kernels

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// inPlaceOfLogin is what runs where the first login prompt would be shown. At the first boot
// it installs; at the second one all is to be there.
const inPlaceOfLogin = onTheConsole + `rootless() {
	runuser -u somebody -- env HOME=/home/somebody XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}
container() {
	rootless podman run --rm --network none --cgroups disabled "$@"
}
active() {
	for i in $(seq 60); do
		rootless systemctl --user is-active register-rootless && break
		sleep 1
	done >/dev/null 2>&1
}
if [ ! -e /played ]; then
	touch /played
	try "nothing runs" fails hello
	mount --bind /usr /usr && mount -o remount,bind,ro /usr
	try "/usr is read-only" fails touch /usr/written
	try "install" register --install-host --qemu-path /srv/emulators arm64
	[ ! -d /run/systemd ] || try "journal" journalctl --no-pager -q -n 20 -u register-watch -u proc-sys-fs-binfmt_misc.mount
	try "hello" hello
	echo -1 >/proc/sys/fs/binfmt_misc/status
	sleep 2
	try "hello after all was removed" hello
	if [ -d /home/somebody ]; then
		# Its manager is started at boot, as it lingers: that may take a while.
		for i in $(seq 60); do [ ! -S /run/user/1000/bus ] || break; sleep 1; done
		try "image" rootless podman import -q /srv/image.tar emulators
		try "no container runs" fails container emulators /hello
		try "a container registers" fails container --privileged emulators /register --qemu-path / riscv64
		try "rootless" rootless register --rootless --qemu-path /srv/emulators riscv64
		try "user's journal" journalctl --no-pager -q -n 20 _SYSTEMD_USER_UNIT=register-rootless.service
		try "container" container emulators /hello
		try "kill" rootless systemctl --user kill --kill-whom=all --signal=KILL register-rootless
		try "container after the kill" container emulators /hello
		active
		try "unit after the kill" rootless systemctl --user is-active register-rootless
	fi
	sync
	reboot
else
	try "hello at the first login" hello
	try "status at the first login" register --status arm64
	if [ -d /home/somebody ]; then
		# Services of users are started while there is a login prompt already.
		active
		try "container after the reboot" container emulators /hello
		try "rootless uninstall" rootless register --rootless --uninstall
	fi
	try "uninstall" register --uninstall-host
	try "left" find /opt /etc -name "*register*"
	sync
	poweroff
fi
`

// installable is a system with what inPlaceOfLogin needs.
func installable(t *testing.T, archive string) *system {
	t.Helper()
	s := unpackSystem(t, archive)
	s.write("usr/local/sbin/play", inPlaceOfLogin)
	s.build("usr/local/bin/register", "amd64", "../../cmd/register")
	s.build("usr/local/bin/hello", "arm64", "../testdata/hello")
	for _, goarch := range []string{"arm64", "riscv64"} {
		arch := kerneltest.Lookup(t, goarch)
		found, err := commands.Search().Find(arch)
		if err != nil {
			t.Skip(err)
		}
		commands.CopyFile(t, found.Path, s.path("srv/emulators/qemu-"+arch.Name+"-static"))
	}
	return s
}

func trixie(t *testing.T, name, packages string) string {
	t.Helper()
	return commands.Archive(t, name, func(path, mirror string) *exec.Cmd {
		return exec.Command("mmdebstrap", "--variant=minbase", "--include=linux-image-cloud-amd64,e2fsprogs,"+packages, "--architectures=amd64", "--format=tar", "trixie", path, mirror)
	})
}

// isInstalled sees that all that was installed runs at the next boot, before somebody can log in.
func isInstalled(t *testing.T, said map[string]string) {
	t.Helper()
	assert.Contains(t, said["/usr is read-only"], "Read-only file system")
	assert.Contains(t, said["install"], "installed /opt/register/bin/qemu-aarch64-static")
	for _, step := range []string{"hello", "hello after all was removed", "hello at the first login"} {
		assert.Contains(t, said[step], "hello from arm64", step)
	}
	assert.Contains(t, said["status at the first login"], "/opt/register/bin/qemu-aarch64-static")
	assert.Contains(t, said["uninstall"], "removed /opt/register/bin/register")
	assert.Empty(t, said["left"])
}

func TestAnInstalledServiceOfSystemdRegistersBeforeTheFirstLogin(t *testing.T) {
	needSystems(t)
	s := installable(t, trixie(t, "installed-systemd", "systemd-sysv,dbus-user-session,podman,uidmap,crun,fuse-overlayfs,passwd"))
	// Instead of a login prompt. It waits for what that waits for.
	s.write("etc/systemd/system/serial-getty@ttyS0.service.d/play.conf", "[Service]\nExecStart=\nExecStart=/usr/local/sbin/play\nRestart=no\nStandardInput=null\n")
	// Of user 1000, whose services are started at boot.
	s.run("chroot", s.root, "useradd", "--create-home", "--uid", "1000", "somebody")
	s.write("var/lib/systemd/linger/somebody", "")
	image := t.TempDir()
	for name, from := range map[string]string{"register": "usr/local/bin/register", "qemu-riscv64-static": "srv/emulators/qemu-riscv64-static"} {
		commands.CopyFile(t, filepath.Join(s.root, from), filepath.Join(image, name))
	}
	s.build("srv/hello", "riscv64", "../testdata/hello")
	commands.CopyFile(t, s.path("srv/hello"), filepath.Join(image, "hello"))
	s.run("tar", "-C", image, "-cf", s.path("srv/image.tar"), ".")
	said := s.boot("systemd.show_status=0")
	isInstalled(t, said)
	refused := said["a container registers"]
	assert.Contains(t, refused, "register: error: this container is in a user namespace")
	assert.Contains(t, refused, "register --rootless")
	t.Logf("journals: %s\n%s", said["journal"], said["user's journal"])
	for _, step := range []string{"container", "container after the kill", "container after the reboot"} {
		assert.Contains(t, said[step], "hello from riscv64", step)
	}
	assert.Equal(t, "active", strings.TrimSpace(said["unit after the kill"]))
}

func TestAnInstalledServiceOfOpenRCRegistersBeforeTheFirstLogin(t *testing.T) {
	needSystems(t)
	s := installable(t, trixie(t, "installed-openrc", "openrc,sysvinit-core"))
	// Instead of the login prompts, which init shows when the runlevel's services are started.
	inittab := commands.Read(t, s.path("etc/inittab"))
	var lines []string
	for line := range strings.Lines(inittab) {
		if !strings.Contains(line, "getty") {
			lines = append(lines, line)
		}
	}
	s.write("etc/inittab", strings.Join(lines, "")+"\nT0:2345:once:/usr/local/sbin/play\n")
	said := s.boot("")
	isInstalled(t, said)
	assert.Contains(t, said["install"], "installed /etc/init.d/register-watch")
}
