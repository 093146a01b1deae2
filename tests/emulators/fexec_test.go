package emulators

import (
	"bytes"
	"context"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// A program of the target is executed by a descriptor that is closed then, as by one that
// is not. Stock emulators since QEMU 8 say that there is none; 7.2 has no execveat(2).
func TestFexec(t *testing.T) {
	s := setup(t)
	host, err := elfmagic.Lookup(runtime.GOARCH)
	require.NoError(t, err)
	probe := command(t.Context(), s.work, nil, "unshare", "-Urm", "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("no binfmt_misc of one's own (Linux 6.7): %s", out)
	}
	const want = "closed: status 7\nbelow closed: status 7\nmemfd: status 7\n" +
		"missing below closed: No such file or directory\nmissing below closed: status 1\n" +
		"script: No such file or directory\nscript: status 1\nkept: status 7\n"
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		if arch == host || arch.Name == "i386" {
			t.Skip("the host's kernel may run it, and this test's shell would be emulated, too")
		}
		program := guest(t, s, triplet, "fexec")
		require.NoError(t, own(filepath.Dir(program)))
		s.judge(t, arch, func(c contestant) string { return c.registered(t, arch, program) }, want)
	})
}

// registered returns what a program prints that the emulator is registered for, in a user
// namespace, and how it ended if not well.
func (c *contestant) registered(t *testing.T, arch *elfmagic.Arch, program string) string {
	t.Helper()
	const script = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && cat > /proc/sys/fs/binfmt_misc/register && exec \"$0\""
	entry, err := binfmt.Entry{
		Name: "judged", Pattern: arch.Pattern(), Interpreter: c.path,
		Flags: binfmt.OpenBinary | binfmt.FixBinary | binfmt.PreserveArgv0,
	}.MarshalText()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, filepath.Dir(program), nil, "unshare", "-Urm", "sh", "-c", script, program)
	cmd.Stdin = bytes.NewReader(entry)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}
