package watch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// Run has the program at path, with the arguments and the environment, run watched. It
// returns an error if that cannot be, and else not at all: this process waits for the
// program, takes part in its stops, passes signals on to it, and ends as it does.
// state is for the function that Main was given; begin is called when it is certain
// that there is a program. options' Say is used.
func Run(options *Options, state, path string, argv, env []string, begin func()) error {
	inherited := file.Inherited()
	ours, theirs, err := newMessages()
	if err != nil {
		return err
	}
	c := &caller{Options: options, from: ours, program: -1}
	defer ours.close()
	if c.signals, err = catchSignals(); err != nil {
		return err
	}
	args := append([]string{supervisorName, strconv.Itoa(theirs.fd), state, path}, argv...)
	c.supervisor, err = start(args, env, theirs)
	theirs.close()
	if err != nil {
		return err
	}
	first, _, err := ours.receive()
	switch {
	case err == nil && first.Kind == ready:
		if c.program, err = unix.PidfdOpen(first.PID, 0); err != unix.ESRCH { // Linux 5.3
			c.pid = first.PID
		}
		err = nil
	case err == nil:
		err = &Error{first.Text, first.Hint}
	case errors.Is(err, io.EOF):
		err = errors.New("its supervisor ended")
	}
	if err != nil {
		waitFor(c.supervisor, nil, 0)
		return err
	}
	begin()
	leave(inherited, unix.Stderr)
	os.Exit(c.wait())
	return nil
}

// A caller waits for the program.
type caller struct {
	*Options
	from       *messages
	signals    int
	supervisor int
	pid        int // of the program, 0 if that had ended at once
	program    int // a descriptor of the process, or -1
}

func (c *caller) wait() int {
	polled := []unix.PollFd{{Fd: int32(c.signals), Events: unix.POLLIN}, {Fd: int32(c.from.fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(polled, -1); err != nil {
			continue // EINTR
		}
		if polled[0].Revents != 0 {
			c.pass()
		}
		if polled[1].Revents == 0 {
			continue
		}
		one, _, err := c.from.receive()
		if err != nil {
			c.send(unix.SIGKILL)
			c.Say(fmt.Errorf("the supervisor of the program has ended: %w", c.howItEnded(err)))
			return 125
		}
		switch one.Kind {
		case says:
			c.Say(&Error{one.Text, one.Hint})
		case stopped:
			stop(syscall.Signal(one.Status))
			c.giveTerminal()
		case ended:
			return c.end(syscall.WaitStatus(one.Status), one.Alone)
		}
	}
}

// howItEnded returns an error that says how the supervisor ended, or else why it is not heard.
func (c *caller) howItEnded(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	process, _ := os.FindProcess(c.supervisor)
	state, waitErr := process.Wait()
	if waitErr != nil {
		return err
	}
	return errors.New(state.String())
}

// pass passes on the signals that were sent to this process, but for those of the terminal,
// which the program has got, too.
func (c *caller) pass() {
	const fromKernel = 0x80 // SI_KERNEL
	for info := nextSignal(c.signals); info != nil; info = nextSignal(c.signals) {
		number := unix.Signal(info.number)
		if info.code == fromKernel && toGroup(number) || info.code != fromKernel && int(info.pid) == os.Getpid() {
			continue
		}
		c.send(number)
	}
}

// toGroup reports whether a signal of the kernel's is for the whole process group, as those of the
// terminal are. But a terminal that is gone is said to the leader of its session alone
// (tty_signal_session_leader in drivers/tty/tty_jobctrl.c), and a timer's end to the process that
// has it, which execve does not change: alarm(2), setitimer(2).
func toGroup(number unix.Signal) bool {
	switch number {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH:
		return true
	case unix.SIGHUP, unix.SIGCONT:
		session, err := unix.Getsid(0)
		return err == nil && session != os.Getpid()
	}
	return false
}

// send sends the program a signal. A filter may deny what takes a descriptor: there are
// lists of calls that are older than it.
func (c *caller) send(number unix.Signal) {
	if err := unix.PidfdSendSignal(c.program, number, nil, 0); err != nil && err != unix.ESRCH && c.pid != 0 {
		_ = unix.Kill(c.pid, number)
	}
}

// stop stops this process as the program was stopped, until somebody has it continue.
// (The terminal's signals have no effect where nobody would, as they had none on the
// program.)
func stop(number syscall.Signal) {
	raise(number) // here it stops
	if number != syscall.SIGSTOP {
		catch(number)
	}
}

// giveTerminal gives the terminal to the program's process group, if whoever continued
// this process has given it to this one's: a shell that has stopped itself reads on.
func (c *caller) giveTerminal() {
	group, err := unix.Getpgid(c.pid)
	if err != nil || group == unix.Getpgrp() {
		return
	}
	tty, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(tty)
	if now, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP); err == nil && now == unix.Getpgrp() {
		_ = unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, group)
	}
}

// end ends this process as the program has ended: with its exit status, or by the same
// signal.
func (c *caller) end(status syscall.WaitStatus, alone bool) int {
	if alone {
		// Its times count as this process's children's.
		waitFor(c.supervisor, nil, 0)
	}
	if !status.Signaled() {
		return status.ExitStatus()
	}
	// The program has left a core file, if one was wanted.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	raise(status.Signal())
	return 128 + int(status.Signal()) // not reached
}
