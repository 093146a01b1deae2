package watch

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that a caller passes on to the program: all that somebody
// may send, but for those that tell of a fault of the process itself, and those that
// Go's run time needs.
func passedOn() (set unix.Sigset_t) {
	for number := 1; number <= 64; number++ {
		switch syscall.Signal(number) {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGSYS, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF:
			continue
		}
		add(&set, number)
	}
	return set
}

func add(set *unix.Sigset_t, number int) {
	bits := int(unsafe.Sizeof(set.Val[0])) * 8
	set.Val[(number-1)/bits] |= 1 << ((number - 1) % bits)
}

// becomeCaller has this process start anew, to wait for the program: with signals
// blocked from the start, which no Go program can do later for all of its threads. A
// blocked signal is read with who sent it.
func becomeCaller(from *messages, processes, path string) error {
	runtime.LockOSThread()
	set := passedOn()
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
		return os.NewSyscallError("sigprocmask", err)
	}
	if _, err := unix.FcntlInt(uintptr(from.fd), unix.F_SETFD, 0); err != nil {
		return err
	}
	return &os.PathError{Op: "execve", Path: self, Err: syscall.Exec(self, []string{callerName, strconv.Itoa(from.fd), processes, path}, os.Environ())}
}

// A caller waits for the program.
type caller struct {
	*Options
	from       *messages
	supervisor int
	program    int // a descriptor of the process
}

// wait is the main of a caller.
func wait(from *messages, options *Options, processes string) int {
	runtime.LockOSThread()
	unix.CloseOnExec(from.fd)
	c := &caller{Options: options, from: from, program: -1}
	supervisor, program, _ := strings.Cut(processes, ",")
	c.supervisor, _ = strconv.Atoi(supervisor)
	if pid, err := strconv.Atoi(program); err == nil {
		c.program, _ = unix.PidfdOpen(pid, 0) // Linux 5.3; it may have ended already
	}
	set := passedOn()
	signals, err := unix.Signalfd(-1, &set, unix.SFD_CLOEXEC|unix.SFD_NONBLOCK)
	if err != nil {
		options.Say(os.NewSyscallError("signalfd", err))
		return 1
	}
	polled := []unix.PollFd{{Fd: int32(signals), Events: unix.POLLIN}, {Fd: int32(from.fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(polled, -1); err != nil {
			continue // EINTR
		}
		if polled[0].Revents != 0 {
			c.pass(signals)
		}
		if polled[1].Revents == 0 {
			continue
		}
		one, _, err := from.receive()
		if err != nil {
			_ = unix.PidfdSendSignal(c.program, unix.SIGKILL, nil, 0)
			options.Say(fmt.Errorf("the supervisor of the program has ended: %w", err))
			return 125
		}
		switch one.Kind {
		case says:
			options.Say(&Error{one.Text, one.Hint})
		case stopped:
			stop(syscall.Signal(one.Status))
		case ended:
			return c.end(syscall.WaitStatus(one.Status), one.Alone)
		}
	}
}

// pass passes on the signals that were sent to this process. Those that the kernel
// sends come from the terminal, to the whole process group: the program has them.
func (c *caller) pass(signals int) {
	const fromKernel = 0x80 // SI_KERNEL
	var info unix.SignalfdSiginfo
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))
	for {
		if n, err := unix.Read(signals, buffer); err != nil || n != len(buffer) {
			return
		}
		if info.Code != fromKernel && int(info.Pid) != os.Getpid() {
			_ = unix.PidfdSendSignal(c.program, unix.Signal(info.Signo), nil, 0)
		}
	}
}

// stop stops this process as the program was stopped, until somebody has it continue.
// (The terminal's signals have no effect where nobody would, as they had none on the
// program.)
func stop(number syscall.Signal) {
	if number == syscall.SIGSTOP {
		_ = syscall.Kill(os.Getpid(), number)
		return
	}
	var set unix.Sigset_t
	add(&set, int(number))
	raise(number)
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil) // here it stops
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
}

// raise sends a signal to this thread, with its default effect.
func raise(number syscall.Signal) {
	var action [32]byte // struct sigaction in the kernel: SIG_DFL, no flags
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(number), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), number)
}

// end ends this process as the program has ended: with its exit status, or by the same
// signal.
func (c *caller) end(status syscall.WaitStatus, alone bool) int {
	if alone {
		// Its times count as this process's children's.
		_ = ignoringEINTR(func() error { _, err := syscall.Wait4(c.supervisor, nil, 0, nil); return err })
	}
	if !status.Signaled() {
		return status.ExitStatus()
	}
	// The program has left a core file, if one was wanted.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	number := status.Signal()
	raise(number)
	var set unix.Sigset_t
	add(&set, int(number))
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
	return 128 + int(number) // not reached
}
