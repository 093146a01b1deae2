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
)

// onTheConsole begins the scripts that machines play: try tells there how a command ended,
// and what it said.
const onTheConsole = `#!/bin/sh
exec >/dev/console 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
try() {
	name=$1
	shift
	"$@" >/tmp/out 2>&1
	echo "PLAY $name: $?"
	sed 's/^/SAID /' /tmp/out
}
fails() { ! "$@"; }
`

// needSystems skips where no systems of Debian's can be made and booted.
func needSystems(t *testing.T) {
	t.Helper()
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
}

// A system is a root file system of Debian's for amd64, with a kernel, that is to be booted.
type system struct {
	t    *testing.T
	root string
}

func unpackSystem(t *testing.T, archive string) *system {
	t.Helper()
	s := &system{t, filepath.Join(t.TempDir(), "root")}
	require.NoError(t, os.Mkdir(s.root, 0o755))
	s.run("tar", "-C", s.root, "-xf", archive, "--exclude=./dev/*")
	return s
}

func (s *system) run(name string, args ...string) {
	s.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(s.t, err, "%s %q: %s", name, args, out)
}

// path returns a file's, whose directory is there.
func (s *system) path(name string) string {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	return path
}

func (s *system) write(name, content string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.path(name), []byte(content), 0o755))
}

func (s *system) link(to, name string) {
	s.t.Helper()
	require.NoError(s.t, os.Symlink(to, s.path(name)))
}

// build builds a Go program into the system.
func (s *system) build(name, goarch, source string) {
	s.t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-o", s.path(name), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
}

// boot boots the system, until it powers off. It returns what was said after each line "PLAY
// STEP: STATUS" of the console, in lines "SAID …". Each status is to be 0.
func (s *system) boot(options string) (said map[string]string) {
	s.t.Helper()
	disk := filepath.Join(filepath.Dir(s.root), "disk")
	s.run("mke2fs", "-q", "-t", "ext4", "-d", s.root, disk, "1500M")
	boot := func(name string) string {
		paths, err := filepath.Glob(filepath.Join(s.root, "boot", name))
		require.NoError(s.t, err)
		require.Len(s.t, paths, 1)
		return paths[0]
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-cpu", "max", "-m", "1024", "-nographic", "-nic", "none",
		"-kernel", boot("vmlinuz-*"), "-initrd", boot("initrd.img-*"), "-append", "root=/dev/vda rw console=ttyS0 loglevel=3 "+options,
		"-drive", "if=virtio,format=raw,file="+disk)
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	require.NoError(s.t, cmd.Run(), "%s", &console)

	said = map[string]string{} // by step
	step := ""
	for line := range strings.Lines(strings.ReplaceAll(console.String(), "\r", "")) {
		if _, name, ok := strings.Cut(line, "PLAY "); ok {
			name, status, _ := strings.Cut(strings.TrimSpace(name), ": ")
			step, said[name] = name, ""
			defer func() { assert.Equal(s.t, "0", status, "%s: %s", name, said[name]) }()
		} else if text, ok := strings.CutPrefix(line, "SAID "); ok {
			said[step] += text
		}
	}
	if len(said) == 0 {
		s.t.Errorf("nothing was said: %s", &console)
	}
	return said
}
