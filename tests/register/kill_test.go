package register

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Before and after each write(2) that register does, wherever it goes, the
// process is killed, and everything is looked at: what ran before runs, and the
// next register leaves nothing of it to be seen. All that register changes in
// the kernel it changes by writes.
func TestKillingRegisterAtAnyPoint(t *testing.T) {
	hellos := map[string]string{
		"aarch64": commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static"),
		"s390x":   commands.CHello(t, commands.Port("s390x-linux-gnu"), "static"),
	}
	for _, args := range [][]string{nil, {"--no-probe"}, {"--reset"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			fs := kerneltest.Instance(t)
			dirs, _ := commands.TwoVersions(t, kerneltest.Lookup(t, "arm64"))
			others, _ := commands.TwoVersions(t, kerneltest.Lookup(t, "s390x"))
			for i := range others {
				commands.CopyFile(t, filepath.Join(others[i], "qemu-s390x-static"), filepath.Join(dirs[i], "qemu-s390x-static"))
			}
			require.Equal(t, 0, commands.Register(t, "--qemu-path", dirs[0], "arm64", "s390x").Status)
			require.NoError(t, fs.Register(binfmt.Entry{Name: "python", Extension: "py", Interpreter: "/usr/bin/python3"}))

			point, between := 1, 0
			for ; ; point++ {
				require.Less(t, point, 1000)
				next := dirs[point%2]
				killed := runUntilWrite(t, commands.Command("register", append([]string{"--qemu-path", next, "arm64", "s390x"}, args...)...), point)
				for arch, hello := range hellos {
					got, err := exec.Command(hello).CombinedOutput()
					require.NoError(t, err, "%s after a kill at point %d: %s", arch, point, got)
				}
				if !killed {
					break // it came to its end before this point
				}
				if slices.ContainsFunc(commands.List(t, fs), binfmt.Entry.Temporary) {
					between++
				}
				r := commands.Register(t, "--qemu-path", next, "arm64", "s390x")
				require.Equal(t, 0, r.Status, r.Stderr)
				require.Equal(t, []string{"python", "qemu-aarch64", "qemu-s390x"}, commands.Names(t, fs), "after a kill at point %d", point)
				for _, name := range []string{"qemu-aarch64", "qemu-s390x"} {
					e, err := fs.Get(name)
					require.NoError(t, err)
					require.Equal(t, filepath.Join(next, name+"-static"), e.Interpreter)
				}
			}
			// Two replacements, each of them four writes: register the new one,
			// remove the old one, register the new one, remove the first.
			assert.GreaterOrEqual(t, point, 16)
			assert.GreaterOrEqual(t, between, 12, "kills in the middle of the change")
			t.Logf("killed at %d points, at %d of them in the middle of the change", point-1, between)
		})
	}
}

// runUntilWrite runs a command until one of its threads enters or leaves the
// write(2) of the given number (each counts twice), and kills it there. It
// reports whether it did; a command that ends before must succeed.
func runUntilWrite(t testing.TB, cmd *exec.Cmd, number int) (killed bool) {
	t.Helper()
	stops := 0
	status := trace(t, cmd, func(pid int, call *systemCall) {
		if call.number != unix.SYS_WRITE {
			return
		}
		if stops++; stops == number {
			killed = true
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
		}
	})
	require.True(t, killed || status.ExitStatus() == 0, "exit status %d", status.ExitStatus())
	return killed
}

// An interrupt is not a kill: what was staged is taken back.
func TestAnInterruptedRegisterLeavesWhatWasThere(t *testing.T) {
	fs := kerneltest.Instance(t)
	found := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	require.Equal(t, 0, commands.Register(t, "arm64").Status)
	before := commands.List(t, fs)

	// An emulator that never ends holds the probe up until the signal comes.
	dir := t.TempDir()
	commands.CopyFile(t, commands.GoProgram(t, "sleeper", runtime.GOARCH), filepath.Join(dir, filepath.Base(found.Path)))
	cmd := commands.Command("register", "--qemu-path", dir, "arm64")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return len(commands.List(t, fs)) == 2 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	said, err := io.ReadAll(stderr)
	require.NoError(t, err)
	var exit *exec.ExitError
	require.True(t, errors.As(cmd.Wait(), &exit))
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(said), "interrupted")
	assert.Equal(t, before, commands.List(t, fs))
}
