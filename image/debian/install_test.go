package debian_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// machine is one whose apt knows emulators as soon as its lists were updated. It
// returns a function that installs them, which says what was done.
func machine(t *testing.T) (install func(dir string) (string, error)) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	log := filepath.Join(t.TempDir(), "log")
	tools(t, map[string]string{
		"dpkg":      `case $1 in --print-architecture) echo arm64 ;; *) exit 1 ;; esac`,
		"apt-cache": `[ -e ` + log + ` ] && [ $2 = qemu-user-static ] && echo " qemu-user-static | 1:7.2 | http://mirror.example s/main arm64 Packages"; exit 0`,
		"apt-get":   `case $1 in install) echo "$DEBIAN_FRONTEND: apt-get $*" | sed 's, /.*/, ,' ;; *) echo $1 ;; esac >>` + log,
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
	assert.Contains(t, done, "fetching qemu-user-static 1:7.2 …\ninstalling ")
	assert.Contains(t, done, "\nupdate\nindextargets\ndownload\nnoninteractive: apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends qemu-user-static_1%3a7.2_arm64.deb\n")

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

// What a release has in its backports is newer than what it came with.
func TestEmulatorsAreTheNewestOfTheSuitesAndTheirBackports(t *testing.T) {
	const bookworm = "Debian|bookworm|oldstable|http://mirror.example/debian/"
	for name, test := range map[string]struct {
		suite     string // that is named
		archives  string // that apt has lists of
		own       string // version there, and in the backports
		backports string
		want      string
		asked     string // suites
		warned    bool
	}{
		"backports":             {"", bookworm, "7.2", "10.0", "qemu-user_1%3a10.0_arm64.deb", "arm64 arm64-bookworm-backports", false},
		"contrib, too":          {"", bookworm + "\n" + bookworm, "7.2", "10.0", "qemu-user_1%3a10.0_arm64.deb", "arm64 arm64-bookworm-backports", false},
		"older in them":         {"", bookworm, "10.0", "9.2", "qemu-user_1%3a10.0_arm64.deb", "arm64 arm64-bookworm-backports", false},
		"none in them":          {"", bookworm, "7.2", "", "qemu-user-static_1%3a7.2_arm64.deb", "arm64 arm64-bookworm-backports", false},
		"only in them":          {"", bookworm, "", "10.0", "qemu-user_1%3a10.0_arm64.deb", "arm64 arm64-bookworm-backports", false},
		"configured already":    {"", bookworm + "\nDebian Backports|bookworm-backports|oldstable-backports|http://mirror.example/debian/", "10.0", "", "qemu-user_1%3a10.0_arm64.deb", "arm64", false},
		"updates have none":     {"", "Debian|bookworm-updates|oldstable-updates|http://mirror.example/debian/", "7.2", "10.0", "qemu-user-static_1%3a7.2_arm64.deb", "arm64", false},
		"nor have sid, testing": {"", "Debian|sid|unstable|http://mirror.example/debian/\nDebian|forky|testing|http://mirror.example/debian/", "11.1", "12", "qemu-user_1%3a11.1_arm64.deb", "arm64", false},
		"nor has Ubuntu":        {"", "Ubuntu|noble|noble|http://mirror.example/ubuntu/", "8.2", "10.0", "qemu-user-static_1%3a8.2_arm64.deb", "arm64", false},
		"a suite that is named": {"trixie", bookworm, "10.0", "9.2", "qemu-user_1%3a10.0_arm64.deb", "arm64-trixie", false},
		"they cannot be read":   {"", bookworm, "7.2", "broken", "qemu-user-static_1%3a7.2_arm64.deb", "arm64 arm64-bookworm-backports", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			asked := filepath.Join(t.TempDir(), "asked")
			tools(t, map[string]string{
				"apt-get": `state=$(basename "$(dirname "$APT_CONFIG")")
case $1 in
update) echo $state >>` + asked + `; case $state in *backports) [ ` + test.backports + `x != brokenx ] || exit 100;; esac ;;
indextargets) printf '%s\n' '` + strings.ReplaceAll(test.archives, "\n", "' '") + `' ;;
download) : >"$(echo $3 | sed 's/=1:/_1%3a/')_arm64.deb" ;;
esac`,
				"apt-cache": `case $APT_CONFIG in *backports*) v=` + test.backports + ` ;; *) v=` + test.own + ` ;; esac
case $v in "") ;; [0-9].*) echo "qemu-user-static | 1:$v | http://mirror.example s/main arm64 Packages" ;;
*) echo "$2 | 1:$v | http://mirror.example s/main arm64 Packages" ;; esac`,
			})
			var said strings.Builder
			deb, newest, err := debian.Emulators(t.Context(), "arm64", test.suite, func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) })
			require.NoError(t, err)
			assert.Equal(t, test.want, filepath.Base(deb))
			assert.FileExists(t, deb)
			assert.Equal(t, test.want, newest.Name+"_"+strings.ReplaceAll(newest.Version, ":", "%3a")+"_arm64.deb")
			suites, err := os.ReadFile(asked)
			require.NoError(t, err)
			assert.Equal(t, test.asked, strings.Join(strings.Fields(string(suites)), " "))
			assert.Equal(t, test.warned, strings.Contains(said.String(), "warning: not all of Debian's lists could be read"), said.String())
			if suites := strings.Fields(test.asked); suites[len(suites)-1] != "arm64" {
				state := suites[len(suites)-1]
				sources, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(deb))), state, "sources.list"))
				require.NoError(t, err)
				assert.Contains(t, string(sources), " http://mirror.example/debian/ "+strings.TrimPrefix(state, "arm64-")+" main\n")
			}
		})
	}
}

// Images for several architectures, or branches, may be built at once: apt would not wait.
func TestEmulatorsAreFetchedByOneRunAtATime(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	dir := filepath.Join(cache, "calico-go-build", "apt")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	unlock, err := file.Lock(t.Context(), filepath.Join(dir, "lock"), func() {})
	require.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var said strings.Builder
	_, _, err = debian.Emulators(ctx, "arm64", "", func(format string, args ...any) {
		fmt.Fprintf(&said, format+"\n", args...)
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "waiting for another run in "+dir+" …\n", said.String())
}
