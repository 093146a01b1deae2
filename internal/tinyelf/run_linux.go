package tinyelf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	what := fmt.Sprintf("exit status %d instead of %d", e.Status.ExitStatus(), ExitCode)
	if e.Status.Signaled() {
		what = "killed by " + unix.SignalName(e.Status.Signal())
	}
	if e.Stderr != "" {
		what += ": " + e.Stderr
	}
	return what
}

// A StartError says why there was no program, or no process for it, to be given to the
// kernel: of the architecture that says nothing.
type StartError struct{ Err error }

func (e *StartError) Error() string { return "cannot make a program to run: " + e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// NotStarted reports whether an error of Run's is, or wraps, a *StartError.
func NotStarted(err error) bool {
	_, is := errors.AsType[*StartError](err)
	return is
}

// scarce are what fork(2) and pipe(2) return, and execve(2) for no reason of the program's.
var scarce = []syscall.Errno{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE}

// A Process is a program of this package while it runs, waiting for input.
type Process struct {
	exe     string
	program *os.File
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
	program, err := p.program.Stat()
	return err == nil && os.SameFile(running, program), err
}

// Run gives a program of this package to the kernel and returns nil if it ran:
// if it came to its last instruction and exited with ExitCode. While the
// program waits for its input, running is called; it may be nil.
//
// If the kernel does not take the program the error wraps execve's errno:
// ENOEXEC where neither a native loader nor an entry is for it. If it does and
// something goes wrong afterwards, the error is a *RunError; if it was not given to the
// kernel at all, a *StartError.
//
// It does without os/exec, which needs goroutines for the context and standard
// error, and a trial of pidfd: waking their threads costs more than the program.
func Run(ctx context.Context, program []byte, running func(Process)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := materialize(program)
	if err != nil {
		return &StartError{err}
	}
	defer p.remove()
	pid, stdin, err := p.start()
	if err != nil {
		return err
	}
	// Go's timer wakes a thread, but only if it is needed.
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		close(killed)
	})
	if running != nil {
		awaitExec(pid)
		running(Process{exe: "/proc/" + strconv.Itoa(pid) + "/exe", program: p.program})
	}
	unix.Close(stdin) // the program reads the end of its input, and exits
	err = file.IgnoringEINTR(func() error { return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) })
	if !stop() {
		<-killed // the process ID is its own until its status is taken
	}
	interrupted := ctx.Err()
	var status syscall.WaitStatus
	if err == nil {
		err = file.IgnoringEINTR(func() error { _, err := syscall.Wait4(pid, &status, 0, nil); return err })
	}
	switch {
	case errors.Is(interrupted, context.DeadlineExceeded):
		return fmt.Errorf("did not end within %v: %w", Timeout, interrupted)
	case interrupted != nil:
		return fmt.Errorf("interrupted: %w", interrupted)
	case err != nil:
		return os.NewSyscallError("wait", err)
	case status.Exited() && status.ExitStatus() == ExitCode:
		return nil
	}
	return &RunError{Status: status, Stderr: lastLine(p.stderr)}
}

// start starts the program, and returns the end of its standard input that this
// process has. What it leaves behind, holding its standard error, is not waited for.
func (p place) start() (pid, stdin int, err error) {
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, &StartError{&os.PathError{Op: "open", Path: os.DevNull, Err: err}}
	}
	defer unix.Close(null)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, &StartError{os.NewSyscallError("pipe2", err)}
	}
	defer unix.Close(pipe[0])
	// No environment: no QEMU_ variable may change what is probed.
	pid, err = syscall.ForkExec(p.path, []string{p.path}, &syscall.ProcAttr{
		Files: []uintptr{uintptr(pipe[0]), uintptr(null), p.stderr.Fd(), p.program.Fd()},
	})
	if err != nil {
		unix.Close(pipe[1])
	}
	if errno, ok := err.(syscall.Errno); ok && slices.Contains(scarce, errno) {
		err = &StartError{err}
	}
	return pid, pipe[1], err
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

// A place has a program where execve finds it, and what that writes to standard
// error: a file, which nobody has to read while it is written.
type place struct {
	path    string
	program *os.File // which is to be its own descriptor 3
	stderr  *os.File
	dir     string // which has both, if they are not in memory
}

// materialize puts the program in memory that has no name, so that nothing is
// left behind however the caller ends, else in the directory for temporary files.
func materialize(program []byte) (place, error) {
	p, err := inMemory(program)
	if err != nil {
		p.remove()
		p, err = inDirectory(program)
	}
	if err != nil {
		p.remove()
	}
	return p, err
}

func inMemory(program []byte) (p place, err error) {
	p.path = "/proc/self/fd/3"
	if p.program, err = file.Memory("probe", program); err != nil {
		return p, err
	}
	if p.stderr, err = file.Memory("stderr", nil); err != nil {
		return p, err
	}
	// A shell that opens /dev/stderr anew cuts off what is there.
	_, err = unix.FcntlInt(p.stderr.Fd(), unix.F_SETFL, unix.O_APPEND)
	return p, err
}

func inDirectory(program []byte) (p place, err error) {
	if p.dir, err = os.MkdirTemp("", "probe-"); err != nil {
		return p, err
	}
	p.path = filepath.Join(p.dir, "probe")
	if err := os.WriteFile(p.path, program, 0o755); err != nil {
		return p, err
	}
	if p.program, err = os.Open(p.path); err != nil {
		return p, err
	}
	p.stderr, err = os.OpenFile(filepath.Join(p.dir, "stderr"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	return p, err
}

func (p place) remove() {
	p.program.Close() // a nil file is not closed
	p.stderr.Close()
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}

// lastLine returns the last line of a file, as far as it is among its last bytes.
func lastLine(f *os.File) string {
	var end [4096]byte
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	n, _ := f.ReadAt(end[:], max(0, info.Size()-int64(len(end))))
	s := strings.TrimSpace(string(end[:n]))
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}
