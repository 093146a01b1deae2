package crossrun

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// watched returns the command that runs a shell's script under a supervisor.
func watched(script string, args ...string) *exec.Cmd {
	return commands.Command("crossrun", append([]string{"--watched", "/bin/sh", "-c", script, "sh"}, args...)...)
}

// What a watched program starts runs, whichever architecture it is for, and so on;
// nothing is registered, and no namespace is made.
func TestEverythingThatAWatchedProgramStartsRuns(t *testing.T) {
	fs := kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	want := "started by arm64\nstarted by s390x\n" + commands.GoSaying("arm64", hello, "an argument") + "started by s390x\nstarted by arm64\n"
	script := hello + ` "an argument" | cat; ` + s390x + ` ` + arm64 + ` sh -c "exit 37"`
	r := commands.Crossrun(t, "--watched", arm64, s390x, "/bin/sh", "-c", script)
	assert.Equal(t, commands.Result{Stdout: want, Status: 37}, r)

	// Nobody has to ask for it where a native program starts others.
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, commands.Crossrun(t, "/bin/sh", "-c", hello))
	assert.Empty(t, commands.List(t, fs), "nothing was registered")

	// A namespace is denied, and not needed.
	words := append([]string{"-Ur", "sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh", commands.Command("crossrun").Path}, arm64, s390x, hello)
	r = commands.Run(t, exec.Command("unshare", words...))
	assert.Equal(t, commands.Result{Stdout: "started by arm64\nstarted by s390x\n" + commands.GoSaying("arm64", hello)}, r)
}

// But for its process ID, its parent and the filter a process is as without crossrun.
func TestAWatchedProcessInheritsWhatItWouldWithoutCrossrun(t *testing.T) {
	kerneltest.Instance(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	shell := func(words ...string) *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", `umask 027; ulimit -n 99; ulimit -c 0; trap '' HUP INT QUIT USR1 PIPE TERM TSTP WINCH; exec "$@"`, "sh")
		script := strings.ReplaceAll(inherited, `echo "$PPID"; `, "cat /proc/$$/oom_score_adj; ")
		script = strings.ReplaceAll(script, "NoNewPrivs|Seccomp|", "")
		// The parent of the process group's members is another one.
		script = strings.ReplaceAll(script, "cut -d' ' -f5-8 /proc/$$/stat", "cut -d' ' -f6-7 /proc/$$/stat")
		cmd.Args = append(append(cmd.Args, words...), "/bin/sh", "-c", script, "sh", "", "two words", "ünï")
		cmd.Stdin = strings.NewReader("input\n")
		cmd.Dir = dir
		file, err := os.Open("/dev/null")
		require.NoError(t, err)
		t.Cleanup(func() { file.Close() })
		cmd.ExtraFiles = []*os.File{file, nil, file}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "A=b=c", "EMPTY=", "NOEQUALS", "LC_ALL=C"}
		return cmd
	}
	plain, supervised := commands.Run(t, shell("env")), commands.Run(t, shell(commands.Command("crossrun").Path, "--watched"))
	assert.Equal(t, plain, supervised)
	assert.Contains(t, supervised.Stdout, " two words ünï\ninput\n")
}

// Where nothing can be executed, as in /tmp of some machines, it is said why.
func TestAFileSystemThatIsMountedNoexecIsNamed(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	dir := t.TempDir()
	for _, arch := range []string{"arm64", runtime.GOARCH} {
		in := filepath.Join(dir, arch)
		require.NoError(t, os.Mkdir(in, 0o755))
		cmd := exec.Command("unshare", "-Urm", "sh", "-c", `cd "$1" && mount -t tmpfs -o noexec none . && cd "$1" && cp "$2" hello && printf '#!%s/hello\n' "$1" > ../script && chmod +x hello ../script
for args in "--kernel ./hello" "--kernel ../script" "--watched ./hello"; do "$3" $args; echo $?; done`, "sh", in, commands.GoHello(t, arch), commands.Command("crossrun").Path)
		r := commands.Run(t, cmd)
		assert.Equal(t, "126\n126\n126\n", r.Stdout, r.Stderr)
		assert.Equal(t, 3, strings.Count(r.Stderr, "hello is on a file system that is mounted noexec"), r.Stderr)
	}
}

// blocked returns what a program has blocked that words start.
func blocked(t *testing.T, words ...string) commands.Result {
	t.Helper()
	words = append([]string{"--block-signal=HUP,INT,ABRT,USR2,TERM,CHLD,PROF"}, words...)
	r := commands.Run(t, exec.Command("env", append(words, "grep", "SigBlk", "/proc/self/status")...))
	require.Regexp(t, `^SigBlk:\t`, r.Stdout, r.Stderr)
	return r
}

// What is blocked stays so, which Go's run time does not leave to it. A shell would unblock all.
func TestBlockedSignalsStayBlocked(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	plain := blocked(t)
	require.Equal(t, "SigBlk:\t0000000004014823\n", plain.Stdout)
	for _, way := range []string{"--kernel", "--private", "--watched"} {
		assert.Equal(t, plain, blocked(t, commands.Command("crossrun").Path, way), way)
	}
}

func TestBlockedSignalsStayBlockedInARootFileSystem(t *testing.T) {
	root := commands.BusyboxRoot(t, runtime.GOARCH)
	assert.Equal(t, blocked(t), blocked(t, commands.Command("crossrun").Path, "--rootfs="+root, "busybox"))
}

func TestAWatchedProgramsEndIsCrossruns(t *testing.T) {
	kerneltest.Instance(t)
	arm64, _ := commands.Foreigners(t)
	assert.Equal(t, 37, commands.Crossrun(t, "--watched", arm64, "/bin/sh", "-c", "exit 37").Status)
	dir := t.TempDir()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGUSR1, 40} {
		cmd := watched(fmt.Sprintf("ulimit -c 0; kill -%d $$", signal))
		cmd.Dir = dir
		require.Error(t, cmd.Run())
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		assert.True(t, status.Signaled() && status.Signal() == signal, "%v: %v", signal, cmd.ProcessState)
		assert.False(t, status.CoreDump(), "one core at the most, and that is the program's")
	}
}

// ready starts a command that prints a line when it is ready, and returns what else it
// prints.
func ready(t *testing.T, cmd *exec.Cmd) io.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, len("ready\n"))
	_, err = io.ReadFull(out, line)
	require.NoError(t, err)
	require.Equal(t, "ready\n", string(line))
	return out
}

func TestSignalsToCrossrunAreTheWatchedPrograms(t *testing.T) {
	kerneltest.Instance(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2} {
		name := strings.TrimPrefix(unix.SignalName(signal), "SIG")
		cmd := watched(fmt.Sprintf("trap 'echo %s; exit 3' %s; echo ready; while :; do sleep 0.01; done", name, name))
		out := ready(t, cmd)
		require.NoError(t, cmd.Process.Signal(signal))
		rest, _ := io.ReadAll(out)
		assert.Error(t, cmd.Wait())
		assert.Equal(t, name+"\n", string(rest))
		assert.Equal(t, 3, cmd.ProcessState.ExitCode())
	}
	// What is ignored stays so.
	cmd := exec.Command("/bin/sh", "-c", `trap '' INT; exec "$@"`, "sh", commands.Command("crossrun").Path, "--watched", "/bin/sh", "-c", "kill -INT $$; echo lives")
	assert.Equal(t, commands.Result{Stdout: "lives\n"}, commands.Run(t, cmd))

	// Who kills crossrun kills the program.
	cmd = watched("echo ready; exec sleep 1000")
	out := ready(t, cmd)
	require.NoError(t, cmd.Process.Kill())
	_, err := io.ReadAll(out) // which the program has open
	require.NoError(t, err)
	assert.Error(t, cmd.Wait())
}

// The kernel tells crossrun that the time of alarm(2) is over, as that is a process's own and stays with it when
// it executes another program.
func TestAnAlarmIsTheProgramsThatCrossrunRuns(t *testing.T) {
	kerneltest.Instance(t)
	for _, way := range []string{"--watched", "--private", "--rootfs=/"} {
		cmd := commands.Command("crossrun", way, "/bin/sh", "-c", `exec sleep 60`)
		cmd.Args = append([]string{"alarm", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = commands.GoProgram(t, "alarm", runtime.GOARCH)
		assert.Error(t, cmd.Run(), way)
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		assert.Equal(t, syscall.SIGALRM, status.Signal(), "%s %v", way, cmd.ProcessState)
	}
}

// Who is left behind is watched on, and pipes end with those who have them open.
func TestDaemonsOfAWatchedProgramAreWatchedOn(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	dir := t.TempDir()
	fifo, out := filepath.Join(dir, "fifo"), filepath.Join(dir, "out")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	cmd := watched(`(read line <"$1"; "$2" "$line" >"$3.new"; mv "$3.new" "$3") >/dev/null 2>&1 & echo started`, fifo, hello, out)
	assert.Equal(t, commands.Result{Stdout: "started\n"}, commands.Run(t, cmd), "its pipes are at their end")
	require.NoError(t, os.WriteFile(fifo, []byte("later\n"), 0))
	require.Eventually(t, func() bool { _, err := os.Stat(out); return err == nil }, time.Minute, 5*time.Millisecond)
	assert.Equal(t, commands.GoSaying("arm64", hello, "later"), commands.Read(t, out))
}

func TestNoProcessIsLeftOfASupervisor(t *testing.T) {
	kerneltest.Instance(t)
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) // who loses its parent is this one's
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for range 10 {
		r := commands.Run(t, watched("cat /proc/$$/task/*/children"))
		assert.Len(t, strings.Fields(r.Stdout), 1, "cat, and no other")
	}
	assert.Empty(t, children(t))
}

// Who is killed while it executes a foreign program is no trouble, and leaves nothing.
func TestAWatchedProgramIsKilledAsItExecutes(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for i := range 100 {
		cmd := watched(`echo $$; exec "$1" x`, hello)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var pid int
		_, err = fmt.Fscan(out, &pid)
		require.NoError(t, err)
		time.Sleep(time.Duration(i) * 40 * time.Microsecond)
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		io.Copy(io.Discard, out)
		_ = cmd.Wait()
		assert.Empty(t, said.String())
	}
	assert.Eventually(t, func() bool {
		unix.Wait4(-1, nil, unix.WNOHANG, nil)
		return len(children(t)) == 0
	}, 10*time.Second, 10*time.Millisecond, "supervisors are left")
}

// Many at once, each of which takes its time, and what has many arguments, or is started
// by one that was started, as deep as can be.
func TestManyWatchedPrograms(t *testing.T) {
	kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	t.Run("at once", func(t *testing.T) {
		r := commands.Run(t, watched(`for i in $(seq 64); do "$1" $i & done; wait`, hello))
		assert.Equal(t, 64, strings.Count(r.Stdout, "hello from arm64"), r.Stderr)
		assert.Empty(t, r.Stderr)
	})
	t.Run("3 MB of arguments", func(t *testing.T) {
		words := strings.Repeat("x", 999)
		cmd := exec.Command("/bin/sh", "-c", `ulimit -s 65536; exec "$@"`, "sh", commands.Command("crossrun").Path, "--watched",
			"/bin/sh", "-c", `"$1" $(yes "$2" | head -n 3000) | wc -c`, "sh", hello, words)
		r := commands.Run(t, cmd)
		want := len(commands.GoSaying("arm64", hello)) + 3000*(len(words)+len("\"\"\n"))
		assert.Equal(t, commands.Result{Stdout: strconv.Itoa(want) + "\n"}, r)
	})
	t.Run("25 deep", func(t *testing.T) {
		var argv, want []string
		for i := range 25 {
			argv = append(argv, []string{arm64, s390x, "/usr/bin/env"}[i%3])
			want = append(want, []string{"started by arm64", "started by s390x", ""}[i%3])
		}
		r := commands.Crossrun(t, append([]string{"--watched"}, append(argv, "/bin/sh", "-c", "exit 5")...)...)
		assert.Equal(t, 5, r.Status, r.Stderr)
		assert.Equal(t, strings.Fields(strings.Join(want, " ")), strings.Fields(r.Stdout))
	})
}

// A child that shares its parent's memory changes nothing in it.
func TestChildrenThatShareMemoryAreWatched(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	for _, port := range []string{"x86_64-linux-gnu", "i686-linux-gnu"} {
		t.Run(port, func(t *testing.T) {
			spawner := commands.CProgram(t, commands.Port(port), "spawner", "../testdata/spawner.c", "-O2", "-static")
			r := commands.Crossrun(t, "--watched", spawner, hello, "x")
			assert.Equal(t, commands.Result{Stdout: strings.Repeat(commands.GoSaying("arm64", hello, "x"), 20)}, r)
		})
	}
}

// execve's errors are the kernel's own, for what is foreign, too.
func TestErrorsOfExecveAreTheSameUnderASupervisor(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	caller := commands.GoProgram(t, "caller", "amd64")
	dir := t.TempDir()
	write := func(name string, content []byte, mode os.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, mode))
	}
	foreign := []byte(commands.Read(t, commands.GoHello(t, "arm64")))
	write("not-executable", foreign, 0o644)
	write("text", []byte("text\n"), 0o755)
	write("cut-off", foreign[:30], 0o755)
	write("no-interpreter", []byte("#!"+dir+"/none\n"), 0o755)
	write("itself", []byte("#!"+dir+"/itself\n"), 0o755)
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o755))
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	for _, name := range []string{"none", "not-executable", "text", "cut-off", "no-interpreter", "itself", "fifo", "loop", "text/below", ".", "", strings.Repeat("x", 300)} {
		call := func(cmd *exec.Cmd) commands.Result {
			cmd.Dir = dir
			return commands.Run(t, cmd)
		}
		argv := []string{"itself", "./" + name, "x"}
		if name == "" {
			argv[1] = ""
		}
		plain := call(exec.Command(caller, argv...))
		assert.Equal(t, 99, plain.Status)
		assert.Equal(t, plain, call(commands.Command("crossrun", append([]string{"--watched", caller}, argv...)...)), name)
	}
}

// What is executed by a descriptor, or by a name that leads to one, runs as it does natively: programs,
// and scripts, whose interpreter gets a name of theirs.
func TestWatchedProgramsAreExecutedByDescriptors(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	at := executer(t, kerneltest.Lookup(t, runtime.GOARCH).Debian[0].Triplet)
	crossrun := commands.Command("crossrun").Path
	dir := t.TempDir()
	run := func(t *testing.T, goarch, script string, words ...string) commands.Result {
		in := filepath.Join(dir, goarch)
		hello := filepath.Join(in, "hello")
		commands.CopyFile(t, commands.GoHello(t, goarch), hello)
		require.NoError(t, os.WriteFile(filepath.Join(in, "script"), []byte("#!"+hello+" y\n"), 0o755))
		words = append(words, "/bin/sh", "-c", script, "sh", at, crossrun)
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = in
		r := commands.Run(t, cmd)
		r.Stdout = strings.ReplaceAll(r.Stdout, goarch, "ARCH")
		return r
	}
	for _, file := range []string{"hello", "script"} {
		for _, script := range []string{
			"exec /dev/fd/7 x 7<FILE", "exec /proc/self/fd/7 x 7<FILE", "exec /dev/stdin x <FILE", "exec /dev/stderr x 2<FILE",
			"exec $1 descriptor FILE x", "exec $1 descriptor-closed FILE x", "exec $1 below . FILE x", "exec $1 below / $PWD/FILE x",
		} {
			t.Run(script+" "+file, func(t *testing.T) {
				script := strings.ReplaceAll(script, "FILE", file)
				natively := run(t, runtime.GOARCH, script)
				assert.Equal(t, natively, run(t, "arm64", script, crossrun, "--watched"))
				if by, ok := strings.CutPrefix(script, "exec /"); ok { // the first program
					assert.Equal(t, natively, run(t, "arm64", "exec $2 --watched /"+by))
				}
			})
		}
	}
}

// A missing loader is said, and the error is one that execve has.
func TestASupervisorSaysWhyAProgramIsNotRun(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	dynamic := filepath.Join(t.TempDir(), "dynamic")
	commands.CopyFile(t, commands.CHello(t, commands.Port("aarch64-linux-gnu"), "dynamic"), dynamic, "/lib/ld-linux-aarch64", "/lib/no-linux-aarch64")
	r := commands.Run(t, watched(`"$1"; "$1"`, dynamic))
	assert.Equal(t, 127, r.Status)
	assert.Equal(t, 1, strings.Count(r.Stderr, "its loader /lib/no-linux-aarch64.so.1 is not on this system"), "it is said once: %s", r.Stderr)
	assert.Contains(t, r.Stderr, "crossrun: hint: ")
}

// Debuggers in the tree work. What they trace is theirs.
func TestDebuggersWorkUnderASupervisor(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip(err)
	}
	r := commands.Run(t, watched(`"$1" -f -o /dev/null /bin/sh -c "/bin/true; exit 3"`, strace))
	assert.Equal(t, commands.Result{Status: 3}, r)

	r = commands.Run(t, watched(`"$1" -f -o /dev/null "$2"`, strace, hello))
	assert.NotZero(t, r.Status)
	assert.Contains(t, r.Stderr, "a debugger traces the process that starts it")
}

// In a supervisor's tree crossrun only executes: there is one supervisor.
func TestCrossrunUnderASupervisor(t *testing.T) {
	kerneltest.Instance(t)
	arm64, _ := commands.Foreigners(t)
	crossrun := commands.Command("crossrun").Path
	for _, argv := range [][]string{
		{arm64, "/bin/sh", "-c", "echo $$; exit 4"},
		{"/bin/sh", "-c", arm64 + ` sh -c "echo x; exit 4"`},
		{crossrun, arm64, "/bin/sh", "-c", "exit 4"},
	} {
		r := commands.Crossrun(t, append([]string{"--watched", crossrun}, argv...)...)
		assert.Equal(t, 4, r.Status, "%s: %s", argv, r.Stderr)
		assert.Contains(t, r.Stdout, "started by arm64")
		assert.Empty(t, r.Stderr)
	}
	// Nor does it say where one architecture's libraries are, which the variable would do for all.
	ofArm64 := commands.CProgram(t, commands.Port("aarch64-linux-gnu"), "executer-dynamic", "../testdata/executer.c")
	hello := commands.CHello(t, commands.Port("s390x-linux-gnu"), "dynamic")
	r := commands.Crossrun(t, "--watched", crossrun, ofArm64, "exec", hello)
	assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", hello)}, r)

	// Who asks to be watched is, with what was named.
	for _, argv := range [][]string{{"/bin/sh", "-c", arm64 + " sh -c 'exit 4'"}, {arm64, "/bin/sh", "-c", "exit 4"}} {
		r := commands.Crossrun(t, append([]string{"--watched", crossrun, "--watched"}, argv...)...)
		assert.Equal(t, commands.Result{Stdout: "started by arm64\n", Status: 4}, r, "%s", argv)
	}
	r = commands.Crossrun(t, "--watched", crossrun, "--watched", "--sysroot", "/usr/s390x-linux-gnu", hello)
	assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", hello)}, r)
	r = commands.Crossrun(t, "--watched", crossrun, "-v", "--watched", hello)
	assert.Contains(t, r.Stderr, "crossrun: the supervisor that watches this process watches it, too, and what it starts: "+hello)
	// But by an emulator of its own it is not.
	named := "arm64=" + commands.FindEmulator(t, kerneltest.Lookup(t, "arm64")).Path
	r = commands.Crossrun(t, "--watched", crossrun, "--watched", "--emulator", named, arm64, "/bin/sh", "-c", "exit 4")
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "a supervisor of crossrun's watches this process already")
}

// A program in another root directory is looked for there, with its #! line and its
// loader. The emulator is the supervisor's.
func TestWatchedProgramsInAnotherRoot(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	root := t.TempDir()
	commands.CopyFile(t, commands.GoHello(t, "arm64"), filepath.Join(root, "bin/hello"))
	require.NoError(t, os.Symlink("/bin/hello", filepath.Join(root, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(root, "script"), []byte("#!/bin/hello\n"), 0o755))
	for path, says := range map[string][]string{"/bin/hello": {"/bin/hello", "x"}, "/link": {"/link", "x"}, "/script": {"/bin/hello", "/script", "x"}} {
		cmd := commands.Command("crossrun", "--watched", "unshare", "-Ur", "chroot", root, path, "x")
		assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", says...)}, commands.Run(t, cmd), path)
	}
}

// So are the libraries of cross compilers: where there are other mounts only, and in a
// root directory in which those are.
func TestWatchedProgramsFindLibrariesInAnotherRoot(t *testing.T) {
	kerneltest.Instance(t)
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "dynamic")
	root := t.TempDir()
	commands.CopyFile(t, hello, filepath.Join(root, "bin/hello"))
	for _, library := range []string{"ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6"} {
		file := filepath.Join("usr/aarch64-linux-gnu/lib", library)
		commands.CopyFile(t, filepath.Join("/", file), filepath.Join(root, file))
	}
	for _, words := range [][]string{
		{"unshare", "-Urm", hello}, {"unshare", "-Ur", "chroot", root, "/bin/hello"}, {commands.Command("crossrun").Path, "--private", hello},
	} {
		r := commands.Crossrun(t, append([]string{"--watched"}, words...)...)
		assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", words[len(words)-1])}, r, "%s", words)
	}
}

// --sysroot with a native program is for what that starts.
func TestASysrootOfWhatANativeProgramStarts(t *testing.T) {
	kerneltest.Instance(t)
	elsewhere := commands.CProgram(t, commands.Port("aarch64-linux-gnu"), "hello-c-elsewhere", "-Wl,-I/elsewhere/ld.so", "../testdata/hello.c", "-lm")
	root := t.TempDir()
	for library, in := range map[string]string{"ld-linux-aarch64.so.1": "elsewhere/ld.so", "libc.so.6": "lib/libc.so.6", "libm.so.6": "lib/libm.so.6"} {
		commands.CopyFile(t, filepath.Join("/usr/aarch64-linux-gnu/lib", library), filepath.Join(root, in))
	}
	for _, way := range []string{"--watched", "--private"} {
		r := commands.Crossrun(t, way, "--sysroot", root, "/bin/sh", "-c", elsewhere+"; exit 3")
		assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", elsewhere), Status: 3}, r, way)
	}
	// Other architectures' libraries are found as without.
	hello := commands.CHello(t, commands.Port("s390x-linux-gnu"), "dynamic")
	r := commands.Crossrun(t, "--sysroot", root, "/bin/sh", "-c", hello)
	assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", hello)}, r)
}

// Programs of i386, which amd64's kernel runs itself, are watched as the host's own: a whole system may be
// of these. Under the emulator's name they are emulated.
func TestProgramsOfI386StartForeignOnes(t *testing.T) {
	kerneltest.Instance(t)
	i386 := kerneltest.Lookup(t, "386")
	if runtime.GOARCH != "amd64" || !kerneltest.Native(t, i386) {
		t.Skip("the kernel runs no programs of i386 itself")
	}
	program := commands.CProgram(t, commands.Port("i686-linux-gnu"), "executer", "-static", "-O1", "../testdata/executer.c")
	hello := commands.GoHello(t, "arm64")
	for _, argv := range [][]string{{program, "exec", hello}, {"/bin/sh", "-c", program + " exec " + hello}} {
		assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, commands.Crossrun(t, argv...), "%s", argv)
	}
	r := commands.Crossrun(t, "-v", program, "exec", hello)
	assert.Contains(t, r.Stderr, "crossrun: a supervisor has emulators executed for it, and for what it starts: "+program)
	commands.FindEmulator(t, i386)
	link := filepath.Join(t.TempDir(), "qemu-i386")
	require.NoError(t, os.Symlink(commands.Command("crossrun").Path, link))
	r = commands.Run(t, exec.Command(link, "-cpu", "nosuch", program, "exec", "/bin/true"))
	assert.Equal(t, 1, r.Status, r)
	assert.Contains(t, r.Stderr, "nosuch")
}

// What the caller's QEMU_LD_PREFIX says is for programs that have their loader there, and comes after
// what is named.
func TestASysrootComesBeforeThatOfAnotherArchitecture(t *testing.T) {
	kerneltest.Instance(t)
	arm64, s390x := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "dynamic"), commands.CHello(t, commands.Port("s390x-linux-gnu"), "dynamic")
	want := commands.Result{Stdout: commands.Saying("hello from C 1.414", arm64)}
	for _, prefix := range []string{"/usr/s390x-linux-gnu", "/nosuch"} {
		t.Setenv("QEMU_LD_PREFIX", prefix)
		for _, way := range []string{"--watched", "--private", "--direct"} {
			assert.Equal(t, want, commands.Crossrun(t, way, arm64), way)
			assert.Equal(t, want, commands.Crossrun(t, way, "--sysroot", "/usr/aarch64-linux-gnu", arm64), way)
		}
		for _, way := range []string{"--watched", "--private"} {
			assert.Equal(t, want, commands.Crossrun(t, way, "--sysroot", "/usr/aarch64-linux-gnu", "/bin/sh", "-c", arm64), way)
		}
		assert.Equal(t, want, commands.Crossrun(t, "--watched", "/bin/sh", "-c", arm64))
	}
	t.Setenv("QEMU_LD_PREFIX", "/usr/s390x-linux-gnu")
	r := commands.Crossrun(t, "--watched", "/bin/sh", "-c", s390x)
	assert.Equal(t, commands.Result{Stdout: commands.Saying("hello from C 1.414", s390x)}, r)
}

// A file system that hangs holds up nobody else: nor does a pipe that is executed.
func TestASupervisorIsNotHeldUp(t *testing.T) {
	kerneltest.Instance(t)
	dir := t.TempDir()
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o755))
	cmd := watched(`./fifo & for i in 1 2 3; do /bin/true; done; wait; echo done`)
	cmd.Dir = dir
	assert.Equal(t, "done\n", commands.Run(t, cmd).Stdout)
}

// Programs of all kinds start others at the same time, while signals arrive.
func TestSignalsWhileWatchedProgramsStart(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	cmd := watched(`trap : USR1; echo ready; for i in $(seq 20); do "$1" $i; done; echo done`, hello)
	var out bytes.Buffer
	rest := ready(t, cmd)
	var wait sync.WaitGroup
	wait.Go(func() { io.Copy(&out, rest) })
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				cmd.Process.Signal(syscall.SIGUSR1)
			}
		}
	}()
	wait.Wait()
	close(stop)
	require.NoError(t, cmd.Wait())
	assert.Equal(t, 20, strings.Count(out.String(), "hello from arm64"))
	assert.True(t, strings.HasSuffix(out.String(), "done\n"))
}

// Some kernels of amd64 run i386's programs and some do not; and where they do, the
// loader may be in the directory of a cross compiler.
func TestWatchedProgramsOfARelative(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("i386 is a relative of amd64's")
	}
	commands.FindEmulator(t, kerneltest.Lookup(t, "386"))
	for _, link := range []string{"static", "dynamic"} {
		program := commands.CHello(t, commands.Port("i686-linux-gnu"), link)
		r := commands.Crossrun(t, "--watched", "sh", "-c", `"$0" x`, program)
		assert.Zero(t, r.Status, r.Stderr)
		assert.Contains(t, r.Stdout, `"x"`, link)
	}
}
