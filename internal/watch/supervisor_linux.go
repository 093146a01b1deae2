package watch

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
)

// Options say what is done about the programs that a watched one starts.
type Options struct {
	// Native reports whether the kernel is to do as it likes with a file of
	// which head are the first bytes: it can execute it, or is right to refuse. It
	// is called for most files, and must be fast.
	Native func(head []byte) bool

	// Script returns the words of a #! line, as the kernel splits it: the
	// interpreter, and one argument if there is any; nil for no interpreter.
	Script func(head []byte) []string

	// Emulate returns what executes a program, or nil if the kernel does. If that
	// is an error the kernel refuses the program, or the call returns the error's
	// errno if that is ENOENT; and the error is said, once. Several are
	// asked for at a time.
	Emulate func(*Program) (*Emulation, error)

	// Begin, unless it is nil, is called in the program's process before that is
	// executed.
	Begin func()

	// Refused says on standard error why the watched program could not be
	// executed, and returns the exit status that means it.
	Refused func(path string, err error) int

	// Say prints an error on standard error.
	Say func(error)
}

// An Emulation is how a program is executed by another: with the argument list
// {Name, Argv0Flag, argv[0], Flags …, path, argv[1] …}. Without an Argv0Flag the
// other program is not told argv[0].
type Emulation struct {
	Path string   // of the program that is executed, or
	File *os.File // that program, which is not closed

	Name      string
	Argv0Flag string
	Flags     []string
	Defaults  []Default
}

// A Default is flags that are not given if an environment variable is set, but to one value.
type Default struct {
	Variable, But string
	Flags         []string
}

// A supervisor answers the kernel's questions.
type supervisor struct {
	*Options
	self     *elfmagic.Arch
	listener int
	root     unix.Statx_t // its root directory
	known    known
	idle     atomic.Int32
	answered atomic.Uint64 // how many calls are, or are gone
	shorten  bool          // whether workers ask for short slices
	views    atomic.Bool   // whether a task may have another view of the files
	looking  atomic.Bool   // whether they become more
	staff    staff
	opening  chan struct{} // has an element for each worker that opens files

	mutex    sync.Mutex
	expected map[token]*handover
	said     map[string]bool
	program  int // process ID, until it has ended
	caller   *messages
}

// question is what a process asks a supervisor for, to know whether it is watched: an
// execve of no path, with these arguments, which means nothing to the kernel.
var question = [2]uint64{0x63726f73, 0x7372756e}

// watched is the answer to it.
const watched = syscall.EALREADY

// Sees reports whether a supervisor is asked about what programs of an architecture execute: about
// the host's own, and about 32-bit ones of i386 on amd64, and of Arm on arm64.
func Sees(arch *elfmagic.Arch) bool {
	self, err := native()
	narrow := map[string]uint32{"i386": unix.AUDIT_ARCH_I386, "arm": unix.AUDIT_ARCH_ARM}[arch.Name]
	return err == nil && (arch == self || narrow != 0 && slices.ContainsFunc(abis[:], func(a abi) bool { return a.arch == narrow }))
}

// Watched reports whether a supervisor of this package watches this process already.
func Watched() bool {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EXECVE, 0, uintptr(question[0]), uintptr(question[1]), 0, 0, 0)
	return errno == watched
}

// maxIdle is how many workers wait at the most: who has answered the last question
// is the fastest with the next.
const maxIdle = 1

// work answers one question after another. While each worker is busy for long there is
// one more: a file system that hangs holds up nobody else.
func (s *supervisor) work() {
	runtime.LockOSThread() // which traces
	defer runtime.UnlockOSThread()
	defer s.staff.leave()
	if s.shorten {
		shortSlice()
	}
	g := new(glance)
	for s.idle.Add(1) <= maxIdle {
		var n notification
		errno := s.receive(&n)
		if s.idle.Add(-1) == 0 {
			s.lookLater()
		}
		switch errno {
		case 0:
			if r := s.decide(g, &n); r.id != 0 {
				s.send(r)
			}
		case syscall.EINTR:
		case syscall.ENOENT: // the task was killed before it was asked about; or all are
			time.Sleep(time.Millisecond)
		default:
			return
		}
		s.answered.Add(1)
	}
	s.idle.Add(-1)
}

// receive waits for a question.
func (s *supervisor) receive(n *notification) syscall.Errno {
	for s.soon() == syscall.EINTR {
		// Go's run time interrupts a thread that it wants to stop for a moment: it does,
		// in the call of this function.
		runtime.Gosched()
	}
	_, errno := ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
	return errno
}

// soon waits for a question that comes within some milliseconds: where programs start
// others, one follows the other. Go's run time does not know that this thread waits: to
// take its processor away and give it back costs more than the answer does. It is
// interrupted (EINTR) when the run time wants all to stop, and before that loses
// patience (10 ms, forcePreemptNS in runtime/proc.go).
func (s *supervisor) soon() syscall.Errno {
	return s.poll(8 * time.Millisecond)
}

// pending reports whether there is a question already.
func (s *supervisor) pending() bool { return s.poll(0) == 0 }

// poll returns 0 if there is a question, or EAGAIN if there is none after a while.
func (s *supervisor) poll(most time.Duration) syscall.Errno {
	polled := unix.PollFd{Fd: int32(s.listener), Events: unix.POLLIN}
	timeout := unix.NsecToTimespec(int64(most))
	count, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&polled)), 1, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	if errno == 0 && count == 0 {
		return syscall.EAGAIN
	}
	return errno
}

// decide returns the answer to a call, or none if it was given already. For what the
// kernel executes itself it makes two system calls and allocates nothing.
func (s *supervisor) decide(g *glance, n *notification) response {
	a := find(n.arch, n.number)
	if a == nil {
		if isView(n.arch, n.number) {
			s.views.Store(true)
		}
		return goOn(n)
	}
	if n.number == a.execve && a == &abis[0] {
		if n.args[0] == 0 && n.args[1] == question[0] && n.args[2] == question[1] {
			return refuse(n, watched)
		}
		if n.args[1]>>31 == 0 && n.args[2]>>31 == 0 {
			if h := s.asked(n); h != nil {
				s.relieve()
				s.opening <- struct{}{}
				defer func() { <-s.opening }()
				return s.answer(n, h)
			}
		}
	}
	if !g.read(n, a) || !g.lookAround(s, n.pid) {
		return goOn(n)
	}
	if (!g.another || g.buffer[before] != '/') && g.looksKnown(s, g.name(n.pid)) {
		return goOn(n)
	}
	s.relieve()
	s.opening <- struct{}{}
	defer func() { <-s.opening }()
	p := s.inspect(g, n)
	if p == nil {
		return goOn(n)
	}
	if !s.valid(n) {
		p.File.Close()
		return response{}
	}
	var st unix.Stat_t
	if unix.Stat(string(appendProcess(nil, n.pid, "")), &st) == nil {
		p.UID = st.Uid
	}
	return s.emulate(g, n, p)
}

// atOnce returns how many workers may open files at the same time, with a limit of
// descriptors: each has four at the most, and some are open all the time.
func atOnce(limit uint64) int {
	const each, always, enough = 4, 14, 256
	return int(max(1, (min(limit, always+each*enough)-min(limit, always))/each))
}

// say has the caller print an error, once.
func (s *supervisor) say(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if text := err.Error(); !s.said[text] && len(s.said) < 1000 {
		s.said[text] = true
		_ = s.caller.send(message{Kind: says, Text: text, Hint: hintOf(err)})
	}
}

// reaped is told of each child that has ended, and whether it was the last.
func (s *supervisor) reaped(pid int, status syscall.WaitStatus, last bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if pid != s.program {
		return
	}
	s.program = 0
	_ = s.caller.send(message{Kind: ended, Status: int(status), Alone: last})
}
