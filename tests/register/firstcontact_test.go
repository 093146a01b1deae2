package register

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// asBinfmt runs register under its other name.
func asBinfmt(t *testing.T, args ...string) commands.Result {
	t.Helper()
	cmd := commands.Command("register", args...)
	cmd.Args[0] = "binfmt"
	return commands.Run(t, cmd)
}

// oldMicroblaze is an entry as Debian's files and QEMU's script have it: with the
// machine number that microblaze had before 2009.
func oldMicroblaze(interpreter string) binfmt.Entry {
	return binfmt.Entry{
		Name: "qemu-microblaze", Interpreter: interpreter, Flags: binfmt.PreserveArgv0,
		Pattern: elfmagic.Pattern{Magic: []byte("\x7fELF\x01\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xba\xab")},
	}
}

func TestADistributionsOwnEntriesAreNoObstacle(t *testing.T) {
	commands.FindEmulator(t, kerneltest.Lookup(t, "microblaze"))
	for _, interpreter := range []string{"/usr/libexec/qemu-binfmt/microblaze-binfmt-P", "/usr/local/bin/qemu-microblaze", "/usr/bin/qemu-microblaze-static"} {
		for _, args := range [][]string{{}, {"microblaze"}} {
			t.Run(interpreter+" "+strings.Join(args, " "), func(t *testing.T) {
				fs := kerneltest.Instance(t)
				require.NoError(t, fs.Register(oldMicroblaze(interpreter)))
				rep, r := reported(t, args...)
				require.Equal(t, 0, r.Status, r.Stderr)
				i := 0
				for ; rep.Architectures[i].Arch != "microblaze"; i++ {
				}
				assert.Equal(t, "replace", rep.Architectures[i].Action)
				assert.True(t, *rep.Architectures[i].Runs)
				rep, r = reported(t, args...)
				require.Equal(t, 0, r.Status, r.Stderr)
				assert.Equal(t, "keep", rep.Architectures[i].Action)
			})
		}
	}
}

// Of a name that somebody else's file has, an entry is left, and said.
func TestANameThatIsSomebodyElsesIsLeftAlone(t *testing.T) {
	fs := kerneltest.Instance(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "microblaze"))
	other := oldMicroblaze("/opt/simulator")
	require.NoError(t, fs.Register(other))
	r := commands.Register(t)
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Regexp(t, `linux/microblaze .* left alone \(an entry of this name is for other files\)`, r.Stdout)
	r = asBinfmt(t, "--install", "all")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stderr, "installing: microblaze left alone: an entry of this name is for other files")

	r = commands.Register(t, "microblaze", "arm64")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/microblaze: not registered: an entry of this name is for other files")
	assert.Contains(t, r.Stderr, "hint: --force replaces the entry")
	assert.Contains(t, commands.Names(t, fs), "qemu-aarch64", "what can be done is done")
	r = asBinfmt(t, "--install", "microblaze")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "--uninstall with the entry's name", "binfmt has no --force")
	got, err := fs.Get("qemu-microblaze")
	require.NoError(t, err)
	assert.Equal(t, other.Interpreter, got.Interpreter)
}

// The line of many Makefiles, with the host's own architecture in it.
func TestNativeOnesInAListAreNothingToDo(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, list := range []string{"linux/" + runtime.GOARCH + ",linux/s390x", "s390x," + runtime.GOARCH} {
		r := asBinfmt(t, "--install", list)
		require.Equal(t, 0, r.Status, r.Stderr)
		assert.Contains(t, r.Stderr, "installing: "+runtime.GOARCH+" OK (native)")
		assert.Contains(t, r.Stderr, "installing: s390x OK")
		assert.Equal(t, []string{"qemu-s390x"}, commands.Names(t, fs))
	}
	r := asBinfmt(t, "--install", runtime.GOARCH)
	assert.Equal(t, 0, r.Status, r.Stderr)

	r = asBinfmt(t, "--install", "nonsense,ppc64le")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "installing: ppc64le OK")
	assert.Contains(t, r.Stderr, `unknown architecture "nonsense"`)
}

func TestOthersEntriesThatRunAreWhatWasAskedFor(t *testing.T) {
	arch := kerneltest.Lookup(t, "s390x")
	found := commands.FindEmulator(t, arch)
	for _, name := range []string{"aarch64", "s390x-linux", "rosetta"} {
		fs := kerneltest.Instance(t)
		other := binfmt.Entry{Name: name, Pattern: arch.Pattern(), Interpreter: found.Path, Flags: binfmt.FixBinary}
		require.NoError(t, fs.Register(other))
		r := asBinfmt(t, "--install", "s390x")
		assert.Equal(t, 0, r.Status, r.Stderr)
		assert.Contains(t, r.Stderr, "installing: s390x OK (left alone: "+name)
		r = commands.Register(t, "s390x")
		assert.Equal(t, 0, r.Status, r.Stderr)

		// What does not run is a failure, with a way that this command has.
		require.NoError(t, fs.Remove(name))
		other.Interpreter = "/bin/false"
		require.NoError(t, fs.Register(other))
		r = asBinfmt(t, "--install", "s390x")
		assert.Equal(t, 1, r.Status)
		assert.Contains(t, r.Stderr, "--uninstall with the entry's name")
		assert.NotContains(t, r.Stderr, "--force")
		r = commands.Register(t, "s390x")
		assert.Equal(t, 1, r.Status)
		assert.Contains(t, r.Stderr, "hint: --force registers in front of it")
		assert.Equal(t, []string{name}, commands.Names(t, fs))
	}
}

func TestBinfmtSaysThatItWaitsForAnother(t *testing.T) {
	fs := kerneltest.Instance(t)
	unlock, err := fs.Lock(t.Context())
	require.NoError(t, err)
	time.AfterFunc(6*time.Second, unlock)
	r := asBinfmt(t, "--uninstall", "qemu-*")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stderr, "binfmt: warning: another process is changing this binfmt_misc: waiting for it")
}

func TestPatternsDoNotMeanWhatIsForOtherFiles(t *testing.T) {
	fs := kerneltest.Instance(t)
	others := otherOwners(t, fs)
	require.Equal(t, 0, commands.Register(t, "arm64", "s390x").Status)
	r := asBinfmt(t, "--uninstall", "*")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stderr, "uninstalling: qemu-aarch64 OK")
	assert.Contains(t, r.Stderr, "uninstalling: WSLInterop left alone: it is not for programs of another architecture")
	assert.ElementsMatch(t, others, commands.List(t, fs))
	for _, pattern := range []string{"qemu-*", "???*", "[Wp]*"} {
		assert.Equal(t, 0, asBinfmt(t, "--uninstall", pattern).Status)
		assert.ElementsMatch(t, others, commands.List(t, fs), pattern)
	}
	assert.Equal(t, 0, asBinfmt(t, "--uninstall", "WSLInterop").Status, "by its name, it is meant")
	assert.NotContains(t, commands.Names(t, fs), "WSLInterop")
}

// The cause is looked for: all entries may be disabled, or one.
func TestDisabledEntriesAreNotSaidToBeAbsent(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.Equal(t, 0, commands.Register(t, "arm64").Status)
	status := filepath.Join(fs.Dir(), "status")
	t.Cleanup(func() { require.NoError(t, os.WriteFile(status, []byte("1"), 0o644)) })
	require.NoError(t, os.WriteFile(status, []byte("0"), 0o644))
	before := commands.List(t, fs)
	for _, args := range [][]string{{"arm64"}, {"s390x"}, {}, {"--reset"}, {"--force", "arm64"}} {
		r := commands.Register(t, args...)
		assert.Equal(t, 1, r.Status)
		assert.Contains(t, r.Stderr, "all entries of binfmt_misc are disabled")
		assert.Contains(t, r.Stderr, "hint: echo 1 > "+status)
		assert.Equal(t, before, commands.List(t, fs))
	}
	r := commands.Register(t, "--status")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/arm64: does not run: qemu-aarch64: all entries are disabled")
	assert.Contains(t, r.Stderr, "hint: echo 1 > "+status)

	require.NoError(t, os.WriteFile(status, []byte("1"), 0o644))
	require.NoError(t, fs.Disable("qemu-aarch64"))
	r = commands.Register(t, "--status", "arm64")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/arm64: does not run: qemu-aarch64: the entry is disabled")
	r = commands.Register(t, "arm64")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "replaced (it is disabled), runs")
}

func TestUninstallSaysAllThatItRemoves(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "arm")
	left := binfmt.Entry{Name: "qemu-arm.new7", Pattern: arch.Pattern(), Interpreter: "/bin/false"}
	for _, args := range [][]string{{"arm"}, {}, {"arm", "s390x"}} {
		require.NoError(t, fs.Register(left))
		named := slices.Contains(args, "s390x")
		r := commands.Register(t, append([]string{"--uninstall", "--dry-run"}, args...)...)
		assert.Equal(t, named, r.Status == 1, r.Stderr)
		assert.Contains(t, r.Stdout, "qemu-arm.new7")
		assert.Contains(t, r.Stdout, "would remove: left by a run that was interrupted")
		assert.Equal(t, []string{left.Name}, commands.Names(t, fs))
		r = commands.Register(t, append([]string{"--uninstall"}, args...)...)
		assert.Equal(t, named, r.Status == 1, r.Stderr)
		assert.Contains(t, r.Stdout, "removed: left by a run that was interrupted")
		assert.Empty(t, commands.Names(t, fs))
	}
}

// Entries of others that cannot work are named, with what removes them.
func TestStatusNamesOthersEntriesWhoseInterpreterIsGone(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "s390x")
	require.NoError(t, fs.Register(binfmt.Entry{Name: "old", Pattern: arch.Pattern(), Interpreter: "/no/such/emulator"}))
	r := commands.Register(t, "--status")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "linux/s390x: does not run: old: /no/such/emulator: the entry's interpreter, or its loader, is missing")
	assert.Contains(t, r.Stderr, "hint: echo -1 > "+fs.Dir()+"/old removes it")
	assert.Regexp(t, `linux/s390x +old .* its interpreter is missing: echo -1 > \S+/old removes it`, r.Stdout)

	// So are those that are disabled.
	require.NoError(t, fs.Disable("old"))
	rep, _ := reported(t, "--status")
	require.Len(t, rep.Others, 1)
	assert.Equal(t, "old", rep.Others[0].Entry)
	assert.False(t, rep.Others[0].Enabled)
}

// Names of entries and files command no terminal, wherever they are shown.
func TestWhatTheKernelShowsCommandsNoTerminal(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "s390x")
	name, path := "qemu-\x1b[2K", filepath.Join(t.TempDir(), "\x1b]0;title\a")
	require.NoError(t, fs.Register(binfmt.Entry{Name: name, Pattern: arch.Pattern(), Interpreter: path}))
	for _, args := range [][]string{{"--status"}, {"s390x"}, {"--dry-run", "s390x"}, {"--uninstall", "s390x"}, {"binfmt", "--uninstall", "riscv64,*"}} {
		run := func() commands.Result { return commands.Register(t, args...) }
		if args[0] == "binfmt" {
			run = func() commands.Result { return asBinfmt(t, args[1:]...) }
		}
		r := run()
		assert.NotRegexp(t, `[^\n -~]`, r.Stdout+r.Stderr, args)
		if args[0] != "--uninstall" {
			assert.Contains(t, r.Stdout+r.Stderr, `qemu-\x1b[2K`, args)
		}
	}
	assert.Empty(t, commands.Names(t, fs), "binfmt has removed it")
}

// Emulators beside the command come first, unless others than root may put them there.
func TestEmulatorsThatOthersMayChangeArePassedOver(t *testing.T) {
	fs := kerneltest.Instance(t)
	if os.Geteuid() != 0 {
		t.Skip("requires root")
	}
	dir := t.TempDir()
	commands.CopyFile(t, filepath.Join(commands.Dir(), "register"), filepath.Join(dir, "register"))
	beside := filepath.Join(dir, "qemu-s390x-static")
	commands.CopyFile(t, commands.FindEmulator(t, kerneltest.Lookup(t, "s390x")).Path, beside)
	register := func(env ...string) commands.Result {
		cmd := exec.Command(filepath.Join(dir, "register"), "s390x")
		cmd.Env = env
		return commands.Run(t, cmd)
	}
	require.NoError(t, os.Chmod(dir, 0o777))
	r := register("PATH=/no/such/directory")
	interpreter := ""
	for _, e := range commands.List(t, fs) {
		interpreter = e.Interpreter
	}
	assert.NotEqual(t, beside, interpreter)
	if r.Status != 0 { // nor is there one in /usr/bin
		assert.Contains(t, r.Stderr, beside+": passed over: others than root may change it")
		assert.Contains(t, r.Stderr, "hint: root would run what they put there")
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	r = register()
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, beside)
}

// Programs that may be executed and not read are opened by the kernel (flag O).
func TestProgramsThatMayOnlyBeExecutedRun(t *testing.T) {
	kerneltest.NeedUsers(t)
	kerneltest.Instance(t)
	require.Equal(t, 0, commands.Register(t, "arm64").Status)
	program := filepath.Join(t.TempDir(), "hello")
	commands.CopyFile(t, commands.GoHello(t, "arm64"), program)
	require.NoError(t, os.Chmod(program, 0o111))
	for dir := filepath.Dir(program); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	cmd := exec.Command(program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", program)}, commands.Run(t, cmd))
}

// A user namespace that sees its parent's entries keeps them, whatever is asked:
// an instance of its own would hide them, and stays when it is unmounted.
func TestLookingHidesNothingInAUserNamespace(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.Equal(t, 0, commands.Register(t, "arm64").Status)
	hello := commands.GoHello(t, "arm64")
	inside := func(args ...string) commands.Result {
		t.Helper()
		// The parent's mount is not seen: that of this test is covered.
		cmd := commands.Command("register", args...)
		script := `mount -t tmpfs none ` + fs.Dir() + ` && "$@"; echo "status $?"; ` + hello
		cmd.Args = append([]string{"sh", "-c", script, "sh", cmd.Path}, args...)
		cmd.Path = "/bin/sh"
		inUserNamespace(cmd, 0, os.Getuid())
		return commands.Run(t, cmd)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--status"}, `linux/arm64 .* its entry cannot be seen from here, runs, run by \S+\n(?s:.*)status 0\n`},
		{[]string{"--status", "arm64"}, `linux/arm64 .* its entry cannot be seen from here, runs, run by \S+(, QEMU .*)?\n(QEMU .*\nWhat these faults are: .*\n)?status 0\n`},
		{[]string{"--dry-run", "arm64"}, `linux/arm64 .* would skip \(it runs, by an entry that cannot be seen from here\)(, QEMU .*)?\n(QEMU .*\nWhat these faults are: .*\n)?status 0\n`},
		{[]string{"--facts"}, `"mounted": false`},
		{[]string{"--uninstall"}, `no entries can be seen\nstatus 0\n`},
		{[]string{"arm64"}, `linux/arm64 .* left alone \(it runs, by an entry that cannot be seen from here\)(, QEMU .*)?\n(QEMU .*\nWhat these faults are: .*\n)?status 0\n`},
	} {
		r := inside(test.args...)
		assert.Regexp(t, test.says, r.Stdout, "%q: %s", test.args, r.Stderr)
		assert.True(t, strings.HasSuffix(r.Stdout, commands.GoSaying("arm64", hello)), "%q: it runs no more: %s%s", test.args, r.Stdout, r.Stderr)
	}

	// Registering there needs an instance of its own: what ran before runs in it, too.
	if err := kernelHasPrivateInstances(); err != nil {
		t.Skip(err)
	}
	r := inside("--dry-run", "s390x")
	assert.Regexp(t, `linux/s390x .* would add\nlinux/arm64 .* would add(, QEMU .*)?\n(QEMU .*\nWhat these faults are: .*\n)?status 0\n`, r.Stdout, r.Stderr)
	assert.True(t, strings.HasSuffix(r.Stdout, commands.GoSaying("arm64", hello)), "%s%s", r.Stdout, r.Stderr)
	r = inside("s390x")
	assert.Regexp(t, `linux/s390x .* added, runs\nlinux/arm64 .* added, runs(, QEMU .*)?\n(QEMU .*\nWhat these faults are: .*\n)?status 0\n`, r.Stdout, r.Stderr)
	assert.True(t, strings.HasSuffix(r.Stdout, commands.GoSaying("arm64", hello)), "%s%s", r.Stdout, r.Stderr)
}

func kernelHasPrivateInstances() error {
	kernel, err := binfmt.RunningKernel()
	return errors.Join(err, binfmt.FeatureInstances.Supported(kernel))
}

// Files for the next boot have what would be registered now, and nothing that fails
// then.
func TestFilesForTheNextBootAreOnlyOfEmulatorsThatServe(t *testing.T) {
	fs := kerneltest.Instance(t)
	found := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	qemu, out := t.TempDir(), t.TempDir()
	commands.CopyFile(t, found.Path, filepath.Join(qemu, "qemu-aarch64-static"))
	commands.CopyFile(t, "/bin/true", filepath.Join(qemu, "qemu-s390x-static")) // dynamic
	export := func(args ...string) commands.Result {
		t.Helper()
		return commands.Register(t, append([]string{"-Q", qemu, "-e", out}, args...)...)
	}
	written := func() []string {
		t.Helper()
		paths, err := filepath.Glob(filepath.Join(out, "*"))
		require.NoError(t, err)
		return paths
	}
	for _, args := range [][]string{{"--systemd", "s390x"}, {"--systemd", "ppc64le"}, {"--debian", "arm64", "s390x"}} {
		r := export(args...)
		assert.Equal(t, 1, r.Status, "%q", args)
		assert.Contains(t, r.Stderr, "HOST_ARCH in the environment names another host")
		assert.Empty(t, written(), "all or nothing")
	}
	r := export("--systemd", "ALL")
	require.Equal(t, 0, r.Status, r.Stderr)
	require.Equal(t, []string{filepath.Join(out, "qemu-aarch64.conf")}, written())

	// The kernel takes the line as it is.
	line := commands.Read(t, written()[0])
	require.NoError(t, os.WriteFile(filepath.Join(fs.Dir(), "register"), []byte(strings.TrimSpace(line)), 0o200))
	rep, r := reported(t, "-Q", qemu, "arm64")
	require.Equal(t, 0, r.Status, r.Stderr)
	assert.Equal(t, "keep", rep.Architectures[0].Action, "register would have written the same")
}

// A relative directory is that of the caller, not of whoever runs the programs.
func TestARelativeDirectoryOfEmulatorsIsMadeAbsolute(t *testing.T) {
	fs := kerneltest.Instance(t)
	found := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	dir := t.TempDir()
	commands.CopyFile(t, found.Path, filepath.Join(dir, "emulators", "qemu-aarch64-static"))
	cmd := commands.Command("register", "--qemu-path", "emulators", "-p", "no", "arm64")
	cmd.Dir = dir
	r := commands.Run(t, cmd)
	require.Equal(t, 0, r.Status, r.Stderr)
	e, err := fs.Get("qemu-aarch64")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "emulators", "qemu-aarch64-static"), e.Interpreter)
}

// What other tools' users type is answered with how it is said here.
func TestHabitsAreAnswered(t *testing.T) {
	for args, hint := range map[string]string{
		"status": "register --status", "list": "register --status", "help": "register --help", "version": "register --version",
		"--install all": "register ARCH…, or all without one; the command binfmt has --install", "--json": "--output json", "--platform linux/arm64": "register linux/arm64",
		"-v": "--status shows everything", "remove": "register --uninstall",
	} {
		r := commands.Register(t, strings.Fields(args)...)
		assert.Equal(t, 2, r.Status, args)
		assert.Contains(t, r.Stderr, "hint: "+hint, args)
	}
	r := commands.Register(t, "--resett")
	assert.Equal(t, 2, r.Status)
	assert.Contains(t, r.Stderr, "hint: did you mean --reset?")
}

// In a container with a user namespace of its own, all ends with the container: that
// is no success.
func TestWhatEndsWithTheContainerIsNoSuccess(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.Equal(t, 0, commands.Register(t, "arm64").Status)
	hello := commands.GoHello(t, "arm64")
	link := filepath.Join(t.TempDir(), "binfmt")
	require.NoError(t, os.Symlink(commands.Command("register").Path, link))
	for _, line := range []string{commands.Command("register").Path + " s390x", commands.Command("register").Path + " --dry-run s390x", link + " --install s390x"} {
		cmd := exec.Command("sh", "-c", "mount -t tmpfs none "+fs.Dir()+" && "+line+`; echo "status $?"; `+hello)
		inUserNamespace(cmd, syscall.CLONE_NEWPID, os.Getuid())
		r := commands.Run(t, cmd)
		assert.Contains(t, r.Stderr, "this container is in a user namespace")
		assert.Contains(t, r.Stderr, "podman unshare register")
		assert.Contains(t, r.Stdout, "status 1\n")
		assert.True(t, strings.HasSuffix(r.Stdout, commands.GoSaying("arm64", hello)), "what ran runs: %s%s", r.Stdout, r.Stderr)
	}
}

// A namespace may show its parent's entries, as LXD's containers do: they are not its
// own to change.
func TestTheParentsEntriesInAUserNamespaceAreNotItsOwn(t *testing.T) {
	kerneltest.NeedUsers(t)
	fs := kerneltest.Instance(t)
	require.Equal(t, 0, commands.Register(t, "arm64").Status)
	before := commands.List(t, fs)
	cmd := commands.Command("register", "s390x")
	inUserNamespace(cmd, 0, 1000)
	r := commands.Run(t, cmd)
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "permission denied")
	assert.Contains(t, r.Stderr, "hint: these entries are those of the user namespace above this one; mount -t binfmt_misc binfmt_misc "+fs.Dir())
	assert.Equal(t, before, commands.List(t, fs))

	cmd = commands.Command("register", "--status", "arm64")
	inUserNamespace(cmd, 0, 1000)
	r = commands.Run(t, cmd)
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Regexp(t, `linux/arm64 +qemu-aarch64 .*runs`, r.Stdout)
}

// inUserNamespace has the command run in a user and a mount namespace of its own, as
// root there and as the given user here.
func inUserNamespace(cmd *exec.Cmd, more uintptr, uid int) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | more,
		Credential:  &syscall.Credential{NoSetGroups: true},
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
	}
}

// The image for another architecture, run by what is registered: it is told at once,
// without a fork, in which such programs hang under old emulators.
func TestRunUnderAnEmulatorRegisterSaysSo(t *testing.T) {
	for _, goarch := range []string{"arm64"} { // each takes half a minute to build
		arch := kerneltest.Lookup(t, goarch)
		if kerneltest.Native(t, arch) {
			continue
		}
		found := commands.FindEmulatorForThreads(t, arch)
		foreign := commands.Built(t, "register-"+goarch, func(path string) *exec.Cmd {
			cmd := exec.Command("go", "build", "-o", path, "github.com/projectcalico/go-build/cmd/register")
			cmd.Env = append(os.Environ(), "GOARCH="+goarch, "CGO_ENABLED=0")
			return cmd
		})
		for _, args := range [][]string{{}, {"--status"}} {
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				r := commands.Run(t, exec.CommandContext(ctx, found.Path, append([]string{foreign}, args...)...))
				cancel()
				assert.Equal(t, 1, r.Status, r.Stdout)
				assert.Contains(t, r.Stderr, "runs under emulation: "+found.Path+", a program for linux/"+runtime.GOARCH)
				assert.Contains(t, r.Stderr, "hint: use the register, or the image, that is built for the host's architecture: docker run --platform")
			}
		}
	}
}
