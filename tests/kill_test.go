package tests

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
)

// Before and after each write(2) that register does, wherever it goes, the
// process is killed, and everything is looked at: what ran before runs, and the
// next register leaves nothing of it to be seen. All that register changes in
// the kernel it changes by writes.
func TestKillingRegisterAtAnyPoint(t *testing.T) {
	hellos := map[string]string{
		"aarch64": cHello(t, cPort{"aarch64-linux-gnu", "aarch64"}, "static"),
		"s390x":   cHello(t, cPort{"s390x-linux-gnu", "s390x"}, "static"),
	}
	for _, args := range [][]string{nil, {"--no-probe"}, {"--reset"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			fs := instance(t)
			dirs, _ := twoVersions(t, lookup(t, "arm64"))
			others, _ := twoVersions(t, lookup(t, "s390x"))
			for i := range others {
				copyFile(t, filepath.Join(others[i], "qemu-s390x-static"), filepath.Join(dirs[i], "qemu-s390x-static"))
			}
			require.Equal(t, 0, register(t, "--qemu-path", dirs[0], "arm64", "s390x").status)
			require.NoError(t, fs.Register(binfmt.Entry{Name: "python", Extension: "py", Interpreter: "/usr/bin/python3"}))

			point, between := 1, 0
			for ; ; point++ {
				require.Less(t, point, 1000)
				next := dirs[point%2]
				killed := runUntilWrite(t, command("register", append([]string{"--qemu-path", next, "arm64", "s390x"}, args...)...), point)
				for arch, hello := range hellos {
					got, err := exec.Command(hello).CombinedOutput()
					require.NoError(t, err, "%s after a kill at point %d: %s", arch, point, got)
				}
				if !killed {
					break // it came to its end before this point
				}
				if slices.ContainsFunc(list(t, fs), binfmt.Entry.Temporary) {
					between++
				}
				r := register(t, "--qemu-path", next, "arm64", "s390x")
				require.Equal(t, 0, r.status, r.stderr)
				require.Equal(t, []string{"python", "qemu-aarch64", "qemu-s390x"}, names(t, fs), "after a kill at point %d", point)
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
	// Only the thread that started the command may trace it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	require.NoError(t, cmd.Process.Release())

	var status unix.WaitStatus
	_, err := unix.Wait4(pid, &status, 0, nil)
	require.NoError(t, err)
	require.True(t, status.Stopped(), "it stops when it has been executed")
	require.NoError(t, unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL))
	require.NoError(t, unix.PtraceSyscall(pid, 0))
	writing := make(map[int]bool) // threads
	for stops := 0; ; {
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(t, err)
		if status.Exited() || status.Signaled() {
			if thread != pid {
				continue
			}
			require.True(t, killed || status.ExitStatus() == 0, "exit status %d", status.ExitStatus())
			return killed
		}
		signal := status.StopSignal()
		switch {
		case signal == unix.SIGTRAP|0x80: // PTRACE_O_TRACESYSGOOD
			if call, entry := systemCall(t, thread); entry {
				writing[thread] = call == unix.SYS_WRITE
			}
			if writing[thread] {
				stops++
			}
			signal = 0
		case signal == unix.SIGTRAP, signal == unix.SIGSTOP:
			signal = 0 // a new thread, or its first stop
		}
		if stops == number && !killed {
			killed = true
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
		}
		if err := unix.PtraceSyscall(thread, int(signal)); err != nil {
			require.ErrorIs(t, err, unix.ESRCH) // it was killed
		}
	}
}

// systemCall says at which system call a traced thread stands: the number is
// known at its entry only. It takes Linux 5.3.
func systemCall(t testing.TB, thread int) (number uint64, entry bool) {
	t.Helper()
	// struct ptrace_syscall_info in linux/ptrace.h
	var info struct {
		op                 uint8
		_                  [3]uint8
		arch               uint32
		instruction, stack uint64
		number             uint64
		_                  [8]uint64
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	require.Zero(t, errno)
	return info.number, info.op == unix.PTRACE_SYSCALL_INFO_ENTRY
}

// An interrupt is not a kill: what was staged is taken back.
func TestAnInterruptedRegisterLeavesWhatWasThere(t *testing.T) {
	fs := instance(t)
	found := findEmulator(t, lookup(t, "arm64"))
	require.Equal(t, 0, register(t, "arm64").status)
	before := list(t, fs)

	// An emulator that never ends holds the probe up until the signal comes.
	dir := t.TempDir()
	sleeper := built(t, "sleeper", func(path string) *exec.Cmd {
		return exec.Command("go", "build", "-trimpath", "-o", path, "./testdata/sleeper")
	})
	copyFile(t, sleeper, filepath.Join(dir, filepath.Base(found.Path)))
	cmd := command("register", "--qemu-path", dir, "--qemu-suffix", "-static", "arm64")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return len(list(t, fs)) == 2 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	said := drain(stderr)
	var exit *exec.ExitError
	require.True(t, errors.As(cmd.Wait(), &exit))
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, said, "interrupted")
	assert.Equal(t, before, list(t, fs))
}
