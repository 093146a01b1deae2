package images

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// What multiarch/qemu-user-static documents, and QEMU's script.
func TestCommandLinesOfMultiarchWork(t *testing.T) {
	fs := mounted(t)
	const arm64 = "qemu-aarch64"
	for _, test := range []struct {
		image string
		args  []string
		flags string // of the entry for arm64 afterwards
	}{
		{multiarch, []string{"--reset", "-p", "yes"}, "POF"},
		{multiarch, []string{"-p", "yes"}, "POF"}, // "File exists", there
		{multiarch, []string{"--reset"}, "POF"},
		{multiarch, []string{"--reset", "--credential", "yes", "--persistent", "yes"}, "POCF"},
		{multiarch, []string{"--reset", "-c", "yes", "-p", "yes", "-g", "no"}, "OCF"},
		{multiarch, []string{"--reset", "--preserve-argv0", "yes", "-p", "yes"}, "POF"},
		{multiarch, []string{"--reset", "--qemu-suffix", "-static", "--qemu-path", "/usr/bin"}, "POF"},
		{multiarch, []string{"--reset", "-Q", "/usr/bin", "-F", "-static", "-p", "yes", "-i", "yes"}, "POF"},
		{multiarch, []string{"--reset", "-p", "no"}, "PO"},
		{noFiles, []string{"--reset"}, ""},
		{noFiles, nil, ""},
	} {
		register(t, test.image, test.args...)
		assert.Equal(t, test.flags, flags(t, fs, arm64), "%s %v", test.image, test.args)
		othersAreThere(t, fs)
	}
	i386 := func() bool {
		_, err := fs.Get("qemu-i386")
		return err == nil
	}
	native := kerneltest.Native(t, kerneltest.Lookup(t, "i386"))
	assert.Equal(t, !native, i386(), "it is native, or not")
	register(t, multiarch, "--reset", "-p", "yes", "--ignore-family", "yes")
	assert.Equal(t, "POF", flags(t, fs, "qemu-i386"))
	register(t, multiarch, "--reset", "-p", "yes")
	assert.Equal(t, !native, i386(), "removed by --reset")

	r := docker(t, nil, multiarch, "--help")
	assert.Equal(t, 0, r.Status)
	for _, flag := range []string{"--qemu-path", "--qemu-suffix", "--debian", "--systemd", "--exportdir", "--credential", "--persistent", "--preserve-argv0", "--ignore-family", "--reset"} {
		assert.Contains(t, r.Stdout, flag)
	}
	r = docker(t, least, noFiles, "-p", "yes")
	assert.Equal(t, 1, r.Status, "there is nothing to hold open")
	assert.Contains(t, r.Stderr, "no emulator found")
}

// What tonistiigi/binfmt documents, and its variables.
func TestCommandLinesOfTonistiigiWork(t *testing.T) {
	fs := mounted(t)
	install := func(flags []string, args ...string) (state, commands.Result) {
		t.Helper()
		r := docker(t, append(flags, least...), tonistiigi, args...)
		othersAreThere(t, fs)
		return stateOf(t, r), r
	}
	s, r := install(nil)
	assert.Equal(t, 0, r.Status)
	assert.Contains(t, s.Supported, "linux/amd64")
	assert.NotContains(t, s.Supported, "linux/arm64")
	assert.Subset(t, s.Emulators, []string{"WSLInterop", "jar", "python3.11"})

	s, r = install(nil, "--install", "arm64,riscv64,arm")
	assert.Equal(t, 0, r.Status, r.Stderr)
	want := []string{"linux/amd64", "linux/arm64", "linux/riscv64", "linux/386", "linux/arm/v7", "linux/arm/v6"}
	if !kerneltest.Native(t, kerneltest.Lookup(t, "i386")) {
		want = slices.DeleteFunc(want, func(p string) bool { return p == "linux/386" })
	}
	assert.Equal(t, want, slices.DeleteFunc(s.Supported, func(p string) bool { return strings.HasPrefix(p, "linux/amd64/") }))
	assert.Subset(t, s.Emulators, []string{"qemu-aarch64", "qemu-arm", "qemu-riscv64"})
	assert.Contains(t, r.Stderr, "installing: arm64 OK\n")
	assert.Equal(t, "POCF", flags(t, fs, "qemu-arm"), "C is on here, as it is there")

	s, r = install(nil, "--uninstall", "qemu-aarch64")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.NotContains(t, s.Emulators, "qemu-aarch64")
	assert.NotContains(t, s.Supported, "linux/arm64")
	s, _ = install(nil, "--uninstall", "linux/arm/v7")
	assert.NotContains(t, s.Emulators, "qemu-arm")
	assert.Contains(t, s.Emulators, "qemu-riscv64")

	s, r = install(nil, "--install", "all")
	assert.Equal(t, 0, r.Status, r.Stderr)
	for _, platform := range []string{"linux/arm64", "linux/riscv64", "linux/ppc64le", "linux/s390x", "linux/386", "linux/mips64le", "linux/mips64", "linux/loong64", "linux/arm/v7", "linux/arm/v6"} {
		assert.Contains(t, s.Supported, platform)
	}
	s, r = install(nil, "--uninstall", "qemu-*")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.False(t, slices.ContainsFunc(s.Emulators, func(e string) bool { return strings.HasPrefix(e, "qemu-") }))

	install([]string{"--env", "QEMU_PRESERVE_ARGV0=1"}, "--install", "arm64", "--credential", "no")
	assert.Equal(t, "POF", flags(t, fs, "qemu-aarch64"))
	directory := t.TempDir()
	content, err := os.ReadFile(packed(t, "s390x").Path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "mine-qemu-s390x"), content, 0o755))
	_, r = install([]string{"--volume", directory + ":/emulators", "--env", "QEMU_BINARY_PATH=/emulators", "--env", "QEMU_BINARY_PREFIX=mine-"}, "--install", "s390x")
	assert.Equal(t, 0, r.Status, r.Stderr)
	e, err := fs.Get("mine-qemu-s390x")
	require.NoError(t, err)
	assert.Equal(t, "/emulators/mine-qemu-s390x", e.Interpreter)
	helloRuns(t, "s390x")
	_, r = install([]string{"--env", "QEMU_BINARY_PREFIX=mine-"}, "--uninstall", "s390x")
	assert.Equal(t, 0, r.Status, r.Stderr)
	_, err = fs.Get("mine-qemu-s390x")
	assert.Error(t, err)
}

// A CI action: version, a clean table, what is wanted, and then the platforms,
// which it joins. It takes the exit status for the outcome, and shows the last
// line of standard error.
func TestTheSequenceOfACIActionWorks(t *testing.T) {
	mounted(t)
	r := docker(t, least, tonistiigi, "--version")
	assert.Equal(t, 0, r.Status)
	assert.Regexp(t, `^binfmt/\S+ qemu/\d+\.\d+\S* go/1\.\d+`, r.Stdout)
	assert.Equal(t, 0, docker(t, least, tonistiigi, "--uninstall", "qemu-*").Status, "there is none")
	assert.Equal(t, 0, docker(t, least, tonistiigi, "--install", "linux/arm64,linux/s390x").Status)
	r = docker(t, least, tonistiigi)
	assert.Equal(t, 0, r.Status)
	assert.Contains(t, strings.Join(stateOf(t, r).Supported, ",")+",", ",linux/arm64,linux/s390x,")
	assert.Equal(t, 0, docker(t, least, tonistiigi, "--uninstall", "qemu-*").Status)

	r = docker(t, least, tonistiigi, "--install", "linux/amd64,linux/arm64")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stderr, "installing: amd64 OK (native)\ninstalling: arm64 OK\n")
	assert.Equal(t, 0, docker(t, least, tonistiigi, "--uninstall", "qemu-*").Status)

	for args, want := range map[string]string{
		"--install arm46":      `unknown architecture "arm46" (did you mean arm64?)`,
		"--uninstall qemu-vax": "no such entry",
	} {
		r := docker(t, least, tonistiigi, strings.Fields(args)...)
		assert.Equal(t, 1, r.Status, args)
		lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
		assert.Contains(t, lines[len(lines)-1], want)
	}
}

// exported has a container write files for the other tools.
func exported(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	r := docker(t, []string{"--volume", dir + ":/out"}, multiarch, append(args, "--exportdir", "/out", "-p", "no")...)
	require.Equal(t, 0, r.Status, r.Stderr)
	return dir
}

// inPrivate runs a command in an instance of its own, and returns the entries
// that it has made there.
func inPrivate(t *testing.T, script string, args ...string) string {
	t.Helper()
	script += "\ncd /proc/sys/fs/binfmt_misc && for e in *; do case $e in register|status) ;; *) echo \"$e\"; cat \"$e\" ;; esac; done"
	out, err := private.Command(context.Background(), nil, "/bin/sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// wanted is what inPrivate returns for the entries that register makes without F.
func wanted(t *testing.T, flags binfmt.Flags) string {
	t.Helper()
	var all strings.Builder
	archs := elfmagic.Archs()
	slices.SortFunc(archs, func(a, b *elfmagic.Arch) int { return strings.Compare(emulator.EntryName(a), emulator.EntryName(b)) })
	for _, arch := range archs {
		if !kerneltest.Native(t, arch) && packed(t, arch.Name).Useless() == nil {
			e := binfmt.Entry{Name: emulator.EntryName(arch), Pattern: arch.Pattern(), Interpreter: "/usr/bin/qemu-" + arch.Name + "-static", Flags: flags}
			all.WriteString(e.Name + "\n" + e.Status())
		}
	}
	return all.String()
}

func TestSystemdTakesWhatIsExportedForIt(t *testing.T) {
	need(t)
	const tool = "/usr/lib/systemd/systemd-binfmt"
	if _, err := os.Stat(tool); err != nil {
		t.Skip("systemd is not installed: ", err)
	}
	dir := exported(t, "--systemd", "ALL")
	assert.Equal(t, wanted(t, binfmt.PreserveArgv0|binfmt.OpenBinary), inPrivate(t, tool+` "$@"`, confs(t, dir)...))
	dir = exported(t, "--systemd", "aarch64")
	assert.Equal(t, []string{filepath.Join(dir, "qemu-aarch64.conf")}, confs(t, dir))
}

func confs(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	require.NoError(t, err)
	return list
}

// update-binfmts is not installed for this, since that would have the package's
// scripts register things; it is taken out of its package.
func TestUpdateBinfmtsTakesWhatIsExportedForIt(t *testing.T) {
	need(t)
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("update-binfmts comes from Debian, through apt: ", err)
	}
	cache, err := workdir.Cache("apt")
	require.NoError(t, err)
	apt, err := debian.Open(cache, "amd64")
	require.NoError(t, err)
	versions, err := apt.Versions(t.Context(), "binfmt-support")
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	tool := t.TempDir()
	for _, name := range []string{"binfmt-support", "libpipeline1"} {
		versions, err := apt.Versions(t.Context(), name)
		require.NoError(t, err)
		deb, err := apt.Download(t.Context(), name, versions[0])
		require.NoError(t, err)
		require.NoError(t, debian.Unpack(t.Context(), deb, tool))
	}
	dir := exported(t, "--debian")
	admin := t.TempDir()
	got := inPrivate(t, `
		export LD_LIBRARY_PATH="$1/usr/lib/x86_64-linux-gnu:$1/lib/x86_64-linux-gnu"
		update() { "$1/usr/sbin/update-binfmts" --admindir "$2" --importdir "$3" "$4" $5; }
		update "$1" "$2" "$3" --import
		update "$1" "$2" "$3" --enable >/dev/null`, tool, admin, dir)
	assert.Equal(t, withoutStartedBy(wanted(t, binfmt.PreserveArgv0)), withoutStartedBy(got))
}

// withoutStartedBy is for what update-binfmts does differently: nothing, as far
// as entries go, but it prints warnings of interpreters that are not there.
func withoutStartedBy(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "update-binfmts: warning:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
