package crossrun

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// What a foreign program starts runs, whichever architecture it is for, and so
// on; nothing is registered in the end.
func TestEverythingThatAProgramStartsRuns(t *testing.T) {
	fs := kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	r := commands.Crossrun(t, arm64, s390x, "/bin/sh", "-c", hello+` "an argument" | cat; `+s390x+` `+arm64+` sh -c "exit 37"`)
	assert.Equal(t, commands.Result{
		Stdout: "started by arm64\nstarted by s390x\n" + commands.GoSaying("arm64", hello, "an argument") + "started by s390x\nstarted by arm64\n",
		Status: 37,
	}, r)
	assert.Empty(t, commands.List(t, fs), "nothing was registered")

	r = commands.Crossrun(t, "--direct", arm64, s390x, "/bin/true")
	assert.Equal(t, 99, r.Status, "the emulator alone")
	assert.Contains(t, r.Stderr, "exec format error")

	// A native program, for what it starts.
	r = commands.Crossrun(t, "--private", "/bin/sh", "-c", hello)
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, r)

	// A script whose interpreter is foreign, and one in it whose own is native.
	dir := t.TempDir()
	inner, outer := filepath.Join(dir, "inner"), filepath.Join(dir, "outer")
	require.NoError(t, os.WriteFile(inner, []byte("#!/bin/sh\necho \"inner $1\"\n"), 0o755))
	require.NoError(t, os.WriteFile(outer, []byte("#!"+arm64+" "+inner+"\n"), 0o755))
	r = commands.Crossrun(t, outer, "x")
	assert.Equal(t, commands.Result{Stdout: "started by arm64\ninner " + outer + "\n"}, r)
}

// A shell script that prints all that a process inherits.
const inherited = `echo "$PPID"; pwd -P; umask; ulimit -n; ulimit -c; id -u; id -g; id -ru; env | sort; for f in /proc/$$/fd/*; do printf '%s ' "${f##*/}"; done; cat /proc/$$/mountinfo | grep -Ev 'binfmt_misc|docker' | cut -d' ' -f3- | sed 's/ \(shared\|master\):[0-9]*//g'; grep -E '^(Sig(Blk|Ign)|NoNewPrivs|Seccomp|Shd|NSpgid|NSsid)' /proc/self/status; cut -d' ' -f5-8 /proc/$$/stat; echo "$@"; cat`

// But for the user namespace, a process is as without crossrun: it is even the
// same one.
func TestAProcessInheritsWhatItWouldWithoutCrossrun(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	dir = filepath.Join(dir, "a directory")
	require.NoError(t, os.Mkdir(dir, 0o755))
	// Emulators of ours are told of sysroots by variables (docs/architecture.md).
	script := strings.Replace(inherited, "env |", "env | grep -v '^QEMU_LD_PREFIX_' |", 1)
	shell := func(words ...string) *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", `umask 027; ulimit -n 99; ulimit -c 0; trap '' HUP INT QUIT USR1 PIPE TERM TSTP WINCH; exec "$@"`, "sh")
		cmd.Args = append(append(cmd.Args, words...), "/bin/sh", "-c", script, "sh", "", "two words", "ünï")
		cmd.Stdin = strings.NewReader("input\n")
		cmd.Dir = dir
		file, err := os.Open("/dev/null")
		require.NoError(t, err)
		t.Cleanup(func() { file.Close() })
		cmd.ExtraFiles = []*os.File{nil, file}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "A=b=c", "EMPTY=", "NOEQUALS", "LC_ALL=C"}
		return cmd
	}
	plain, private := commands.Run(t, shell("env")), commands.Run(t, shell(commands.Command("crossrun").Path, "--private"))
	assert.Equal(t, plain.Stdout, private.Stdout)
	assert.Equal(t, plain.Stderr, private.Stderr)
	assert.Contains(t, private.Stdout, " two words ünï\ninput\n")

	pid := func(words ...string) []string {
		cmd := exec.Command("/bin/sh", append([]string{"-c", `echo $$; exec "$@"`, "sh"}, append(words, "/bin/sh", "-c", "echo $$")...)...)
		return strings.Fields(commands.Run(t, cmd).Stdout)
	}
	both := pid(commands.Command("crossrun").Path, "--private")
	require.Len(t, both, 2)
	assert.Equal(t, both[0], both[1], "the same process")
}

// Nobody is left of those who set the instance up, while the program runs and
// afterwards: not even a child that the program does not know of.
func TestNoProcessAndNoMountIsLeft(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) // who loses its parent is this one's
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	before := binfmtMounts(t)
	for range 20 {
		r := commands.Crossrun(t, "--private", "/bin/sh", "-c", "cat /proc/$$/task/*/children")
		require.Zero(t, r.Status, r.Stderr)
		assert.Len(t, strings.Fields(r.Stdout), 1, "cat, and no other")
	}
	assert.Empty(t, children(t), "of this process")
	assert.Equal(t, before, binfmtMounts(t))
}

// binfmtMounts returns the mounts of binfmt_misc that this process sees.
func binfmtMounts(t *testing.T) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	return slices.DeleteFunc(strings.Split(string(mounts), "\n"), func(line string) bool { return !strings.Contains(line, "binfmt_misc") })
}

func children(t *testing.T) []string {
	t.Helper()
	var all []string
	files, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
}

func TestSignalsAndExitStatusAreTheProgramsInAPrivateInstance(t *testing.T) {
	kerneltest.Instance(t)
	arm64, _ := commands.Foreigners(t)
	sleeper := commands.GoProgram(t, "sleeper", "arm64")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		cmd := commands.Command("crossrun", "--private", sleeper)
		require.NoError(t, cmd.Start())
		awaitName(t, cmd.Process.Pid, "sleeper")
		require.NoError(t, cmd.Process.Signal(signal))
		err := cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		ended := status.Signaled() && status.Signal() == signal || signal != syscall.SIGKILL && status.Exited()
		assert.True(t, ended, "%v: %v", signal, err)
	}
	assert.Equal(t, 37, commands.Crossrun(t, "--private", arm64, "/bin/sh", "-c", "exit 37").Status)
}

// awaitName waits until a process's command line has the text in it.
func awaitName(t *testing.T, pid int, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return err == nil && strings.Contains(string(line), text) && !strings.HasPrefix(string(line), commands.Dir()+"/crossrun")
	}, time.Minute, 5*time.Millisecond)
}

// Where a private instance cannot be had the program is watched, and -v says why;
// who insists on one is told.
func TestWithoutPrivateInstancesTheProgramIsWatched(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	if e := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")); e.HandsOn() {
		t.Skip(e.Path, " hands on what programs start")
	}
	if out, err := exec.Command("unshare", "-Ur", "true").CombinedOutput(); err != nil {
		t.Skipf("another user namespace is needed to limit those in it: %v: %s", err, out)
	}
	hello := commands.GoHello(t, "arm64")
	denied := func(args ...string) commands.Result {
		words := append([]string{"-Ur", "sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh", commands.Command("crossrun").Path}, args...)
		return commands.Run(t, exec.Command("unshare", words...))
	}
	r := denied("-v", hello)
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout)
	assert.Regexp(t, `--private: unavailable: .*: private instance of binfmt_misc: cannot make a user namespace: .*\(the limit of user namespaces`, r.Stderr)
	assert.Contains(t, r.Stderr, "a supervisor has emulators executed for it, and for what it starts: ")
	assert.Contains(t, r.Stderr, "the limit of user namespaces is reached or 0: sysctl user.max_user_namespaces")

	r = denied("--private", hello)
	assert.Equal(t, 126, r.Status)
	assert.Empty(t, r.Stdout)
	assert.Contains(t, r.Stderr, "cannot make a user namespace")
	assert.Contains(t, r.Stderr, "crossrun: hint: the limit of user namespaces")

	r = denied("--rootfs", "/", "true")
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "cannot make a user namespace")
}

func TestKernelInsistsOnAnEntry(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	r := commands.Crossrun(t, "--kernel", hello)
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "crossrun: hint: as root: register")
	require.Zero(t, commands.Register(t, "--no-probe", "arm64").Status)
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, commands.Crossrun(t, "--kernel", hello))
	r = commands.Crossrun(t, "-v", hello)
	assert.Contains(t, r.Stderr, "the kernel's entry qemu-aarch64 runs it")
}

// Names of files, and what files name, command no terminal and forge no line.
func TestNamesInMessagesAreVisible(t *testing.T) {
	kerneltest.Instance(t)
	dir := t.TempDir()
	named := func(name string) string { return filepath.Join(dir, name+"\x1b[2K\a") }
	script, hello := named("script"), named("hello")
	require.NoError(t, os.WriteFile(script, []byte("#!"+named("none")+"\n"), 0o755))
	commands.CopyFile(t, commands.GoHello(t, "arm64"), hello)
	for _, args := range [][]string{
		{named("missing")}, {dir + "/a\ncrossrun: error: forged"}, {script}, {"-v", "--private", script}, {"-v", hello}, {"--print", hello},
		{"--emulator", named("none"), hello}, {"--sysroot", named("none"), hello}, {"--rootfs", named("none"), "true"},
	} {
		r := commands.Crossrun(t, args...)
		assert.NotRegexp(t, `[^\n\t -~]|(?m)^crossrun: error: forged`, r.Stderr, args)
		if args[0] == "--print" {
			assert.NotRegexp(t, `[^\n -~]`, r.Stdout)
			assert.Contains(t, r.Stdout, `'"$(printf '\033')"'[2K`)
		}
	}
}

func TestTheEnvironmentSaysWhichEmulatorAndCPU(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	other := filepath.Join(dir, "qemu-mine")
	commands.CopyFile(t, commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")).Path, other)
	with := func(variables []string, args ...string) commands.Result {
		cmd := commands.Command("crossrun", args...)
		cmd.Env = append(os.Environ(), variables...)
		return commands.Run(t, cmd)
	}
	for _, variable := range []string{"CROSSRUN_EMULATOR_ARM64=", "CROSSRUN_EMULATOR_AARCH64=", "CROSSRUN_EMULATOR_AARCH64_LINUX_GNU="} {
		r := with([]string{variable + other, "QEMU_CPU=max"}, "--direct", "--print", hello)
		assert.Equal(t, commands.Result{Stdout: fmt.Sprintf("%s -0 %s %s\n", other, hello, hello)}, r, variable)
		r = with([]string{variable + other}, "--private", "/bin/sh", "-c", "cat /proc/sys/fs/binfmt_misc/qemu-aarch64")
		assert.Contains(t, r.Stdout, "interpreter "+other+"\nflags: POF\n", r.Stderr)
	}
	// Paths are the caller's, wherever the program starts others.
	require.NoError(t, os.Symlink("/usr/aarch64-linux-gnu", filepath.Join(dir, "system")))
	dynamic := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "dynamic")
	for setting, program := range map[string]string{"CROSSRUN_EMULATOR_ARM64=./qemu-mine": hello, "CROSSRUN_SYSROOT_ARM64=system": dynamic} {
		for _, words := range [][]string{{"--private"}, {"--watched"}, {"--watched", "/bin/sh", "-c", `cd / && exec "$0"`}} {
			cmd := commands.Command("crossrun", append(words, program)...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), setting)
			r := commands.Run(t, cmd)
			assert.Zero(t, r.Status, "%s %s: %s", setting, words, r.Stderr)
			assert.Contains(t, r.Stdout, "hello from ", "%s %s", setting, words)
		}
	}
	// None is dropped, in no way and for no architecture.
	require.Zero(t, commands.Register(t, "--no-probe", "arm64").Status)
	for _, way := range [][]string{{"--direct"}, {"--private"}, {}} {
		for variable, want := range map[string]string{
			"CROSSRUN_EMULATOR_ARM64=/no/such/file": "CROSSRUN_EMULATOR_ARM64=/no/such/file: stat /no/such/file: no such file or directory",
			"CROSSRUN_EMULATOR_S390X=/no/such/file": "CROSSRUN_EMULATOR_S390X=/no/such/file: stat /no/such/file: no such file or directory",
			"CROSSRUN_EMULATOR_AMR64=" + other:      "CROSSRUN_EMULATOR_AMR64: no architecture has this name",
			"CROSSRUN_SYSROOT_ARMM64=/":             "CROSSRUN_SYSROOT_ARMM64: no architecture has this name",
			"CROSSRUN_CPU_X=max":                    "CROSSRUN_CPU_X: no architecture has this name",
		} {
			r := with([]string{variable}, append(way, hello)...)
			assert.Equal(t, 125, r.Status, "%s %s", way, variable)
			assert.Contains(t, r.Stderr, want, "%s", way)
		}
	}
	r := with([]string{"CROSSRUN_EMULATOR_ARM64=" + other}, "-v", hello)
	assert.Contains(t, r.Stderr, "--kernel: unavailable: CROSSRUN_EMULATOR_ARM64 names an emulator")
	assert.Contains(t, r.Stderr, "a private instance of binfmt_misc")
	assert.Contains(t, r.Stderr, other+": QEMU ", "an entry in the kernel names another one")
	r = with([]string{"CROSSRUN_EMULATOR_ARM64=" + other}, "--kernel", hello)
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "hint: unset CROSSRUN_EMULATOR_ARM64")
	assert.Zero(t, with([]string{"CROSSRUN_EMULATOR_S390X=" + other}, "--kernel", hello).Status)

	for _, way := range []string{"--direct", "--private"} {
		r = with([]string{"CROSSRUN_CPU_ARM64=no-such-cpu"}, way, hello)
		assert.NotZero(t, r.Status, way)
		assert.Contains(t, r.Stderr, "no-such-cpu", way)
		assert.Zero(t, with([]string{"CROSSRUN_CPU_ARM64=max"}, way, hello).Status, way)
		assert.Zero(t, with([]string{"CROSSRUN_CPU_S390X=no-such-cpu"}, way, hello).Status, way)
	}
	r = with([]string{"CROSSRUN_SYSROOT_ARM64=/no/such/directory"}, hello)
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "CROSSRUN_SYSROOT_ARM64: stat /no/such/directory")
}

// A CPU is that of its architecture's programs, and of all of these: whoever starts them, in whichever root
// directory and with whatever environment. Each emulator knows its own architecture's only.
func TestACPUIsOfItsArchitectureInAPrivateInstance(t *testing.T) {
	kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	root := smallRoot(t, hello, arm64, commands.GoHello(t, "s390x"))
	t.Setenv("CROSSRUN_CPU_ARM64", "no-such-cpu")
	for _, words := range [][]string{
		{"--private", hello},
		{"--private", "/bin/sh", "-c", hello},
		{"--private", "env", "-i", hello},
		{"--private", s390x, "/bin/sh", "-c", "unset CROSSRUN_CPU_ARM64; exec " + hello},
		{"--private", "unshare", "-Ur", "chroot", root, "/usr/bin/hello-arm64"},
		{"--rootfs", root, "hello-arm64"},
	} {
		r := commands.Crossrun(t, words...)
		assert.Equal(t, 1, r.Status, "%s: %s", words, r.Stderr)
		assert.Contains(t, r.Stderr, "no-such-cpu", "%s", words)
	}
	t.Setenv("CROSSRUN_CPU_ARM64", "cortex-a57")
	t.Setenv("CROSSRUN_CPU_S390X", "max")
	words := []string{arm64, s390x, "/bin/sh", "-c", `echo "<$QEMU_CPU>"; exec ` + hello}
	want := commands.Result{Stdout: "started by arm64\nstarted by s390x\n<>\n" + commands.GoSaying("arm64", hello)}
	for _, starter := range [][]string{nil, {"/usr/bin/env"}, {"/bin/sh", "-c", `"$0" "$@"`}} {
		assert.Equal(t, want, commands.Crossrun(t, slices.Concat([]string{"--private"}, starter, words)...), "%s", starter)
	}
	r := commands.Crossrun(t, "--rootfs", root, "starter-arm64", "/usr/bin/hello-s390x")
	assert.Equal(t, commands.Result{Stdout: "started by arm64\n" + commands.GoSaying("s390x", "/usr/bin/hello-s390x")}, r)
	// What QEMU itself is told comes first.
	t.Setenv("QEMU_CPU", "no-such-cpu")
	r = commands.Crossrun(t, "--private", "/bin/sh", "-c", hello)
	assert.Contains(t, r.Stderr, "no-such-cpu")
	assert.Equal(t, 1, r.Status)
}

// Where the kernel has entries for all that a native program may start, it knows nothing of settings: a
// supervisor does.
func TestSettingsAreHeldWhereTheKernelHasEntries(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH != "" && !kerneltest.Native(t, arch) {
			r := commands.Register(t, "--no-probe", arch.Name)
			require.Zero(t, r.Status, r.Stderr)
		}
	}
	commandLines := [][]string{{"/bin/sh", "-c", hello}, {"--watched", "/bin/sh", "-c", hello}, {"--watched", hello}}
	for _, words := range commandLines {
		assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, commands.Crossrun(t, words...))
	}
	r := commands.Crossrun(t, "-v", "/bin/sh", "-c", hello)
	assert.Contains(t, r.Stderr, "crossrun: it is for this host: ", "an entry is enough where nothing is asked for")
	for setting, says := range map[string]string{"CROSSRUN_CPU_ARM64=no-such-cpu": "no-such-cpu", "CROSSRUN_EMULATOR_ARM64=/bin/false": ""} {
		for _, words := range commandLines {
			cmd := commands.Command("crossrun", words...)
			cmd.Env = append(os.Environ(), setting)
			r := commands.Run(t, cmd)
			assert.Equal(t, 1, r.Status, "%s %s", setting, words)
			assert.Contains(t, r.Stderr, says, "%s %s", setting, words)
		}
	}
	// Libraries are found by an emulator that is told where they are.
	dynamic := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "dynamic")
	cmd := commands.Command("crossrun", "/bin/sh", "-c", dynamic)
	cmd.Env = append(os.Environ(), "CROSSRUN_SYSROOT_ARM64=/usr/aarch64-linux-gnu")
	assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", dynamic)}, commands.Run(t, cmd))
}

// QEMU before 10 is slow at pointer authentication, which a CPU that nobody has chosen
// mends: for the program's own emulator, as those of others do not know it.
func TestOldEmulatorsGetAFasterCPU(t *testing.T) {
	kerneltest.Instance(t)
	found := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	hello := commands.GoHello(t, "arm64")
	const faster = " -cpu 'max,pauth-impdef=on' "
	old := found.FasterCPU() != ""
	r := commands.Crossrun(t, "--direct", "--print", hello)
	assert.Equal(t, old, strings.Contains(r.Stdout, faster), r.Stdout)
	r = commands.Crossrun(t, "--direct", "-v", hello)
	assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout, r.Stderr)
	assert.Equal(t, old, strings.Contains(r.Stderr, "this QEMU is slow at pointer authentication: "), r.Stderr)
	r = commands.Crossrun(t, "--private", "-v", hello)
	assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout, r.Stderr)
	assert.Equal(t, old, strings.Contains(r.Stderr, "(QEMU_CPU=max,pauth-impdef=on helps)"), r.Stderr)
	for _, chosen := range []string{"QEMU_CPU=cortex-a57", "CROSSRUN_CPU_ARM64=cortex-a57", "CROSSRUN_CPU_AARCH64=max"} {
		cmd := commands.Command("crossrun", "--direct", "--print", hello)
		cmd.Env = append(os.Environ(), chosen)
		assert.NotContains(t, commands.Run(t, cmd).Stdout, "-cpu", chosen)
	}
	assert.NotContains(t, commands.Crossrun(t, "--direct", "--print", commands.GoHello(t, "s390x")).Stdout, "-cpu")
}

// What a program starts may be one that may be executed and not read: the kernel opens
// it (flag O).
func TestProgramsThatMayOnlyBeExecutedRunInAPrivateInstance(t *testing.T) {
	kerneltest.NeedUsers(t)
	kerneltest.Instance(t)
	program := filepath.Join(t.TempDir(), "hello")
	commands.CopyFile(t, commands.GoHello(t, "arm64"), program)
	require.NoError(t, os.Chmod(program, 0o111))
	for dir := filepath.Dir(program); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	for _, words := range [][]string{{"--private", "/bin/sh", "-c", program}, {"--private", program}, {program}} {
		cmd := commands.Command("crossrun", words...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", program)}, commands.Run(t, cmd), "%s", words)
	}
}

// So may crossrun itself, and that is no different for its user.
func TestACrossrunThatMayOnlyBeExecuted(t *testing.T) {
	kerneltest.NeedUsers(t)
	kerneltest.Instance(t)
	crossrun := filepath.Join(t.TempDir(), "crossrun")
	commands.CopyFile(t, commands.Command("crossrun").Path, crossrun)
	require.NoError(t, os.Chmod(crossrun, 0o711))
	for dir := filepath.Dir(crossrun); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	hello := commands.GoHello(t, "arm64")
	for _, words := range [][]string{{hello}, {"--private", hello}, {"--watched", hello}, {"--watched", "/bin/sh", "-c", hello}, {"--rootfs=/", hello}} {
		cmd := exec.Command(crossrun, words...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, commands.Run(t, cmd), "%s", words)
	}
}

func TestStraceFollowsAllProcesses(t *testing.T) {
	kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	r := commands.Crossrun(t, "--strace", arm64, s390x, "/bin/true")
	assert.Equal(t, 0, r.Status)
	assert.GreaterOrEqual(t, strings.Count(r.Stderr, "exit_group(0)"), 2, "both programs'")
}

// A debugger attaches to the stub, and lets the program run.
func TestGDBStub(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	gdb, err := exec.LookPath("gdb-multiarch")
	if err != nil {
		t.Skip("attaches a debugger: apt-get install gdb-multiarch: ", err)
	}
	socket := filepath.Join(t.TempDir(), "gdb")
	// It has one thread: with Go's, the stub of QEMU 7.2 and the debugger wait for
	// each other now and then (seen on a busy machine).
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
	cmd := commands.Command("crossrun", "--gdb", socket, hello)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, time.Minute, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said, err := exec.CommandContext(ctx, gdb, "-batch", "-nx", "-ex", "target remote "+socket, "-ex", "info registers pc", "-ex", "continue", hello).CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.NoError(t, cmd.Wait())
	assert.Equal(t, commands.Saying("hello from C 1.414", hello), out.String())
	assert.Regexp(t, `pc +0x[0-9a-f]+`, string(said))
	assert.Contains(t, string(said), "exited normally")
}

func TestAProcOfAnotherNamespaceIsNamed(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	r := commands.Run(t, exec.Command("unshare", "-Urpf", "--kill-child", commands.Command("crossrun").Path, "--private", commands.GoHello(t, "arm64")))
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "crossrun: hint: /proc is of another PID namespace")
}

// Process 1, as in a container, has nobody else to be the parent of what watches the time, and the kernel
// lets no signal from inside end it: the program is its child.
func TestTimeoutInTheFirstProcessOfAContainer(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	crossrun := commands.Command("crossrun").Path
	first := func(words ...string) *exec.Cmd {
		return exec.Command("unshare", append([]string{"-Urpf", "--kill-child", "--mount-proc", crossrun, "--timeout"}, words...)...)
	}
	for _, way := range []string{"--private", "--watched", "--direct"} {
		r := commands.Run(t, first("300ms", way, commands.GoProgram(t, "sleeper", "arm64")))
		assert.Equal(t, 143, r.Status, "%s: %s", way, r.Stderr)
	}
	r := commands.Run(t, first("10m", "--kernel", "/bin/sh", "-c", "cat /proc/$$/task/*/children; exit 3"))
	assert.Equal(t, 3, r.Status, r.Stderr)
	assert.Len(t, strings.Fields(r.Stdout), 1, "cat, and no other")
	assert.Equal(t, 128+9, commands.Run(t, first("10m", "/bin/sh", "-c", "kill -KILL $$")).Status)

	// Signals are the program's, and so is what its caller ignores and has open.
	cmd := first("10m", "/bin/sh", "-c", `trap 'echo got USR1; exit 4' USR1; echo ready; cat /proc/1/task/*/children >/dev/null; while :; do sleep 0.1; done`)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "ready\n", line)
	process1, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	require.NoError(t, err)
	number, err := strconv.Atoi(strings.TrimSpace(string(process1)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(number, syscall.SIGUSR1))
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	assert.Equal(t, "got USR1\n", string(rest))
	assert.Error(t, cmd.Wait())
	assert.Equal(t, 4, cmd.ProcessState.ExitCode())
	ignored := func(words ...string) string {
		words = append(words, "grep", "SigIgn", "/proc/self/status")
		return commands.Run(t, exec.Command("/bin/sh", append([]string{"-c", `trap '' TERM USR2; exec "$@"`, "sh"}, words...)...)).Stdout
	}
	natively := ignored()
	assert.Regexp(t, "4800\n$", natively) // make(1) adds two that are the C library's
	assert.Equal(t, natively, ignored("unshare", "-Urpf", "--kill-child", "--mount-proc", crossrun, "--timeout", "10m", "--kernel"))
}

func TestTimeoutEndsTheProgram(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	cmd := commands.Command("crossrun", "--timeout", "200ms", "--private", commands.GoProgram(t, "sleeper", "arm64"))
	err := cmd.Run()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	assert.True(t, status.Signaled() && status.Signal() == syscall.SIGTERM, "%v", err)

	// Who ends in time is not disturbed, and does not wait, nor do those who
	// read its output to the end.
	start := time.Now()
	r := commands.Crossrun(t, "--timeout", "10m", "/bin/sh", "-c", "exit 3")
	assert.Equal(t, 3, r.Status)
	assert.Less(t, time.Since(start), 5*time.Minute)
	require.Eventually(t, func() bool {
		var status syscall.WaitStatus
		for {
			// The watchers are this process's now, and have ended.
			if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
		return len(children(t)) == 0
	}, time.Minute, 10*time.Millisecond, "a watcher ends with the program")

	for _, bad := range []string{"-1s", "soon", "10"} {
		r := commands.Crossrun(t, "--timeout="+bad, "/bin/true")
		assert.Equal(t, 125, r.Status, bad)
		assert.Contains(t, r.Stderr, "timeout", bad)
	}
}

// In a root file system the caller is root, and it is all that there is.
func TestRootfs(t *testing.T) {
	kerneltest.Instance(t)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	arm64, _ := commands.Foreigners(t)
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	for _, dir := range []string{"proc", "sys", "dev", "etc", "tmp", "usr/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.Symlink("/usr/bin", filepath.Join(root, "bin"))) // absolute: it is within the root
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte("nameserver 192.0.2.1\n"), 0o644))
	commands.CopyFile(t, arm64, filepath.Join(root, "usr/bin/starter"))
	commands.CopyFile(t, commands.GoProgram(t, "looker", "arm64"), filepath.Join(root, "usr/bin/looker"))

	r := commands.Crossrun(t, "--rootfs", root, "starter", "/bin/looker", "/", "/etc/resolv.conf", "/dev/null", "/proc/self/exe")
	require.Zero(t, r.Status, r.Stderr)
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	require.Len(t, lines, 6, r.Stdout)
	assert.Equal(t, []string{"started by arm64", "0 0 / /root " + rootPATH}, lines[:2])
	assert.Equal(t, "/: bin dev etc proc sys tmp usr", lines[2])
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err == nil {
		assert.Equal(t, fmt.Sprintf("/etc/resolv.conf: %d bytes", len(resolv)), lines[3], "the machine's")
	}
	assert.Equal(t, "/dev/null: device", lines[4])
	kept, err := os.ReadFile(filepath.Join(root, "etc/resolv.conf"))
	require.NoError(t, err)
	assert.Equal(t, "nameserver 192.0.2.1\n", string(kept), "the system's own is as it was")

	for _, test := range []struct {
		args   []string
		status int
		said   string
	}{
		{[]string{"--rootfs", "/no/such/directory", "sh"}, 125, "--rootfs: stat /no/such/directory: no such file or directory"},
		{[]string{"--setenv", "A=1", "true"}, 125, "--setenv is for --rootfs"},
		{[]string{"--rootfs", root, "-E", "=1", "sh"}, 125, "the name of a variable is missing"},
		{[]string{"--rootfs", "/etc/passwd", "sh"}, 125, "--rootfs: /etc/passwd: no whole tar archive"},
		{[]string{"--rootfs", root, "no-such-command"}, 127, "no-such-command: not found in " + root},
		{[]string{"--rootfs", root, "/no/such/command"}, 127, "/no/such/command: not found in " + root},
	} {
		r := commands.Crossrun(t, test.args...)
		assert.Equal(t, test.status, r.Status, "%v: %s", test.args, r.Stderr)
		assert.Contains(t, r.Stderr, test.said)
	}
	r = commands.Crossrun(t, "--rootfs", root, "-E", "A=b c", "--print", "starter", "a b")
	assert.Equal(t, commands.Result{Stdout: commands.Command("crossrun").Path + " --rootfs " + root + " --setenv 'A=b c' starter 'a b'\n"}, r)
	r = commands.Crossrun(t, "--rootfs", root, "-E", "HOME=/tmp", "looker")
	assert.Equal(t, commands.Result{Stdout: "0 0 / /tmp " + rootPATH + "\n"}, r)
}

const rootPATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
