package binfmt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultMount is the directory on which binfmt_misc is mounted by convention.
const DefaultMount = "/proc/sys/fs/binfmt_misc"

// An FS is an instance of binfmt_misc, by the directory on which it is, or
// will be, mounted.
type FS struct {
	dir string
}

// New returns the instance that is mounted on dir; an empty dir stands for
// DefaultMount. Nothing is opened.
func New(dir string) FS {
	if dir == "" {
		dir = DefaultMount
	}
	return FS{filepath.Clean(dir)}
}

// Dir returns the directory on which the instance is mounted.
func (fs FS) Dir() string { return fs.dir }

func (fs FS) path(name string) string { return filepath.Join(fs.dir, name) }

// List returns the entries, in the order of their directory, which on Linux is
// that in which the kernel tries them: newest first. Errors are *Error, and
// wrap ErrNotMounted if the file system is not there.
func (fs FS) List() ([]Entry, error) {
	if err := fs.mustBeMounted("list", fs.dir); err != nil {
		return nil, err
	}
	names, err := readNames(fs.dir)
	if err != nil {
		return nil, fs.failure("list", "", fs.dir, err)
	}
	entries := make([]Entry, 0, len(names))
	for _, name := range names {
		if reserved(name) {
			continue
		}
		e, err := fs.Get(name)
		if errors.Is(err, unix.ENOENT) {
			continue // removed since
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Get returns the entry of the given name. Without one the error wraps ENOENT.
func (fs FS) Get(name string) (Entry, error) {
	path := fs.path(name)
	if err := checkName(name); err != nil {
		return Entry{}, &Error{Op: "get", Name: name, Path: path, Err: err}
	}
	f, err := os.Open(path)
	if err != nil {
		return Entry{}, fs.failure("get", name, path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10)) // the kernel prints one page at the most
	if err != nil {
		return Entry{}, fs.failure("get", name, path, err)
	}
	e := Entry{Name: name}
	if err := e.UnmarshalText(text); err != nil {
		return Entry{}, &Error{Op: "get", Name: name, Path: path, Err: err}
	}
	if info, err := f.Stat(); err == nil {
		e.Registered = info.ModTime()
	}
	return e, nil
}

// checkName refuses what is not the name of an entry, so that nothing else is
// ever written to: "status", above all.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || reserved(name) || filepath.Base(name) != name {
		return fmt.Errorf("%q is not the name of an entry", name)
	}
	return nil
}

// Register adds an entry, in a single write. It is enabled at once, and is
// tried before those that are there already.
func (fs FS) Register(e Entry) error {
	path := fs.path("register")
	fail := func(err error) error {
		err = fs.failure("register", e.Name, path, err)
		var failed *Error
		if errors.As(err, &failed) {
			failed.entry = &e
		}
		return err
	}
	line, err := e.MarshalText()
	if err != nil {
		return fail(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	_, err = f.Write(line)
	if err != nil {
		return fail(err)
	}
	return nil
}

// Remove removes an entry. Programs that it has started run on.
func (fs FS) Remove(name string) error { return fs.command("remove", name, "-1") }

// Enable lets the kernel use an entry again that was disabled.
func (fs FS) Enable(name string) error { return fs.command("enable", name, "1") }

// Disable keeps the kernel from using an entry until it is enabled.
func (fs FS) Disable(name string) error { return fs.command("disable", name, "0") }

func (fs FS) command(op, name, command string) error {
	path := fs.path(name)
	if err := checkName(name); err != nil {
		return &Error{Op: op, Name: name, Path: path, Err: err}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fs.failure(op, name, path, err)
	}
	defer f.Close()
	_, err = f.WriteString(command)
	return fs.failure(op, name, path, err)
}

// Supports asks the kernel whether it knows a flag, by an entry that cannot
// come into being: its interpreter is missing, which is an error with the F
// flag. The kernel writes a line to its log if it knows F (pr_notice).
func (fs FS) Supports(flags Flags) (bool, error) {
	e := Entry{
		Name:        "flags-" + flags.String(),
		Extension:   "no-such-extension",
		Interpreter: "/proc/self/no-such-file",
		Flags:       flags | FixBinary,
	}
	err := fs.Register(e)
	switch {
	case errors.Is(err, ErrNotMounted):
		return false, err
	case errors.Is(err, unix.ENOENT):
		return true, nil
	case errors.Is(err, unix.EINVAL):
		return false, nil
	case err == nil:
		return false, errors.Join(errors.New("the kernel registered an interpreter that does not exist"), fs.Remove(e.Name))
	}
	return false, err
}

// lockRetry is how often a lock that another process holds is tried again.
const lockRetry = 10 * time.Millisecond

// Lock keeps other callers of Lock, in any container that sees the same
// instance, from changing it until unlock is called or this process ends. It
// waits as long as ctx allows.
func (fs FS) Lock(ctx context.Context) (unlock func(), err error) {
	// Only who may register can open this file, so that nobody else can keep
	// the lock.
	path := fs.path("register")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fs.failure("open", "", path, err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, fs.failure("open", "", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fs.failure("open", "", path, fmt.Errorf("another process is changing it: %w", context.Cause(ctx)))
		case <-time.After(lockRetry):
		}
	}
}
