package register

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A report is what register --output json prints.
type report struct {
	OK            bool     `json:"ok"`
	Kernel        string   `json:"kernel"`
	Mount         string   `json:"mount"`
	Mounted       bool     `json:"mounted"`
	Native        []string `json:"native"`
	Architectures []struct {
		Arch     string `json:"arch"`
		Platform string `json:"platform"`
		Entry    string `json:"entry"`
		Flags    string `json:"flags"`
		Emulator string `json:"emulator"`
		Version  string `json:"version"`
		Holds    *struct {
			Path    string `json:"path"`
			Deleted bool   `json:"deleted"`
			Version string `json:"version"`
		} `json:"holds"`
		Action string `json:"action"`
		Reason string `json:"reason"`
		Runs   *bool  `json:"runs"`
		Error  string `json:"error"`
	} `json:"architectures"`
	Removed []struct {
		Entry  string `json:"entry"`
		Action string `json:"action"`
	} `json:"removed"`
	Others []struct {
		Entry   string   `json:"entry"`
		Enabled bool     `json:"enabled"`
		Catches []string `json:"catches"`
	} `json:"others"`
}

// reported runs register with JSON output.
func reported(t testing.TB, args ...string) (report, commands.Result) {
	t.Helper()
	r := commands.Register(t, append(args, "--output", "json")...)
	var rep report
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &rep), "%+v", r)
	assert.Equal(t, rep.OK, r.Status == 0, "%+v", r)
	return rep, r
}

func TestRegisterTwiceChangesNothingTheSecondTime(t *testing.T) {
	fs := kerneltest.Instance(t)
	first, r := reported(t)
	require.True(t, first.OK, r.Stderr)
	require.NotEmpty(t, first.Architectures)
	for _, a := range first.Architectures {
		assert.Equal(t, "add", a.Action, a.Arch)
		require.NotNil(t, a.Runs, a.Arch)
		assert.True(t, *a.Runs, a.Arch)
		require.NotNil(t, a.Holds, a.Arch)
		assert.Equal(t, a.Emulator, a.Holds.Path)
		assert.Equal(t, a.Version, a.Holds.Version)
		assert.Regexp(t, `^\d+\.\d+`, a.Version)
		assert.Equal(t, "POF", a.Flags)
	}
	before := commands.List(t, fs)
	assert.Len(t, before, len(first.Architectures))

	second, r := reported(t)
	require.True(t, second.OK, r.Stderr)
	for _, a := range second.Architectures {
		assert.Equal(t, "keep", a.Action, a.Arch)
		assert.Equal(t, "registered already", a.Reason)
		assert.True(t, *a.Runs)
	}
	assert.Equal(t, before, commands.List(t, fs), "not even registered anew")

	r = commands.Register(t, "--no-probe")
	assert.Equal(t, 0, r.Status)
	assert.Contains(t, r.Stdout, "kept")
	assert.NotContains(t, r.Stdout, "runs")
	assert.Equal(t, before, commands.List(t, fs))
}

// While programs are executed, register goes to and fro between two versions of
// their emulator: no execution fails, and each report names the version that
// the kernel then holds.
func TestSwitchingEmulatorsUnderLoad(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "arm64")
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
	dirs, versions := commands.TwoVersions(t, arch)
	require.Equal(t, 0, commands.Register(t, "--qemu-path", dirs[1], "arm64").Status)

	stop := make(chan struct{})
	type outcome struct {
		times int
		err   error
	}
	const loops = 2
	done := make(chan outcome, loops)
	for range loops {
		go func() {
			times := 0
			for {
				select {
				case <-stop:
					done <- outcome{times, nil}
					return
				default:
				}
				if out, err := exec.Command(hello).CombinedOutput(); err != nil || string(out) != commands.Saying("hello from C 1.414", hello) {
					done <- outcome{times, fmt.Errorf("execution %d: %w: %s", times, err, out)}
					return
				}
				times++
			}
		}()
	}
	for i := range 100 {
		rep, r := reported(t, "--qemu-path", dirs[i%2], "arm64")
		require.True(t, rep.OK, r.Stderr)
		require.Equal(t, "replace", rep.Architectures[0].Action)
		require.Equal(t, versions[i%2], rep.Architectures[0].Holds.Version)
	}
	close(stop)
	for range loops {
		o := <-done
		assert.NoError(t, o.err)
		assert.Positive(t, o.times)
	}
	assert.Equal(t, []string{"qemu-aarch64"}, commands.Names(t, fs))
}

// An emulator that was replaced on disk, as packages do it, is replaced in the
// kernel: what an entry says is the same, but the kernel holds the old file.
func TestAnEmulatorThatWasUpgradedIsRegisteredAnew(t *testing.T) {
	for _, probing := range []bool{true, false} {
		t.Run(fmt.Sprintf("probing=%t", probing), func(t *testing.T) {
			kerneltest.Instance(t)
			arch := kerneltest.Lookup(t, "arm64")
			dirs, versions := commands.TwoVersions(t, arch)
			file := filepath.Join(dirs[0], "qemu-aarch64-static")
			args := []string{"--qemu-path", dirs[0], "arm64"}
			if !probing {
				args = append(args, "--no-probe")
			}
			require.Equal(t, 0, commands.Register(t, args...).Status)

			// The kernel's clock for files is coarse: some ticks must pass.
			time.Sleep(50 * time.Millisecond)
			require.NoError(t, os.Rename(filepath.Join(dirs[1], "qemu-aarch64-static"), file))
			rep, _ := reported(t, "--status")
			require.True(t, rep.OK)
			assert.Equal(t, versions[0], rep.Architectures[0].Holds.Version)
			assert.True(t, rep.Architectures[0].Holds.Deleted)
			assert.Equal(t, versions[1], rep.Architectures[0].Version, "what is on disk")

			rep, r := reported(t, args...)
			require.True(t, rep.OK, r.Stderr)
			assert.Equal(t, "replace", rep.Architectures[0].Action)
			rep, _ = reported(t, "--status")
			assert.Equal(t, versions[1], rep.Architectures[0].Holds.Version)
			assert.False(t, rep.Architectures[0].Holds.Deleted)
		})
	}
}

func TestStatusSaysWhatTheKernelHolds(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := commands.Register(t, "--status")
	assert.Equal(t, 0, r.Status)
	assert.Contains(t, r.Stdout, "no entries")

	arch := kerneltest.Lookup(t, "arm64")
	dirs, versions := commands.TwoVersions(t, arch)
	require.Equal(t, 0, commands.Register(t, "--qemu-path", dirs[0], "arm64").Status)
	require.NoError(t, os.Remove(filepath.Join(dirs[0], "qemu-aarch64-static")))
	rep, _ := reported(t, "--status")
	require.True(t, rep.OK, "it runs all the same")
	require.Len(t, rep.Architectures, 1)
	a := rep.Architectures[0]
	assert.Equal(t, "linux/arm64", a.Platform)
	assert.Equal(t, filepath.Join(dirs[0], "qemu-aarch64-static"), a.Holds.Path)
	assert.True(t, a.Holds.Deleted)
	assert.Equal(t, versions[0], a.Holds.Version)
	assert.Contains(t, commands.Register(t, "--status").Stdout, "emulator deleted from disk")

	require.NoError(t, fs.Disable("qemu-aarch64"))
	r = commands.Register(t, "--status")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/arm64: does not run: qemu-aarch64: the entry is disabled")
	assert.Contains(t, r.Stderr, "hint: ")

	require.NoError(t, fs.Remove("qemu-aarch64"))
	r = commands.Register(t, "--status", "arm64")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/arm64: does not run: no entry is for them")
}

func TestDryRunDoesNothing(t *testing.T) {
	fs := kerneltest.Instance(t)
	rep, _ := reported(t, "--dry-run")
	assert.True(t, rep.OK)
	require.NotEmpty(t, rep.Architectures)
	assert.Equal(t, "add", rep.Architectures[0].Action)
	assert.Nil(t, rep.Architectures[0].Runs)
	assert.Contains(t, commands.Register(t, "--dry-run").Stdout, "would add")
	assert.Empty(t, commands.List(t, fs))
}

func TestUninstallRemovesWhatIsOurs(t *testing.T) {
	fs := kerneltest.Instance(t)
	others := otherOwners(t, fs)
	require.Equal(t, 0, commands.Register(t).Status)
	r := commands.Register(t, "--uninstall", "arm64", "s390x")
	require.Equal(t, 0, r.Status, r.Stderr)
	assert.NotContains(t, commands.Names(t, fs), "qemu-aarch64")
	assert.Contains(t, commands.Names(t, fs), "qemu-ppc64le")

	require.Equal(t, 0, commands.Register(t, "--uninstall", "--dry-run").Status)
	assert.Contains(t, commands.Names(t, fs), "qemu-ppc64le")
	require.Equal(t, 0, commands.Register(t, "--uninstall").Status)
	assert.ElementsMatch(t, others, commands.List(t, fs))

	r = commands.Register(t, "--uninstall", "arm64")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/arm64: no entry qemu-aarch64")
	assert.Equal(t, 0, commands.Register(t, "--uninstall").Status, "there is nothing of ours")
}

// otherOwners registers entries of the kind that other programs make.
func otherOwners(t testing.TB, fs binfmt.FS) []binfmt.Entry {
	t.Helper()
	for _, e := range []binfmt.Entry{
		{Name: "python3.11", Pattern: elfmagic.Pattern{Magic: []byte("\xa7\r\r\n")}, Interpreter: "/usr/bin/python3.11"},
		{Name: "jar", Extension: "jar", Interpreter: "/usr/bin/jexec"},
		{Name: "WSLInterop", Pattern: elfmagic.Pattern{Magic: []byte("MZ")}, Interpreter: "/init", Flags: binfmt.PreserveArgv0},
		{Name: "qemu-windows", Pattern: elfmagic.Pattern{Magic: []byte("PE")}, Interpreter: "/usr/bin/qemu-windows"},
	} {
		require.NoError(t, fs.Register(e))
	}
	return commands.List(t, fs)
}

func TestResetReplacesQemuEntriesAndOnlyThose(t *testing.T) {
	fs := kerneltest.Instance(t)
	otherOwners(t, fs)
	old := binfmt.Entry{Name: "qemu-aarch64", Pattern: kerneltest.Lookup(t, "arm64").Pattern(), Interpreter: "/usr/libexec/old"}
	require.NoError(t, fs.Register(old))
	rep, r := reported(t, "--reset", "-p", "yes", "arm64")
	require.True(t, rep.OK, r.Stderr)
	assert.Equal(t, "replace", rep.Architectures[0].Action)
	assert.Equal(t, []string{"WSLInterop", "jar", "python3.11", "qemu-aarch64"}, commands.Names(t, fs))
	require.Len(t, rep.Removed, 1)
	assert.Equal(t, "qemu-windows", rep.Removed[0].Entry)
}

func TestAnotherOwnersEntryForTheSameProgramsIsLeftAlone(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "arm64")
	found := commands.FindEmulator(t, arch)
	fex := binfmt.Entry{Name: "FEX-arm64", Pattern: arch.Pattern(), Interpreter: found.Path, Flags: binfmt.PreserveArgv0 | binfmt.FixBinary}
	require.NoError(t, fs.Register(fex))
	before := commands.List(t, fs)

	r := commands.Register(t, "arm64")
	assert.Equal(t, 0, r.Status, "what was asked for is so")
	assert.Contains(t, r.Stdout, "left alone (FEX-arm64 ("+found.Path+") is for the same programs), runs")
	assert.Equal(t, before, commands.List(t, fs))

	rep, _ := reported(t)
	assert.True(t, rep.OK, "programs for it run, which is what matters")
	for _, a := range rep.Architectures {
		if a.Arch == "aarch64" {
			assert.Equal(t, "skip", a.Action)
			assert.True(t, *a.Runs)
		}
	}
	assert.NotContains(t, commands.Names(t, fs), "qemu-aarch64")
	rep, _ = reported(t, "--status")
	require.Len(t, rep.Others, 1)
	assert.Equal(t, "FEX-arm64", rep.Others[0].Entry)
	assert.Equal(t, []string{"linux/arm64"}, rep.Others[0].Catches)

	require.Equal(t, 0, commands.Register(t, "--force", "arm64").Status)
	assert.Contains(t, commands.Names(t, fs), "qemu-aarch64")
	assert.Contains(t, commands.Names(t, fs), "FEX-arm64")

	// Ours is in front, and stays there.
	before = commands.List(t, fs)
	assert.Equal(t, "qemu-aarch64", before[0].Name)
	for _, args := range [][]string{{"arm64"}, {"--force", "arm64"}} {
		rep, r := reported(t, args...)
		assert.True(t, rep.OK, r.Stderr)
		assert.Equal(t, "keep", rep.Architectures[0].Action)
		assert.Equal(t, before, commands.List(t, fs))
	}
	// Somebody puts theirs in front: --force puts it behind again.
	require.NoError(t, fs.Remove("FEX-arm64"))
	require.NoError(t, fs.Register(fex))
	rep, _ = reported(t, "--dry-run", "--force", "arm64")
	assert.Equal(t, []string{"replace", "FEX-arm64 is tried before it"}, []string{rep.Architectures[0].Action, rep.Architectures[0].Reason})
	rep, _ = reported(t, "--force", "arm64")
	assert.Equal(t, []string{"replace", "FEX-arm64 is tried before it"}, []string{rep.Architectures[0].Action, rep.Architectures[0].Reason})
	assert.Equal(t, "qemu-aarch64", commands.List(t, fs)[0].Name)
}

func TestFlagsCanBeChosen(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, test := range []struct {
		args  []string
		flags string
	}{
		{nil, "POF"},
		{[]string{"--persistent", "no", "-c", "no"}, "PO"},
		{[]string{"-p", "yes", "--credential", "yes"}, "POCF"},
		{[]string{"-p", "yes"}, "POCF"}, // C stays until it is asked for
		{[]string{"-pno", "--preserve-argv0=no", "--credential=no"}, "O"},
	} {
		rep, r := reported(t, append(test.args, "arm64")...)
		require.True(t, rep.OK, r.Stderr)
		got, err := fs.Get("qemu-aarch64")
		require.NoError(t, err)
		assert.Equal(t, test.flags, got.Flags.String())
		assert.Equal(t, test.flags, rep.Architectures[0].Flags)
	}
}

func TestNativeArchitecturesAreNotRegistered(t *testing.T) {
	fs := kerneltest.Instance(t)
	rep, _ := reported(t, "--dry-run")
	for _, a := range rep.Architectures {
		assert.NotContains(t, rep.Native, a.Platform)
	}
	own := rep.Native[0]
	r := commands.Register(t, own)
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "native, nothing to do")
	assert.Empty(t, commands.List(t, fs))
	// It is not looked at, but that it is there is no secret.
	rep, r = reported(t, "--dry-run", own)
	assert.True(t, rep.Mounted)
	assert.Empty(t, r.Stderr)
	for _, list := range [][]string{{own, "arm64"}, {"arm64," + own, "s390x"}} {
		r = commands.Register(t, list...)
		assert.Equal(t, 0, r.Status, r.Stderr)
		assert.Contains(t, r.Stdout, "native, nothing to do")
		assert.Contains(t, commands.Names(t, fs), "qemu-aarch64")
		require.Equal(t, 0, commands.Register(t, "--uninstall").Status)
	}

	r = commands.Register(t, "--force", own)
	assert.Equal(t, 1, r.Status, "its emulator would have to emulate itself")
	assert.Empty(t, commands.List(t, fs))
}

// failures are ways to fail, each with a part of what is said. After each the
// instance is as it was.
func TestFailuresChangeNothing(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "arm64")
	found := commands.FindEmulator(t, arch)
	otherOwners(t, fs)
	require.Equal(t, 0, commands.Register(t, "s390x").Status)
	before := commands.List(t, fs)

	empty := t.TempDir()
	emulatorDir := func(content []byte, mode os.FileMode) string {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "qemu-aarch64-static"), content, mode))
		return dir
	}
	good, err := os.ReadFile(found.Path)
	require.NoError(t, err)
	dynamic, err := os.ReadFile("/bin/true")
	require.NoError(t, err)
	foreign, err := os.ReadFile(commands.GoHello(t, "s390x"))
	require.NoError(t, err)
	// A whole program that is for this host, and no emulator.
	noEmulator, err := os.ReadFile(commands.GoProgram(t, "false", runtime.GOARCH))
	require.NoError(t, err)

	for _, test := range []struct {
		name   string
		args   []string
		status int
		err    string
		hint   string
	}{
		{"unknown architecture", []string{"bogus"}, 2, `unknown architecture "bogus"`, "known are"},
		{"misspelt architecture", []string{"arm46"}, 2, `unknown architecture "arm46"`, "did you mean arm64?"},
		{"unknown flag", []string{"--bogus"}, 2, "unknown flag", "--help"},
		{"wrong value", []string{"--persistent", "perhaps"}, 2, "auto or yes or no", "--help"},
		{"two modes", []string{"--status", "--reset"}, 2, "cannot be used together", "--help"},
		{"no emulator", []string{"--qemu-path", empty, "arm64"}, 1, "no emulator found", "apt-get install"},
		{"no emulator at all", []string{"--qemu-path", empty}, 1, "no emulator found", "apt-get install"},
		{"no such suffix", []string{"--qemu-suffix", "-bogus"}, 1, "no emulator found", "hint"},
		{"dynamic emulator", []string{"--qemu-path", emulatorDir(dynamic, 0o755), "arm64"}, 1, "not static", "apt-get install"},
		{"dynamic emulator, none named", []string{"--qemu-path", emulatorDir(dynamic, 0o755)}, 1, "not static", "apt-get install"},
		{"truncated emulator", []string{"--qemu-path", emulatorDir(good[:len(good)/2], 0o755), "arm64"}, 1, "corrupt", "install it again"},
		{"truncated emulator, none named", []string{"--qemu-path", emulatorDir(good[:len(good)/2], 0o755)}, 1, "corrupt", "install it again"},
		{"emulator that is text", []string{"--qemu-path", emulatorDir([]byte("hello\n"), 0o755), "arm64"}, 1, "corrupt", "install it again"},
		{"emulator that is a script", []string{"--qemu-path", emulatorDir([]byte("#!/bin/sh\n"), 0o755), "arm64"}, 1, "a script", "name the program that it starts"},
		{"emulator without mode", []string{"--qemu-path", emulatorDir(good, 0o644), "arm64"}, 1, "not executable", "chmod +x"},
		{"emulator for another host", []string{"--qemu-path", emulatorDir(foreign, 0o755), "arm64"}, 1, "another host", "this host runs"},
		{"no emulator behind the name", []string{"--qemu-path", emulatorDir(noEmulator, 0o755), "arm64"}, 1, "does not run: the program failed: exit status 1 instead of 42", "hint"},
		{"no such mount point", []string{"--mount", filepath.Join(empty, "absent")}, 1, "no such file", "hint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := commands.Register(t, test.args...)
			assert.Equal(t, test.status, r.Status, "%+v", r)
			assert.Contains(t, r.Stderr, "register: error: ")
			assert.Contains(t, r.Stderr, test.err)
			assert.Contains(t, r.Stderr, "register: hint: ")
			assert.Contains(t, r.Stderr, test.hint)
			assert.Equal(t, before, commands.List(t, fs))
		})
	}
}

func TestWithoutPrivilegeNothingIsRegistered(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := commands.Run(t, commands.Unprivileged(t, commands.Command("register")))
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "permission denied")
	assert.Contains(t, r.Stderr, "hint: only user 0 of the user namespace that mounted this binfmt_misc may change it, and this is user 65534")
	assert.Empty(t, commands.List(t, fs))

	r = commands.Run(t, commands.Unprivileged(t, commands.Command("register", "--dry-run")))
	assert.Equal(t, 0, r.Status, r.Stderr)
	r = commands.Run(t, commands.Unprivileged(t, commands.Command("register", "--status")))
	assert.Equal(t, 0, r.Status, r.Stderr)
}

func TestAReadOnlyProcSysIsExplained(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.NoError(t, unix.Mount(fs.Dir(), fs.Dir(), "", unix.MS_BIND, ""))
	defer func() { require.NoError(t, unix.Unmount(fs.Dir(), 0)) }()
	require.NoError(t, unix.Mount("", fs.Dir(), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	r := commands.Register(t)
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "read-only file system")
	assert.Contains(t, r.Stderr, "hint: /proc/sys is read-only in an unprivileged container: docker run --privileged")
	assert.Empty(t, commands.List(t, fs))
}

// Every name that register would use is taken, for other files.
func TestATableFullOfOthersEntriesIsLeftAsItIs(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, arch := range elfmagic.Archs() {
		require.NoError(t, fs.Register(binfmt.Entry{Name: emulator.EntryName(arch), Extension: arch.Name, Interpreter: "/bin/false"}))
	}
	before := commands.List(t, fs)
	for _, args := range [][]string{{}, {"arm64"}, {"--no-probe"}} {
		r := commands.Register(t, args...)
		assert.Equal(t, 1, r.Status)
		assert.Contains(t, r.Stderr, "linux/arm64: not registered: an entry of this name is for other files")
		assert.Contains(t, r.Stderr, "hint: --force")
		assert.Equal(t, before, commands.List(t, fs))
	}
	r := commands.Register(t, "--uninstall", "arm64")
	assert.Equal(t, 1, r.Status)
	assert.Equal(t, before, commands.List(t, fs))
	assert.Equal(t, 0, commands.Register(t, "--uninstall").Status)
	assert.Equal(t, before, commands.List(t, fs))
}

// Others' entries take every program, and do not run any.
func TestATableFullOfOthersEntriesForTheSameProgramsIsLeftAsItIs(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, arch := range elfmagic.Archs() {
		if !kerneltest.Native(t, arch) {
			require.NoError(t, fs.Register(binfmt.Entry{Name: "other-" + arch.Name, Pattern: arch.Pattern(), Interpreter: "/bin/false"}))
		}
	}
	before := commands.List(t, fs)
	r := commands.Register(t)
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/arm64: other-aarch64 (/bin/false) is for the same programs, and does not run them")
	assert.Contains(t, r.Stderr, "hint: --force")
	assert.Equal(t, before, commands.List(t, fs))
}

func TestAMountPointOfOnesOwn(t *testing.T) {
	fs := kerneltest.Instance(t)
	dir := t.TempDir()
	r := commands.Register(t, "--mount", dir, "arm64")
	require.Equal(t, 0, r.Status, r.Stderr)
	defer func() { require.NoError(t, unix.Unmount(dir, 0)) }()
	assert.Equal(t, []string{"qemu-aarch64"}, commands.Names(t, binfmt.New(dir)))
	assert.Equal(t, []string{"qemu-aarch64"}, commands.Names(t, fs), "a namespace has one instance")
}

func TestWhatWasMountedInVainIsUnmounted(t *testing.T) {
	kerneltest.Instance(t)
	dir := t.TempDir()
	r := commands.Register(t, "--mount", dir, "--qemu-path", t.TempDir(), "arm64")
	require.Equal(t, 1, r.Status)
	state, err := binfmt.New(dir).State()
	require.NoError(t, err)
	assert.Equal(t, binfmt.NotMounted, state)
}

func TestTwoAtOnceDoNotDisturbEachOther(t *testing.T) {
	fs := kerneltest.Instance(t)
	results := make(chan commands.Result)
	const runs = 6
	for range runs {
		go func() {
			cmd := commands.Command("register", "arm64", "s390x", "ppc64le")
			out, err := cmd.CombinedOutput()
			status := 0
			if err != nil {
				status = 1
			}
			results <- commands.Result{Stdout: string(out), Status: status}
		}()
	}
	for range runs {
		r := <-results
		assert.Equal(t, 0, r.Status, r.Stdout)
	}
	assert.Equal(t, []string{"qemu-aarch64", "qemu-ppc64le", "qemu-s390x"}, commands.Names(t, fs))
}

func TestHelpAndVersion(t *testing.T) {
	for name, flags := range map[string][]string{
		"register": {"--persistent", "--credential", "--qemu-path", "--qemu-suffix", "--reset", "--uninstall", "--status", "--dry-run", "--output", "--mount", "--version", "--no-probe", "--force"},
		"crossrun": {"--emulator", "--sysroot", "--cpu", "--print", "--verbose", "--version"},
	} {
		r := commands.Run(t, commands.Command(name, "--help"))
		assert.Equal(t, 0, r.Status)
		assert.Empty(t, r.Stderr)
		assert.Contains(t, r.Stdout, "Examples:")
		for _, flag := range flags {
			assert.Contains(t, r.Stdout, flag)
		}
		for line := range strings.Lines(r.Stdout) {
			assert.LessOrEqual(t, len([]rune(line)), 101, line)
		}
		r = commands.Run(t, commands.Command(name, "--version"))
		assert.Equal(t, 0, r.Status)
		assert.Regexp(t, "^"+name+` \S+ go1\.\d+\S* linux/\w+\n((QEMU .*\n)+What these faults are: .*\n)?$`, r.Stdout)
	}
}
