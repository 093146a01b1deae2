// Package private runs commands in an instance of binfmt_misc of their own: in
// a new user and mount namespace, with the entries that they need, invisible to
// all other processes and gone with the last of them. No privilege is needed
// where the kernel is Linux 6.7 or newer and lets users make user namespaces.
//
// A Go program cannot enter a user namespace once it runs, because it has
// several threads. The package therefore starts the running program a second
// time, as a helper that sets the instance up and, for a [Cmd], becomes its command.
// [Main] takes that one over: it must be the first call in main. Without it nothing
// is started.
//
// A caller who is root has the same users and groups in an instance as outside. For
// anybody else, other users' files seem to belong to nobody there, and set-user-ID
// programs do not change the user.
package private

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
)

// An Instance is an instance of binfmt_misc that is set up and that no process
// uses yet. The calling process, or a child, can enter it and become a program
// there.
type Instance struct {
	files []*os.File    // what is open of it: see help and setUpRoot
	root  *rootInstance // nil: it has no Root
}

// InstanceOptions say what an instance has.
type InstanceOptions struct {
	// Entries returns what is registered, in this order: the last is tried
	// first. It is called while another process sets the namespaces up, and not if
	// they are denied. It may be nil. Files are looked up for this process:
	// /proc/self/exe is its program, /proc/self/fd/5 what it has open, which with
	// the F flag the kernel keeps.
	Entries func() ([]binfmt.Entry, error)

	// Root, if it is set, is the directory that becomes the root file system. It
	// has PIDs, IPC, a host name, /proc and /dev of its own, a /sys that is read-only,
	// and a copy of this one's resolv.conf; the network is this one's. What runs
	// in it is a child of the process that calls Exec, which hands signals and stops
	// on, and all that runs in it ends when that child does.
	//
	// The caller is root in it. If they are root, it is one without any rights
	// outside, where the directory's file system can be mounted so (Linux 5.12), else
	// they are as outside, but for CAP_SYS_ADMIN. Anybody else has the users that
	// /etc/subuid and /etc/subgid give them, where newuidmap and newgidmap are
	// installed, else nobody but root. See Instance.Users.
	Root string

	// Template says that Root is not changed: what is changed in it is kept in memory,
	// and gone when the instance ends (overlayfs, Linux 5.11 for users; on tmpfs, 6.6).
	Template bool

	// Held, if it is not nil, is open with a Root as long as what runs in it does, with the
	// locks that it has (flock(2)), and not in that.
	Held *os.File
}

// A Cmd is a command that will run, or runs, in an instance of its own.
//
// Seen from inside, a caller who is not root is root, because the file that
// registers entries belongs to root. A path of /proc/self/exe is the calling
// program.
type Cmd struct {
	*exec.Cmd
	Entries []binfmt.Entry // registered in this order: the last is tried first

	ctx context.Context // of exec.Cmd, which does not tell; nil: unknown
}

// Command returns the command that runs name with the given arguments and
// entries, as exec.CommandContext does.
func Command(ctx context.Context, entries []binfmt.Entry, name string, args ...string) *Cmd {
	return &Cmd{exec.CommandContext(ctx, name, args...), entries, ctx}
}

// Run starts the command and waits for it, as exec.Cmd.Run does.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it wrote to its standard output.
func (c *Cmd) Output() ([]byte, error) { return c.output(&c.Stdout) }

// CombinedOutput runs the command and returns what it wrote to its standard
// output and standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) { return c.output(&c.Stdout, &c.Stderr) }

func (c *Cmd) output(streams ...*io.Writer) ([]byte, error) {
	var out bytes.Buffer
	for _, stream := range streams {
		if *stream != nil {
			return nil, errors.New("private: Stdout or Stderr already set")
		}
		*stream = &out
	}
	err := c.Run()
	return out.Bytes(), err
}

// Available sets an instance up and gives it up: it returns nil if this process
// may have one, and else the reason why not. See Check.
func Available(ctx context.Context) error {
	i, err := NewInstance(ctx, InstanceOptions{})
	if err == nil {
		i.Close()
	}
	return err
}

// An Op is a step towards an instance.
type Op string

// The steps, in their order.
const (
	OpSetUp     Op = "set it up" // whatever is none of the others
	OpNamespace Op = "make a user namespace"
	OpMount     Op = "mount binfmt_misc"
	OpRegister  Op = "register entry"
	OpRoot      Op = "make the root file system"
	OpEnter     Op = "enter it"
)

// An Error says which step failed. It wraps the errno, or what else the step failed with, as
// [context.Canceled].
//
// errors.Is(err, errors.ErrUnsupported) is true where another attempt would fail
// as well: the kernel lacks the feature, or user namespaces are denied.
type Error struct {
	Op      Op
	Name    string          // of the entry or directory that it is about
	Text    string          // of the error
	Errno   syscall.Errno   // 0: it was no system call
	Feature *binfmt.Feature // that the running kernel lacks

	err error // nil where another process, of which nothing but the errno is known, says so
}

func failed(op Op, name string, err error) *Error {
	e := &Error{Op: op, Name: name, Text: err.Error(), err: err}
	errors.As(err, &e.Errno)
	return e
}

func (e *Error) Error() string {
	return fmt.Sprintf("private instance of binfmt_misc: cannot %s: %s", strings.TrimSpace(string(e.Op)+" "+e.Name), e.Text)
}

// Unwrap returns what the step failed with: the errno at least.
func (e *Error) Unwrap() error {
	if e.err == nil && e.Errno != 0 {
		return e.Errno
	}
	return e.err
}

// unlessDone returns an error, or, if the context is done, that as the reason: what ends with it
// fails in many ways.
func unlessDone(ctx context.Context, err error) error {
	if err == nil || ctx == nil || ctx.Err() == nil {
		return err
	}
	err = ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return failed(OpSetUp, "", err)
}

// Is reports whether the target is errors.ErrUnsupported, and it is that.
func (e *Error) Is(target error) bool {
	return target == errors.ErrUnsupported && (e.Feature != nil || e.Denied())
}

// denials are what system calls that concern namespaces return where they are
// denied: by a limit or sysctl, by a seccomp filter (what it returns is its
// author's choice), by a security module, or by a kernel without them.
var denials = []syscall.Errno{syscall.ENOSPC, syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSYS}

// Denied reports whether this process may not make or enter user namespaces.
func (e *Error) Denied() bool {
	return (e.Op == OpNamespace || e.Op == OpEnter) && slices.Contains(denials, e.Errno)
}
