package debian_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/internal/cli"
)

// keyring is where Debian's package has it.
var keyring = debian.Keyring

// tools puts scripts in front of apt's commands, and a file in place of Debian's keys.
func tools(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755))
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	t.Cleanup(func() { debian.Keyring = keyring })
	debian.Keyring = filepath.Join(dir, "keys.gpg")
	require.NoError(t, os.WriteFile(debian.Keyring, nil, 0o644))
}

func open(t *testing.T, arch string, suites ...string) (*debian.Apt, string) {
	t.Helper()
	dir := t.TempDir()
	apt, err := debian.Open(dir, arch, suites...)
	require.NoError(t, err)
	return apt, dir
}

// said returns all that a program said, which errors have in a file of their own.
func said(t *testing.T, err error) string {
	t.Helper()
	require.Error(t, err)
	_, path, found := strings.Cut(err.Error(), "(all that it said: ")
	if !found {
		return err.Error()
	}
	text, err := os.ReadFile(strings.TrimSuffix(path, ")"))
	require.NoError(t, err)
	return string(text)
}

func TestTheMachinesOwnStateIsNotUsed(t *testing.T) {
	tools(t, map[string]string{"apt-get": `case $1 in
indextargets) echo 'Debian-Security|trixie-security|stable-security|http://mirror.example/security/'
	echo 'Debian|trixie|stable|http://mirror.example/debian/' ;;
*) cat "$APT_CONFIG" >&2; exit 100 ;;
esac`})
	apt, dir := open(t, "ppc64el", "trixie", "sid")
	t.Setenv("TMPDIR", t.TempDir())
	config := said(t, apt.Update(t.Context()))
	for _, want := range []string{
		`APT::Architecture "ppc64el";`, `APT::Architectures { "ppc64el"; };`,
		`Dir::State::Lists "` + dir, `Dir::State::status "` + dir, `Dir::Cache "` + dir, `Dir::Etc::SourceList "` + dir, `Dir::Etc::SourceParts "/dev/null";`,
	} {
		assert.Contains(t, config, want)
	}
	sources, err := os.ReadFile(filepath.Join(dir, "ppc64el-trixie-sid/sources.list"))
	require.NoError(t, err)
	assert.Equal(t, "deb [signed-by="+debian.Keyring+"] http://mirror.example/debian/ trixie main\n"+
		"deb [signed-by="+debian.Keyring+"] http://mirror.example/debian/ sid main\n", string(sources))
}

func TestSuitesAreCheckedByDebiansKeys(t *testing.T) {
	assert.Equal(t, "/usr/share/keyrings/debian-archive-keyring.gpg", keyring)
	tools(t, map[string]string{"apt-get": "echo 'Ubuntu|noble|noble|http://mirror.example/ubuntu/'"})
	require.NoError(t, os.Remove(debian.Keyring))
	_, err := debian.Open(t.TempDir(), "arm64", "trixie")
	require.ErrorContains(t, err, "the keys of Debian's archive are not installed: stat "+debian.Keyring)
	assert.Equal(t, "apt-get install debian-archive-keyring", cli.Hint(err))
	_, err = debian.Open(t.TempDir(), "arm64")
	assert.NoError(t, err, "the machine's own have keys of their own")
}

// Ubuntu has emulators and compilers of its own, but the sysroots, and the base, are Debian's.
func TestUbuntuHasDebiansPackagesFromWhereEverybodyHas(t *testing.T) {
	for listed, want := range map[string]string{
		"Ubuntu|noble|noble|http://mirror.example/ubuntu/":                                                     "http://ftp.debian.org/debian/",
		"Ubuntu|noble|noble|http://mirror.example/ubuntu/\nDebian|trixie|stable|http://mirror.example/debian/": "http://mirror.example/debian/",
		"Docker CE|noble|noble|http://mirror.example/docker/":                                                  "",
	} {
		tools(t, map[string]string{"apt-get": "printf '" + listed + "\n'"})
		mirror, err := debian.Mirror()
		assert.Equal(t, want, mirror)
		if want == "" {
			assert.EqualError(t, err, "apt knows no mirror of Debian")
			continue
		}
		require.NoError(t, err)
		_, dir := open(t, "arm64", "bookworm")
		sources, err := os.ReadFile(filepath.Join(dir, "arm64-bookworm/sources.list"))
		require.NoError(t, err)
		assert.Contains(t, string(sources), "] "+want+" bookworm main\n")
	}
}

func TestTheMachinesSourcesAreUsedWhereNoSuiteIsNamed(t *testing.T) {
	tools(t, map[string]string{"apt-get": `cat "$APT_CONFIG" >&2; exit 100`})
	apt, _ := open(t, "arm64")
	t.Setenv("TMPDIR", t.TempDir())
	config := said(t, apt.Update(t.Context()))
	assert.Contains(t, config, "APT::Architecture")
	assert.NotContains(t, config, "Dir::Etc")
}

// Apt itself warns, and goes on with the lists that it has, or with none.
func TestAMirrorThatIsDownIsAnError(t *testing.T) {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		t.Skip("asks the real one: ", err)
	}
	tools(t, map[string]string{"apt-get": `[ $1 = indextargets ] || exec ` + apt + ` "$@"; echo 'Debian|trixie|stable|http://127.0.0.1:1/debian/'`})
	state, _ := open(t, "amd64", "trixie")
	assert.Contains(t, said(t, state.Update(t.Context())), "127.0.0.1:1")
}

func TestPortsOfARelease(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"bookworm": "-----BEGIN PGP SIGNED MESSAGE-----\nOrigin: Debian\nArchitectures: all amd64 s390x\nArchitecturesX: no\n", "odd": "Origin: Debian\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "dists", name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "dists", name, "InRelease"), []byte(text), 0o644))
	}
	tools(t, map[string]string{"apt-get": "echo 'Debian|bookworm|stable|file:" + dir + "/'"})
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ports, err := debian.Ports(t.Context(), "bookworm")
	require.NoError(t, err)
	assert.Equal(t, []string{"amd64", "s390x"}, ports)
	for suite, want := range map[string]string{"odd": "no line with architectures", "trixie": `no release "trixie" of Debian`, "..": `no release ".."`, "a/b": "is not the name of a release", "": "is not the name of a release"} {
		_, err := debian.Ports(t.Context(), suite)
		assert.ErrorContains(t, err, want)
	}
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestVersionsAreThoseOfTheArchitecture(t *testing.T) {
	tools(t, map[string]string{"apt-get": "", "apt-cache": `cat <<EOT
 qemu-user | 1:11.1.3+ds-1 | http://mirror.example/debian sid/main arm64 Packages
 qemu-user | 1:10.0.2+ds-2 | http://mirror.example/debian trixie/main arm64 Packages
 qemu-user | 1:10.0.2+ds-2 | http://mirror.example/debian trixie-updates/main arm64 Packages
 qemu-user | 1:9.0 | http://mirror.example/debian old/main amd64 Packages
 qemu-user | 1:8.0 | http://mirror.example/debian old/main Sources
EOT`})
	apt, _ := open(t, "arm64")
	versions, err := apt.Versions(t.Context(), "qemu-user")
	require.NoError(t, err)
	assert.Equal(t, []string{"1:11.1.3+ds-1", "1:10.0.2+ds-2"}, versions)
}

// Until QEMU 10 one package has the static emulators, since then another.
func TestTheNewestStaticEmulatorsAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		old, new []string
		want     debian.Package
	}{
		"bookworm": {[]string{"1:7.2"}, []string{"1:7.2"}, debian.Package{Name: "qemu-user-static", Version: "1:7.2"}},
		"trixie":   {[]string{"1:10.0.2"}, []string{"1:10.0.2"}, debian.Package{Name: "qemu-user", Version: "1:10.0.2"}},
		"both":     {[]string{"1:10.0.2", "1:7.2"}, []string{"1:10.0.2", "1:7.2"}, debian.Package{Name: "qemu-user", Version: "1:10.0.2"}},
		"sid":      {nil, []string{"1:11.1"}, debian.Package{Name: "qemu-user", Version: "1:11.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines := func(name string, versions []string) (s string) {
				for _, v := range versions {
					s += "echo '" + name + " | " + v + " | http://mirror.example s/main arm64 Packages'\n"
				}
				return s
			}
			tools(t, map[string]string{"apt-get": "", "apt-cache": "case $2 in\nqemu-user-static)\n" + lines("a", test.old) + ";;\n*)\n" + lines("b", test.new) + ";;\nesac"})
			apt, _ := open(t, "arm64")
			got, err := apt.StaticEmulators(t.Context())
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	tools(t, map[string]string{"apt-get": "", "apt-cache": ""})
	apt, _ := open(t, "arm64")
	_, err := apt.StaticEmulators(t.Context())
	assert.EqualError(t, err, "apt knows no static emulators for arm64")
}

func TestWithoutAptThereIsAnExplanation(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := debian.Open(t.TempDir(), "arm64")
	assert.ErrorContains(t, err, "cannot fetch Debian's packages")
}
