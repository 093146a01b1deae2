package debian_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/internal/cli"
)

// machine is one whose apt knows emulators as soon as its lists were updated. It
// returns a function that installs them, which says what was done.
func machine(t *testing.T) (install func(dir string) (string, error)) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	tools(t, map[string]string{
		"dpkg":      `case $1 in --print-architecture) echo arm64 ;; *) exit 1 ;; esac`,
		"apt-cache": `[ -e ` + log + ` ] && [ $2 = qemu-user-static ] && echo " qemu-user-static | 1:7.2 | http://mirror.example s/main arm64 Packages"; exit 0`,
		"apt-get":   `echo "apt-get $*" >>` + log,
		"sudo":      `exec "$@"`,
	})
	return func(dir string) (string, error) {
		var said strings.Builder
		err := debian.InstallEmulators(t.Context(), dir, func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) })
		done, _ := os.ReadFile(log)
		return said.String() + string(done), err
	}
}

func TestTheNewestEmulatorsAreInstalledUnlessThereAreSome(t *testing.T) {
	install := machine(t)
	dir := t.TempDir()
	done, err := install(dir)
	require.NoError(t, err)
	assert.Equal(t, "installing qemu-user-static=1:7.2 …\napt-get update -qq\napt-get install -y -qq --no-install-recommends qemu-user-static=1:7.2\n", done)

	for _, name := range []string{"qemu-arm-static", "qemu-aarch64", "qemu-x86_64"} {
		install, dir := machine(t), t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o755))
		done, err = install(dir)
		require.NoError(t, err)
		assert.Empty(t, done, "%s is there", name)
	}
}

func TestWhatKeepsEmulatorsFromBeingInstalledIsSaid(t *testing.T) {
	install := machine(t)
	t.Setenv("PATH", t.TempDir())
	_, err := install("/nowhere")
	assert.ErrorContains(t, err, `there are no emulators in /nowhere: exec: "apt-get": executable file not found`)
	assert.Contains(t, cli.Hint(err), "qemu-user-static")

	install = machine(t)
	tools(t, map[string]string{"dpkg": "echo arm64", "apt-cache": "", "apt-get": "", "sudo": `exec "$@"`})
	_, err = install("/nowhere")
	assert.ErrorContains(t, err, "apt knows no static emulators for arm64")
	assert.NotEmpty(t, cli.Hint(err))
}
