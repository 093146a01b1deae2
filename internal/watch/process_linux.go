package watch

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/internal/file"
)

// The names under which the running program is started again.
const (
	supervisorName = "crossrun-supervisor" // by the caller
	programName    = "crossrun-program"    // by the supervisor; it becomes the program
)

// self is this program, whatever has become of its name.
const self = "/proc/self/exe"

func init() {
	// The supervisor's children, and who becomes one, are its first thread's.
	if len(os.Args) > 0 && os.Args[0] == supervisorName {
		runtime.LockOSThread()
	}
}

// Main returns at once unless this process is one of those that Run starts: then it
// does its work and exits. It must be called early in main. configure is called in the
// supervisor, with the state that Run was given.
func Main(configure func(state string) (*Options, error)) {
	if len(os.Args) < 3 {
		return
	}
	var status int
	switch fd, _ := strconv.Atoi(os.Args[1]); os.Args[0] {
	case supervisorName:
		status = supervise(&messages{fd}, os.Args[2], os.Args[3:], configure)
	case programName:
		status = become(&messages{fd}, os.Args[2], os.Args[3], os.Args[4:], configure)
	default:
		return
	}
	os.Exit(status)
}

// start starts this program once more, with all that this process has open and the
// socket.
func start(args, env []string, socket *messages) (int, error) {
	if _, err := unix.FcntlInt(uintptr(socket.fd), unix.F_SETFD, 0); err != nil {
		return 0, err
	}
	// The program is to have blocked what was blocked when the caller began.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if before, err := entry.Block(); err == nil {
		defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	}
	pid, err := syscall.ForkExec(self, args, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, &os.PathError{Op: "execve", Path: self, Err: err}
	}
	return pid, nil
}

// become executes the program, with a filter.
func become(to *messages, state, path string, argv []string, configure func(string) (*Options, error)) int {
	unix.CloseOnExec(to.fd)
	env := os.Environ() // configure may change it
	options, err := configure(state)
	var listener int
	if err == nil {
		listener, err = listen()
	}
	if err != nil {
		_ = to.send(message{Kind: failed, Text: err.Error()})
		return 1
	}
	if err := to.send(message{Kind: ready}, listener); err != nil {
		return 1
	}
	unix.Close(listener)
	if options.Begin != nil {
		options.Begin()
	}
	return options.Refused(path, syscall.Exec(path, argv, env))
}

// supervise is the supervisor's main.
func supervise(caller *messages, state string, command []string, configure func(string) (*Options, error)) int {
	unix.CloseOnExec(caller.fd)
	inherited := file.Inherited()
	keepSignalsAway()
	runtime.GOMAXPROCS(1 + min(maxProcessors, runtime.GOMAXPROCS(0)))
	s := &supervisor{caller: caller, expected: make(map[token]*handover), said: make(map[string]bool)}
	if err := s.begin(state, command, configure); err != nil {
		_ = caller.send(message{Kind: failed, Text: err.Error(), Hint: hintOf(err)})
		return 1
	}
	leave(inherited, unix.Stderr+1)
	_ = caller.send(message{Kind: ready, PID: s.program})
	s.wakeHere()
	s.shorten = mayShorten()
	s.staff.most = spare
	s.staff.hire()
	go s.work()
	go s.awaitCaller()
	return s.reap()
}

// begin starts the program.
func (s *supervisor) begin(state string, command []string, configure func(string) (*Options, error)) (err error) {
	env := os.Environ() // configure may change it
	if s.Options, err = configure(state); err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	s.opening = make(chan struct{}, atOnce(limit.Cur))
	if s.self, err = native(); err != nil {
		return err
	}
	if errno := statx([]byte("/proc/self/root\x00"), 0, rootMask, &s.root); errno != 0 {
		return os.NewSyscallError("statx /proc/self/root", errno)
	}
	// Whoever loses its parent stays a descendant, which may be traced.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	ours, theirs, err := newMessages()
	if err != nil {
		return err
	}
	defer ours.close()
	args := append([]string{programName, strconv.Itoa(theirs.fd), state}, command...)
	s.program, err = start(args, env, theirs)
	theirs.close()
	if err != nil {
		return err
	}
	leaveGroup()
	makeThreads(reserve() + spare) // while the program's process starts
	one, listener, err := ours.receive()
	if err == io.EOF {
		err = errors.New("its process ended before it was executed")
	}
	if err == nil && one.Kind == failed {
		err = errors.New(one.Text)
	}
	if err == nil && listener < 0 {
		err = errors.New("no descriptor came for the filter")
	}
	s.listener = listener
	return err
}

// leaveGroup takes this process out of the program's process group, which the terminal's signals
// are for. The session stays the same, so that a shell that is the program can be stopped. But a
// parent in the session is to the kernel one that would continue who has stopped (setpgid(2)
// about orphaned process groups): where nobody does, that may not be this process.
func leaveGroup() {
	if hasTerminal() && !continued() {
		_, _ = unix.Setsid()
		return
	}
	_ = unix.Setpgid(0, 0)
}

// hasTerminal reports whether the session has one.
func hasTerminal() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(tty)
	}
	return err == nil
}

// continued reports whether somebody may continue this process's group when it has stopped: in the
// same session, and in another group, the parent of one who has started it.
func continued() bool {
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	for pid := os.Getppid(); pid > 0; {
		its, err := unix.Getsid(pid)
		if err != nil || its != session {
			return false
		}
		if group, err := unix.Getpgid(pid); err != nil || group != unix.Getpgrp() {
			return err == nil
		}
		_, parent := stat(pid)
		pid, _ = strconv.Atoi(parent)
	}
	return false
}

// leave closes what this process was given, and the first standard streams, and leaves the
// working directory: neither pipes nor file systems are kept.
func leave(inherited []int, streams int) {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	file.LetGo(inherited, null, streams)
	if err == nil {
		unix.Close(null)
	}
	_ = os.Chdir("/")
}

// keepSignalsAway has signals end nothing here, and leaves alone those that are
// ignored: they are to be ignored in the program, too. execve gives others their
// default, as Go catches them.
func keepSignalsAway() {
	var ignored uint64
	status, _ := os.ReadFile("/proc/self/status")
	if _, rest, found := strings.Cut(string(status), "\nSigIgn:\t"); found {
		ignored, _ = strconv.ParseUint(rest[:min(16, len(rest))], 16, 64)
	}
	sink := make(chan os.Signal, 1)
	own := []syscall.Signal{syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGURG, syscall.SIGPROF, syscall.SIGCHLD, syscall.SIGPIPE}
	for number := syscall.Signal(1); number < 32; number++ {
		if ignored>>(number-1)&1 == 0 && !slices.Contains(own, number) {
			signal.Notify(sink, number)
		}
	}
}

// awaitCaller kills the program when the caller is gone before it has ended: the
// caller was killed.
func (s *supervisor) awaitCaller() {
	for {
		if _, _, err := s.caller.receive(); err != nil {
			break
		}
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.program != 0 {
		_ = syscall.Kill(s.program, syscall.SIGKILL)
	}
}

// reap waits for the program and for who became a child of this process, until there
// is none: then nobody is watched. Tracees of other threads are not waited for.
func (s *supervisor) reap() int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WUNTRACED|unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD
			s.awaitReport()
			return 0
		case !status.Stopped():
			s.reaped(pid, status, pid == s.program && childless())
		case status>>16 == 0 && pid == s.program && staysStopped(pid):
			_ = s.caller.send(message{Kind: stopped, Status: int(status.StopSignal())})
		}
	}
}

// awaitReport waits until a worker that has reaped the program, as it was killed while
// it was stopped for a moment, has told the caller.
func (s *supervisor) awaitReport() {
	for range 1000 {
		s.mutex.Lock()
		told := s.program == 0
		s.mutex.Unlock()
		if told {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// childless reaps who has ended and reports whether no child is left.
func childless() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG|unix.WALL|unix.WNOTHREAD, nil)
		if err == syscall.ECHILD {
			return true
		}
		if err == nil && pid == 0 {
			return false
		}
	}
}

// staysStopped tells a stop of job control from one in which a worker has the process
// for a moment: it can look the same to its parent.
func staysStopped(pid int) bool {
	for range 3 {
		switch state, _ := stat(pid); state {
		case "T":
			return true
		case "t":
			time.Sleep(time.Millisecond)
		default:
			return false
		}
	}
	return false
}

// stat returns the state of a process, and its parent; nothing if it is gone. In
// /proc/PID/stat they follow its name, which is in brackets and may have others in it
// (proc_pid_stat(5)).
func stat(pid int) (state, parent string) {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return "", ""
	}
	return fields[0], fields[1]
}

// waitFor is wait4(2), which no signal interrupts; what it returns is not of interest.
func waitFor(pid int, status *syscall.WaitStatus, options int) {
	_ = file.IgnoringEINTR(func() error { _, err := syscall.Wait4(pid, status, options, nil); return err })
}
