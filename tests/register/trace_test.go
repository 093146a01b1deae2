package register

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A systemCall is one that a traced thread enters or leaves.
type systemCall struct {
	thread  int
	number  uint64
	args    [6]uint64
	leaving bool
	denied  unix.Errno
}

// deny has the system call that is being entered fail instead of being done.
func (c *systemCall) deny(errno unix.Errno) { c.denied = errno }

// data returns the bytes that a write(2) is about.
func (c *systemCall) data(t testing.TB) []byte {
	t.Helper()
	b := make([]byte, c.args[2])
	local := []unix.Iovec{{Base: &b[0], Len: c.args[2]}}
	remote := []unix.RemoteIovec{{Base: uintptr(c.args[1]), Len: int(c.args[2])}}
	n, err := unix.ProcessVMReadv(c.thread, local, remote, 0)
	require.NoError(t, err)
	return b[:n]
}

// trace runs a command and calls stop whenever one of its threads enters or
// leaves a system call. The processes that it starts are not traced.
func trace(t testing.TB, cmd *exec.Cmd, stop func(pid int, call *systemCall)) unix.WaitStatus {
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
	calls := make(map[int]*systemCall) // by thread
	for {
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(t, err)
		if status.Exited() || status.Signaled() {
			if thread == pid {
				return status
			}
			continue
		}
		signal := status.StopSignal()
		switch {
		case signal == unix.SIGTRAP|0x80: // PTRACE_O_TRACESYSGOOD
			signal = 0
			call := calls[thread]
			if call == nil || call.leaving {
				if call = enter(t, thread); call == nil {
					continue
				}
				calls[thread] = call
			} else {
				call.leaving = true
			}
			stop(pid, call)
			if call.denied != 0 {
				call.carryOutDenial(t)
			}
		case signal == unix.SIGTRAP, signal == unix.SIGSTOP:
			signal = 0 // a new thread, or its first stop
		}
		if err := unix.PtraceSyscall(thread, int(signal)); err != nil {
			require.ErrorIs(t, err, unix.ESRCH) // it was killed
		}
	}
}

// syscallInfo is struct ptrace_syscall_info of linux/ptrace.h (Linux 5.3).
type syscallInfo struct {
	op                 uint8
	_                  [3]uint8
	arch               uint32
	instruction, stack uint64
	words              [8]uint64 // entering: number and arguments; leaving: result, whether it is an error
}

const setSyscallInfo = 0x4212 // PTRACE_SET_SYSCALL_INFO, Linux 6.16

func (s *syscallInfo) ptrace(request, thread int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(thread), unsafe.Sizeof(*s), uintptr(unsafe.Pointer(s)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// enter returns the call that a thread is entering, or nil if the thread has
// been ended meanwhile by another one's exit.
func enter(t testing.TB, thread int) *systemCall {
	t.Helper()
	var info syscallInfo
	err := info.ptrace(unix.PTRACE_GET_SYSCALL_INFO, thread)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	require.NoError(t, err)
	require.EqualValues(t, unix.PTRACE_SYSCALL_INFO_ENTRY, info.op)
	return &systemCall{thread: thread, number: info.words[0], args: [6]uint64(info.words[1:7])}
}

// carryOutDenial changes the call into none when it is entered, and its result
// when it is left.
func (c *systemCall) carryOutDenial(t testing.TB) {
	t.Helper()
	var info syscallInfo
	require.NoError(t, info.ptrace(unix.PTRACE_GET_SYSCALL_INFO, c.thread))
	if c.leaving {
		info.words[0], info.words[1] = uint64(-int64(c.denied)), 1
	} else {
		info.words[0] = 1<<64 - 1
	}
	if err := info.ptrace(setSyscallInfo, c.thread); errors.Is(err, unix.EIO) {
		t.Skip("needs PTRACE_SET_SYSCALL_INFO, Linux 6.16")
	} else {
		require.NoError(t, err)
	}
}
