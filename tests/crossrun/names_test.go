package crossrun

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// links makes links to crossrun under QEMU's names, and puts them before all else
// into PATH: whoever looks for an emulator finds crossrun first.
func links(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	r := commands.Crossrun(t, "--link", dir, "--names", "qemu")
	require.Zero(t, r.Status, r.Stderr)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

// soon runs a command that would start itself for ever if something were wrong.
func soon(t *testing.T, name string, args ...string) commands.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return commands.Run(t, exec.CommandContext(ctx, name, args...))
}

func TestCalledAsQEMUItRunsWhatTheProgramStarts(t *testing.T) {
	fs := kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	hello := commands.GoHello(t, "s390x")
	links(t)
	r := soon(t, "qemu-aarch64", arm64, s390x, "/bin/sh", "-c", hello+"; exit 37")
	assert.Equal(t, commands.Result{Stdout: "started by arm64\nstarted by s390x\n" + commands.GoSaying("s390x", hello), Status: 37}, r)
	assert.Empty(t, commands.List(t, fs), "nothing was registered")

	r = soon(t, "qemu-s390x-static", "-0", "zero", hello, "-x")
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("s390x", "zero", "-x")}, r)
	const variables = `echo "$A $B ${HOME-unset}"`
	t.Setenv("HOME", "/")
	r = soon(t, "qemu-s390x", s390x, "/bin/sh", "-c", variables)
	assert.Equal(t, commands.Result{Stdout: "started by s390x\n  /\n"}, r)
	r = soon(t, "qemu-s390x", "-E", "A=1,B=x=y", "-U", "HOME", s390x, "/bin/sh", "-c", variables)
	assert.Equal(t, commands.Result{Stdout: "started by s390x\n1 x=y unset\n"}, r)
	r = soon(t, "qemu-aarch64", hello)
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "invalid ELF image for this architecture")
	r = soon(t, "qemu-s390x", "-strace", hello)
	assert.Zero(t, r.Status)
	assert.Contains(t, r.Stderr, "exit_group(0)")
	r = soon(t, "qemu-s390x", "--version")
	assert.Zero(t, r.Status)
	assert.Regexp(t, `^qemu-s390x version \d+\.`, r.Stdout)
}

// The CPU and the sysroot are those of one architecture's programs, whoever starts
// them.
func TestQEMUsSettingsAreForAllProgramsOfTheArchitecture(t *testing.T) {
	kerneltest.Instance(t)
	arm64, s390x := commands.Foreigners(t)
	links(t)
	r := soon(t, "qemu-s390x", "-cpu", "no-such-cpu", s390x, "/bin/true")
	assert.NotZero(t, r.Status)
	assert.Contains(t, r.Stderr, "no-such-cpu")
	r = soon(t, "qemu-s390x", "-cpu", "max", s390x, s390x, "/bin/true")
	assert.Equal(t, commands.Result{Stdout: "started by s390x\nstarted by s390x\n"}, r)

	dynamic := commands.CHello(t, commands.Port("s390x-linux-gnu"), "dynamic")
	r = soon(t, "qemu-s390x", "-L", "/usr/s390x-linux-gnu", dynamic)
	assert.Zero(t, r.Status, r.Stderr)
	r = soon(t, "qemu-s390x", "-L", "/usr/s390x-linux-gnu", s390x, dynamic)
	assert.Zero(t, r.Status, "its prefix is its children's: %s", r.Stderr)
	t.Chdir("/usr")
	r = soon(t, "qemu-s390x", "-L", "s390x-linux-gnu", s390x, "/bin/sh", "-c", "cd / && exec "+dynamic)
	assert.Zero(t, r.Status, "wherever they are: %s", r.Stderr)
	r = soon(t, "qemu-aarch64", "-L", "/no/such/directory", arm64, "/bin/true")
	assert.Zero(t, r.Status, "a static program needs none: %s", r.Stderr)
}

// Links to crossrun are no emulators, wherever emulators are looked for.
func TestCrossrunDoesNotTakeItselfForAnEmulator(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	commands.NeedInstalled(t)
	hello := commands.GoHello(t, "s390x")
	dir := links(t)
	self := filepath.Join(dir, "qemu-s390x")
	want := commands.Result{Stdout: commands.GoSaying("s390x", hello)}
	for _, way := range []string{"--private", "--direct"} {
		assert.Equal(t, want, soon(t, filepath.Join(commands.Dir(), "crossrun"), way, hello), way)
	}
	t.Setenv("CROSSRUN_EMULATOR_S390X", "qemu-s390x")
	for _, name := range []string{"qemu-s390x", filepath.Join(commands.Dir(), "crossrun")} {
		assert.Equal(t, want, soon(t, name, hello), "what PATH has behind it: %s", name)
	}
	t.Setenv("CROSSRUN_EMULATOR_S390X", self)
	r := soon(t, "qemu-s390x", hello)
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "CROSSRUN_EMULATOR_S390X="+self+": passed over: it is crossrun, and no emulator")
	os.Unsetenv("CROSSRUN_EMULATOR_S390X")
	assert.Contains(t, commands.Crossrun(t, "--emulator", self, hello).Stderr, "it is crossrun")

	another := filepath.Join(t.TempDir(), "qemu-s390x")
	commands.CopyFile(t, self, another)
	assert.Contains(t, commands.Crossrun(t, "--emulator", another, hello).Stderr, "it is crossrun", "a copy is another file")

	r = commands.Register(t, "--qemu-path", dir, "s390x")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, self+"-static: passed over: it is crossrun, and no emulator")
	r = commands.Register(t, "s390x")
	assert.Zero(t, r.Status, r.Stderr)
	assert.NotContains(t, r.Stdout, dir)
}

// Should somebody register such a link all the same: the kernel's interpreter does
// not ask the kernel again.
func TestAsTheInterpreterOfAnEntryItEmulates(t *testing.T) {
	commands.Foreigners(t)
	hello := commands.GoHello(t, "s390x")
	self := filepath.Join(links(t), "qemu-s390x")
	for flags, argv0 := range map[binfmt.Flags]string{0: hello, binfmt.FixBinary: hello, binfmt.PreserveArgv0: "zero", binfmt.FixBinary | binfmt.PreserveArgv0: "zero"} {
		fs := kerneltest.Instance(t)
		require.NoError(t, fs.Register(binfmt.Entry{Name: "mine", Pattern: kerneltest.Lookup(t, "s390x").Pattern(), Interpreter: self, Flags: flags}))
		want := commands.Result{Stdout: commands.GoSaying("s390x", argv0, "-v", "x")}
		assert.Equal(t, want, soon(t, "/bin/bash", "-c", `exec -a zero "$0" -v x`, hello), "%v", flags)
		assert.Zero(t, soon(t, "qemu-s390x", hello).Status, "%v", flags)
		assert.Zero(t, soon(t, filepath.Join(commands.Dir(), "crossrun"), hello).Status, "%v", flags)
	}
}

// What --doctor says runs, has run: by what is registered, or by this command.
func TestTheDoctorSaysWhatRuns(t *testing.T) {
	fs := kerneltest.Instance(t)
	arm64, s390x := kerneltest.Lookup(t, "arm64"), kerneltest.Lookup(t, "s390x")
	commands.Foreigners(t)
	r := commands.Crossrun(t, "--doctor")
	assert.Zero(t, r.Status, r.Stderr)
	assert.Empty(t, r.Stderr)
	assert.Regexp(t, `(?s)registered +nothing: .*by crossrun .*linux/arm64.*emulators +QEMU `, r.Stdout)
	assert.Regexp(t, `--kernel +no: the kernel has no enabled entry for it`, r.Stdout)
	assert.Regexp(t, `--direct +works`, r.Stdout)
	assert.NotContains(t, r.Stdout, "\x1b", "this is no terminal")

	require.Zero(t, commands.Register(t, "--mount", fs.Dir(), "s390x").Status)
	r = commands.Crossrun(t, "--doctor")
	assert.Regexp(t, `(?s)registered +linux/s390x\n +by crossrun .*linux/arm64`, r.Stdout)
	assert.Contains(t, r.Stdout, arm64.Platform())
	assert.Equal(t, 1, strings.Count(r.Stdout, s390x.Platform()))

	// An emulator that does not work is seen not to.
	broken := filepath.Join(t.TempDir(), "qemu-broken")
	require.NoError(t, os.WriteFile(broken, []byte("#!/bin/sh\necho broken >&2\nexit 1\n"), 0o755))
	cmd := commands.Command("crossrun", "--doctor")
	cmd.Env = append(os.Environ(), "CROSSRUN_EMULATOR_ARM64="+broken)
	r = commands.Run(t, cmd)
	assert.Regexp(t, `(?m)^  arm64 +broken`, r.Stdout)

	r = commands.Crossrun(t, "--doctor", "x")
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, `"x" is too much`)
}
