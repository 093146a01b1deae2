package packages

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/singlefiles"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/tests/commands"
)

func TestVersionsAreInOrder(t *testing.T) {
	when := time.Date(2026, 11, 28, 17, 30, 0, 0, time.UTC)
	for _, test := range []struct{ described, deb, apk string }{
		{"8c9d9ca1b2c3", "0.0.0+20261128173000.8c9d9ca1b2c3", "0.0.0_git20261128173000"},
		{"8c9d9ca1b2c3-dirty", "0.0.0+20261128173000.8c9d9ca1b2c3", "0.0.0_git20261128173000"},
		{"unknown", "0.0.0+20261128173000.unknown", "0.0.0_git20261128173000"},
		{"v1.2.3-rc.1", "1.2.3~rc1", "1.2.3_rc1"},
		{"v1.2.3", "1.2.3", "1.2.3"},
		{"v1.2.3-4-g8c9d9ca1b2c3", "1.2.3+4.8c9d9ca1b2c3", "1.2.3_p4"},
		{"v1.2.3-10-g8c9d9ca1b2c3-dirty", "1.2.3+10.8c9d9ca1b2c3", "1.2.3_p10"},
		{"v1.2.3-dirty", "1.2.3+0.0a1b2c3d4e5f", "1.2.3_p0"},
		{"v1.2.3-rc.1-dirty", "1.2.3~rc1+0.0a1b2c3d4e5f", "1.2.3_rc1_p0"},
		{"v1.2.3-rc.1-4-g8c9d9ca1b2c3", "1.2.3~rc1+4.8c9d9ca1b2c3", "1.2.3_rc1_p4"},
	} {
		r := toolchain.Revision{Version: test.described, Commit: "0a1b2c3d4e5f6a7b8c9d", Time: when}
		assert.Equal(t, test.deb, versionFor(r, "deb"), test.described)
		assert.Equal(t, test.deb, versionFor(r, "rpm"), test.described)
		assert.Equal(t, test.apk, versionFor(r, "apk"), test.described)
	}
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("their order is dpkg's: ", err)
	}
	ordered := []string{"8c9d9ca1b2c3", "v1.2.3-rc.1", "v1.2.3-rc.1-dirty", "v1.2.3-rc.1-4-gffffffffffff", "v1.2.3-rc.2", "v1.2.3", "v1.2.3-dirty", "v1.2.3-4-gffffffffffff", "v1.2.3-10-g000000000000", "v1.2.4"}
	for i := range ordered[1:] {
		a, b := versionFor(toolchain.Revision{Version: ordered[i], Time: when}, "deb"), versionFor(toolchain.Revision{Version: ordered[i+1], Time: when}, "deb")
		assert.NoError(t, exec.Command("dpkg", "--compare-versions", a, "lt", b).Run(), "%s < %s", a, b)
	}
}

func TestEachFormatHasWhatItsSystemsRead(t *testing.T) {
	host, err := elfmagic.Lookup("arm64")
	require.NoError(t, err)
	b := &Builder{Host: host, Work: "/w", revision: toolchain.Revision{Version: "v1.0.0"}}
	for format, want := range map[string][]string{
		"deb": {"/usr/bin/crossrun", "/usr/share/man/man1/register.1.gz", "/usr/share/bash-completion/completions/crossrun", "/usr/share/zsh/vendor-completions/_register", "/usr/lib/systemd/system/register.service", "/usr/share/doc/crossrun/copyright"},
		"rpm": {"/usr/bin/register", "/usr/share/zsh/site-functions/_crossrun", "/usr/share/fish/vendor_completions.d/crossrun.fish", "/usr/lib/systemd/system/register.service"},
		"apk": {"/usr/bin/register", "/usr/share/zsh/site-functions/_crossrun", "/etc/init.d/register", "/usr/share/doc/crossrun/programs.spdx.json"},
	} {
		config := b.config(format, "Apache-2.0")
		assert.Equal(t, "arm64", config["arch"])
		assert.Equal(t, "1.0.0", config["version"])
		assert.Equal(t, format != "apk", config["recommends"] != nil, format)
		var there []string
		for _, c := range b.contents() {
			if c.Packager == "" || c.Packager == format {
				assert.NotContains(t, there, c.To, format)
				there = append(there, c.To)
			}
		}
		assert.Subset(t, there, want, format)
	}
}

func TestAMaintainerIsANameAndAnAddress(t *testing.T) {
	for maintainer, valid := range map[string]bool{
		DefaultMaintainer: true, "A Person <a@example.org>": true,
		"": false, "a@example.org": false, "A Person": false, "A Person <nowhere>": false, "Person, A <a@example.org>": false,
	} {
		err := checkMaintainer(maintainer)
		assert.Equal(t, valid, err == nil, "%s: %v", maintainer, err)
		if !valid {
			_, buildErr := (&Builder{Maintainer: maintainer}).Build(t.Context())
			assert.Equal(t, err, buildErr, "nothing is built")
		}
	}
	when := time.Date(2026, 11, 28, 17, 30, 0, 0, time.UTC)
	assert.Contains(t, changelog("A Person <a@example.org>", "1.0.0", when), "\n -- A Person <a@example.org>  Sat, 28 Nov 2026 17:30:00 +0000\n")
	host, err := elfmagic.Lookup("arm64")
	require.NoError(t, err)
	b := &Builder{Host: host, Maintainer: "A Person <a@example.org>"}
	assert.Equal(t, "A Person <a@example.org>", b.config("deb", "Apache-2.0")["maintainer"])
}

// A service of the packages and that of register --install-host, which have the same
// command to run, are two: neither hides the other, and one of them registers.
func TestTheServiceOfPackagesStandsBackForThatOfTheHost(t *testing.T) {
	unit, err := files.ReadFile("files/register.service")
	require.NoError(t, err)
	assert.Contains(t, string(unit), "\nConditionPathExists=!/etc/systemd/system/register-watch.service\n", "cmd/register/hostplan.go")
	script, err := files.ReadFile("files/register.initd")
	require.NoError(t, err)
	dir := t.TempDir()
	here := strings.NewReplacer("/etc/init.d/register-watch", dir+"/watch", "/etc/systemd/system/register-watch.service", dir+"/watch", "/usr/bin/register", "echo register")
	said := func(script string) string {
		out, err := exec.Command("sh", "-c", script).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	does := func(what string) string {
		return said("ebegin() { :; }; eend() { return $1; }\n" + here.Replace(string(script)) + "\n" + what)
	}
	stops := func() string { // as systemd would: what it has started stays started when the other one comes
		_, line, ok := strings.Cut(here.Replace(string(unit)), "\nExecStop=")
		require.True(t, ok)
		line, _, _ = strings.Cut(line, "\n")
		return said(line)
	}
	assert.Equal(t, "register\n", does("start"))
	assert.Equal(t, "register --uninstall\n", does("stop"))
	assert.Equal(t, "register --uninstall\n", stops())
	require.NoError(t, os.WriteFile(dir+"/watch", nil, 0o755))
	assert.Empty(t, does("start"))
	assert.Empty(t, does("stop"))
	assert.Empty(t, stops())
}

// What the service has registered goes with the package, and stays in an upgrade.
func TestAnUpgradeStopsNothing(t *testing.T) {
	script, err := files.ReadFile("files/preremove")
	require.NoError(t, err)
	for argument, stops := range map[string]bool{"upgrade": false, "failed-upgrade": false, "1": false, "remove": true, "0": true, "1.2.3-r0": true, "": true} {
		dir := t.TempDir()
		// With a systemctl that says that it was called, and what it looks for.
		text := strings.ReplaceAll(string(script), "/run/systemd/system", dir)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\necho \"$@\" >"+dir+"/called\n"), 0o755))
		cmd := exec.Command("sh", "-c", text, "preremove", argument)
		if argument == "" {
			cmd.Args = cmd.Args[:4]
		}
		cmd.Env = []string{"PATH=" + dir}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		called, err := os.ReadFile(filepath.Join(dir, "called"))
		assert.Equal(t, stops, err == nil, argument)
		if stops {
			assert.Equal(t, "disable --now register.service\n", string(called))
		}
	}
}

// built returns the directories of packages that make test-packages has built.
func built(t *testing.T) []string {
	t.Helper()
	dirs := os.Getenv("TEST_PACKAGES")
	if dirs == "" {
		t.Skip("TEST_PACKAGES names no packages: make test-packages builds them")
	}
	return strings.Split(dirs, ":")
}

func packageOf(dir, format string) string {
	return filepath.Join(dir, Name+"-linux-"+runtime.GOARCH+"."+format)
}

func TestTheSameSourceGivesTheSamePackages(t *testing.T) {
	dirs := built(t)
	for _, dir := range dirs[1:] {
		for _, format := range formats {
			assert.True(t, bytes.Equal([]byte(commands.Read(t, packageOf(dirs[0], format))), []byte(commands.Read(t, packageOf(dir, format)))), "%s differ", format)
		}
	}
}

func TestLintianFindsNoError(t *testing.T) {
	dirs := built(t)
	lintian, err := exec.LookPath("lintian")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(lintian, "--allow-root", "--fail-on", "error", packageOf(dirs[0], "deb")).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

// before returns a package of a version before, with a file that the newer one has not:
// nfpm makes it of what the newer one was made of.
func before(t *testing.T, dir, format string) string {
	t.Helper()
	var config map[string]any
	require.NoError(t, json.Unmarshal([]byte(commands.Read(t, filepath.Join(dir, singlefiles.Work, "packages-"+runtime.GOARCH, format+".json"))), &config))
	config["version"] = map[string]string{"deb": "0.0.0~before", "rpm": "0.0.0~before", "apk": "0.0.0_alpha"}[format]
	gone := filepath.Join(t.TempDir(), "gone")
	require.NoError(t, os.WriteFile(gone, nil, 0o644))
	config["contents"] = append(config["contents"].([]any), content{gone, "/usr/share/crossrun/gone", "", fileInfo{0o644}})
	path := filepath.Join(t.TempDir(), "before")
	require.NoError(t, jsonfile.Write(path+".json", config))
	out, err := exec.Command("go", "run", nfpm, "package", "--config", path+".json", "--packager", format, "--target", path+"."+format).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path + "." + format
}

// managers are what installs packages into a root file system, and removes them.
func managers() map[string]struct{ install, upgrade, remove []string } {
	words := func(before string, after ...string) []string { return append(strings.Fields(before), after...) }
	apk := cmp.Or(os.Getenv("TEST_APK"), "apk") + " --root=ROOT --arch=" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] +
		" --allow-untrusted --no-network --repositories-file=/dev/null "
	return map[string]struct{ install, upgrade, remove []string }{
		"deb": {words("dpkg --root=ROOT --force-all --install FILE"), words("dpkg --root=ROOT --force-all --install FILE"), words("dpkg --root=ROOT --purge", Name)},
		"rpm": {words("rpm --root=ROOT --nodeps --nosignature --install FILE"), words("rpm --root=ROOT --nodeps --nosignature --upgrade FILE"), words("rpm --root=ROOT --nodeps --erase", Name)},
		"apk": {words(apk + "--initdb add FILE"), words(apk + "add FILE"), words(apk+"del", Name)},
	}
}

// In a small system packages are installed, run, upgraded, and removed; then nothing is
// left of them.
func TestPackagesComeAndGo(t *testing.T) {
	dirs := built(t)
	if os.Getuid() != 0 {
		t.Skip("a package is installed by root")
	}
	for format, do := range managers() {
		t.Run(format, func(t *testing.T) {
			if _, err := exec.LookPath(do.install[0]); err != nil {
				t.Skip(err)
			}
			root := commands.BusyboxRoot(t, runtime.GOARCH)
			for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/rpm", "tmp", "usr", "lib", "dev", "etc"} {
				require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
			}
			require.NoError(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644))
			was := tree(t, root)
			call := func(args []string, file string) {
				t.Helper()
				args = slices.Clone(args)
				for i := range args {
					args[i] = strings.NewReplacer("ROOT", root, "FILE", file).Replace(args[i])
				}
				out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
				require.NoError(t, err, "%v: %s", args, out)
			}
			check := func() {
				t.Helper()
				for _, command := range toolchain.Commands {
					out, err := exec.Command("chroot", root, "/usr/bin/"+command, "--version").CombinedOutput()
					require.NoError(t, err, "%s", out)
					assert.Contains(t, string(out), command+" ")
					assert.FileExists(t, filepath.Join(root, "usr/share/man/man1", command+".1.gz"))
				}
			}
			call(do.install, before(t, dirs[0], format))
			check()
			assert.FileExists(t, filepath.Join(root, "usr/share/crossrun/gone"))
			call(do.upgrade, packageOf(dirs[0], format))
			check()
			assert.NoFileExists(t, filepath.Join(root, "usr/share/crossrun/gone"))
			call(do.remove, "")
			assert.Equal(t, was, tree(t, root), "nothing is left")
		})
	}
}

// tree is what is in a directory, but for what package managers know.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var list []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		below := strings.TrimPrefix(path, root)
		switch {
		case strings.HasPrefix(below, "/var"), below == "/etc/apk", below == "/lib/apk", below == "/root/.rpmdb": // the last is where Debian's rpm has its database
			return fs.SkipDir
		}
		if !d.IsDir() { // dpkg leaves empty directories that were there, rpm those it made for others
			list = append(list, below)
		}
		return err
	}))
	return list
}

// Alpine's package is a tar archive in parts, of which the last is what is installed.
func TestAlpinesPackageHasItsFiles(t *testing.T) {
	dirs := built(t)
	f, err := os.Open(packageOf(dirs[0], "apk"))
	require.NoError(t, err)
	defer f.Close()
	zip, err := gzip.NewReader(f)
	require.NoError(t, err)
	content, err := io.ReadAll(zip)
	require.NoError(t, err)
	var names []string
	for archive := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		names = append(names, header.Name)
	}
	for _, want := range []string{".PKGINFO", ".pre-deinstall", "usr/bin/crossrun", "usr/bin/register", "etc/init.d/register", "usr/share/man/man1/crossrun.1.gz"} {
		assert.Contains(t, names, want)
	}
}
