package tinyelf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// Timeout bounds one probe. An emulator needs some milliseconds; one that
// needs this long does not work.
const Timeout = 20 * time.Second

// A RunError says how a program that was started did not do what it should.
type RunError struct {
	Status syscall.WaitStatus
	Stderr string // the last line that it, or its emulator, wrote there
}

func (e *RunError) Error() string {
	var what string
	switch {
	case e.Status.Signaled():
		what = fmt.Sprintf("killed by %s", unix.SignalName(e.Status.Signal()))
	default:
		what = fmt.Sprintf("exit status %d instead of %d", e.Status.ExitStatus(), ExitCode)
	}
	if e.Stderr != "" {
		what += ": " + e.Stderr
	}
	return what
}

// A Process is a program of this package while it runs, waiting for input.
type Process struct {
	exe     string
	program os.FileInfo
}

// Exe is the link by which the kernel shows, and opens, the file that the
// process executes: the program itself, or the interpreter that an entry of
// binfmt_misc names for it, deleted or not.
func (p Process) Exe() string { return p.exe }

// Native reports whether the kernel runs the program itself, with no
// interpreter between.
func (p Process) Native() (bool, error) {
	running, err := os.Stat(p.exe)
	if err != nil {
		return false, err
	}
	return os.SameFile(running, p.program), nil
}

// Run gives a program of this package to the kernel and returns nil if it ran:
// if it came to its last instruction and exited with ExitCode. While the
// program waits for its input, running is called; it may be nil.
//
// If the kernel does not take the program the error wraps execve's errno:
// ENOEXEC where neither a native loader nor an entry is for it. If it does and
// something goes wrong afterwards, the error is a *RunError.
func Run(ctx context.Context, program []byte, running func(Process)) error {
	file, path, cleanup, err := materialize(program)
	if err != nil {
		return fmt.Errorf("cannot make a program to run: %w", err)
	}
	defer cleanup()
	info, err := os.Stat(path)
	if file != nil {
		info, err = file.Stat()
	}
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = []string{} // no QEMU_ variable may change what is probed
	cmd.Stderr = &stderr
	// What it leaves behind, holding its standard error, is not waited for.
	cmd.WaitDelay = time.Second
	if file != nil {
		cmd.ExtraFiles = []*os.File{file}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		in.Close()
		var pathError *os.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return err
	}
	if running != nil {
		awaitExec(cmd.Process.Pid)
		running(Process{exe: "/proc/" + strconv.Itoa(cmd.Process.Pid) + "/exe", program: info})
	}
	in.Close() // the program reads the end of its input, and exits
	err = cmd.Wait()
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("did not end within %v: %w", Timeout, err)
	case err != nil:
		return fmt.Errorf("interrupted: %w", err)
	}
	if cmd.ProcessState == nil {
		return err
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Exited() && status.ExitStatus() == ExitCode {
		return nil
	}
	return &RunError{Status: status, Stderr: lastLine(stderr.String())}
}

// awaitExec waits until the process is seen to execute something else than this
// one does. The kernel wakes the parent of a new process (CLONE_VFORK) a moment
// before it takes the old program from it (exec_mmap in fs/exec.c), so that one
// may still see the old one when Start returns.
func awaitExec(pid int) {
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return
	}
	exe := "/proc/" + strconv.Itoa(pid) + "/exe"
	for wait := 50 * time.Microsecond; wait < time.Second; wait *= 2 {
		if info, err := os.Stat(exe); err != nil || !os.SameFile(info, self) {
			return
		}
		time.Sleep(wait)
	}
}

// materialize puts the program where execve finds it: in memory that has no
// name, so that nothing is left behind however the caller ends, else in the
// directory for temporary files.
func materialize(program []byte) (memory *os.File, path string, cleanup func(), err error) {
	if memory, err := file.Memory("probe", program); err == nil {
		// The child finds it as its first descriptor after the standard ones.
		return memory, "/proc/self/fd/3", func() { memory.Close() }, nil
	}
	dir, err := os.MkdirTemp("", "probe-")
	if err != nil {
		return nil, "", nil, err
	}
	path = dir + "/probe"
	if err := os.WriteFile(path, program, 0o755); err != nil {
		os.RemoveAll(dir)
		return nil, "", nil, err
	}
	return nil, path, func() { os.RemoveAll(dir) }, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}
