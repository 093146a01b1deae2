package crossrun

import (
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Lists of calls that containers are allowed may be older than pidfds (Linux 5.3).
func TestSignalsReachAWatchedProgramWherePidfdsAreDenied(t *testing.T) {
	kerneltest.Instance(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR2} {
		cmd := commands.Filtered(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), []int{unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL}, "crossrun", "--watched", "/bin/sh", "-c", "echo ready; exec sleep 60")
		ready(t, cmd)
		require.NoError(t, syscall.Kill(cmd.Process.Pid, signal)) // os.Process has a pidfd
		require.Error(t, cmd.Wait())
		assert.Equal(t, signal, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	}
}

// SystemCallFilter= of systemd's units ends a process that makes a call that is not in it.
// What crossrun can do without, it does without.
func TestAFilterThatKillsIsNotMet(t *testing.T) {
	kerneltest.Instance(t)
	kill := func(call int, args ...string) commands.Result {
		return commands.Run(t, commands.Filtered(unix.SECCOMP_RET_KILL_PROCESS, []int{call}, "crossrun", args...))
	}
	hello := commands.Result{Stdout: "hello\n"}
	for _, call := range []int{unix.SYS_SCHED_SETATTR, unix.SYS_SCHED_GETATTR} { // @resources
		assert.Equal(t, hello, kill(call, "--watched", "/bin/echo", "hello"))
	}
	for _, call := range []int{unix.SYS_PTRACE, unix.SYS_SECCOMP} { // @debug, @sandbox
		r := kill(call, "--watched", "/bin/echo", "hello")
		assert.Equal(t, 126, r.Status)
		assert.Contains(t, r.Stderr, "a seccomp filter ends who calls it")
		assert.Equal(t, hello.Stdout, kill(call, "/bin/echo", "hello").Stdout)
	}
}

// Lists of calls that are denied may have those that a supervisor needs: the program is run in another
// way, if it can be.
func TestAFilterThatDeniesWhatASupervisorDoes(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	for name, call := range map[string]int{"seccomp": unix.SYS_SECCOMP, "ptrace": unix.SYS_PTRACE, "ioctl": unix.SYS_IOCTL, "memfd_create": unix.SYS_MEMFD_CREATE, "execveat": unix.SYS_EXECVEAT} {
		denied := func(args ...string) commands.Result {
			return commands.Run(t, commands.Filtered(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), []int{call}, "crossrun", args...))
		}
		r := denied(hello)
		assert.Zero(t, r.Status, "%s: %s", name, r.Stderr)
		assert.Equal(t, commands.GoSaying("arm64", hello), r.Stdout, name)
		assert.NotContains(t, r.Stderr, "crossrun: ", name)
		r = denied("--watched", hello)
		assert.Equal(t, 126, r.Status, name)
		assert.Contains(t, r.Stderr, "cannot be watched: "+name+" is denied here: operation not permitted\n")
	}
}

// Who reads what a program writes, or holds a lock that it has taken, is told when it closes
// that, though crossrun waits for it.
func TestNothingIsKeptOpenThatTheProgramCloses(t *testing.T) {
	kerneltest.Instance(t)
	for name, args := range map[string][]string{
		"watched": {"--watched"}, "a limit of time": {"--kernel", "--timeout", "60s"}, "both": {"--watched", "--timeout", "60s"}, "a root file system": {"--rootfs"},
	} {
		t.Run(name, func(t *testing.T) {
			if args[0] == "--rootfs" {
				commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
				args = append(args, commands.BusyboxRoot(t, "arm64"))
			}
			cmd := commands.Command("crossrun", append(args, "/bin/sh", "-c", "exec 3<&0 </dev/null >&- 7>&-; read x <&3")...)
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			read, write, err := os.Pipe()
			require.NoError(t, err)
			defer read.Close()
			cmd.ExtraFiles = []*os.File{nil, nil, nil, nil, write} // 7
			require.NoError(t, cmd.Start())
			write.Close()
			for _, pipe := range []*os.File{stdout.(*os.File), read} {
				require.NoError(t, pipe.SetReadDeadline(time.Now().Add(30*time.Second)))
				rest, err := io.ReadAll(pipe)
				assert.NoError(t, err, "the program has closed it")
				assert.Empty(t, rest)
			}
			_, err = io.WriteString(stdin, "go on\n")
			require.NoError(t, err)
			require.NoError(t, cmd.Wait())
		})
	}
}
