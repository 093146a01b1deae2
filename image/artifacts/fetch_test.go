package artifacts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/internal/cli"
)

// Whatever Go can build for a host, Debian may have emulators for it.
func TestHostsOfGoArePortsOfDebian(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		assert.False(t, arch.GOARCH != "" && len(arch.Debian) == 0, arch)
	}
}

// One list that is out of step does not keep the emulators of another away;
// that nothing is known does.
func TestEmulatorsAreFetchedThoughOneListIsMissing(t *testing.T) {
	arch, err := elfmagic.Lookup("ppc64le")
	require.NoError(t, err)
	const broken = `echo "E: Failed to fetch one list  File has unexpected size" >&2; exit 100`
	const madison = `[ $2 = qemu-user-static ] && echo " qemu-user-static | 1:7.2 | http://mirror.example s/main ppc64el Packages"; exit 0`
	for name, test := range map[string]struct {
		update, madison string
		warning, err    string
	}{
		"all lists":     {"exit 0", madison, "", ""},
		"one is broken": {broken, madison, "warning: not all of Debian's lists could be read; there may be newer emulators than 1:7.2: ", ""},
		"none is there": {broken, "exit 0", "", "File has unexpected size"},
		"no emulators":  {"exit 0", "exit 0", "", "apt knows no static emulators for ppc64el"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			bin := t.TempDir()
			for tool, script := range map[string]string{
				"apt-get":   `case $1 in update) ` + test.update + `;; download) : >qemu-user-static_1%3a7.2_ppc64el.deb;; esac`,
				"apt-cache": test.madison,
				"dpkg":      "exit 1", // nothing is at least version 10
				"dpkg-deb":  `[ $1 != --show ] || { printf 'qemu\t1:7.2-1\tglibc (= 2.36), zlib (= 1:1.2), \n'; exit 0; }; mkdir -p $3/usr/bin && echo unpacked >$3/usr/bin/qemu-arm-static`,
			} {
				require.NoError(t, os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
			}
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			var said strings.Builder
			say := func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }
			dir, err := artifacts.FetchEmulators(t.Context(), arch, "", filepath.Join(t.TempDir(), "emulators"), say)
			if test.err != "" {
				assert.ErrorContains(t, err, test.err)
				assert.NotEmpty(t, cli.Hint(err))
				return
			}
			require.NoError(t, err)
			assert.FileExists(t, filepath.Join(dir, "qemu-arm-static"))
			origin, err := os.ReadFile(filepath.Join(dir, "origin.json"))
			require.NoError(t, err)
			assert.JSONEq(t, `{"Package": {"name": "qemu-user-static", "version": "1:7.2"}, "Source": {"name": "qemu", "version": "1:7.2-1"},
				"Using": [{"name": "glibc", "version": "2.36"}, {"name": "zlib", "version": "1:1.2"}]}`, string(origin))
			if test.warning == "" {
				assert.NotContains(t, said.String(), "warning")
			} else {
				assert.Contains(t, said.String(), test.warning)
			}
		})
	}
}

// A directory in the user's cache is that of several runs: one may be reading what another
// fetches, and there are no fewer emulators meanwhile, nor after it failed.
func TestEmulatorsThatAreReadStayWhileOthersAreFetched(t *testing.T) {
	arch, err := elfmagic.Lookup("ppc64le")
	require.NoError(t, err)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), "emulators")
	there := filepath.Join(dir, "usr/bin/qemu-arm-static")
	for tool, script := range map[string]string{
		"apt-get":   `[ $1 != download ] || : >qemu-user-static_1%3a7.2_ppc64el.deb`,
		"apt-cache": `[ $2 != qemu-user-static ] || echo " qemu-user-static | 1:7.2 | http://mirror.example s/main ppc64el Packages"`,
		"dpkg":      "exit 1",
		"dpkg-deb": `[ $1 != --show ] || exit 0
[ -z "$UNPACKED" ] || cmp -s "$UNPACKED" "` + there + `" || { echo "what is read is gone" >&2; exit 1; }
mkdir -p $3/usr/bin && echo "$CONTENT" >$3/usr/bin/qemu-arm-static && [ "$CONTENT" != half ]`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	kept := filepath.Join(t.TempDir(), "kept")
	for _, test := range []struct{ content, want string }{{"one", "one\n"}, {"half", "one\n"}, {"another", "another\n"}} {
		t.Setenv("CONTENT", test.content)
		_, err := artifacts.FetchEmulators(t.Context(), arch, "", dir, t.Logf)
		assert.Equal(t, test.content == "half", err != nil, "%v", err)
		content, err := os.ReadFile(there)
		require.NoError(t, err)
		assert.Equal(t, test.want, string(content))
		require.NoError(t, os.WriteFile(kept, content, 0o644))
		t.Setenv("UNPACKED", kept)
	}
	assert.NoDirExists(t, dir+".new")
}
