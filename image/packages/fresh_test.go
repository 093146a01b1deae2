package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Of dpkg's and apt's own, of what runs, and of what is mounted here nothing is looked at.
const playInDebian = `set -eu
files() { find / -xdev \( -path /proc -o -path /dev -o -path /srv -o -path /run -o -path /tmp -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /var/lib/dpkg \) -prune -o -print | sort; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends qemu-user-static $TOOLS >/dev/null
files >/tmp/before
apt-get install -y -qq /srv/before.deb
[ -e /usr/share/crossrun/gone ]
crossrun --version
crossrun --doctor >/dev/null
! /srv/hello 2>/dev/null
crossrun /srv/hello
register arm64
/srv/hello registered
apt-get install -y -qq /srv/after.deb
[ ! -e /usr/share/crossrun ]
crossrun /srv/hello upgraded
/srv/hello still
eval "$LINT"
register --uninstall arm64
apt-get purge -y -qq crossrun
files >/tmp/after
diff /tmp/before /tmp/after
[ -z "$(dpkg-query -W -f '${Status}' crossrun 2>/dev/null)" ]
ls /proc/sys/fs/binfmt_misc
`

// helloOf returns a program for a GOARCH that says hello.
func helloOf(t *testing.T, goarch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hello")
	cmd := exec.Command("go", "build", "-o", path, "../../tests/testdata/hello")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// inRoot runs a script in a root file system as its root user, with a binfmt_misc of its
// own: what packages of emulators register is not seen outside.
func inRoot(t *testing.T, root, script string, env ...string) (said string) {
	t.Helper()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	cmd := exec.Command("sh", "-euc", `mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t binfmt_misc none "$1/proc/sys/fs/binfmt_misc"
mount --rbind /dev "$1/dev"
exec chroot "$1" sh -c "$2"`, "sh", root, script)
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true, Pdeathsig: syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// In fresh systems packages are installed by apt, run, upgraded and purged; then nothing is
// left of them, and dpkg has nothing to warn of.
func TestPackagesInFreshDebians(t *testing.T) {
	deb := packageOf(built(t)[0], "deb")
	if os.Getuid() != 0 {
		t.Skip("a package is installed by root")
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	if kerneltest.Native(t, kerneltest.Lookup(t, "arm64")) {
		t.Skip("arm64 is native here")
	}
	port := kerneltest.Lookup(t, runtime.GOARCH).Debian[0].Name
	for name, test := range map[string]struct {
		suite string
		files map[string]string
		tools string // packages that the rest needs
		lint  string // what else is to succeed
	}{
		"bookworm": {suite: "bookworm", tools: "mandoc", lint: "for page in crossrun register; do zcat /usr/share/man/man1/$page.1.gz | mandoc -T lint -W warning; done"},
		"trixie":   {suite: "trixie"},
		// Ubuntu's images have their own name, and leave manual pages out.
		"like Ubuntu": {suite: "trixie", lint: "[ ! -e /usr/share/man/man1/crossrun.1.gz ]", files: map[string]string{
			"etc/os-release":               "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"26.04\"\n",
			"etc/dpkg/dpkg.cfg.d/excludes": "path-exclude=/usr/share/man/*\npath-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			archive := commands.Archive(t, "packages-"+test.suite+"-"+port, func(path, mirror string) *exec.Cmd {
				return exec.Command("mmdebstrap", "--variant=minbase", "--architectures="+port, "--format=tar", test.suite, path, mirror)
			})
			root := t.TempDir()
			out, err := exec.Command("tar", "-C", root, "--exclude=./dev/*", "-xf", archive).CombinedOutput()
			require.NoError(t, err, "%s", out)
			for path, content := range test.files {
				require.NoError(t, os.RemoveAll(filepath.Join(root, path)))
				require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(content), 0o644))
			}
			commands.CopyFile(t, "/etc/resolv.conf", filepath.Join(root, "etc/resolv.conf"))
			commands.CopyFile(t, deb, filepath.Join(root, "srv/after.deb"))
			commands.CopyFile(t, before(t, built(t)[0], "deb"), filepath.Join(root, "srv/before.deb"))
			commands.CopyFile(t, helloOf(t, "arm64"), filepath.Join(root, "srv/hello"))
			said := inRoot(t, root, playInDebian, "TOOLS="+test.tools, "LINT="+test.lint)
			for _, want := range []string{"hello from arm64 1.414\n", `"registered"`, `"upgraded"`, `"still"`} {
				assert.Contains(t, said, want)
			}
			assert.NotContains(t, said, "dpkg: warning")
			assert.True(t, strings.HasSuffix(said, "\nregister\nstatus\n"), said)
		})
	}
}
