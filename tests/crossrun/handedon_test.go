package crossrun

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// handsOn skips where the emulators of these architectures are not ours, and
// hides what is registered.
func handsOn(t *testing.T, goarchs ...string) {
	t.Helper()
	kerneltest.Instance(t)
	inheritNothing(t)
	ours(t, goarchs...)
}

// ours skips where the emulators of these architectures are not.
func ours(t *testing.T, goarchs ...string) {
	t.Helper()
	for _, goarch := range goarchs {
		arch := kerneltest.Lookup(t, goarch)
		if kerneltest.Native(t, arch) {
			t.Skip(goarch, " is native here")
		}
		if e := commands.FindEmulator(t, arch); !e.HandsOn() {
			t.Skip(e.Path, " is not one of ours, which TEST_EMULATORS names: make emulators")
		}
	}
}

// inheritNothing has what whoever runs the tests has left open closed in programs.
func inheritNothing(t *testing.T) {
	t.Helper()
	require.NoError(t, unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)) // 5.11
}

// handedOn returns crossrun --handed-on, which inherits nothing but the streams.
func handedOn(args ...string) *exec.Cmd {
	return commands.Command("crossrun", append([]string{"--handed-on"}, args...)...)
}

// executers are a C program for arm64, s390x and this host; see its source.
func executers(t *testing.T) (arm64, s390x, native string) {
	t.Helper()
	handsOn(t, "arm64", "s390x")
	host := kerneltest.Lookup(t, runtime.GOARCH).Debian[0].Triplet
	return executer(t, "aarch64-linux-gnu"), executer(t, "s390x-linux-gnu"), executer(t, host)
}

// said is what an executer says of itself.
func said(machine, path string) string {
	comm := filepath.Base(path)
	return fmt.Sprintf("%s %s %s %s\n", machine, path, comm[:min(len(comm), 15)], path)
}

func TestHandedOnTrees(t *testing.T) {
	handsOn(t, "arm64", "s390x")
	arm64, s390x := commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	dir := t.TempDir()
	script := func(name, line string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("#!"+line+"\n"), 0o755))
		return path
	}
	inner := script("inner", hello+" an argument")
	outer := script("outer", inner) // a script's script
	starting := script("starting", s390x+" "+hello)
	deep, said := []string{arm64, s390x, arm64, arm64, s390x}, "started by arm64\nstarted by s390x\nstarted by arm64\nstarted by arm64\nstarted by s390x\n"

	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"others", []string{arm64, s390x, arm64, hello, "x"}, "started by arm64\nstarted by s390x\nstarted by arm64\n" + commands.GoSaying("arm64", hello, "x")},
		{"native", []string{s390x, arm64, "/bin/echo", "x"}, "started by s390x\nstarted by arm64\nx\n"},
		{"its own script", []string{arm64, inner, "x"}, "started by arm64\n" + commands.GoSaying("arm64", hello, "an argument", inner, "x")},
		{"another's script", []string{s390x, outer, "x"}, "started by s390x\n" + commands.GoSaying("arm64", hello, "an argument", inner, outer, "x")},
		{"script that starts", []string{arm64, starting}, "started by arm64\nstarted by s390x\n" + commands.GoSaying("arm64", hello, starting)},
		{"25 deep", append(slices.Repeat(deep, 5), hello), strings.Repeat(said, 5) + commands.GoSaying("arm64", hello)},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, commands.Result{Stdout: test.want}, commands.Run(t, handedOn(test.args...)))
		})
	}
}

// What a program sees of itself is what it would natively, and neither an empty
// environment nor closing all descriptors changes what runs.
func TestHandedOnProgramsInheritWhatTheyWouldNatively(t *testing.T) {
	arm64, s390x, native := executers(t)
	t.Chdir(t.TempDir())
	for _, program := range []struct{ machine, path string }{{"aarch64", arm64}, {"s390x", s390x}, {kerneltest.Lookup(t, runtime.GOARCH).Uname[0], native}} {
		r := commands.Run(t, handedOn(arm64, "ignore", "10", "ignore", "13", "close", "inherited", "clear", "exec", program.path, "say", "inherited", "environment"))
		const nothing = "open:\nignored: 10 13\n"
		assert.Equal(t, commands.Result{Stdout: nothing + said(program.machine, program.path) + nothing}, r, program)
	}
	// Descriptors that the program passes on are there.
	cmd := handedOn(arm64, "inherited", "exec", s390x, "inherited", "exec", arm64, "inherited", "exec", native, "inherited")
	file, err := os.Open("/dev/null")
	require.NoError(t, err)
	defer file.Close()
	cmd.ExtraFiles = []*os.File{nil, file}
	assert.Equal(t, strings.Repeat("open: 4\nignored:\n", 4), commands.Run(t, cmd).Stdout)
	// The limit of open files is lower than the numbers that they have usually.
	cmd = exec.Command("/bin/sh", "-c", `ulimit -n 16; exec "$@"`, "sh")
	cmd.Args = append(cmd.Args, handedOn(arm64, "exec", s390x, "exec", arm64, "say").Args...)
	assert.Equal(t, commands.Result{Stdout: said("aarch64", arm64)}, commands.Run(t, cmd))
}

// A script's process has the script's name.
func TestHandedOnScriptsHaveTheirName(t *testing.T) {
	arm64, s390x, _ := executers(t)
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!"+arm64+" say\n"), 0o755))
	for _, starter := range []string{arm64, s390x} {
		r := commands.Run(t, handedOn(starter, "exec", script))
		assert.Equal(t, "aarch64 "+arm64+" script "+arm64+"\n"+script+": unknown\n", r.Stdout)
	}
}

// Errors of execve are the kernel's: a shell, for one, takes what nobody runs for a
// script of its own.
func TestHandedOnErrorsAreTheKernels(t *testing.T) {
	arm64, _, native := executers(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"text": "echo \"$0 $1\"\n", "script-of-missing": "#!/missing\n", "object": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "unexecutable"), nil, 0o644))
	commands.CopyFile(t, arm64, filepath.Join(dir, "object"), "\x02\x00\xb7\x00", "\x01\x00\xb7\x00") // ET_EXEC, ET_REL
	require.NoError(t, os.Mkdir(filepath.Join(dir, "directory"), 0o755))
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o755))
	errors := func(cmd *exec.Cmd) string {
		cmd.Dir = dir
		return commands.Run(t, cmd).Stdout
	}
	assert.Equal(t, errors(exec.Command(native, "errors")), errors(handedOn(arm64, "errors")))
	cmd := handedOn(arm64, "exec", "./text", "x")
	cmd.Dir = dir
	assert.Equal(t, commands.Result{Stdout: "./text x\n"}, commands.Run(t, cmd))
}

func TestHandedOnProgramsInMemory(t *testing.T) {
	arm64, s390x, native := executers(t)
	for _, program := range []struct{ machine, path string }{{"aarch64", arm64}, {"s390x", s390x}, {kerneltest.Lookup(t, runtime.GOARCH).Uname[0], native}} {
		r := commands.Run(t, handedOn(arm64, "memory", program.path, "say", "inherited"))
		assert.Regexp(t, "^"+program.machine+" "+program.path+" [^ ]+ /memfd:copy \\(deleted\\)\nopen:\nignored:\n$", r.Stdout, r.Stderr)
	}
}

func TestHandedOnArgumentsMayBeLong(t *testing.T) {
	arm64, s390x, _ := executers(t)
	for _, program := range []string{arm64, s390x} {
		cmd := exec.Command("/bin/sh", "-c", `ulimit -s 65536 && exec "$@"`, "sh")
		cmd.Args = append(cmd.Args, handedOn(arm64, "big", "3", program, "count").Args...)
		assert.Equal(t, commands.Result{Stdout: fmt.Sprintf("32 words, %d bytes\n", 3_000_000+len(program+"count"))}, commands.Run(t, cmd))
	}
}

func TestHandedOnStatusAndSignals(t *testing.T) {
	arm64, s390x, native := executers(t)
	for _, program := range []string{arm64, s390x, native} {
		assert.Equal(t, 37, commands.Run(t, handedOn(arm64, "run", program, "exit", "37")).Status)
		cmd := handedOn(arm64, "run", program, "kill", "15")
		require.Error(t, cmd.Run())
		assert.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	}
}

// In a chroot there is neither /proc nor a file of crossrun's or an emulator's.
func TestHandedOnInAChroot(t *testing.T) {
	arm64, s390x, _ := executers(t)
	if out, err := exec.Command("unshare", "-Ur", "true").CombinedOutput(); err != nil {
		t.Skipf("who is not root makes a chroot in a user namespace: %v: %s", err, out)
	}
	dir := t.TempDir()
	commands.CopyFile(t, arm64, filepath.Join(dir, "arm64"))
	commands.CopyFile(t, s390x, filepath.Join(dir, "s390x"))
	chroot := func(args ...string) commands.Result {
		crossrun := handedOn(append([]string{arm64, "chroot", dir, "clear"}, args...)...)
		return commands.Run(t, exec.Command("unshare", append([]string{"-Ur"}, crossrun.Args...)...))
	}
	assert.Equal(t, commands.Result{Stdout: "open:\nignored:\n"}, chroot("exec", "/arm64", "run", "/arm64", "inherited"))

	r := chroot("exec", "/s390x", "say")
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "s390x: no emulator found")
	assert.Contains(t, r.Stderr, "in a chroot")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755))
	commands.CopyFile(t, commands.FindEmulator(t, kerneltest.Lookup(t, "s390x")).Path, filepath.Join(dir, "usr/bin/qemu-s390x-static"))
	assert.Equal(t, commands.Result{Stdout: "open:\nignored:\n"}, chroot("exec", "/s390x", "inherited"))
}

func TestHandedOnManyAtOnce(t *testing.T) {
	handsOn(t, "arm64", "s390x")
	commands.Foreigners(t)
	crowd := commands.GoProgram(t, "crowd", "arm64")
	for goarch, count := range map[string]int{"arm64": 64, "s390x": 16} {
		hello := commands.GoHello(t, goarch)
		r := commands.Run(t, handedOn(crowd, strconv.Itoa(count), hello))
		assert.Empty(t, r.Stderr)
		assert.Equal(t, count, strings.Count(r.Stdout, "hello from "+goarch+" 1.414\n"), r.Stdout)
		assert.Equal(t, count, strings.Count(r.Stdout, strconv.Quote(hello)), r.Stdout)
	}
}

// Settings are kept where the environment is not.
func TestHandedOnSettings(t *testing.T) {
	arm64, s390x, _ := executers(t)
	with := func(variable string, args ...string) commands.Result {
		cmd := handedOn(args...)
		cmd.Env = append(os.Environ(), variable)
		return commands.Run(t, cmd)
	}
	r := with("CROSSRUN_CPU_S390X=no-such-cpu", arm64, "clear", "exec", arm64, "exec", s390x, "say")
	assert.Contains(t, r.Stderr, "no-such-cpu")
	assert.NotZero(t, r.Status)
	r = with("CROSSRUN_CPU_ARM64=cortex-a57", arm64, "clear", "exec", s390x, "exec", arm64, "environment")
	assert.Equal(t, commands.Result{}, r)
	r = commands.Run(t, handedOn("--strace", arm64, "clear", "exec", s390x, "exec", arm64, "exit", "3"))
	assert.Equal(t, 3, r.Status)
	assert.Equal(t, 3, strings.Count(r.Stderr, "execve(")+strings.Count(r.Stderr, "exit_group(3"), r.Stderr)
}

// Who asks for the first program only is told when another is not run.
func TestDirectReportsWhatIsNotRun(t *testing.T) {
	arm64, s390x, _ := executers(t)
	r := commands.Crossrun(t, "--direct", arm64, "exec", s390x)
	assert.NotZero(t, r.Status)
	assert.Contains(t, r.Stderr, "qemu-aarch64: "+s390x+": for another architecture than the host's, and not emulated\n")
	assert.Empty(t, commands.Crossrun(t, "--direct", arm64, "errors").Stderr)
}

// The way needs no namespace.
func TestHandedOnIsTakenWhereNamespacesAreDenied(t *testing.T) {
	handsOn(t, "arm64", "s390x")
	arm64, s390x := commands.Foreigners(t)
	if out, err := exec.Command("unshare", "-Ur", "true").CombinedOutput(); err != nil {
		t.Skipf("another user namespace is needed to limit those in it: %v: %s", err, out)
	}
	words := []string{"-Ur", "sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh", commands.Command("crossrun").Path, arm64, s390x, "/bin/true"}
	assert.Equal(t, commands.Result{Stdout: "started by arm64\nstarted by s390x\n"}, commands.Run(t, exec.Command("unshare", words...)))
}

// A program's libraries are found for each architecture, and after the environment was
// cleared; one whose loader is nowhere ends with a reason.
func TestHandedOnLibraries(t *testing.T) {
	arm64, s390x, _ := executers(t)
	dynamic := func(triplet string, args ...string) string {
		return commands.CProgram(t, commands.Port(triplet), fmt.Sprint("executer-dynamic-", len(args)), append(args, "../testdata/executer.c")...)
	}
	ofArm64, ofS390x := dynamic("aarch64-linux-gnu"), dynamic("s390x-linux-gnu")
	r := commands.Run(t, handedOn(arm64, "clear", "exec", ofArm64, "say", "exec", ofArm64, "exec", ofS390x, "say", "exec", ofS390x, "exec", s390x, "exec", ofArm64, "inherited"))
	assert.Equal(t, commands.Result{Stdout: said("aarch64", ofArm64) + said("s390x", ofS390x) + "open:\nignored:\n"}, r)

	without := dynamic("aarch64-linux-gnu", "-Wl,-I/no/loader")
	r = commands.Run(t, handedOn(arm64, "exec", without))
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "its loader /no/loader is not on this system")
}
