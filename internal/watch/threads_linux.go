package watch

import (
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Go's run time ends the process when it wants a thread and the kernel makes none
// (EAGAIN, for a fifth of a second): RLIMIT_NPROC, a cgroup's pids.max. A supervisor
// must not end. It has threads made beforehand, which the run time keeps.

// maxProcessors is how many threads run Go code at the most, besides the worker that
// waits for a question. Answers are short.
const maxProcessors = 8

// spare is how many workers have a thread from the beginning.
const spare = 4

// reserve is how many threads the run time may want besides the workers': one for each
// processor, and those that wait for children, the caller, signals and files.
func reserve() int { return runtime.GOMAXPROCS(0) + 6 }

// makeThreads has the run time have at least n threads that nobody uses.
func makeThreads(n int) {
	var started, ended sync.WaitGroup
	release := make(chan struct{})
	started.Add(n)
	for range n {
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			<-release
		})
	}
	started.Wait()
	close(release)
	ended.Wait()
}

// A staff is the workers, as many as there are threads for.
type staff struct {
	mutex         sync.Mutex
	working, most int // most is how many there are threads for
}

// hire reports whether one more may start to work.
func (w *staff) hire() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.working == w.most {
		return false
	}
	w.working++
	return true
}

// leave leaves a worker's thread to others.
func (w *staff) leave() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.working--
}

// grow has threads made for one more, while there are some to spare: others that
// make threads at this moment must not take the last.
func (w *staff) grow() bool {
	n := reserve() + 1
	w.mutex.Lock()
	all := w.most >= maxWorkers
	w.mutex.Unlock()
	if all || !canFork(2*n) {
		return false
	}
	makeThreads(n)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.most++
	return true
}

// maxWorkers is how many there are at the most.
const maxWorkers = 256

// patience is how long all workers may be busy with the same calls.
const patience = 50 * time.Millisecond

// relieve has one more worker start if there is a question already when one is
// about to take longer.
func (s *supervisor) relieve() {
	if s.idle.Load() == 0 && s.pending() && s.staff.hire() {
		go s.work()
	}
}

// lookLater has one more worker start if none is idle and no call is answered for a
// while, as a file system hangs.
func (s *supervisor) lookLater() {
	if s.looking.CompareAndSwap(false, true) {
		s.lookAgain()
	}
}

func (s *supervisor) lookAgain() {
	answered := s.answered.Load()
	time.AfterFunc(patience, func() {
		if s.idle.Load() > 0 {
			s.looking.Store(false)
			return
		}
		if s.answered.Load() == answered && (s.staff.hire() || s.staff.grow() && s.staff.hire()) {
			go s.work()
		}
		s.lookAgain()
	})
}

// canFork reports whether the kernel makes n more threads or processes. It makes them:
// those that have ended count until they are waited for.
func canFork(n int) bool {
	runtime.LockOSThread() // their parent
	defer runtime.UnlockOSThread()
	made := 0
	for ; made < n; made++ {
		if _, errno := forkOne(nil); errno != 0 {
			break
		}
	}
	for range made {
		waitFor(-1, nil, unix.WCLONE|unix.WNOTHREAD)
	}
	return made == n
}

// A call is a system call's number and arguments.
type call [7]uintptr

// forkOne makes a process that makes some calls and ends, without a core file, and sends
// no signal then.
//
//go:norace
func forkOne(calls []call) (pid int, errno syscall.Errno) {
	child, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, 0, 0, 0, 0, 0, 0)
	if errno == 0 && child == 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0)
		for i := range calls {
			c := &calls[i]
			_, _, _ = syscall.RawSyscall6(c[0], c[1], c[2], c[3], c[4], c[5], c[6])
		}
		for {
			_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return int(child), errno
}

// kills reports whether a seccomp filter ends a process for making one of these calls, as
// that of systemd's SystemCallFilter= does. Another process makes them.
func kills(calls ...call) bool {
	if mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err == nil && mode == 0 {
		return false
	}
	runtime.LockOSThread() // its parent
	defer runtime.UnlockOSThread()
	pid, errno := forkOne(calls)
	if errno != 0 {
		return false
	}
	var status syscall.WaitStatus
	waitFor(pid, &status, unix.WCLONE|unix.WNOTHREAD)
	return status.Signaled()
}

// slice is what a worker asks the scheduler for. A program's is some milliseconds: the
// scheduler lets whoever wants less go first. It is the least that there is.
const slice = 100 * time.Microsecond

// triedAttr is for a process that tries. It is not on a stack, which moves when it grows.
var triedAttr = unix.SchedAttr{Size: unix.SizeofSchedAttr}

// mayShorten reports whether no filter ends this process for asking.
func mayShorten() bool {
	at := uintptr(unsafe.Pointer(&triedAttr))
	return !kills(call{unix.SYS_SCHED_GETATTR, 0, at, unix.SizeofSchedAttr}, call{unix.SYS_SCHED_SETATTR, 0, at})
}

// shortSlice has this thread run as soon as it is woken, instead of after the task that
// asks, or after that was moved to another processor (sched_attr's sched_runtime for
// SCHED_NORMAL, Linux 6.12; of older ones it is 0). What the thread's user chose
// for it stays: another policy, and niceness.
func shortSlice() {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL || attr.Runtime == 0 {
		return
	}
	attr.Runtime = uint64(slice)
	_ = unix.SchedSetAttr(0, attr, 0)
}
