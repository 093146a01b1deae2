package commands

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/projectcalico/go-build/binfmt"
)

// systemdBinfmt are the places of the program behind systemd-binfmt.service.
var systemdBinfmt = []string{"/usr/lib/systemd/systemd-binfmt", "/lib/systemd/systemd-binfmt"}

// RestartSystemdBinfmt returns what `systemctl restart systemd-binfmt` executes (ExecStop,
// ExecStart), with a file for one entry, in a directory, instead of the machine's. Where
// systemd-binfmt is not installed it returns nil.
func RestartSystemdBinfmt(dir string, e binfmt.Entry) (func() *exec.Cmd, error) {
	i := slices.IndexFunc(systemdBinfmt, func(path string) bool { _, err := os.Stat(path); return err == nil })
	if i < 0 {
		return nil, nil
	}
	line, err := e.MarshalText()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, e.Name+".conf"), append(line, '\n'), 0o644); err != nil {
		return nil, err
	}
	const script = `for d in /etc/binfmt.d /usr/lib/binfmt.d /usr/local/lib/binfmt.d; do [ ! -d $d ] || mount --bind "$1" $d || exit; done
"$0" --unregister && exec "$0"`
	return func() *exec.Cmd {
		return exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, systemdBinfmt[i], dir)
	}, nil
}
