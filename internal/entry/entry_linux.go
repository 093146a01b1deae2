// Package entry is where a program begins, before Go's run time does: that catches
// all signals (initsig in runtime/signal_unix.go, Go 1.26), and what it does not let anybody
// ask for afterwards is which of them were ignored, and which blocked. It keeps only SIGHUP
// and SIGINT ignored, and unblocks SIGTERM and more (_SigUnblock in sigtab_linux_generic.go). A
// program that another takes the place of has to pass them on.
//
// A program starts here if it is linked with -ldflags=[Flags]. One that is not,
// as by go install, works as any other.
package entry

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags are the linker's.
const Flags = "-E crossrun_start"

// ignored and blocked are written by the machine code, bit 0 for signal 1. oldAction is its
// buffer, a struct sigaction, of which the handler is the first word on all hosts.
var ignored, blocked uint64

//lint:ignore U1000 the machine code has the kernel write to it
var oldAction [8]uint64

// Ignored returns the signals that were ignored when this program was executed,
// bit 0 is signal 1, or none if it does not start here.
func Ignored() uint64 { return ignored }

// Blocked returns those that were blocked.
func Blocked() uint64 { return blocked }

// Block blocks these in this thread, which is to execute another program or to start one,
// and returns what was blocked before.
func Block() (before unix.Sigset_t, err error) {
	set := [16]uint64{blocked} // a sigset_t of any architecture that starts here
	err = unix.PthreadSigmask(unix.SIG_BLOCK, (*unix.Sigset_t)(unsafe.Pointer(&set)), &before)
	return before, err
}
