package tests

import (
	"errors"
	"fmt"
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

	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/guests"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// goProgram returns a program of testdata for a GOARCH.
func goProgram(t testing.TB, name, goarch string) string {
	t.Helper()
	return built(t, name+"-"+goarch, func(path string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./testdata/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
		return cmd
	})
}

// foreigners returns programs of two architectures, neither this machine's,
// that start others.
func foreigners(t *testing.T) (arm64, s390x string) {
	t.Helper()
	for _, goarch := range []string{"arm64", "s390x"} {
		if kerneltest.Native(t, lookup(t, goarch)) {
			t.Skip(goarch, " is native here")
		}
		findEmulator(t, lookup(t, goarch))
	}
	return goProgram(t, "starter", "arm64"), goProgram(t, "starter", "s390x")
}

// What a foreign program starts runs, whichever architecture it is for, and so
// on; nothing is registered in the end.
func TestEverythingThatAProgramStartsRuns(t *testing.T) {
	fs := kerneltest.Instance(t)
	arm64, s390x := foreigners(t)
	hello := goHello(t, "arm64")
	r := crossrun(t, arm64, s390x, "/bin/sh", "-c", hello+` "an argument" | cat; `+s390x+` `+arm64+` sh -c "exit 37"`)
	assert.Equal(t, result{
		stdout: "started by arm64\nstarted by s390x\n" + goSaying("arm64", hello, "an argument") + "started by s390x\nstarted by arm64\n",
		status: 37,
	}, r)
	assert.Empty(t, list(t, fs), "nothing was registered")

	r = crossrun(t, "--direct", arm64, s390x, "/bin/true")
	assert.Equal(t, 99, r.status, "the emulator alone")
	assert.Contains(t, r.stderr, "exec format error")

	// A native program, for what it starts.
	r = crossrun(t, "--private", "/bin/sh", "-c", hello)
	assert.Equal(t, result{stdout: goSaying("arm64", hello)}, r)

	// A script whose interpreter is foreign, and one in it whose own is native.
	dir := t.TempDir()
	inner, outer := filepath.Join(dir, "inner"), filepath.Join(dir, "outer")
	require.NoError(t, os.WriteFile(inner, []byte("#!/bin/sh\necho \"inner $1\"\n"), 0o755))
	require.NoError(t, os.WriteFile(outer, []byte("#!"+arm64+" "+inner+"\n"), 0o755))
	r = crossrun(t, outer, "x")
	assert.Equal(t, result{stdout: "started by arm64\ninner " + outer + "\n"}, r)
}

// A shell script that prints all that a process inherits.
const inherited = `echo "$PPID"; pwd -P; umask; ulimit -n; ulimit -c; id -u; id -g; id -ru; env | sort; for f in /proc/$$/fd/*; do printf '%s ' "${f##*/}"; done; cat /proc/$$/mountinfo | grep -Ev 'binfmt_misc|docker' | cut -d' ' -f3- | sed 's/ \(shared\|master\):[0-9]*//g'; grep -E '^(Sig(Blk|Ign)|NoNewPrivs|Seccomp|Shd|NSpgid|NSsid)' /proc/self/status; cut -d' ' -f5-8 /proc/$$/stat; echo "$@"; cat`

// But for the user namespace, a process is as without crossrun: it is even the
// same one.
func TestAProcessInheritsWhatItWouldWithoutCrossrun(t *testing.T) {
	kerneltest.Instance(t)
	foreigners(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	dir = filepath.Join(dir, "a directory")
	require.NoError(t, os.Mkdir(dir, 0o755))
	shell := func(words ...string) *exec.Cmd {
		// Go's run time keeps no other signals ignored than these two.
		cmd := exec.Command("/bin/sh", "-c", `umask 027; ulimit -n 99; ulimit -c 0; trap '' HUP INT; exec "$@"`, "sh")
		cmd.Args = append(append(cmd.Args, words...), "/bin/sh", "-c", inherited, "sh", "", "two words", "ünï")
		cmd.Stdin = strings.NewReader("input\n")
		cmd.Dir = dir
		file, err := os.Open("/dev/null")
		require.NoError(t, err)
		t.Cleanup(func() { file.Close() })
		cmd.ExtraFiles = []*os.File{nil, file}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "A=b=c", "EMPTY=", "NOEQUALS", "LC_ALL=C"}
		return cmd
	}
	plain, private := run(t, shell("env")), run(t, shell(command("crossrun").Path, "--private"))
	assert.Equal(t, plain.stdout, private.stdout)
	assert.Equal(t, plain.stderr, private.stderr)
	assert.Contains(t, private.stdout, " two words ünï\ninput\n")

	pid := func(words ...string) []string {
		cmd := exec.Command("/bin/sh", append([]string{"-c", `echo $$; exec "$@"`, "sh"}, append(words, "/bin/sh", "-c", "echo $$")...)...)
		return strings.Fields(run(t, cmd).stdout)
	}
	both := pid(command("crossrun").Path, "--private")
	require.Len(t, both, 2)
	assert.Equal(t, both[0], both[1], "the same process")
}

// Nobody is left of those who set the instance up, while the program runs and
// afterwards: not even a child that the program does not know of.
func TestNoProcessAndNoMountIsLeft(t *testing.T) {
	kerneltest.Instance(t)
	foreigners(t)
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) // who loses its parent is this one's
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	before := binfmtMounts(t)
	for range 20 {
		r := crossrun(t, "--private", "/bin/sh", "-c", "cat /proc/$$/task/*/children")
		require.Zero(t, r.status, r.stderr)
		assert.Len(t, strings.Fields(r.stdout), 1, "cat, and no other")
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
	arm64, _ := foreigners(t)
	sleeper := goProgram(t, "sleeper", "arm64")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		cmd := command("crossrun", "--private", sleeper)
		require.NoError(t, cmd.Start())
		awaitName(t, cmd.Process.Pid, "sleeper")
		require.NoError(t, cmd.Process.Signal(signal))
		err := cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		ended := status.Signaled() && status.Signal() == signal || signal != syscall.SIGKILL && status.Exited()
		assert.True(t, ended, "%v: %v", signal, err)
	}
	assert.Equal(t, 37, crossrun(t, "--private", arm64, "/bin/sh", "-c", "exit 37").status)
}

// awaitName waits until a process's command line has the text in it.
func awaitName(t *testing.T, pid int, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return err == nil && strings.Contains(string(line), text) && !strings.HasPrefix(string(line), os.Getenv(artifacts)+"/crossrun")
	}, time.Minute, 5*time.Millisecond)
}

// Where a private instance cannot be had the emulator alone runs the program,
// and -v says why; who insists on one is told.
func TestWithoutPrivateInstancesTheProgramItselfRuns(t *testing.T) {
	kerneltest.Instance(t)
	foreigners(t)
	if out, err := exec.Command("unshare", "-Ur", "true").CombinedOutput(); err != nil {
		t.Skipf("another user namespace is needed to limit those in it: %v: %s", err, out)
	}
	hello := goHello(t, "arm64")
	denied := func(args ...string) result {
		words := append([]string{"-Ur", "sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh", command("crossrun").Path}, args...)
		return run(t, exec.Command("unshare", words...))
	}
	r := denied("-v", hello)
	assert.Equal(t, 0, r.status, r.stderr)
	assert.Equal(t, goSaying("arm64", hello), r.stdout)
	assert.Contains(t, r.stderr, "only the program itself is emulated, not what it starts: private instance of binfmt_misc: cannot make a user namespace: ")
	assert.Contains(t, r.stderr, "the limit of user namespaces is reached or 0: sysctl user.max_user_namespaces")

	r = denied("--private", hello)
	assert.Equal(t, 126, r.status)
	assert.Empty(t, r.stdout)
	assert.Contains(t, r.stderr, "cannot make a user namespace")
	assert.Contains(t, r.stderr, "crossrun: hint: the limit of user namespaces")

	r = denied("--rootfs", "/", "true")
	assert.Equal(t, 125, r.status)
	assert.Contains(t, r.stderr, "cannot make a user namespace")
}

func TestKernelInsistsOnAnEntry(t *testing.T) {
	kerneltest.Instance(t)
	foreigners(t)
	hello := goHello(t, "arm64")
	r := crossrun(t, "--kernel", hello)
	assert.Equal(t, 126, r.status)
	assert.Contains(t, r.stderr, "crossrun: hint: as root: register")
	require.Zero(t, register(t, "--no-probe", "arm64").status)
	assert.Equal(t, result{stdout: goSaying("arm64", hello)}, crossrun(t, "--kernel", hello))
	r = crossrun(t, "-v", hello)
	assert.Contains(t, r.stderr, "the kernel's entry qemu-aarch64 runs it")
}

func TestTheEnvironmentSaysWhichEmulatorAndCPU(t *testing.T) {
	kerneltest.Instance(t)
	foreigners(t)
	hello := goHello(t, "arm64")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	other := filepath.Join(dir, "qemu-mine")
	copyFile(t, findEmulator(t, lookup(t, "arm64")).Path, other)
	with := func(variables []string, args ...string) result {
		cmd := command("crossrun", args...)
		cmd.Env = append(os.Environ(), variables...)
		return run(t, cmd)
	}
	for _, variable := range []string{"CROSSRUN_EMULATOR_ARM64=", "CROSSRUN_EMULATOR_AARCH64=", "CROSSRUN_EMULATOR_AARCH64_LINUX_GNU="} {
		r := with([]string{variable + other}, "--direct", "--print", hello)
		assert.Equal(t, result{stdout: fmt.Sprintf("%s -0 %s %s\n", other, hello, hello)}, r, variable)
		r = with([]string{variable + other}, "--private", "/bin/sh", "-c", "cat /proc/sys/fs/binfmt_misc/qemu-aarch64")
		assert.Contains(t, r.stdout, "interpreter "+other+"\n", r.stderr)
	}
	r := with([]string{"CROSSRUN_EMULATOR_ARM64=/no/such/file"}, "--direct", hello)
	assert.Equal(t, 125, r.status)
	assert.Contains(t, r.stderr, "CROSSRUN_EMULATOR_ARM64=/no/such/file: stat /no/such/file: no such file or directory")

	for _, way := range []string{"--direct", "--private"} {
		r = with([]string{"CROSSRUN_CPU_ARM64=no-such-cpu"}, way, hello)
		assert.NotZero(t, r.status, way)
		assert.Contains(t, r.stderr, "no-such-cpu", way)
		assert.Zero(t, with([]string{"CROSSRUN_CPU_ARM64=max"}, way, hello).status, way)
		assert.Zero(t, with([]string{"CROSSRUN_CPU_S390X=no-such-cpu"}, way, hello).status, way)
	}
	r = with([]string{"CROSSRUN_SYSROOT_ARM64=/no/such/directory"}, hello)
	assert.Equal(t, 125, r.status)
	assert.Contains(t, r.stderr, "CROSSRUN_SYSROOT_ARM64: stat /no/such/directory")
}

func TestStraceFollowsAllProcesses(t *testing.T) {
	kerneltest.Instance(t)
	arm64, s390x := foreigners(t)
	r := crossrun(t, "--strace", arm64, s390x, "/bin/true")
	assert.Equal(t, 0, r.status)
	assert.GreaterOrEqual(t, strings.Count(r.stderr, "exit_group(0)"), 2, "both programs'")
}

// A debugger attaches to the stub, and lets the program run.
func TestGDBStub(t *testing.T) {
	kerneltest.Instance(t)
	foreigners(t)
	gdb, err := exec.LookPath("gdb-multiarch")
	if err != nil {
		t.Skip("attaches a debugger: apt-get install gdb-multiarch: ", err)
	}
	socket := filepath.Join(t.TempDir(), "gdb")
	hello := goHello(t, "arm64")
	cmd := command("crossrun", "--gdb", socket, hello)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, time.Minute, 10*time.Millisecond)
	said, err := exec.Command(gdb, "-batch", "-nx", "-ex", "target remote "+socket, "-ex", "info registers pc", "-ex", "continue", hello).CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.NoError(t, cmd.Wait())
	assert.Equal(t, goSaying("arm64", hello), out.String())
	assert.Regexp(t, `pc +0x[0-9a-f]+`, string(said))
	assert.Contains(t, string(said), "exited normally")
}

func TestTimeoutEndsTheProgram(t *testing.T) {
	kerneltest.Instance(t)
	foreigners(t)
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	cmd := command("crossrun", "--timeout", "200ms", "--private", goProgram(t, "sleeper", "arm64"))
	err := cmd.Run()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	assert.True(t, status.Signaled() && status.Signal() == syscall.SIGTERM, "%v", err)

	// Who ends in time is not disturbed, and does not wait, nor do those who
	// read its output to the end.
	start := time.Now()
	r := crossrun(t, "--timeout", "10m", "/bin/sh", "-c", "exit 3")
	assert.Equal(t, 3, r.status)
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
		r := crossrun(t, "--timeout="+bad, "/bin/true")
		assert.Equal(t, 125, r.status, bad)
		assert.Contains(t, r.stderr, "timeout", bad)
	}
}

// In a root file system the caller is root, and it is all that there is.
func TestRootfs(t *testing.T) {
	kerneltest.Instance(t)
	arm64, _ := foreigners(t)
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	for _, dir := range []string{"proc", "sys", "dev", "etc", "tmp", "usr/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.Symlink("/usr/bin", filepath.Join(root, "bin"))) // absolute: it is within the root
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte("nameserver 192.0.2.1\n"), 0o644))
	copyFile(t, arm64, filepath.Join(root, "usr/bin/starter"))
	copyFile(t, goProgram(t, "looker", "arm64"), filepath.Join(root, "usr/bin/looker"))

	r := crossrun(t, "--rootfs", root, "starter", "/bin/looker", "/", "/etc/resolv.conf", "/dev/null", "/proc/self/exe")
	require.Zero(t, r.status, r.stderr)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	require.Len(t, lines, 6, r.stdout)
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
		{[]string{"--rootfs", "/etc/passwd", "sh"}, 125, "/etc/passwd is not a directory"},
		{[]string{"--rootfs", root, "no-such-command"}, 127, "no-such-command: not found in " + root},
		{[]string{"--rootfs", root, "/no/such/command"}, 127, "/no/such/command: not found in " + root},
	} {
		r := crossrun(t, test.args...)
		assert.Equal(t, test.status, r.status, "%v: %s", test.args, r.stderr)
		assert.Contains(t, r.stderr, test.said)
	}
	r = crossrun(t, "--rootfs", root, "--print", "starter", "a b")
	assert.Equal(t, result{stdout: command("crossrun").Path + " --rootfs " + root + " starter 'a b'\n"}, r)
}

const rootPATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// All ports of Go run in private instances, as their emulators are registered.
func TestGoProgramsOfEveryArchitectureRunInAPrivateInstance(t *testing.T) {
	kerneltest.Instance(t)
	var script []string
	want := ""
	for _, goarch := range goarchs {
		if arch := lookup(t, goarch); !kerneltest.Native(t, arch) {
			found, err := searchEmulator(t, arch)
			if errors.Is(err, emulator.ErrMissing) {
				continue
			}
			require.NoError(t, err)
			if reason := guests.CrashesThreads(arch, found); reason != "" {
				t.Log("without ", goarch, ": ", reason)
				continue
			}
		}
		hello := goHello(t, goarch)
		script = append(script, hello)
		want += goSaying(goarch, hello)
	}
	if !slices.ContainsFunc(script, func(s string) bool { return strings.HasSuffix(s, "arm64") }) {
		t.Skip("no emulators")
	}
	assert.Equal(t, result{stdout: want}, crossrun(t, "--private", "/bin/sh", "-ec", strings.Join(script, "\n")))
}
