package private

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// newRootInstance sets an instance with a root file system up: with the first
// mapping of users that can be had.
func newRootInstance(ctx context.Context, o InstanceOptions) (*Instance, error) {
	var because error
	all := mappings()
	for n, m := range all {
		i, err := tryRootInstance(ctx, o, m)
		if err == nil {
			i.root.because = because
			return i, nil
		}
		not, ok := errors.AsType[*mappingError](err)
		if n == len(all)-1 || !ok || ctx.Err() != nil {
			return nil, err
		}
		because = not.error
	}
	return nil, because
}

// A rootInstance is what an Instance has besides its files if it has a root.
type rootInstance struct {
	socket  *os.File  // process 1 ends when it is closed
	init    *exec.Cmd // process 1
	mapping mapping
	because error    // why it is not the first of mappings
	held    *os.File // or nil
}

// Close ends process 1, if there is one.
func (r *rootInstance) Close() {
	if r != nil {
		r.socket.Close()
		_ = r.init.Wait()
	}
}

// Users returns how many users an instance with a Root has, as a text, and, if
// there could be more, why there are not.
func (i *Instance) Users() (users string, why error) {
	if i.root == nil {
		return "", nil
	}
	return i.root.mapping.String(), i.root.because
}

// exec has a stub enter the user namespace, as a Go program cannot, and become its
// root there, and execute this program again as the parent of the command.
func (r *rootInstance) exec(name, path string, argv, env []string, files []*os.File) error {
	self, err := open("/proc/self/exe", unix.O_PATH)
	if err != nil {
		return failed(OpEnter, "", err)
	}
	program := os.NewFile(uintptr(self), "program")
	defer program.Close()
	calls := []tinyelf.Call{setns(files[fileUser], unix.CLONE_NEWUSER)}
	if r.mapping == shifted || r.mapping == subordinate {
		calls = append(calls, tinyelf.Call{Name: "setgroups", Args: []uint32{0, 0}}) // the host's mean nothing here
	}
	if r.mapping == shifted {
		giveStreams(shift("/etc/subuid")[0].HostID, shift("/etc/subgid")[0].HostID)
		calls = append(calls, tinyelf.Call{Name: "setresgid", Args: []uint32{0, 0, 0}}, tinyelf.Call{Name: "setresuid", Args: []uint32{0, 0, 0}})
	}
	words := []string{name, fmt.Sprintf("/proc/self/fd/%d", self), parentMarker, name, strconv.Itoa(r.init.Process.Pid)}
	all := append(slices.Clip(files), r.socket, program)
	for _, f := range all {
		words = append(words, strconv.Itoa(int(f.Fd())))
	}
	if r.held == nil {
		words = append(words, "-1")
	} else {
		words = append(words, strconv.Itoa(int(r.held.Fd())))
		all = append(all, r.held)
	}
	words = append(append(words, path), argv...)
	return execStub(name, path, calls, all, words, env)
}

// giveStreams gives the pipes of the standard streams to another user, who opens them
// as /dev/stdout for one. Whoever has them open goes on. Files and terminals, which
// have names, remain whose they are.
func giveStreams(user, group int) {
	for fd := range 3 {
		var fs unix.Statfs_t
		if unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.PIPEFS_MAGIC {
			_ = unix.Fchown(fd, user, group)
		}
	}
}

// A mappingError says that the users cannot be mapped so: another mapping may do.
type mappingError struct{ error }

func (e *mappingError) Unwrap() error { return e.error }

// tryRootInstance sets it up with one mapping. The helper is process 1 of the PID
// namespace, and stays; until it is set up, the context ends it.
func tryRootInstance(ctx context.Context, o InstanceOptions, m mapping) (i *Instance, err error) {
	cmd := exec.Command("")
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr // whose terminal is the console; only a panic would be seen
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Setpgid:    true, // that of all in the namespace, see parent
	}
	cmd.SysProcAttr = attr
	where := "named"
	var hold *holding
	switch m {
	case shifted:
		attr.UidMappings, attr.GidMappings, attr.GidMappingsEnableSetgroups = shift("/etc/subuid"), shift("/etc/subgid"), true
		attr.Credential = &syscall.Credential{Uid: 0, Gid: 0}
		where = "sent"
	case same, single:
		if cmd.SysProcAttr, err = attributes(attr); err != nil {
			return nil, failed(OpSetUp, "", err)
		}
	case subordinate:
		if err := mayMap(); err != nil {
			return nil, &mappingError{err}
		}
		hold = new(holding)
		defer hold.Close()
		if err := hold.lock(); err != nil {
			return nil, failed(OpSetUp, "", err)
		}
	}
	kind := "kept"
	if o.Template {
		kind = "template"
	}
	socket, err := launch(cmd, hold, rootMarker, o.Root, where, kind)
	if err != nil {
		if m == shifted {
			err = &mappingError{err}
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			socket.Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	switch m {
	case subordinate:
		if err := mapSubordinates(ctx, cmd.Process.Pid); err != nil {
			return nil, &mappingError{err}
		}
		if err := hold.release(); err != nil {
			return nil, failed(OpSetUp, "", err)
		}
	case shifted:
		if err := sendShifted(socket, o.Root, cmd.Process.Pid); err != nil {
			return nil, &mappingError{err}
		}
	}
	files, err := complete(socket, o.Entries)
	if err != nil {
		return nil, err
	}
	// Until process 1 is another program it has the machine's /proc and /dev open, which
	// whoever is root in its namespace would find in /proc/1/fd.
	executed := files[rootFiles]
	_, _ = executed.Read(make([]byte, 1))
	executed.Close()
	files = files[:rootFiles]
	if !stop() {
		closeAll(files)
		return nil, ctx.Err()
	}
	return &Instance{files: files, root: &rootInstance{socket: socket, init: cmd, mapping: m, held: o.Held}}, nil
}

// sendShifted sends the helper a mount of the directory in which its files belong
// to the users of the helper's user namespace.
func sendShifted(socket *os.File, root string, process int) error {
	tree, err := cloneMount(root, unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	namespace, err := open("/proc/"+strconv.Itoa(process)+"/ns/user", unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(namespace)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(namespace)}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("%s cannot be mounted with other users (mount_setattr: %w)", root, err)
	}
	return unix.Sendmsg(int(socket.Fd()), []byte{0}, unix.UnixRights(tree), nil, 0)
}

// A holding has a helper wait until its users are mapped: only then will the
// kernel give it, when it executes the program, the rights of its root. It waits for
// the lock of a file.
type holding struct{ locked, again, stub, program *os.File }

func (h *holding) lock() (err error) {
	if h.locked, err = file.Memory("lock", nil); err != nil {
		return err
	}
	if err = unix.Flock(int(h.locked.Fd()), unix.LOCK_EX); err != nil {
		return os.NewSyscallError("flock", err)
	}
	program, err := open("/proc/self/exe", unix.O_PATH)
	h.program = os.NewFile(uintptr(program), "program")
	return err
}

// use has a command wait, and then execute what it would have.
func (h *holding) use(cmd *exec.Cmd) (err error) {
	// The lock is that of an open file: opened once more, it is another one.
	if h.again, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", h.locked.Fd()), os.O_RDONLY, 0); err != nil {
		return err
	}
	number := 3 + len(cmd.ExtraFiles)
	h.stub, err = executable("stub", func(arch *elfmagic.Arch) ([]byte, error) {
		lock := uint32(number)
		calls := []tinyelf.Call{
			{Name: "flock", Args: []uint32{lock, unix.LOCK_EX}}, {Name: "close", Args: []uint32{lock}}, {Name: "close", Args: []uint32{lock + 2}},
		}
		return tinyelf.Stub(arch, calls, 2, "error: cannot wait for the map of users: errno", "error: cannot execute the helper: errno")
	})
	if err != nil {
		return err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, h.again, h.program, h.stub)
	cmd.Args = append([]string{"hold", fmt.Sprintf("/proc/self/fd/%d", number+1)}, cmd.Args...)
	cmd.Path = fmt.Sprintf("/proc/self/fd/%d", number+2)
	return nil
}

// release has the helper go on.
func (h *holding) release() error { return unix.Flock(int(h.locked.Fd()), unix.LOCK_UN) }

// Close closes the files: all that are open.
func (h *holding) Close() {
	for _, f := range []*os.File{h.locked, h.again, h.stub, h.program} {
		if f != nil {
			f.Close()
		}
	}
}
