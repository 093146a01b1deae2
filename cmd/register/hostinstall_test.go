package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestPlanHostChanges(t *testing.T) {
	file := func(content string) hostFile { return hostFile{Path: "opt/register/file", SHA256: content} }
	link := hostFile{Path: "opt/register/file", Target: "elsewhere"}
	type files []hostFile
	for name, test := range map[string]struct {
		want, before, there files
		force               bool
		changes, err        string
	}{
		"new":                               {want: files{file("a")}, changes: "installed"},
		"again":                             {want: files{file("a")}, before: files{file("a")}, there: files{file("a")}, changes: "kept: is there already"},
		"another version":                   {want: files{file("b")}, before: files{file("a")}, there: files{file("a")}, changes: "installed"},
		"changed since":                     {want: files{file("a")}, before: files{file("a")}, there: files{file("c")}, changes: "installed"},
		"somebody else's":                   {want: files{file("a")}, there: files{file("c")}, err: "is there, and was not put there by register"},
		"somebody else's, forced":           {want: files{file("a")}, there: files{file("c")}, force: true, changes: "installed"},
		"somebody else's link":              {want: files{file("a")}, there: files{link}, err: "was not put there by register"},
		"not wanted any more":               {before: files{file("a")}, there: files{file("a")}, changes: "removed"},
		"not wanted, changed since":         {before: files{file("a")}, there: files{file("c")}, changes: "left: was changed since it was installed"},
		"interrupted":                       {before: files{file("b"), file("a")}, there: files{file("a")}, changes: "removed"},
		"interrupted, changed since":        {before: files{file("b"), file("a")}, there: files{file("c")}, changes: "left: was changed since it was installed"},
		"not wanted, gone":                  {before: files{file("a")}},
		"not wanted, a link that is ours":   {before: files{link}, there: files{link}, changes: "removed"},
		"not wanted, a link to another one": {before: files{link}, there: files{{Path: link.Path, Target: "x"}}, changes: "left: was changed since it was installed"},
	} {
		t.Run(name, func(t *testing.T) {
			changes, err := planHostChanges(test.want, test.before, test.there, test.force)
			if test.err != "" {
				assert.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			var lines []string
			for _, c := range changes {
				lines = append(lines, strings.Replace(c.String(), " /opt/register/file", "", 1))
			}
			assert.Equal(t, test.changes, strings.Join(lines, "\n"))
		})
	}
}

func TestServicesAreAsWritten(t *testing.T) {
	kerneltest.Golden(t, "register-watch.service", systemdUnit([]string{"--watch", "aarch64"}))
	kerneltest.Golden(t, "register.initd", openRCScript([]string{"--watch", "aarch64"}))
}

// What starts containers at boot comes after both services: that of --install-host, and that of the
// packages.
func TestContainersAreStartedAfterTheServices(t *testing.T) {
	line := func(text, begin string) []string {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), begin); ok {
				return strings.Fields(rest)
			}
		}
		return nil
	}
	for name, test := range map[string]struct {
		text, begin, suffix string
		some                []string
	}{
		"register.service": {systemdUnit(nil), "Before=", ".service", []string{"docker", "containerd", "crio", "kubelet", "k3s", "k3s-agent", "rke2-server", "rke2-agent"}},
		"register.initd":   {openRCScript([]string{"--watch"}), "before ", "", []string{"docker", "containerd", "crio", "kubelet", "k3s", "k3s-agent"}},
	} {
		packages, err := os.ReadFile(filepath.Join("../../image/packages/files", name))
		require.NoError(t, err)
		before := line(test.text, test.begin)
		assert.Equal(t, before, line(string(packages), test.begin), name)
		for _, service := range test.some {
			assert.Contains(t, before, service+test.suffix)
		}
	}
}

// What writes files says in JSON, too, what it has done, or would do.
func TestFilesThatAreWrittenAreInTheReport(t *testing.T) {
	arch := foreign(t)
	found := commands.FindEmulator(t, arch)
	root, dir := fakeHost(t, "usr/lib/systemd/systemd"), t.TempDir()
	name := "qemu-" + arch.Name
	commands.CopyFile(t, found.Path, filepath.Join(dir, name+"-static"))
	bin, unit := "/opt/register/bin/", "/etc/systemd/system/"
	host := []string{bin + name + "-static", bin + "register", unit + "register-watch.service", unit + "multi-user.target.wants/register-watch.service"}
	removed := slices.Clone(host)
	slices.Reverse(removed)
	for _, step := range []struct {
		args   string
		paths  []string
		action string
		notes  int
	}{
		{"--systemd " + arch.Name + " -e " + dir, []string{dir + "/" + name + ".conf"}, hostInstall, 0},
		{"--systemd " + arch.Name + " --dry-run -e " + dir, []string{dir + "/" + name + ".conf"}, hostInstall, 0},
		{"--debian -e " + dir + " " + arch.Name, []string{dir + "/" + name}, hostInstall, 0},
		{"--install-host=" + root + " --dry-run " + arch.Name, host, hostInstall, 1},
		{"--install-host=" + root + " " + arch.Name, host, hostInstall, 1},
		{"--install-host=" + root + " " + arch.Name, host, hostKeep, 1},
		{"--uninstall-host=" + root, removed, hostRemove, 1},
	} {
		status, stdout, stderr := called(t, append(strings.Fields(step.args), "-Q", dir, "--output", "json")...)
		require.Equal(t, exitOK, status, stderr)
		var rep report
		require.NoError(t, json.Unmarshal([]byte(stdout), &rep), stdout)
		assert.True(t, rep.OK)
		var paths []string
		for _, f := range rep.Files {
			paths = append(paths, f.Path)
			assert.Equal(t, step.action, f.Action, step.args)
			assert.Equal(t, strings.Contains(step.args, "--systemd") && strings.Contains(step.args, "--dry-run"), f.Content != "", step.args)
		}
		assert.Equal(t, step.paths, paths, step.args)
		assert.Len(t, rep.Notes, step.notes, step.args)
	}
}

// A service has the flags of a watch that were given, and reads them as they were.
func TestAServiceIsToldHowToWatch(t *testing.T) {
	given := []string{"--check-every=2m0s", "--config=/etc/my register.json", "--uninstall-on-exit=true", "--yield=rosetta,/opt/*"}
	more := []string{"--mount=/srv/100% $HOME `it's` \"a\\b\""}
	o := parsed(t, slices.Concat([]string{"--install-host"}, given, more)...)
	assert.Equal(t, given, o.watch.passed)
	words := slices.Concat([]string{"--watch"}, given, more)

	unit := planHost(systemd, "", "", nil, o.serviceArguments(), o.watch.passed)
	assert.Contains(t, unit.Files[1].text, `
ExecStart=/opt/register/bin/register --watch --check-every=2m0s "--config=/etc/my register.json" --uninstall-on-exit=true "--yield=rosetta,/opt/*" "--mount=/srv/100%% $$HOME `+"`it's`"+` \"a\\b\""
`)

	script := planHost(openRC, "", "", nil, o.serviceArguments(), o.watch.passed).Files[1].text
	said, err := exec.Command("sh", "-c", `
timeout() { shift 2; printf '%s\n' "$@" >&3; }
`+script+`
eval "printf '%s\n' $command_args"
start_pre 3>&1`).Output()
	require.NoError(t, err)
	assert.Equal(t, strings.Join(words, "\n")+"\n"+more[0]+"\n", string(said), "what begins before it stays watches nothing")

	assert.Equal(t, given, parsed(t, slices.Concat([]string{"--rootless"}, given)...).watch.passed)
	for args, want := range map[string]string{
		"--config settings.json":   "--config settings.json: is not an absolute path",
		"--features-file features": "--features-file features: is not an absolute path",
		"--yield [":                "--yield [: syntax error in pattern",
		"--check-every 1ms":        "--check-every 1ms: is less than a second",
		"--listen nowhere":         "--listen",
		"--own-instance":           "--own-instance: is for --watch only",
	} {
		for _, service := range []string{"--install-host", "--rootless"} {
			_, err := parse(append(strings.Fields(args), service))
			assert.ErrorContains(t, err, want)
		}
	}
	_, err = parse([]string{"--rootless", "--uninstall", "--yield", "none"})
	assert.ErrorContains(t, err, "--yield: is for --watch only")
}

// fakeHost makes a root directory that looks like a host's.
func fakeHost(t *testing.T, program string) string {
	t.Helper()
	root := t.TempDir()
	path := filepath.Join(root, program)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, nil, 0o755))
	return root
}

// installed are the files below a host's directories for that, without directories.
func installedFiles(t *testing.T, root string) (files []string) {
	t.Helper()
	for _, dir := range []string{"opt", "etc"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(root, path)
				files = append(files, rel)
			}
			return nil // that it is not there shows
		}))
	}
	return files
}

func TestAHostIsInstalledAndUninstalled(t *testing.T) {
	arch := foreign(t)
	found := commands.FindEmulator(t, arch)
	emulators := t.TempDir()
	name := "qemu-" + arch.Name + "-static"
	commands.CopyFile(t, found.Path, filepath.Join(emulators, name))
	for program, service := range map[string][]string{
		"usr/lib/systemd/systemd": {"etc/systemd/system/multi-user.target.wants/register-watch.service", "etc/systemd/system/register-watch.service"},
		"sbin/openrc-run":         {"etc/init.d/register-watch", "etc/runlevels/default/register-watch"},
	} {
		t.Run(program, func(t *testing.T) {
			root := fakeHost(t, program)
			want := append([]string{"opt/register/bin/" + name, "opt/register/bin/register", "opt/register/manifest.json"}, service...)
			install := func(args ...string) (status int, stdout, stderr string) {
				return called(t, append([]string{"--install-host=" + root, "-Q", emulators, arch.Name}, args...)...)
			}
			status, stdout, stderr := install("--dry-run")
			require.Equal(t, exitOK, status, stderr)
			assert.Equal(t, 4, strings.Count(stdout, "would install /"))
			assert.Contains(t, stdout, "it starts at the next boot, or now, on the host: ")
			assert.Empty(t, installedFiles(t, root))

			status, stdout, stderr = install()
			require.Equal(t, exitOK, status, stderr)
			assert.Equal(t, 4, strings.Count(stdout, "installed /"))
			assert.Contains(t, stdout, "it starts at the next boot, or now, on the host: ")
			assert.ElementsMatch(t, want, installedFiles(t, root))
			for _, path := range want[:2] {
				info, err := os.Stat(filepath.Join(root, path))
				require.NoError(t, err)
				assert.Equal(t, os.FileMode(0o755), info.Mode())
			}
			for _, file := range service {
				if info, err := os.Lstat(filepath.Join(root, file)); assert.NoError(t, err) && info.Mode().IsRegular() {
					assert.Contains(t, commands.Read(t, filepath.Join(root, file)), "--watch "+arch.Name)
				}
			}
			// Again: nothing is to be done.
			status, stdout, stderr = install()
			require.Equal(t, exitOK, status, stderr)
			assert.Equal(t, 4, strings.Count(stdout, "kept /"))
			require.NoError(t, os.Chmod(filepath.Join(root, want[0]), 0o644))
			status, stdout, stderr = install()
			require.Equal(t, exitOK, status, stderr)
			assert.Contains(t, stdout, "installed /"+want[0]+"\n", "it could not be executed")
			assert.Equal(t, 3, strings.Count(stdout, "kept /"))

			// What an administrator changed is left in place, and said.
			changed := filepath.Join(root, service[0])
			require.NoError(t, os.Remove(changed))
			require.NoError(t, os.WriteFile(changed, []byte("mine"), 0o644))
			status, stdout, stderr = called(t, "--uninstall-host="+root)
			require.Equal(t, exitOK, status, stderr)
			assert.Contains(t, stdout, "left /"+service[0]+": was changed since it was installed\n")
			assert.Equal(t, service[:1], installedFiles(t, root))
			assert.NoDirExists(t, filepath.Join(root, "opt/register"))

			status, _, stderr = called(t, "--uninstall-host="+root)
			assert.Equal(t, exitFailure, status)
			assert.Contains(t, stderr, "nothing was installed")
			status, _, stderr = install()
			assert.Equal(t, exitFailure, status)
			assert.Contains(t, stderr, "/"+service[0]+" is there, and was not put there by register\nregister: hint: --force replaces it\n")
		})
	}
}

// An upgrade that was interrupted, here by something in the way of the second file, is undone
// like any other, and done by the next.
func TestAnInterruptedUpgradeIsUndone(t *testing.T) {
	arch := foreign(t)
	found := commands.FindEmulator(t, arch)
	emulators := t.TempDir()
	emulator := filepath.Join(emulators, "qemu-"+arch.Name+"-static")
	commands.CopyFile(t, found.Path, emulator)
	root := fakeHost(t, "usr/lib/systemd/systemd")
	install := []string{"--install-host=" + root, "-Q", emulators, arch.Name}
	upgrade := append(slices.Clone(install), "--credential=no") // the unit is another
	status, _, stderr := called(t, install...)
	require.Equal(t, exitOK, status, stderr)

	temporary := hostFile{Path: "etc/systemd/system/register-watch.service"}.temporary()
	inTheWay := filepath.Join(root, temporary, "in the way")
	require.NoError(t, os.MkdirAll(inTheWay, 0o755))
	status, _, stderr = called(t, upgrade...)
	require.Equal(t, exitFailure, status, stderr)
	require.NoError(t, os.RemoveAll(filepath.Dir(inTheWay)))
	status, stdout, stderr := called(t, "--uninstall-host="+root)
	require.Equal(t, exitOK, status, stderr)
	assert.NotContains(t, stdout, "left /")
	assert.Empty(t, installedFiles(t, root))

	// Once more, and on.
	status, _, stderr = called(t, install...)
	require.Equal(t, exitOK, status, stderr)
	require.NoError(t, os.MkdirAll(inTheWay, 0o755))
	status, _, _ = called(t, upgrade...)
	require.Equal(t, exitFailure, status)
	require.NoError(t, os.RemoveAll(filepath.Dir(inTheWay)))
	status, _, stderr = called(t, upgrade...)
	require.Equal(t, exitOK, status, stderr)
	assert.NotContains(t, commands.Read(t, filepath.Join(root, hostManifest)), "earlier")
}

// What runs counts, then what /sbin/init is: Debian with OpenRC has systemd's files.
func TestTheInitSystemIsTheOneThatStartsServices(t *testing.T) {
	both := []string{"usr/lib/systemd/systemd", "usr/sbin/openrc-run", "usr/sbin/init"}
	for name, test := range map[string]struct {
		files []string
		init  string // where /sbin/init leads
		want  initSystem
	}{
		"Debian":                      {both[:1], "../lib/systemd/systemd", systemd},
		"Debian with both":            {both[:2], "/lib/systemd/systemd", systemd},
		"Debian with both, sysvinit":  {both, "", openRC},
		"the same, systemd runs":      {append(both, "run/systemd/system"), "", systemd},
		"systemd's link, OpenRC runs": {append(both[:2:2], "run/openrc"), "../lib/systemd/systemd", openRC},
		"Alpine":                      {both[1:2], "/bin/busybox", openRC},
		"without an init, OpenRC":     {both[1:2], "", openRC},
		"without an init, both":       {both[:2], "", systemd},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range test.files {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), nil, 0o755))
			}
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "usr/sbin"), 0o755))
			require.NoError(t, os.Symlink("usr/sbin", filepath.Join(dir, "sbin")))
			if test.init != "" {
				require.NoError(t, os.Symlink(test.init, filepath.Join(dir, "usr/sbin/init")))
			}
			root, err := os.OpenRoot(dir)
			require.NoError(t, err)
			defer root.Close()
			got, err := initOf(root)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestAManifestThatIsNoFileIsRefused(t *testing.T) {
	root := fakeHost(t, "usr/lib/systemd/systemd")
	require.NoError(t, os.MkdirAll(filepath.Join(root, hostDir), 0o755))
	require.NoError(t, unix.Mkfifo(filepath.Join(root, hostManifest), 0o644)) // to open it would wait for a writer
	status, _, stderr := called(t, "--uninstall-host="+root)
	assert.Equal(t, exitFailure, status)
	assert.Contains(t, stderr, "/"+hostManifest+": is no file")
}

func TestNothingIsWrittenOutsideOfAHostsRoot(t *testing.T) {
	arch := foreign(t)
	found := commands.FindEmulator(t, arch)
	root, outside := fakeHost(t, "usr/lib/systemd/systemd"), t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "opt")))
	status, _, stderr := called(t, "--install-host="+root, "-Q", filepath.Dir(found.Path), arch.Name)
	assert.Equal(t, exitFailure, status)
	assert.Contains(t, stderr, "escapes")
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestAHostWithoutAServiceManagerIsRefused(t *testing.T) {
	status, _, stderr := called(t, "--install-host="+t.TempDir())
	assert.Equal(t, exitFailure, status)
	assert.Contains(t, stderr, "neither systemd nor OpenRC is there")
	assert.Contains(t, stderr, "docker run -v /:/host")
}

// Emulators are executed by everybody, whatever the umask of who installs them is: sudo of many
// has 077.
func TestDirectoriesThatAreMadeAreEverybodys(t *testing.T) {
	arch := foreign(t)
	commands.FindEmulator(t, arch)
	root := fakeHost(t, "usr/lib/systemd/systemd")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "etc/systemd"), 0o700)) // which was there
	before := unix.Umask(0o077)
	status, _, stderr := called(t, "--install-host="+root, arch.Name)
	unix.Umask(before)
	require.Equal(t, exitOK, status, stderr)
	for dir, mode := range map[string]os.FileMode{"opt": 0o755, "opt/register": 0o755, "opt/register/bin": 0o755, "etc/systemd": 0o700, "etc/systemd/system": 0o755} {
		info, err := os.Stat(filepath.Join(root, dir))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), dir)
	}
}
