package emulator

import (
	"os/exec"
)

// Option is how the running command is told of other emulators than those that it
// finds: hints name it.
var Option = "--qemu-path DIRECTORY"

// packages are what distributions call static emulators, by the command that
// installs them there.
var packages = []struct{ command, install string }{
	{"apt-get", "apt-get install qemu-user-static (qemu-user in Debian 13 and later)"},
	{"dnf", "dnf install qemu-user-static"},
	{"microdnf", "microdnf install qemu-user-static"},
	{"zypper", "zypper install qemu-linux-user"},
	{"pacman", "pacman -S qemu-user-static"},
	{"apk", "apk add qemu-aarch64 (or qemu- with another architecture's name)"},
}

// HowToInstall says how static emulators are installed here. An image may have no
// command for that.
func HowToInstall() string {
	for _, p := range packages {
		if _, err := exec.LookPath(p.command); err == nil {
			return p.install
		}
	}
	return "add static emulators of QEMU's to this image or system (qemu-user-static in most distributions)"
}
