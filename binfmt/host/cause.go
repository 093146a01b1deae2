package host

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// A Cause is why programs of an architecture do not run.
type Cause string

// Causes, and the errno of execve(2) that they go with.
const (
	NoEntry        Cause = "no entry is for them"                                          // ENOEXEC
	Disabled       Cause = "the entry is disabled"                                         // ENOEXEC
	AllDisabled    Cause = "all entries are disabled"                                      // ENOEXEC
	OtherInstance  Cause = "the kernel uses another instance of binfmt_misc than this one" // ENOEXEC, ENOENT, ELOOP
	NoInterpreter  Cause = "the entry's interpreter, or its loader, is missing"            // ENOENT
	BadInterpreter Cause = "the entry's interpreter cannot be executed"                    // ENOEXEC, EACCES
	Loop           Cause = "the entry's interpreter is itself taken by an entry"           // ELOOP
	Unseen         Cause = "binfmt_misc is not mounted here: why, cannot be seen"          // ENOEXEC, ENOENT, ELOOP
	Failed         Cause = "the program failed"                                            // none
	Unknown        Cause = "the cause is not known"                                        // any other
)

// An Error says why programs of an architecture do not run. It wraps the errno of
// execve, or what the program, or its emulator, ended with.
type Error struct {
	Arch  *elfmagic.Arch
	Cause Cause
	Entry string // name of the entry that it is about; empty if about none
	Path  string // of NoInterpreter and BadInterpreter: the file that is missing or cannot be executed
	Err   error

	// Status and Stderr are how a program that Failed ended, and the last line
	// that it or its emulator wrote.
	Status syscall.WaitStatus
	Stderr string
}

func (e *Error) Error() string { return fmt.Sprintf("%s programs do not run: %s", e.Arch, e.Why()) }

// Why is the message without the architecture.
func (e *Error) Why() string {
	about := ""
	for _, s := range []string{e.Entry, e.Path} {
		if s != "" {
			about += s + ": "
		}
	}
	return fmt.Sprintf("%s%s: %v", about, e.Cause, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// A view is what can be seen of an instance when a program does not run.
type view struct {
	mounted, enabled bool

	// entry is the first enabled one that is for the program, else the first.
	entry *binfmt.Entry

	// path is what is wrong with the entry's interpreter, and problem how:
	// ENOENT, EACCES, or ENOEXEC for a program that is not for this host.
	path    string
	problem error
}

// cause says why execve failed.
func (v view) cause(err error) Cause {
	used := v.enabled && v.entry != nil && !v.entry.Disabled
	is := func(errno syscall.Errno) bool { return errors.Is(err, errno) }
	switch {
	case is(syscall.EACCES) && used && errors.Is(v.problem, syscall.EACCES):
		return BadInterpreter
	case !is(syscall.ENOEXEC) && !is(syscall.ENOENT) && !is(syscall.ELOOP):
		return Unknown
	case !v.mounted:
		return Unseen
	case is(syscall.ENOENT) && used:
		return NoInterpreter
	case is(syscall.ELOOP) && used:
		return Loop
	case !is(syscall.ENOEXEC):
		return OtherInstance // an entry is to blame, and none is seen
	case v.entry == nil:
		return NoEntry
	case !v.enabled:
		return AllDisabled
	case v.entry.Disabled:
		return Disabled
	case errors.Is(v.problem, syscall.ENOEXEC):
		return BadInterpreter
	case v.problem == nil:
		return OtherInstance
	}
	return Unknown // the interpreter that the kernel holds cannot be seen
}
