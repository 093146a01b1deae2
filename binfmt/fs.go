package binfmt

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// DefaultMount is the directory on which binfmt_misc is mounted by convention.
const DefaultMount = "/proc/sys/fs/binfmt_misc"

// An FS is an instance of binfmt_misc, by the directory on which it is, or
// will be, mounted: DefaultMount's, unless New was told another one.
type FS struct {
	dir string // empty: DefaultMount
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
func (fs FS) Dir() string { return cmp.Or(fs.dir, DefaultMount) }

func (fs FS) path(name string) string { return filepath.Join(fs.Dir(), name) }

// A State says what is mounted on an instance's directory.
type State int

const (
	NotMounted State = iota
	Autofs           // it will be mounted when somebody looks into it
	Mounted
)

func (s State) String() string {
	switch s {
	case Mounted:
		return "mounted"
	case Autofs:
		return "not yet mounted by autofs"
	}
	return "not mounted"
}

func (fs FS) mustBeMounted(op, path string) error {
	state, err := fs.State()
	if err == nil && state != Mounted {
		err = &Error{Op: op, Path: path, Err: fmt.Errorf("%w (%s)", ErrNotMounted, state)}
	}
	return err
}

// isMounted returns ErrNotMounted where the instance is seen not to be mounted: nothing is opened
// there then by the names of its files, as a pipe would be waited for, and an autofs triggered.
func (fs FS) isMounted() error {
	if state, err := fs.State(); err == nil && state != Mounted {
		return fmt.Errorf("%w (%s)", ErrNotMounted, state)
	}
	return nil
}

// List returns the entries, in the order of their directory, which on Linux is
// that in which the kernel tries them: newest first. Errors are *Error, and
// wrap ErrNotMounted if the file system is not there. Entries that cannot be
// read are left out, and an error for each is joined to the others.
func (fs FS) List() ([]Entry, error) {
	if err := fs.mustBeMounted("list", fs.Dir()); err != nil {
		return nil, err
	}
	dir, err := openFile(fs.Dir(), os.O_RDONLY)
	if err != nil {
		return nil, fs.failure("list", "", fs.Dir(), err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fs.failure("list", "", fs.Dir(), err)
	}
	entries := make([]Entry, 0, len(names))
	var errs []error
	for _, name := range names {
		if reserved(name) {
			continue
		}
		switch e, err := fs.get(name); {
		case err == nil:
			entries = append(entries, e)
		case !errors.Is(err, syscall.ENOENT): // which is removed since
			errs = append(errs, err)
		}
	}
	return entries, errors.Join(errs...)
}

// Unread takes an error of List apart: why entries were left out, by their names, and
// what else went wrong.
func Unread(err error) (entries map[string]error, rest error) {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	entries = make(map[string]error)
	for _, err := range list {
		if failed, ok := errors.AsType[*Error](err); ok && failed.Name != "" {
			entries[failed.Name] = failed.Err
		} else {
			rest = errors.Join(rest, err)
		}
	}
	return entries, rest
}

// Enabled reports whether the kernel uses the instance's entries at all. It
// reads the file "status", which says "enabled" or "disabled" (bm_status_read in
// fs/binfmt_misc.c).
func (fs FS) Enabled() (bool, error) {
	path := fs.path("status")
	if err := fs.mustBeMounted("get", path); err != nil {
		return false, err
	}
	f, err := openFile(path, os.O_RDONLY)
	if err != nil {
		return false, fs.failure("get", "", path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	enabled := string(text) == "enabled\n"
	if err == nil && !enabled && string(text) != "disabled\n" {
		err = fmt.Errorf("%q is neither enabled nor disabled", text)
	}
	return enabled, fs.failure("get", "", path, err)
}

// Get returns the entry of the given name. Without one the error wraps ENOENT.
func (fs FS) Get(name string) (Entry, error) {
	if err := fs.isMounted(); err != nil {
		return Entry{}, fs.failure("get", name, fs.path(name), err)
	}
	return fs.get(name)
}

// get is Get of an instance that is mounted.
func (fs FS) get(name string) (Entry, error) {
	f, err := fs.open("get", name, os.O_RDONLY)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	e := Entry{Name: name}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10)) // the kernel prints one page at the most
	if err == nil {
		err = e.UnmarshalText(text)
	}
	if err != nil {
		return Entry{}, fs.failure("get", name, f.Name(), err)
	}
	if info, err := f.Stat(); err == nil {
		e.Registered = info.ModTime()
	}
	return e, nil
}

// open opens an entry's file, and refuses what is not the name of one, so that
// nothing else is ever written to: "status", above all.
func (fs FS) open(op, name string, flags int) (f *os.File, err error) {
	path := fs.path(name)
	if name == "" || name == "." || name == ".." || reserved(name) || filepath.Base(name) != name {
		err = fmt.Errorf("%q is not the name of an entry", name)
	} else if flags == os.O_RDONLY {
		f, err = openFile(path, flags)
	} else {
		f, err = fs.openToWrite(path)
	}
	return f, fs.failure(op, name, path, err)
}

// openToWrite opens a file of the instance, and nothing else.
func (fs FS) openToWrite(path string) (*os.File, error) {
	if err := fs.isMounted(); err != nil {
		return nil, err
	}
	return openToWrite(path)
}

// Register adds an entry, in a single write. It is enabled at once, and is
// tried before those that are there already.
func (fs FS) Register(e Entry) error {
	r := registrar{fs: fs}
	defer r.close()
	return r.register(e)
}

// A registrar registers entries, and opens the file for that once.
type registrar struct {
	fs   FS
	file *os.File
}

func (r *registrar) register(e Entry) error {
	path := r.fs.path("register")
	line, err := e.MarshalText()
	if err == nil && r.file == nil {
		r.file, err = r.fs.openToWrite(path)
	}
	if err == nil {
		_, err = r.file.Write(line)
	}
	err = r.fs.failure("register", e.Name, path, err)
	if failed, ok := errors.AsType[*Error](err); ok {
		failed.Entry = &e
	}
	return err
}

func (r *registrar) close() { r.file.Close() } // nil is not closed

// Remove removes an entry. Programs that it has started run on.
func (fs FS) Remove(name string) error { return fs.command("remove", name, "-1") }

// Enable lets the kernel use an entry again that was disabled.
func (fs FS) Enable(name string) error { return fs.command("enable", name, "1") }

// Disable keeps the kernel from using an entry until it is enabled.
func (fs FS) Disable(name string) error { return fs.command("disable", name, "0") }

func (fs FS) command(op, name, command string) error {
	f, err := fs.open(op, name, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(command)
	return fs.failure(op, name, f.Name(), err)
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
	failed, _ := errors.AsType[*Error](err)
	switch {
	case err == nil:
		err = errors.Join(errors.New("the kernel registered an interpreter that does not exist"), fs.Remove(e.Name))
	case failed == nil || !failed.Written: // the kernel was not asked
	case errors.Is(err, syscall.ENOENT):
		return true, nil
	case errors.Is(err, syscall.EINVAL):
		return false, nil
	}
	return false, err
}
