package private

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// NewInstance sets an instance up. Unless there is a Root, a caller who is not root
// has their own user and group in it. Errors are *Error, or those of Entries. Once it
// is set up the end of ctx does not matter.
func NewInstance(ctx context.Context, o InstanceOptions) (*Instance, error) {
	// Afterwards, when this process is the stub, it would be too late.
	if err := mayEnter(); err != nil {
		return nil, err
	}
	if err := unlessDone(ctx, ctx.Err()); err != nil {
		return nil, err
	}
	if o.Root != "" {
		i, err := newRootInstance(ctx, o)
		return i, unlessDone(ctx, err)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Stderr = os.Stderr // only a panic would be seen there
	socket, files, err := start(cmd, o.Entries, strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid()))
	if err != nil {
		return nil, unlessDone(ctx, err)
	}
	socket.Close()
	_ = cmd.Wait()
	i := &Instance{files: files}
	if filtered() {
		if err := i.tryToEnter(ctx); err != nil {
			i.Close()
			return nil, unlessDone(ctx, err)
		}
	}
	return i, nil
}

// start starts a command as the helper, with these arguments after the number of
// its socket, and registers the entries. It returns the other end of the socket,
// and what is open of the instance.
func start(
	cmd *exec.Cmd, entries func() ([]binfmt.Entry, error), args ...string,
) (socket *os.File, files []*os.File, err error) {
	if cmd.SysProcAttr, err = attributes(cmd.SysProcAttr); err != nil {
		return nil, nil, failed(OpSetUp, "", err)
	}
	socket, err = launch(cmd, nil, marker, args...)
	if err != nil {
		return nil, nil, err
	}
	files, err = complete(socket, entries)
	if err != nil {
		socket.Close()
		_ = cmd.Wait()
	}
	return socket, files, err
}

// launch starts a command as a helper of this name, with these arguments after the
// number of its socket, which waits first if there is something that holds it. It
// returns the other end of the socket.
func launch(cmd *exec.Cmd, hold *holding, marker string, args ...string) (socket *os.File, err error) {
	if !mainCalled {
		return nil, failed(OpSetUp, "", errors.New("private.Main is not the first call in main"))
	}
	// The kernel keeps who made the socket, which the helper asks for.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, failed(OpSetUp, "", os.NewSyscallError("socketpair", err))
	}
	parent, child := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	defer child.Close()
	cmd.ExtraFiles = append(slices.Clip(cmd.ExtraFiles), child)
	own := []string{marker, strconv.Itoa(2 + len(cmd.ExtraFiles))}
	cmd.Path, cmd.Args = "/proc/self/exe", append(own, args...)
	if hold != nil {
		if err := hold.use(cmd); err != nil {
			parent.Close()
			return nil, failed(OpSetUp, "", err)
		}
	}
	if err := cmd.Start(); err != nil {
		parent.Close()
		e := failed(OpNamespace, "", err)
		// EINVAL is that of namespaces which are denied, or of what no program can be given.
		if !e.Denied() || slices.ContainsFunc(cmd.Args, func(s string) bool { return strings.IndexByte(s, 0) >= 0 }) {
			e.Op = OpSetUp
		}
		return nil, e
	}
	return parent, nil
}

// complete waits for what the helper has opened, and registers the entries.
func complete(socket *os.File, entries func() ([]binfmt.Entry, error)) (files []*os.File, err error) {
	var list []binfmt.Entry
	if entries != nil {
		if list, err = entries(); err != nil {
			return nil, err
		}
	}
	if files, err = answer(int(socket.Fd())); err != nil {
		return nil, err
	}
	// The kernel registers for the file system that is written to, whoever writes.
	fs := binfmt.New("/proc/self/fd/" + strconv.Itoa(int(files[0].Fd())))
	for _, e := range list {
		err := fs.Register(e)
		if of, ok := errors.AsType[*binfmt.Error](err); ok {
			err = of.Err // the rest is said by Error
		}
		if err != nil {
			closeAll(files)
			return nil, failed(OpRegister, e.Name, err)
		}
	}
	files[0].Close()
	return files[1:], nil
}

// answer receives what the helper has opened, or why it has not.
func answer(socket int) (files []*os.File, err error) {
	text, rights := make([]byte, 16<<10), make([]byte, unix.CmsgSpace((2+rootFiles)*4))
	n, m, flags, _, err := unix.Recvmsg(socket, text, rights, unix.MSG_CMSG_CLOEXEC)
	var failure *Error
	if err == nil {
		err = json.Unmarshal(text[:n], &failure) // of nothing, if the helper has ended
	}
	switch {
	case err != nil:
		return nil, failed(OpSetUp, "", fmt.Errorf("the helper ended: %w", err))
	case failure != nil:
		return nil, failure
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	for _, message := range messages {
		fds, _ := unix.ParseUnixRights(&message)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "instance"))
		}
	}
	if err == nil && flags&unix.MSG_CTRUNC != 0 { // some have come, and no more could be opened
		err = unix.EMFILE
	}
	if err != nil {
		closeAll(files)
		return nil, failed(OpSetUp, "", err)
	}
	return files, nil
}

// Close gives the instance up.
func (i *Instance) Close() {
	closeAll(i.files)
	i.root.Close()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// executable makes a file in memory of a program for this host.
func executable(name string, program func(*elfmagic.Arch) ([]byte, error)) (*os.File, error) {
	arch, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	content, err := program(arch)
	if err != nil {
		return nil, err
	}
	return file.Memory(name, content)
}

// Exec enters the instance, and executes the program at path in this process's
// place. It returns only if that fails before the instance is entered;
// afterwards there is a message on standard error, and exit status 126.
//
// With a Root this process becomes the program's parent, and ends as that does; see
// InstanceOptions.
func (i *Instance) Exec(name, path string, argv, env []string) error {
	if i.root != nil {
		return i.root.exec(name, path, argv, env, i.files)
	}
	return execStub(name, path, i.calls(), i.files, append([]string{name, path}, argv...), env)
}

// calls are those that enter an instance without a Root.
func (i *Instance) calls() (calls []tinyelf.Call) {
	for n, f := range i.files {
		call := setns(f, unix.CLONE_NEWUSER) // 0, and 3 if there is one
		switch n {
		case fileMount:
			call = setns(f, unix.CLONE_NEWNS) // and its root
		case fileDirectory:
			call = tinyelf.Call{Name: "fchdir", Args: call.Args[:1]}
		}
		calls = append(calls, call)
	}
	for _, f := range i.files {
		calls = append(calls, tinyelf.Call{Name: "close", Args: []uint32{uint32(f.Fd())}})
	}
	return calls
}

func setns(f *os.File, kind uint32) tinyelf.Call {
	return tinyelf.Call{Name: "setns", Args: []uint32{uint32(f.Fd()), kind}}
}

// execStub executes a stub that makes calls, for which it needs these files, and
// executes a program that messages name.
func execStub(name, program string, calls []tinyelf.Call, files []*os.File, argv, env []string) error {
	for _, f := range files {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
		defer unix.CloseOnExec(int(f.Fd()))
	}
	stub, err := executable("stub", func(arch *elfmagic.Arch) ([]byte, error) {
		return tinyelf.Stub(arch, calls, 2,
			name+": error: cannot enter the private instance of binfmt_misc (a seccomp filter or a security module may deny setns(2)): errno",
			name+": error: "+program+": cannot be executed in the private instance of binfmt_misc: errno")
	})
	if err != nil {
		return failed(OpEnter, "", err)
	}
	defer stub.Close()
	err = file.Exec(stub, argv, env)
	return failed(OpEnter, "", fmt.Errorf("cannot execute the stub: %w", err))
}

// Start starts the command. When it returns without an error, the entries are
// registered and the command has been executed. Errors are *Error, or those of
// exec.Cmd.Start for the command itself. The command's user must be the caller.
func (c *Cmd) Start() error {
	if c.Err != nil {
		return c.Err
	}
	if c.Dir != "" && (c.SysProcAttr == nil || c.SysProcAttr.Chroot == "") {
		// The helper is started in it, which would then seem not to be there (os.StartProcess).
		if _, err := os.Stat(c.Dir); err != nil {
			return &os.PathError{Op: "chdir", Path: c.Dir, Err: errors.Unwrap(err)}
		}
	}
	own := *c.Cmd
	defer func() {
		c.Path, c.Args, c.ExtraFiles, c.SysProcAttr = own.Path, own.Args, own.ExtraFiles, own.SysProcAttr
	}()
	args := own.Args
	if len(args) == 0 {
		args = []string{own.Path} // as exec.Cmd has it
	}
	entries := func() ([]binfmt.Entry, error) { return c.Entries, nil }
	socket, files, err := start(c.Cmd, entries, append([]string{"0", "0", own.Path}, args...)...)
	if err != nil {
		return unlessDone(c.ctx, err)
	}
	defer socket.Close()
	closeAll(files)
	// The helper becomes the command now, and its socket is closed if it can.
	said := make([]byte, 16)
	_, _ = socket.Write(said[:1])
	n, err := socket.Read(said)
	if err == io.EOF {
		return nil
	}
	_ = c.Wait()
	if err != nil {
		return unlessDone(c.ctx, failed(OpEnter, "", err))
	}
	errno, _ := strconv.Atoi(string(said[:n]))
	return &os.PathError{Op: "exec", Path: own.Path, Err: syscall.Errno(errno)}
}

// attributes are the helper's: the namespaces, and the users and groups in them.
func attributes(own *syscall.SysProcAttr) (*syscall.SysProcAttr, error) {
	var attr syscall.SysProcAttr
	if own != nil {
		attr = *own
	}
	users, usersErr := ids("/proc/self/uid_map", os.Geteuid())
	groups, groupsErr := ids("/proc/self/gid_map", os.Getegid())
	attr.Cloneflags |= syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	attr.UidMappings, attr.GidMappings = users, groups
	// Where setgroups is denied it is denied for descendants, too.
	setgroups, err := os.ReadFile("/proc/self/setgroups")
	attr.GidMappingsEnableSetgroups = os.Geteuid() == 0 && (err != nil || string(bytes.TrimSpace(setgroups)) == "allow")
	return &attr, cmp.Or(usersErr, groupsErr)
}

// ids maps every user or group of this namespace to itself for root, and root to
// the given one for anybody else.
func ids(path string, own int) ([]syscall.SysProcIDMap, error) {
	if os.Geteuid() != 0 {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: own, Size: 1}}, nil
	}
	ids, err := readIDs(path)
	if err != nil {
		return nil, err
	}
	for i := range ids {
		ids[i].HostID = ids[i].ContainerID
	}
	return ids, nil
}

// readIDs reads a map of IDs. With an error it returns what comes before.
//
// Reads /proc/self/uid_map or gid_map, see user_namespaces(7).
func readIDs(path string) (ids []syscall.SysProcIDMap, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var m syscall.SysProcIDMap
		if n, err := fmt.Sscan(string(line), &m.ContainerID, &m.HostID, &m.Size); n != 3 {
			return ids, fmt.Errorf("%s: line %q: %w", path, line, err)
		}
		ids = append(ids, m)
	}
	return ids, nil
}
