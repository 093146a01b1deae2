package private

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// An Instance is an instance of binfmt_misc that is set up and that no process
// uses yet. The calling process can enter it and become a program there.
type Instance struct {
	// Path is where the command was found, in the root file system that it
	// will have.
	Path string

	user, mount *os.File
	identity    *os.File // user namespace in which the caller is who they are; nil: they are in the first
	dir         *os.File // working directory
}

// InstanceOptions say what an instance has.
type InstanceOptions struct {
	// Entries returns what is registered, in this order: the last is tried
	// first. It is called when the namespaces are there, while another process
	// prepares them, and not if they are denied.
	Entries func() ([]binfmt.Entry, error)

	// Files are open while entries are registered, which can name them as
	// /proc/self/fd/5, /proc/self/fd/6 and so on: with the F flag the kernel
	// keeps them. /proc/self/exe is the calling program.
	Files []*os.File

	// Root, if it is set, is the directory that becomes the root file system,
	// with this one's /proc, /sys and /dev, and resolv.conf in the place of its
	// own. The caller is root in it; everybody else is nobody.
	Root string

	// Command is looked up in Path, a list as in PATH, if it has no slash.
	Command string
	Path    string
}

// hold asks the second process to stay until its input ends.
type hold struct {
	Root, Command, PATH []byte
	UID, GID            int // who to be, in a second user namespace; -1: nobody else
}

// held is what it answers.
type held struct {
	Failure *failure
	Path    []byte // of the command
	Holder  int    // process that has the second namespace; 0: none
}

// NewInstance sets an instance up. Errors are *Error, or those of Entries.
//
// Unless there is a Root, a program has in it the users and groups that it has
// outside: root has all of its namespace's, anybody else their own user and
// group; other users' files seem to belong to nobody, and set-user-ID programs
// do not change the user.
func NewInstance(ctx context.Context, o InstanceOptions) (*Instance, error) {
	arch, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, &Error{Err: err}
	}
	if !tinyelf.StubSupported(arch) {
		return nil, &Error{Err: fmt.Errorf("entering one is not supported on %s", arch)}
	}
	config := setup{Hold: &hold{Root: []byte(o.Root), Command: []byte(o.Command), PATH: []byte(o.Path), UID: -1, GID: -1}}
	if o.Root == "" && os.Geteuid() != 0 {
		config.Hold.UID, config.Hold.GID = os.Geteuid(), os.Getegid()
	}

	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	if cmd.SysProcAttr, err = attributes(&syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}); err != nil {
		return nil, &Error{Err: err}
	}
	configIn, configOut, err := os.Pipe()
	if err != nil {
		return nil, &Error{Err: err}
	}
	defer configOut.Close()
	defer configIn.Close()
	resultIn, resultOut, err := os.Pipe()
	if err != nil {
		return nil, &Error{Err: err}
	}
	defer resultIn.Close()
	defer resultOut.Close()
	cmd.Args = []string{marker, "3", "4"}
	cmd.ExtraFiles = append([]*os.File{configIn, resultOut}, o.Files...)
	cmd.Stderr = os.Stderr // only a panic would be seen there
	// The parent's death is that of the thread which started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return nil, &Error{Err: fmt.Errorf("cannot make a user namespace: %w", err), hint: namespaceHint(err)}
	}
	configIn.Close()
	resultOut.Close()
	entries, err := o.Entries()
	if err != nil {
		configOut.Close()
		_ = cmd.Wait()
		return nil, err
	}
	text, err := config.text(entries)
	if err != nil {
		configOut.Close()
		_ = cmd.Wait()
		return nil, &Error{Err: err}
	}
	_, writeErr := configOut.Write(text)
	var answer held
	readErr := json.NewDecoder(resultIn).Decode(&answer)
	instance := &Instance{Path: string(answer.Path)}
	if writeErr == nil && readErr == nil && answer.Failure == nil {
		err = instance.open(cmd.Process.Pid, answer.Holder)
	}
	// With its input it ends, and with it its child. The namespaces stay.
	configOut.Close()
	_ = cmd.Wait()
	switch {
	case answer.Failure != nil:
		return nil, answer.Failure.error()
	case writeErr != nil || readErr != nil:
		return nil, &Error{Err: errors.Join(errors.New("the process that sets it up ended"), writeErr, readErr)}
	case err != nil:
		instance.Close()
		return nil, &Error{Err: err}
	}
	return instance, nil
}

// text returns what the second process reads.
func (config *setup) text(entries []binfmt.Entry) ([]byte, error) {
	for _, e := range entries {
		line, err := e.MarshalText()
		if err != nil {
			return nil, err
		}
		config.Entries = append(config.Entries, line)
	}
	return json.Marshal(config)
}

// open opens the namespaces and the working directory of the processes.
func (i *Instance) open(pid, holder int) (err error) {
	process := "/proc/" + strconv.Itoa(pid)
	for _, link := range []struct {
		file  **os.File
		path  string
		flags int
	}{
		{&i.user, process + "/ns/user", unix.O_RDONLY},
		{&i.mount, process + "/ns/mnt", unix.O_RDONLY},
		{&i.dir, process + "/cwd", unix.O_PATH},
		{&i.identity, "/proc/" + strconv.Itoa(holder) + "/ns/user", unix.O_RDONLY},
	} {
		if link.file == &i.identity && holder == 0 {
			continue
		}
		fd, err := unix.Open(link.path, link.flags|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", link.path, err)
		}
		*link.file = os.NewFile(uintptr(fd), link.path)
	}
	return nil
}

// Close gives the instance up.
func (i *Instance) Close() {
	for _, f := range []*os.File{i.user, i.mount, i.identity, i.dir} {
		if f != nil {
			f.Close()
		}
	}
}

// Exec enters the instance, and executes the program at path in this process's
// place. It returns only if that fails before the instance is entered;
// afterwards there is a message on standard error, and exit status 126.
func (i *Instance) Exec(name, path string, argv, env []string) error {
	arch, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return &Error{Err: err}
	}
	calls := []tinyelf.Call{
		{Name: "setns", Args: []uint32{fd(i.user), unix.CLONE_NEWUSER}},
		{Name: "setns", Args: []uint32{fd(i.mount), unix.CLONE_NEWNS}}, // and its root
		{Name: "fchdir", Args: []uint32{fd(i.dir)}},
	}
	files := []*os.File{i.user, i.mount, i.dir}
	if i.identity != nil {
		calls = append(calls, tinyelf.Call{Name: "setns", Args: []uint32{fd(i.identity), unix.CLONE_NEWUSER}})
		files = append(files, i.identity)
	}
	for _, f := range files {
		calls = append(calls, tinyelf.Call{Name: "close", Args: []uint32{fd(f)}})
	}
	program, err := tinyelf.Stub(arch, calls,
		name+": error: cannot enter the private instance of binfmt_misc\n",
		name+": error: "+path+": cannot be executed in the private instance of binfmt_misc\n")
	if err != nil {
		return &Error{Err: err}
	}
	memory, err := file.Memory("stub", program)
	if err != nil {
		return &Error{Err: err}
	}
	defer memory.Close()
	for _, f := range files {
		// The stub needs them open, and closes them itself.
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
			return &Error{Err: err}
		}
	}
	err = syscall.Exec("/proc/self/fd/"+strconv.Itoa(int(memory.Fd())), append([]string{name, path}, argv...), env)
	for _, f := range files {
		unix.CloseOnExec(int(f.Fd()))
	}
	return &Error{Err: fmt.Errorf("cannot execute the stub that enters it: %w", err)}
}

func fd(f *os.File) uint32 { return uint32(f.Fd()) }

// stay is the end of the second process's work: it makes what is left, says so,
// and keeps the namespaces until its input ends.
func (h *hold) stay(in io.Reader, out io.Writer) error {
	var answer held
	if len(h.Root) > 0 {
		if err := enterRoot(string(h.Root)); err != nil {
			return err
		}
	}
	command := string(h.Command)
	if command != "" {
		path, err := lookPath(command, string(h.PATH))
		if err != nil {
			return err
		}
		answer.Path = []byte(path)
	}
	if h.UID >= 0 {
		holder, input, err := h.identity()
		if err != nil {
			return fmt.Errorf("cannot make a user namespace for user %d: %w", h.UID, err)
		}
		defer holder.Wait()
		defer input.Close()
		answer.Holder = holder.Process.Pid
	}
	if err := json.NewEncoder(out).Encode(answer); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

// identity starts a process in a user namespace below this one, in which its
// only user is called what it is called outside. It ends with its input.
func (h *hold) identity() (*exec.Cmd, io.Closer, error) {
	arch, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, nil, err
	}
	program, err := tinyelf.NativeProgram(arch)
	if err != nil {
		return nil, nil, err
	}
	memory, err := file.Memory("hold", program)
	if err != nil {
		return nil, nil, err
	}
	defer memory.Close()
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{memory}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: h.UID, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: h.GID, HostID: 0, Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, input, cmd.Start()
}

// enterRoot makes a directory the root file system of this mount namespace.
func enterRoot(root string) error {
	fail := func(what string, err error) error {
		return &Error{Err: fmt.Errorf("%s: %w", what, err), hint: "it must be a directory that has a whole system in it, with /proc, /sys and /dev as directories"}
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fail(root, err)
	}
	for _, dir := range []string{"proc", "sys", "dev"} {
		to := filepath.Join(root, dir)
		if info, err := os.Lstat(to); err != nil || !info.IsDir() {
			continue // the system does without
		}
		if err := unix.Mount("/"+dir, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fail(to, err)
		}
	}
	const resolv = "/etc/resolv.conf"
	if info, err := os.Lstat(filepath.Join(root, resolv)); err == nil && info.Mode().IsRegular() {
		if err := unix.Mount(resolv, filepath.Join(root, resolv), "", unix.MS_BIND, ""); err != nil && !errors.Is(err, unix.ENOENT) {
			return fail(resolv, err)
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root is put where the new one is, and goes (pivot_root(2)).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fail("pivot_root to "+root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fail("unmounting the old root", err)
	}
	return os.Chdir("/")
}

// lookPath finds a command in a list of directories. Its error wraps ENOENT.
func lookPath(command, list string) (string, error) {
	if strings.Contains(command, "/") {
		if _, err := os.Stat(command); err != nil {
			return "", err
		}
		return command, nil
	}
	for _, dir := range filepath.SplitList(list) {
		path := filepath.Join(dir, command)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &os.PathError{Op: "look up", Path: command, Err: unix.ENOENT}
}
