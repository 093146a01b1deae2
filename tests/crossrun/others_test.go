package crossrun

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// An architecture has one emulator that is registered, and another for what is to be
// run by that: in each way in which crossrun runs what programs start.
func TestAnEmulatorOfAnArchitectureNeedNotBeQEMUs(t *testing.T) {
	fs := kerneltest.Instance(t)
	hello := commands.GoHello(t, "ppc64le")
	registered, fex := filepath.Join(t.TempDir(), "unknown"), filepath.Join(t.TempDir(), "FEX")
	for _, path := range []string{registered, fex} {
		commands.CopyFile(t, commands.GoProgram(t, "other", runtime.GOARCH), path)
		require.NoError(t, os.Chmod(path, 0o755))
	}
	require.NoError(t, fs.Register(binfmt.Entry{Name: "qemu-ppc64le", Pattern: kerneltest.Lookup(t, "ppc64le").Pattern(), Interpreter: registered, Flags: binfmt.FixBinary}))

	said := func(argv0, descriptor, args string) commands.Result {
		return commands.Result{Stdout: "other: argv[0] " + argv0 + ", descriptor " + descriptor + ", [\"" + hello + "\"" + args + "]\n"}
	}
	started := []string{"/bin/sh", "-c", hello + " x"}
	entry, directly := said("true", "true", ` "`+hello+`" "x"`), said("false", "false", ` "x"`)
	assert.Equal(t, said("false", "false", ` "x"`), commands.Crossrun(t, hello, "x"), "what is registered")
	assert.Equal(t, directly, commands.Crossrun(t, "--emulator", fex, hello, "x"))
	for way, want := range map[string]commands.Result{"--private": entry, "--watched": directly} {
		assert.Equal(t, want, commands.Crossrun(t, append([]string{"--emulator", "linux/ppc64le=" + fex, way}, started...)...), way)
		assert.Equal(t, want, commands.Crossrun(t, "--emulator", "linux/ppc64le="+fex, way, hello, "x"), way)
	}
	assert.Equal(t, entry, commands.Crossrun(t, "--emulator", "ppc64le="+fex, hello, "x"), "it is not dropped for the kernel's entry")
	r := commands.Crossrun(t, "-v", "--emulator", "ppc64le="+fex, "--direct", hello)
	assert.Contains(t, r.Stderr, fex+": FEX 2506\n")
	r = commands.Crossrun(t, "--kernel", "--emulator", "ppc64le="+fex, hello)
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "names an emulator, and the kernel uses that of its entry")
	r = commands.Crossrun(t, "--strace", "--cpu", "max", "--emulator", fex, hello)
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "--cpu: "+fex+" does not look like one of QEMU's emulators")
}

func TestEmulatorsThatCannotBeAreErrors(t *testing.T) {
	hello := commands.GoHello(t, "ppc64le")
	for value, said := range map[string]string{
		"ppc64le=":                  "must be FILE or ARCH=FILE",
		"ppc64le=/no/such/file":     "stat /no/such/file: no such file or directory",
		"nonsense=/bin/sh":          `unknown architecture "nonsense"`,
		"ppc64le=no-such-command":   "executable file not found in $PATH",
		"no-such-command":           "executable file not found in $PATH",
		"ppc64le=/proc/self/status": "permission denied",
	} {
		r := commands.Crossrun(t, "--emulator", value, hello)
		assert.Equal(t, 125, r.Status, value)
		assert.Contains(t, r.Stderr, "crossrun: error: --emulator "+value+": "+said)
		assert.Contains(t, r.Stderr, "crossrun: hint: name a file, or a command in PATH")
	}
	r := commands.Crossrun(t, "--emulator", "/bin/true", "--emulator", "/bin/false", hello)
	assert.Equal(t, 125, r.Status)
	assert.Contains(t, r.Stderr, "the program is run by one")
}
