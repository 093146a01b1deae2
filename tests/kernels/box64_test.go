package kernels

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/tests/kernels/plan"
	"github.com/projectcalico/go-build/tests/machine"
)

// box64Guest is a host that box64 is for.
var box64Guest = guest{
	name: "arm64 with box64", arch: "arm64", suite: "trixie", kernel: "linux-image-cloud-arm64", emulators: "trixie",
	machine: []string{"qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57"}, console: "ttyAMA0", foreign: []string{"amd64"},
}

const (
	box64  = "/usr/bin/box64"
	qemu   = "/usr/bin/qemu-x86_64-static"
	said   = "/hello-c" // dynamically linked C programs: static ones of Go's end at once by box64 0.3.4
	primes = "/primes"
)

const primesSource = `#include <stdio.h>
static char composite[2000000];
int main(void)
{
	int i, j, n = 0;
	for (i = 2; i < (int)sizeof(composite); i++) {
		if (composite[i])
			continue;
		n++;
		for (j = 2 * i; j < (int)sizeof(composite); j += i)
			composite[j] = 1;
	}
	printf("%d\n", n);
	return 0;
}
`

// Another emulator than QEMU is registered, chosen, and replaced; what took how long is
// in the log.
func TestBox64(t *testing.T) {
	if os.Getenv("TEST_KERNELS") == "" {
		t.Skip("boots a virtual machine: make test-kernels")
	}
	g, dir := box64Guest, t.TempDir()
	if _, err := exec.LookPath(g.machine[0]); err != nil {
		t.Skipf("%v: tests/kernels/install-tools installs it", err)
	}
	const compiler = "x86_64-linux-gnu-gcc"
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("%v: tests/install-tools installs it", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	kernel, module := machine.Kernel(t, ctx, g.arch, g.suite, g.kernel, filepath.Join(dir, "kernel"))
	files := g.emulatorFiles(t, ctx, filepath.Join(dir, "emulators"))
	maps.Copy(files, box64Files(t, ctx, filepath.Join(dir, "box64")))
	files["init"] = build(t, ctx, dir, g.arch, "./init")
	files["usr/bin/register"] = build(t, ctx, dir, g.arch, "../../cmd/register")
	files["usr/bin/crossrun"] = build(t, ctx, dir, g.arch, "../../cmd/crossrun")
	source := filepath.Join(dir, "primes.c")
	require.NoError(t, os.WriteFile(source, []byte(primesSource), 0o644))
	for program, source := range map[string]string{said: "../testdata/hello.c", primes: source} {
		files[program[1:]] = filepath.Join(dir, program)
		out, err := exec.CommandContext(ctx, compiler, "-O1", "-o", files[program[1:]], source, "-lm").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	// Libraries are for QEMU: box64 has its host's.
	for library, place := range map[string]string{"ld-linux-x86-64.so.2": "lib64", "libc.so.6": "lib/x86_64-linux-gnu", "libm.so.6": "lib/x86_64-linux-gnu"} {
		out, err := exec.CommandContext(ctx, compiler, "-print-file-name="+library).Output()
		require.NoError(t, err)
		files[filepath.Join(place, library)] = strings.TrimSpace(string(out))
	}

	// Where HOME is not set, as in probes, box64 asks whose home it is, and crashes if
	// nobody is there (0.3.4, 0.4.3).
	files["etc/passwd"] = filepath.Join(dir, "passwd")
	require.NoError(t, os.WriteFile(files["etc/passwd"], []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644))

	run := func(name string, argv ...string) plan.Step { return plan.Step{Name: name, Argv: argv} }
	asJSON := func(name string, args ...string) plan.Step {
		return run(name, append([]string{register, "--output", "json"}, args...)...)
	}
	steps := []plan.Step{
		{Name: "module", LoadModule: "/" + filepath.Base(module)},
		asJSON("qemu", "amd64"),
		run("hello by qemu", said, "x"),
		run("primes by qemu", primes),
		asJSON("box64", "--emulator", "linux/amd64="+box64, "amd64"),
		run("hello by box64", said, "x"),
		run("primes by box64", primes),
		asJSON("box64 again", "--emulator", "amd64=box64", "amd64"),
		asJSON("status", "--status"),
		{Name: "entries", Entries: true},
		run("crossrun chooses qemu", crossrun, "--emulator", "amd64="+qemu, "-v", said, "x"),
		asJSON("qemu again", "amd64"),
		run("crossrun chooses box64", crossrun, "--emulator", "amd64=box64", said, "x"),
		run("crossrun, for it alone", crossrun, "--emulator", box64, said, "x"),
		asJSON("with F", "-p", "yes", "--emulator", "amd64=box64", "amd64"),
	}
	outcomes, log := g.boot(t, ctx, kernel, pack(t, dir, module, steps, files), len(steps))
	require.Contains(t, outcomes, plan.End, "it did not come to its end; the end of what it said:\n%s", log)

	reported := func(step string) (rep report) {
		require.NoError(t, json.Unmarshal([]byte(outcomes[step].Stdout), &rep), "%s: %+v", step, outcomes[step])
		return rep
	}
	for step, want := range map[string]struct{ action, flags, version string }{
		"qemu": {"add", "POF", `^10\.0`}, "box64": {"replace", "", `^box64 0\.`}, "box64 again": {"keep", "", `^box64 0\.`}, "status": {"", "", `^box64 0\.`}, "qemu again": {"replace", "POF", `^10\.0`},
	} {
		rep := reported(step)
		assert.True(t, rep.OK, "%s: %+v", step, outcomes[step])
		require.Len(t, rep.Architectures, 1, step)
		a := rep.Architectures[0]
		assert.True(t, *a.Runs, step)
		assert.Equal(t, want.action, a.Action, step)
		assert.Equal(t, want.flags, a.Flags, step)
		assert.Regexp(t, want.version, a.Version, step)
	}
	e := binfmt.Entry{Name: "qemu-x86_64"}
	require.NoError(t, e.UnmarshalText([]byte(strings.TrimPrefix(outcomes["entries"].Stdout, "qemu-x86_64\n"))), outcomes["entries"].Stdout)
	assert.Equal(t, box64, e.Interpreter)

	for _, step := range []string{"hello by qemu", "hello by box64", "crossrun chooses qemu", "crossrun chooses box64", "crossrun, for it alone"} {
		assert.Equal(t, "hello from C 1.414\n\"/hello-c\"\n\"x\"\n", outcomes[step].Stdout, "%+v", outcomes[step])
	}
	for _, step := range []string{"primes by qemu", "primes by box64"} {
		assert.Equal(t, "148933\n", outcomes[step].Stdout, "%+v", outcomes[step])
	}
	assert.Contains(t, outcomes["crossrun chooses qemu"].Stderr, "a private instance of binfmt_misc")
	assert.Equal(t, 1, outcomes["with F"].Status)
	assert.Contains(t, outcomes["with F"].Stderr, "emulator is not static: it needs /lib/ld-linux-aarch64.so.1")
	for _, name := range []string{"hello", "primes"} {
		q, b := outcomes[name+" by qemu"].Seconds, outcomes[name+" by box64"].Seconds
		t.Logf("%s: QEMU %s %.1f s, %s %.1f s, ratio %.2f", name, reported("qemu").Architectures[0].Version, q, reported("box64").Architectures[0].Version, b, b/q)
	}
}

// box64Files returns Debian's box64 and the libraries that it needs, by their places.
func box64Files(t *testing.T, ctx context.Context, dir string) map[string]string {
	t.Helper()
	apt := machine.Apt(t, ctx, "arm64", "trixie")
	for _, name := range []string{"box64", "libc6"} {
		versions, err := apt.Versions(ctx, name)
		require.NoError(t, err)
		require.NotEmpty(t, versions, name)
		deb, err := apt.Download(ctx, name, versions[0])
		require.NoError(t, err)
		require.NoError(t, debian.Unpack(ctx, deb, dir))
	}
	const libraries = "usr/lib/aarch64-linux-gnu"
	files := map[string]string{"usr/bin/box64": filepath.Join(dir, "usr/bin/box64"), "lib/ld-linux-aarch64.so.1": filepath.Join(dir, libraries, "ld-linux-aarch64.so.1")}
	names := []string{"libc.so.6", "libm.so.6", "libresolv.so.2", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
	for _, name := range names {
		files[filepath.Join("lib/aarch64-linux-gnu", name)] = filepath.Join(dir, libraries, name)
	}
	return files
}
