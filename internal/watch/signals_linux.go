package watch

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/entry"
)

// Go tells which signal arrived, and not who sent it. The handler of this package, in
// machine code, writes what the kernel knows to a pipe.

// signalPipe is its writing end.
//
//lint:ignore U1000 the handler reads it
var signalPipe int32

func handlers() (handler, restorer uintptr)

// A signalInfo is the start of the kernel's siginfo_t, for signals that a process sends.
type signalInfo struct {
	number, errno, code int32
	_                   int32
	pid                 int32
	_                   [108]byte
}

// passedOn are the signals that a caller passes on to the program: all that somebody
// may send, but for those that tell of a fault of the process itself, and those that
// Go's run time needs.
func passedOn() (list []syscall.Signal) {
	for number := syscall.Signal(1); number <= 64; number++ {
		if !entry.Own(number) && number != syscall.SIGCHLD && number != 34 { // which musl needs
			list = append(list, number)
		}
	}
	return list
}

// An action is the kernel's struct sigaction. Its mask is empty: where it is does not
// matter.
type action struct {
	handler, flags, restorer, _ uintptr
}

func setAction(number syscall.Signal, to, from *action) {
	const maskSize = 8
	_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(number), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), maskSize, 0, 0)
}

// catch has a signal's information written to the pipe. execve gives it its default
// effect again. One that is ignored stays so.
func catch(number syscall.Signal) {
	const (
		information = 0x4        // SA_SIGINFO
		restart     = 0x10000000 // SA_RESTART
		stack       = 0x08000000 // SA_ONSTACK: goroutines have little
		hasRestorer = 0x04000000 // SA_RESTORER
		ignored     = 1          // SIG_IGN
	)
	var was action
	if setAction(number, nil, &was); was.handler == ignored {
		return
	}
	a := action{flags: information | restart | stack}
	if a.handler, a.restorer = handlers(); a.restorer != 0 {
		a.flags |= hasRestorer
	}
	setAction(number, &a, nil)
}

// catchSignals catches all that are passed on, and returns the pipe's reading end.
func catchSignals() (int, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	signalPipe = int32(pipe[1])
	for _, number := range passedOn() {
		catch(number)
	}
	return pipe[0], nil
}

// nextSignal returns the next that was caught, or nil if there is none.
func nextSignal(pipe int) *signalInfo {
	info := new(signalInfo)
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(info)), unsafe.Sizeof(*info))
	if n, err := unix.Read(pipe, buffer); err != nil || n != len(buffer) {
		return nil
	}
	return info
}

// raise sends this process a signal, with its default effect.
func raise(number syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setAction(number, new(action), nil)
	var set unix.Sigset_t
	bits := int(unsafe.Sizeof(set.Val[0])) * 8
	set.Val[(int(number)-1)/bits] |= 1 << ((int(number) - 1) % bits)
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil) // the caller's caller may have blocked it
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), number)
}
