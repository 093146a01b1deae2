package register

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// otherEmulator returns a file with a name that is none of QEMU's, which stands for an
// emulator.
func otherEmulator(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	commands.CopyFile(t, commands.GoProgram(t, "other", runtime.GOARCH), path)
	require.NoError(t, os.Chmod(path, 0o755))
	return path
}

func TestEmulatorsThatAreNamedNeedNotBeQEMUs(t *testing.T) {
	arch := kerneltest.Lookup(t, "ppc64le")
	hello := commands.GoHello(t, "ppc64le")
	for name, want := range map[string]struct{ flags, version, said string }{
		"FEX":     {"POF", "FEX 2506", `other: argv[0] true, descriptor true, ["` + hello + `" "called so" "x"]`},
		"rosetta": {"OF", "Rosetta", `other: argv[0] false, descriptor true, ["` + hello + `" "x"]`},
		"box64":   {"F", "box64 0.4.3", `other: argv[0] false, descriptor false, ["` + hello + `" "x"]`},
		"unknown": {"F", "", `other: argv[0] false, descriptor false, ["` + hello + `" "x"]`},
	} {
		t.Run(name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			other := otherEmulator(t, name)
			r := commands.Register(t, "--emulator", "linux/ppc64le="+other, "ppc64le")
			require.Equal(t, 0, r.Status, r.Stderr)
			assert.Contains(t, r.Stdout, "added, runs")
			assert.Contains(t, r.Stdout, want.version)
			e, err := fs.Get("qemu-ppc64le")
			require.NoError(t, err)
			assert.Equal(t, other, e.Interpreter)
			assert.Equal(t, want.flags, e.Flags.String())
			assert.True(t, arch.Pattern().Equal(e.Pattern))

			cmd := exec.Command(hello, "x")
			cmd.Args[0] = "called so"
			assert.Equal(t, commands.Result{Stdout: want.said + "\n"}, commands.Run(t, cmd))

			r = commands.Register(t, "--emulator", "linux/ppc64le="+other, "ppc64le")
			assert.Contains(t, r.Stdout, "kept, runs", r.Stderr)
			r = commands.Register(t, "--status")
			assert.Contains(t, r.Stdout, want.version, r.Stderr)

			r = commands.Register(t, "--uninstall", "ppc64le")
			assert.Equal(t, 0, r.Status, r.Stderr)
			assert.Empty(t, commands.Names(t, fs))
		})
	}
}

// One takes the place of the other, and what was registered before is there until then.
func TestAnEmulatorTakesTheOthersPlace(t *testing.T) {
	fs := kerneltest.Instance(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "ppc64le"))
	for _, way := range []struct {
		args []string
		said string
	}{
		{[]string{"ppc64le"}, "added, runs"},
		{[]string{"--emulator", "ppc64le=" + otherEmulator(t, "box64"), "ppc64le"}, "runs"},
		{[]string{"ppc64le"}, "runs"},
	} {
		r := commands.Register(t, way.args...)
		require.Equal(t, 0, r.Status, r.Stderr)
		assert.Contains(t, r.Stdout, way.said)
		assert.Equal(t, []string{"qemu-ppc64le"}, commands.Names(t, fs))
	}

	// What does not run its programs is not registered.
	r := commands.Register(t, "--emulator", "ppc64le=/bin/false", "-p", "no", "ppc64le")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "register: error: linux/ppc64le: does not run")
	r = commands.Register(t, "ppc64le")
	assert.Contains(t, r.Stdout, "kept, runs", r.Stderr)
}

// A loader need not be there in each container: F would promise it.
func TestAnEmulatorWithALoaderIsRegisteredWithoutF(t *testing.T) {
	fs := kerneltest.Instance(t)
	dir := t.TempDir()
	for name, want := range map[string]string{"box64": "", "FEX": "ppc64le: " + dir + "/FEX: emulator is not static: it needs /lib"} {
		source, path := filepath.Join(dir, "fake.c"), filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(source, []byte("#include <unistd.h>\nint main(void) { char c; return read(0, &c, 1) < 0 ? 1 : 42; }\n"), 0o644))
		if out, err := exec.Command("gcc", "-o", path, source).CombinedOutput(); err != nil {
			t.Skipf("gcc is needed for a dynamically linked program: %v %s", err, out)
		}
		r := commands.Register(t, "--emulator", "ppc64le="+path, "ppc64le")
		if want != "" {
			assert.Equal(t, 1, r.Status)
			assert.Contains(t, r.Stderr, want)
			assert.Contains(t, r.Stderr, "-p no")
			continue
		}
		require.Equal(t, 0, r.Status, r.Stderr)
		e, err := fs.Get("qemu-ppc64le")
		require.NoError(t, err)
		assert.Equal(t, binfmt.Flags(0), e.Flags)
		r = commands.Register(t, "-p", "yes", "--emulator", "ppc64le="+path, "ppc64le")
		assert.Equal(t, 1, r.Status, "F was asked for")
		assert.Contains(t, r.Stderr, "emulator is not static")
	}
}

// Somebody else's entry in front is no success, unless it has that emulator.
func TestOthersInFrontOfAnEmulatorThatWasNamed(t *testing.T) {
	fs := kerneltest.Instance(t)
	fex, box := otherEmulator(t, "FEX"), otherEmulator(t, "box64")
	arch := kerneltest.Lookup(t, "ppc64le")
	require.NoError(t, fs.Register(binfmt.Entry{Name: "FEX-ppc64le", Pattern: arch.Pattern(), Interpreter: fex, Flags: binfmt.FixBinary}))
	r := commands.Register(t, "--emulator", "ppc64le="+fex, "ppc64le")
	assert.Equal(t, 0, r.Status, r.Stderr)

	r = commands.Register(t, "--emulator", "ppc64le="+box, "ppc64le")
	assert.Equal(t, 1, r.Status)
	assert.Equal(t, fmt.Sprintf("register: error: linux/ppc64le: not registered: FEX-ppc64le (%s) is for the same programs\nregister: hint: --force registers in front of it\n", fex), r.Stderr)
	r = commands.Register(t, "--force", "--emulator", "ppc64le="+box, "ppc64le")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Equal(t, []string{"FEX-ppc64le", "qemu-ppc64le"}, commands.Names(t, fs))
}

func TestEmulatorsThatCannotBeAreErrors(t *testing.T) {
	kerneltest.Instance(t)
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755))
	other := commands.GoProgram(t, "other", "s390x")
	for _, test := range []struct {
		value  string
		status int
		said   string
	}{
		{"ppc64le=" + script, 1, "script: emulator is a script"},
		{"ppc64le=" + other, 1, "emulator is for another host: it runs on s390x"},
		{"ppc64le=" + dir, 1, "not a regular file"},
		{"ppc64le=" + dir + "/none", 2, "none: no such file or directory"},
		{"ppc64le=no-such-command", 2, "executable file not found in $PATH"},
		{"nonsense=/bin/sh", 2, `unknown architecture "nonsense"`},
		{"/usr/bin/FEX", 2, "must be ARCH=FILE"},
		{"ppc64le=", 2, "must be ARCH=FILE"},
		{"arm64=/bin/sh", 2, "not among the architectures that are named"},
	} {
		r := commands.Register(t, "--emulator", test.value, "ppc64le")
		assert.Equal(t, test.status, r.Status, test.value)
		assert.Contains(t, r.Stderr, test.said)
		assert.Contains(t, r.Stderr, "register: hint: ", test.value)
	}
	// Also where all architectures are meant.
	r := commands.Register(t, "--emulator", "ppc64le="+script)
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "script: emulator is a script")
}
