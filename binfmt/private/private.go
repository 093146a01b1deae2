// Package private runs commands in an instance of binfmt_misc of their own: in
// a new user and mount namespace, with the entries that they need, invisible to
// all other processes and gone with the last of them. No privilege is needed
// where the kernel is Linux 6.7 or newer and lets users make user namespaces.
//
// A Go program cannot enter a user namespace once it runs, because it has
// several threads. The package therefore starts the running program a second
// time, and takes it over while its packages are initialized, before main. It
// is a package apart so that only programs that ask for this have it.
package private

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/cli"
)

// A Cmd is a command that will run, or runs, in an instance of its own.
//
// Seen from inside, a caller who is root has the same users and groups as
// outside. One who is not is root inside, because the file that registers
// entries belongs to root; other users' files seem to belong to nobody, and
// set-user-ID programs do not change the user.
type Cmd struct {
	*exec.Cmd
	Entries []binfmt.Entry // registered in this order: the last is tried first
}

// Command returns the command that runs name with the given arguments and
// entries, as exec.CommandContext does.
func Command(ctx context.Context, entries []binfmt.Entry, name string, args ...string) *Cmd {
	return &Cmd{Cmd: exec.CommandContext(ctx, name, args...), Entries: entries}
}

// Available returns nil if this process may have a private instance, and else
// the reason why not.
func Available(ctx context.Context) error {
	c := Command(ctx, nil, "/proc/self/exe")
	c.Path, c.Err = "", nil
	return c.Run()
}

// marker is the name under which the running program is started a second time.
const marker = "binfmt-private"

// setup is what the second process does before it becomes the command.
type setup struct {
	// All are bytes, which JSON keeps as they are: paths need not be UTF-8.
	Entries [][]byte // registrations
	Path    []byte   // of the command; empty: none, exit
	Args    [][]byte
	Hold    *hold // instead of becoming the command
}

// failure is what it says if it cannot.
type failure struct {
	Message string
	Hint    string
	Errno   syscall.Errno
}

func (f *failure) error() error {
	return &Error{Err: &remoteError{f.Message, f.Errno}, hint: f.Hint}
}

// An Error says why a command did not come to run in an instance of its own.
// It wraps an errno where there is one.
type Error struct {
	Err  error
	hint string
}

func (e *Error) Error() string { return "private instance of binfmt_misc: " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *Error) Hint() string { return e.hint }

// Start starts the command. When it returns without an error, the entries are
// registered and the command has been executed. Errors are *Error, or those of
// exec.Cmd.Start for the command itself.
func (c *Cmd) Start() error {
	if c.Err != nil {
		return c.Err
	}
	config := setup{Path: []byte(c.Path)}
	for _, arg := range c.Args {
		config.Args = append(config.Args, []byte(arg))
	}
	text, err := config.text(c.Entries)
	if err != nil {
		return &Error{Err: err}
	}
	configIn, configOut, err := os.Pipe()
	if err != nil {
		return &Error{Err: err}
	}
	defer configOut.Close()
	defer configIn.Close()
	resultIn, resultOut, err := os.Pipe()
	if err != nil {
		return &Error{Err: err}
	}
	defer resultIn.Close()
	defer resultOut.Close()

	own := *c.Cmd
	defer func() {
		c.Path, c.Args, c.ExtraFiles, c.SysProcAttr = own.Path, own.Args, own.ExtraFiles, own.SysProcAttr
	}()
	// The caller's files keep their numbers: ours come after them.
	first := 3 + len(c.ExtraFiles)
	c.ExtraFiles = append(append([]*os.File(nil), c.ExtraFiles...), configIn, resultOut)
	c.Path, c.Args = "/proc/self/exe", []string{marker, strconv.Itoa(first), strconv.Itoa(first + 1)}
	if c.SysProcAttr, err = attributes(own.SysProcAttr); err != nil {
		return &Error{Err: err}
	}
	if err := c.Cmd.Start(); err != nil {
		return &Error{Err: fmt.Errorf("cannot make a user namespace: %w", err), hint: namespaceHint(err)}
	}
	configIn.Close()
	resultOut.Close()
	_, writeErr := configOut.Write(text)
	configOut.Close()

	// The second process's end is closed when it executes the command.
	result, readErr := io.ReadAll(resultIn)
	if len(result) == 0 && writeErr == nil && readErr == nil {
		return nil
	}
	_ = c.Cmd.Wait()
	var answer held
	if json.Unmarshal(result, &answer) != nil || answer.Failure == nil {
		return &Error{Err: errors.Join(errors.New("the process that sets it up ended"), writeErr, readErr)}
	}
	return answer.Failure.error()
}

// Run starts the command and waits for it, as exec.Cmd.Run does.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it wrote to its standard output.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("private: Stdout already set")
	}
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns what it wrote to its standard
// output and standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("private: Stdout or Stderr already set")
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// remoteError is an error of the second process.
type remoteError struct {
	message string
	errno   syscall.Errno
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// attributes adds the namespaces, and the users and groups in them.
func attributes(base *syscall.SysProcAttr) (*syscall.SysProcAttr, error) {
	var attr syscall.SysProcAttr
	if base != nil {
		attr = *base
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	if os.Geteuid() == 0 && attr.Credential == nil {
		var err error
		if attr.UidMappings, err = sameIDs("/proc/self/uid_map"); err != nil {
			return nil, err
		}
		if attr.GidMappings, err = sameIDs("/proc/self/gid_map"); err != nil {
			return nil, err
		}
		// Where setgroups is denied it is denied for descendants, too.
		setgroups, err := os.ReadFile("/proc/self/setgroups")
		attr.GidMappingsEnableSetgroups = err != nil || string(bytes.TrimSpace(setgroups)) == "allow"
		return &attr, nil
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	return &attr, nil
}

// sameIDs maps every user or group of this namespace to itself.
//
// Reads /proc/self/uid_map or gid_map, see user_namespaces(7).
func sameIDs(path string) ([]syscall.SysProcIDMap, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var ids []syscall.SysProcIDMap
	for line := range bytes.Lines(text) {
		var inside, outside, size int
		if n, err := fmt.Sscan(string(line), &inside, &outside, &size); n != 3 {
			return nil, fmt.Errorf("%s: line %q: %w", path, line, err)
		}
		ids = append(ids, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return ids, nil
}

func namespaceHint(err error) string {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return "the limit of user namespaces is reached or 0: sysctl user.max_user_namespaces"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "user namespaces are denied here: by a container's seccomp profile, by AppArmor (sysctl kernel.apparmor_restrict_unprivileged_userns, Ubuntu 24.04 and later) or by sysctl kernel.unprivileged_userns_clone (Debian)"
	case errors.Is(err, unix.EINVAL):
		return "this kernel has no user namespaces (CONFIG_USER_NS)"
	}
	return ""
}

// init takes over the second process.
func init() {
	if len(os.Args) == 3 && os.Args[0] == marker {
		runtime.LockOSThread()
		become(os.Args[1], os.Args[2])
	}
}

// become sets the instance up and becomes the command.
func become(configFD, resultFD string) {
	in, inErr := inherited(configFD)
	out, outErr := inherited(resultFD)
	if inErr != nil || outErr != nil {
		fmt.Fprintf(os.Stderr, "%s: error: this name is for the program's own use\n", marker)
		os.Exit(125)
	}
	err := enter(in, out)
	if err == nil {
		os.Exit(0) // there was no command
	}
	f := failure{Message: err.Error(), Hint: cli.Hint(err)}
	errors.As(err, &f.Errno)
	_ = json.NewEncoder(out).Encode(held{Failure: &f})
	os.Exit(125)
}

// inherited opens one of the two descriptors that Start passed on. The command
// does not inherit it.
func inherited(number string) (*os.File, error) {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), marker), nil
}

// enter sets the instance up, and becomes the command or holds the instance for
// the parent. What takes no configuration is done while that is made.
func enter(in io.Reader, out io.Writer) error {
	if err := mount(); err != nil {
		return err
	}
	var config setup
	if err := json.NewDecoder(in).Decode(&config); err != nil {
		return fmt.Errorf("cannot read what to set up: %w", err)
	}
	fs := binfmt.New("")
	for _, line := range config.Entries {
		var e binfmt.Entry
		if err := e.UnmarshalText(line); err != nil {
			return err
		}
		if err := fs.Register(e); err != nil {
			return err
		}
	}
	if config.Hold != nil {
		return config.Hold.stay(in, out)
	}
	path := string(config.Path)
	if path == "" {
		return nil
	}
	var args []string
	for _, arg := range config.Args {
		args = append(args, string(arg))
	}
	return &os.PathError{Op: "exec", Path: path, Err: unix.Exec(path, args, os.Environ())}
}

// mount mounts the instance.
func mount() error {
	// What is mounted here stays here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	// Over an instance that is visible already, too: that is another one.
	err := unix.Mount("binfmt_misc", binfmt.DefaultMount, "binfmt_misc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil {
		err = fmt.Errorf("cannot mount binfmt_misc: %w", err)
		if kernel, versionErr := binfmt.RunningKernel(); versionErr == nil {
			if unsupported := binfmt.FeatureInstances.Supported(kernel); unsupported != nil {
				return fmt.Errorf("%w: %w", err, unsupported)
			}
		}
		return &Error{Err: err, hint: "a container's seccomp profile or AppArmor may deny mounts in user namespaces; a /proc that is partly covered, as in unprivileged containers, does not let itself be mounted on either"}
	}
	return nil
}
