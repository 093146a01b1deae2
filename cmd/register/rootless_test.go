package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A unit that is stopped with another one (PartOf=, systemd.unit(5)) is not started with it by
// that: systemctl --user stop docker, and start, would leave containers without emulators.
func TestWhatIsStoppedWithTheEngineIsStartedWithIt(t *testing.T) {
	unit := filepath.Join(t.TempDir(), "systemd", "user", rootlessUnit)
	links := func() (found []string) {
		found, err := filepath.Glob(filepath.Join(filepath.Dir(unit), "*.wants", rootlessUnit))
		require.NoError(t, err)
		for i, link := range found {
			target, err := filepath.EvalSymlinks(link)
			require.NoError(t, err)
			assert.Equal(t, unit, target)
			found[i] = filepath.Base(filepath.Dir(link))
		}
		return found
	}
	for engine, want := range map[string][]string{podman: {"default.target.wants"}, docker: {"default.target.wants", "docker.service.wants"}} {
		plan := planRootless(engine, "/usr/bin/register", nil)
		for range 2 {
			require.NoError(t, plan.write(unit))
			assert.Equal(t, want, links())
		}
		for _, unit := range want {
			assert.Regexp(t, "\nWantedBy=.*"+strings.TrimSuffix(unit, ".wants"), plan.Unit)
		}
		t.Setenv("XDG_RUNTIME_DIR", t.TempDir()) // no systemd is told
		o := parsed(t, "--rootless", "--uninstall")
		require.NoError(t, o.removeRootless(t.Context(), unit, teller{stdout: io.Discard}, io.Discard))
		assert.Empty(t, links())
		assert.NoFileExists(t, unit)
	}
}

func TestRootlessEnginesHaveAUnit(t *testing.T) {
	args := []string{"--qemu-path=/opt/100% qemu", "aarch64"}
	for _, engine := range []string{podman, docker} {
		plan := planRootless(engine, "/home/me/bin/register", args)
		kerneltest.Golden(t, "rootless-"+engine+".service", plan.Unit)
		assert.Equal(t, []string{"/home/me/bin/register", "--watch", "--own-instance", args[0], args[1]}, plan.Command[len(plan.Command)-5:])
	}
}

// What a service registers is what was asked for when it was installed.
func TestAServiceIsToldWhatWasAskedFor(t *testing.T) {
	want := []string{"--persistent=no", "--credential=yes", "--preserve-argv0=no", "--ignore-family=yes", "--mount=/mnt/binfmt misc"}
	o, err := parse(append(slices.Clone(want), "--install-host"))
	require.NoError(t, err)
	o.Archs = []*elfmagic.Arch{kerneltest.Lookup(t, "arm64")}
	assert.Equal(t, append(want, "aarch64"), o.serviceArguments())
	o, err = parse([]string{"--rootless", "--qemu-path=/opt/qemu", "--qemu-suffix=-new", "-p", "yes"})
	require.NoError(t, err)
	assert.Equal(t, []string{"--qemu-path=/opt/qemu", "--qemu-suffix=-new", "--persistent=yes"}, o.rootlessArguments())
	assert.Equal(t, []string{"--force"}, parsed(t, "--rootless", "--force").rootlessArguments(), "there are no files that it is about, as with --install-host")
	o, err = parse([]string{"--install-host"})
	require.NoError(t, err)
	assert.Empty(t, o.serviceArguments())
	t.Chdir("/")
	assert.Equal(t, []string{"--mount=/mnt"}, parsed(t, "--install-host", "--mount=mnt").serviceArguments(), "a service has another directory")
}

func TestTheEngineIsTheOneThatIsThere(t *testing.T) {
	bin, run := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("XDG_RUNTIME_DIR", run)
	engine := func(named string) string {
		got, err := (&options{rootless: named}).rootlessEngine()
		if err != nil {
			return "error: " + err.Error()
		}
		return got
	}
	assert.Contains(t, engine(anyEngine), "error: --rootless: neither Podman nor")
	assert.Contains(t, engine(docker), "error: --rootless=docker: ")
	assert.Contains(t, engine(podman), "error: --rootless=podman: ")
	require.NoError(t, os.WriteFile(filepath.Join(bin, "podman"), nil, 0o755))
	assert.Equal(t, podman, engine(anyEngine))
	child := filepath.Join(run, rootlesskitChild)
	require.NoError(t, os.MkdirAll(filepath.Dir(child), 0o755))
	require.NoError(t, os.WriteFile(child, []byte("1\n"), 0o644))
	assert.Contains(t, engine(anyEngine), "error: --rootless: both")
	assert.Equal(t, docker, engine(docker))
	require.NoError(t, os.Remove(filepath.Join(bin, "podman")))
	assert.Equal(t, docker, engine(anyEngine))
}

func TestRootlessGoesWithUninstallOnly(t *testing.T) {
	for args, want := range map[string]string{"--rootless --status": "--rootless and --status cannot", "--rootless --watch": "--rootless and --watch cannot", "--rootless=lxc": "must be podman or docker"} {
		_, err := parse(strings.Fields(args))
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, anyEngine, parsed(t, "--rootless", "arm64").rootless)
	assert.True(t, parsed(t, "--rootless=docker", "--uninstall").uninstall)
	if os.Getuid() == 0 {
		status, _, stderr := called(t, "--rootless")
		assert.Equal(t, exitFailure, status)
		assert.Contains(t, stderr, "is for an ordinary user")
	}
}

// A dry run removes nothing, either.
func TestADryRunOfRemovingARootlessServiceLeavesIt(t *testing.T) {
	unit := filepath.Join(t.TempDir(), rootlessUnit)
	require.NoError(t, os.WriteFile(unit, nil, 0o644))
	var stdout strings.Builder
	o := parsed(t, "--rootless", "--uninstall", "--dry-run")
	require.NoError(t, o.removeRootless(t.Context(), unit, teller{stdout: &stdout}, io.Discard))
	assert.Equal(t, "would remove "+unit+"\n", stdout.String())
	assert.FileExists(t, unit)
}

// A dry run says which of both ways it would be kept.
func TestADryRunOfRootlessSaysHowItWouldBeKept(t *testing.T) {
	runtimeDir, unit := t.TempDir(), "/home/u/.config/systemd/user/"+rootlessUnit
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	plan := planRootless(podman, "/usr/bin/register", []string{"a b"})
	shown := func() string {
		var stdout strings.Builder
		plan.show(unit, teller{stdout: &stdout})
		return stdout.String()
	}
	assert.Equal(t, "would keep it in the foreground, as there is no systemd of the user's: podman unshare /usr/bin/register --watch --own-instance 'a b'\n", shown())
	require.NoError(t, os.Mkdir(filepath.Join(runtimeDir, "systemd"), 0o755))
	assert.Equal(t, "would write "+unit+":\n"+plan.Unit, shown())
}

// An architecture that is named is not all of them.
func TestWhatUndoesAServiceUndoesAllOfIt(t *testing.T) {
	for _, args := range []string{"--rootless --uninstall arm64", "--uninstall-host arm64", "--uninstall-host=/mnt arm64,s390x"} {
		_, err := parse(strings.Fields(args))
		assert.ErrorContains(t, err, "undoes all of", args)
	}
	assert.Equal(t, []string{"all"}, parsed(t, "--uninstall-host", "all").args)
}

// What is kept in the foreground ends with it, though the command that was started does not
// pass signals on.
func TestTheForegroundEndsAsAWhole(t *testing.T) {
	kerneltest.Need(t)
	pid := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- foreground(ctx, []string{"/bin/sh", "-c", `sleep 1000 & echo $! > "$0.part"; mv "$0.part" "$0"; wait`, pid}, io.Discard, io.Discard)
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(pid); return err == nil }, 30*time.Second, 10*time.Millisecond)
	text, err := os.ReadFile(pid)
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-ended)
	require.Eventually(t, func() bool { return kerneltest.Ended(child) }, 30*time.Second, 10*time.Millisecond)
	err = foreground(t.Context(), []string{"/bin/sh", "-c", "exit 3", "sh", "/usr/bin/register"}, io.Discard, io.Discard)
	assert.EqualError(t, err, "/bin/sh -c 'exit 3' sh /usr/bin/register: exit status 3")
	assert.NotEmpty(t, cli.Hint(err))
	err = foreground(t.Context(), []string{"/none/podman"}, io.Discard, io.Discard)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A value of these flags is behind an equals sign. What is behind a space would otherwise be an
// architecture that nobody knows, and the service be on another host than the one that was meant.
func TestWhatStaysOnAHostIsNotForAPartOfAList(t *testing.T) {
	for args, hint := range map[string]string{
		"--install-host /mnt --dry-run":           "--install-host=/mnt",
		"--install-host --dry-run /mnt arm64":     "--install-host=/mnt",
		"arm64 --dry-run --install-host mnt":      "--install-host=mnt",
		"--uninstall-host /mnt --dry-run":         "--uninstall-host=/mnt",
		"--rootless docker --dry-run":             "--rootless=docker",
		"--rootless podman arm64 --dry-run":       "--rootless=podman",
		"--rootless --uninstall docker --dry-run": "--rootless=docker",
		"--install-host=/mnt --dry-run arm46":     "did you mean arm64?",
		"--rootless=docker arm46 s390x --dry-run": "did you mean arm64?",
	} {
		status, stdout, stderr := called(t, strings.Fields(args)...)
		assert.Equal(t, exitUsage, status, args)
		assert.Empty(t, stdout, args)
		assert.Contains(t, stderr, "register: hint: "+hint, args)
	}
	_, stdout, _ := called(t, "--install-host", "/mnt", "--dry-run", "--output", "json")
	assert.Contains(t, stdout, `"unknown architecture \"/mnt\""`, "in the report, too")
}
