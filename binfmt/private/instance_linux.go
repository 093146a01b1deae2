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
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// setupFile is the descriptor of the helper's end of the socket.
const setupFile = 3

// NewInstance sets an instance up. Errors are *Error, or those of Entries.
//
// Unless there is a Root, a program has in it the users and groups that it has
// outside: root has all of its namespace's, anybody else their own user and
// group; other users' files seem to belong to nobody, and set-user-ID programs
// do not change the user.
func NewInstance(ctx context.Context, o InstanceOptions) (*Instance, error) {
	if !mainCalled {
		return nil, failed(OpSetUp, "", errors.New("private.Main is not the first call in main"))
	}
	// Afterwards, when this process is the stub, it would be too late.
	if err := mayEnter(); err != nil {
		return nil, err
	}
	// The kernel keeps who made the socket, which the helper asks for.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, failed(OpSetUp, "", os.NewSyscallError("socketpair", err))
	}
	defer unix.Close(fds[0])
	child := os.NewFile(uintptr(fds[1]), "socket")
	defer child.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	if cmd.SysProcAttr, err = attributes(); err != nil {
		return nil, failed(OpSetUp, "", err)
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if o.stayRoot || o.Root != "" {
		uid, gid = 0, 0
	}
	cmd.Args = []string{marker, o.Root, strconv.Itoa(uid), strconv.Itoa(gid)}
	cmd.ExtraFiles = []*os.File{child}
	cmd.Dir = o.dir
	cmd.Stderr = os.Stderr // only a panic would be seen there
	if err := cmd.Start(); err != nil {
		e := failed(OpNamespace, "", err)
		if !e.Denied() {
			e.Op = OpSetUp
		}
		return nil, e
	}
	defer cmd.Wait()
	child.Close()

	var entries []binfmt.Entry
	if o.Entries != nil {
		if entries, err = o.Entries(); err != nil {
			return nil, err
		}
	}
	files, err := answer(fds[0])
	if err != nil {
		return nil, err
	}
	defer files[0].Close()
	i := &Instance{files[1:]}
	// The kernel registers for the file system that is written to, whoever writes.
	fs := binfmt.New(path(files[0].Fd()))
	for _, e := range entries {
		err := fs.Register(e)
		if of := (*binfmt.Error)(nil); errors.As(err, &of) {
			err = of.Err // the rest is said by Error
		}
		if err != nil {
			i.Close()
			return nil, failed(OpRegister, e.Name, err)
		}
	}
	return i, nil
}

// path returns a name of an open file of this process.
func path[N int | uint32 | uintptr](fd N) string { return "/proc/self/fd/" + strconv.Itoa(int(fd)) }

// answer receives what the helper has opened, or why it has not.
func answer(socket int) (files []*os.File, err error) {
	text, rights := make([]byte, 16<<10), make([]byte, unix.CmsgSpace(5*4))
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
	case flags&unix.MSG_CTRUNC != 0:
		return nil, failed(OpSetUp, "", unix.EMFILE)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	for _, message := range messages {
		fds, _ := unix.ParseUnixRights(&message)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "instance"))
		}
	}
	return files, err
}

// Close gives the instance up.
func (i *Instance) Close() {
	for _, f := range i.files {
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

// stub returns a program that makes system calls, enters the instance, whose
// files have these numbers in its process, and executes another. What is said of
// failures is written to a descriptor.
func stub(calls []tinyelf.Call, numbers []uint32, descriptor uint32, callFailed, execFailed string) (*os.File, error) {
	calls = append(calls,
		tinyelf.Call{Name: "setns", Args: []uint32{numbers[0], unix.CLONE_NEWUSER}},
		tinyelf.Call{Name: "setns", Args: []uint32{numbers[1], unix.CLONE_NEWNS}}, // and its root
		tinyelf.Call{Name: "fchdir", Args: []uint32{numbers[2]}})
	if len(numbers) > 3 {
		calls = append(calls, tinyelf.Call{Name: "setns", Args: []uint32{numbers[3], unix.CLONE_NEWUSER}})
	}
	for _, number := range numbers {
		calls = append(calls, tinyelf.Call{Name: "close", Args: []uint32{number}})
	}
	return executable("stub", func(arch *elfmagic.Arch) ([]byte, error) {
		return tinyelf.Stub(arch, calls, descriptor, callFailed, execFailed)
	})
}

// Exec enters the instance, and executes the program at path in this process's
// place. It returns only if that fails before the instance is entered;
// afterwards there is a message on standard error, and exit status 126.
func (i *Instance) Exec(name, path string, argv, env []string) error {
	var numbers []uint32
	for _, f := range i.files {
		numbers = append(numbers, uint32(f.Fd()))
	}
	memory, err := stub(nil, numbers, 2,
		name+": error: cannot enter the private instance of binfmt_misc: errno",
		name+": error: "+path+": cannot be executed in the private instance of binfmt_misc: errno")
	if err != nil {
		return failed(OpEnter, "", err)
	}
	defer memory.Close()
	for _, f := range i.files {
		// The stub needs them open, and closes them itself.
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
			return failed(OpEnter, "", err)
		}
	}
	err = file.Exec(memory, append([]string{name, path}, argv...), env)
	for _, f := range i.files {
		unix.CloseOnExec(int(f.Fd()))
	}
	return failed(OpEnter, "", fmt.Errorf("cannot execute the stub: %w", err))
}

// Start starts the command. When it returns without an error, the entries are
// registered and the command has been executed. Errors are *Error, or those of
// exec.Cmd.Start for the command itself. The command's user must be the caller.
func (c *Cmd) Start() error {
	if c.Err != nil {
		return c.Err
	}
	i, err := NewInstance(cmp.Or(c.ctx, context.Background()), InstanceOptions{
		Entries: func() ([]binfmt.Entry, error) { return c.Entries, nil }, stayRoot: true, dir: c.Dir,
	})
	if err != nil {
		return err
	}
	defer i.Close()
	fail := func(err error) error { return failed(OpEnter, "", err) }
	resultIn, resultOut, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer resultIn.Close()
	defer resultOut.Close()

	own := *c.Cmd
	defer func() { c.Path, c.Args, c.ExtraFiles = own.Path, own.Args, own.ExtraFiles }()
	// The caller's files keep their numbers: ours come after them.
	c.ExtraFiles = slices.Clone(c.ExtraFiles)
	inherit := func(f *os.File) uint32 {
		c.ExtraFiles = append(c.ExtraFiles, f)
		return uint32(2 + len(c.ExtraFiles))
	}
	// What the command does not inherit, but the stub needs to the end.
	var calls []tinyelf.Call
	last := func(f *os.File) uint32 {
		number := inherit(f)
		calls = append(calls, tinyelf.Call{Name: "fcntl", Args: []uint32{number, unix.F_SETFD, unix.FD_CLOEXEC}})
		return number
	}
	result, program := last(resultOut), own.Path
	if program == "/proc/self/exe" {
		self, err := open(program, unix.O_PATH)
		if err != nil {
			return fail(err)
		}
		f := os.NewFile(uintptr(self), program)
		defer f.Close()
		program = path(last(f))
	}
	var numbers []uint32
	for _, f := range i.files {
		numbers = append(numbers, inherit(f))
	}
	number := inherit(nil) // its own
	calls = append(calls, tinyelf.Call{Name: "close", Args: []uint32{number}})
	memory, err := stub(calls, numbers, result, string(OpEnter), "exec")
	if err != nil {
		return fail(err)
	}
	defer memory.Close()
	c.ExtraFiles[len(c.ExtraFiles)-1] = memory
	c.Path, c.Args = path(number), append([]string{marker, program}, own.Args...)
	if err := c.Cmd.Start(); err != nil {
		return fail(err)
	}
	resultOut.Close()
	// The stub's end is closed when it executes the command.
	said, err := io.ReadAll(resultIn)
	if len(said) == 0 && err == nil {
		return nil
	}
	_ = c.Wait()
	var errno syscall.Errno
	switch n, _ := fmt.Sscanf(string(said), "exec%d", &errno); {
	case err != nil:
		return fail(err)
	case n == 1:
		return &os.PathError{Op: "exec", Path: own.Path, Err: errno}
	}
	_, _ = fmt.Sscanf(string(said), string(OpEnter)+"%d", &errno)
	return fail(errno)
}

// attributes are the helper's: the namespaces, and the users and groups in them.
func attributes() (*syscall.SysProcAttr, error) {
	users, err := ids("/proc/self/uid_map", os.Geteuid())
	if err != nil {
		return nil, err
	}
	groups, err := ids("/proc/self/gid_map", os.Getegid())
	if err != nil {
		return nil, err
	}
	// Where setgroups is denied it is denied for descendants, too.
	setgroups, err := os.ReadFile("/proc/self/setgroups")
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: users, GidMappings: groups,
		GidMappingsEnableSetgroups: os.Geteuid() == 0 && (err != nil || string(bytes.TrimSpace(setgroups)) == "allow"),
	}, nil
}

// ids maps every user or group of this namespace to itself for root, and root to
// the given one for anybody else.
//
// Reads /proc/self/uid_map or gid_map, see user_namespaces(7).
func ids(path string, own int) (ids []syscall.SysProcIDMap, err error) {
	if os.Geteuid() != 0 {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: own, Size: 1}}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var inside, outside, size int
		if n, err := fmt.Sscan(string(line), &inside, &outside, &size); n != 3 {
			return nil, fmt.Errorf("%s: line %q: %w", path, line, err)
		}
		ids = append(ids, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return ids, nil
}
