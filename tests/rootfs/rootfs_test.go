// Package rootfs plays with root file systems of other architectures, made from
// Debian's packages, as an ordinary user. Nothing is registered on the machine,
// neither to make them nor to run them.
package rootfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// nobody is the ordinary user, and their group, in Debian and Fedora alike.
const nobody = 65534

// run runs a command as nobody.
func run(t *testing.T, name string, args ...string) commands.Result {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return commands.Run(t, cmd)
}

// archiveOf returns the archive of a Debian of another architecture, which is made
// once, and kept.
func archiveOf(t *testing.T, crossrun, port string) string {
	t.Helper()
	return commands.Archive(t, port, func(path, mirror string) *exec.Cmd {
		// Its package scripts are foreign programs that start others.
		return exec.Command(crossrun, "--private", "mmdebstrap", "--variant=minbase", "--include=python3-minimal,make,perl",
			"--architectures="+port, "--format=tar", "stable", path, mirror)
	})
}

// system returns a directory with a Debian of another architecture that belongs
// to nobody.
func system(t *testing.T, crossrun, port string) string {
	t.Helper()
	archive := archiveOf(t, crossrun, port)
	dir, err := os.MkdirTemp("", "rootfs-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chown(dir, nobody, nobody))
	require.NoError(t, os.Chmod(dir, 0o755))
	file, err := os.Open(archive)
	require.NoError(t, err)
	defer file.Close()
	cmd := exec.Command("tar", "-C", dir, "--no-same-owner", "--exclude=./dev/*", "-x")
	cmd.Stdin = file
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

// built returns crossrun, where everybody can execute it.
func built(t *testing.T) string {
	t.Helper()
	bin, err := os.MkdirTemp("", "bin-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(bin) })
	require.NoError(t, os.Chmod(bin, 0o755))
	crossrun := filepath.Join(bin, "crossrun")
	build := exec.Command("go", "build", "-o", crossrun, "../../cmd/crossrun")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return crossrun
}

func TestDebianOfAnotherArchitecture(t *testing.T) {
	if os.Getenv("TEST_ROOTFS") == "" {
		t.Skip("makes systems of other architectures, which takes minutes: make test-rootfs")
	}
	if os.Geteuid() != 0 {
		t.Skip("becomes an ordinary user, which takes root")
	}
	crossrun := built(t)
	for _, port := range []string{"arm64", "s390x"} {
		t.Run(port, func(t *testing.T) {
			arch, err := elfmagic.Lookup(port)
			require.NoError(t, err)
			machine := arch.Uname[0]
			root := system(t, crossrun, port)
			in := func(args ...string) string {
				r := run(t, crossrun, append([]string{"--rootfs", root}, args...)...)
				require.Zero(t, r.Status, "%v: %s%s", args, r.Stdout, r.Stderr)
				return r.Stdout
			}
			assert.Equal(t, machine+"\n", in("uname", "-m"))
			assert.Equal(t, "0 0\n", in("sh", "-c", "echo $(id -u) $(id -g)"))
			assert.Contains(t, in("dpkg", "-l", "libc6"), " "+port+" ")
			assert.Equal(t, port+"\n", in("dpkg", "--print-architecture"))
			assert.Equal(t, "perl "+machine+"\n", in("perl", "-e", "print \"perl \", `uname -m`"))
			assert.Equal(t, machine+" b'"+port+"\\n'\n", in("python3", "-c", `import os, subprocess; print(os.uname().machine, subprocess.check_output(["sh", "-c", "dpkg --print-architecture | cat"]))`))
			assert.Regexp(t, `^apt \S+ \(`+port+`\)`, in("apt-get", "--version"))
			in("sh", "-c", "apt-get -qq -o APT::Sandbox::User=root check && apt-cache gencaches && apt-cache show dpkg >/dev/null")
			in("sh", "-c", "mkdir -p /tmp/repository && cd /tmp/repository && : >Packages && echo 'deb [trusted=yes] file:/tmp/repository ./' >/tmp/sources.list"+
				" && apt-get -qq -o APT::Sandbox::User=root -o Dir::Etc::SourceList=/tmp/sources.list -o Dir::Etc::SourceParts=/dev/null update")
			makefile := "all: a b\n\t@echo made on $$(uname -m)\na b:\n\t@sh -c 'echo $@ $$(dpkg --print-architecture)'\n"
			require.NoError(t, os.WriteFile(filepath.Join(root, "tmp/Makefile"), []byte(makefile), 0o644))
			assert.Equal(t, "a "+port+"\nb "+port+"\nmade on "+machine+"\n", in("make", "-f", "/tmp/Makefile"))
			assert.Contains(t, in("cat", "/proc/mounts"), " / ")
			in("sh", "-c", ": </dev/null && : >/dev/null && [ -c /dev/zero ] && [ -d /sys/kernel ]")

			// Outside of it, with its libraries: a foreign shell pipes foreign and
			// native programs, and a foreign make runs both.
			shell := filepath.Join(root, "usr/bin/dash")
			r := run(t, crossrun, "--sysroot", root, shell, "-c", `echo "native $(uname -s)" | `+root+`/usr/bin/tr a-z A-Z | cat; exit 37`)
			assert.Equal(t, commands.Result{Stdout: "NATIVE LINUX\n", Status: 37}, r)
			makefile = "all:\n\t@" + root + "/usr/bin/dash -c 'echo by a foreign shell'\n\t@echo by this machine\\'s\n"
			require.NoError(t, os.WriteFile(filepath.Join(root, "tmp/Makefile"), []byte(makefile), 0o644))
			r = run(t, crossrun, "--sysroot", root, root+"/usr/bin/make", "-f", root+"/tmp/Makefile")
			assert.Equal(t, commands.Result{Stdout: "by a foreign shell\nby this machine's\n"}, r)
			script := filepath.Join(root, "tmp/script")
			require.NoError(t, os.WriteFile(script, []byte("#!"+shell+"\n"+root+"/usr/bin/uname -s; uname -m; \"$0\".inner\n"), 0o755))
			require.NoError(t, os.WriteFile(script+".inner", []byte("#!"+root+"/usr/bin/perl\nprint \"inner\\n\";\n"), 0o755))
			r = run(t, crossrun, "--sysroot", root, script)
			require.Zero(t, r.Status, r.Stderr)
			lines := strings.Fields(r.Stdout)
			assert.Equal(t, []string{"Linux", lines[1], "inner"}, lines)
			assert.NotEqual(t, machine, lines[1], "the machine's own uname")

			r = run(t, crossrun, "--direct", "--sysroot", root, shell, "-c", root+"/usr/bin/uname")
			assert.NotZero(t, r.Status, "the emulator alone does not run what is started: %+v", r)
		})
	}
}
