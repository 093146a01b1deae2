package entry

import "golang.org/x/sys/unix"

// Own reports whether a signal is a process's own, which is neither passed on to another one nor ignored
// for it: nobody can handle it, it tells of a fault of the process itself, or Go's run time or
// the C library needs it.
func Own(n unix.Signal) bool {
	switch n {
	case unix.SIGKILL, unix.SIGSTOP,
		unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS,
		unix.SIGURG, unix.SIGPROF, 32, 33:
		return true
	}
	return false
}
