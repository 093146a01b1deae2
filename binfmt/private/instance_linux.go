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
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// namespaces are those of an instance, open.
type namespaces struct {
	user, mount *os.File
	identity    *os.File // user namespace in which the caller is who they are; nil: they are in the first
	dir         *os.File // working directory
}

// setupFile is the descriptor of the helper's end of the socket.
const setupFile = 3

// FilePath returns the name of an instance's file, as its entries have it.
func FilePath(i int) string { return "/proc/self/fd/" + strconv.Itoa(setupFile+1+i) }

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
	config := setup{Root: []byte(o.Root), Command: []byte(o.Command), PATH: []byte(o.Path), UID: -1, GID: -1}
	if !o.stayRoot && o.Root == "" && os.Geteuid() != 0 {
		config.UID, config.GID = os.Geteuid(), os.Getegid()
	}
	// The kernel keeps who made the socket, which the helper asks for.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, failed(OpSetUp, "", os.NewSyscallError("socketpair", err))
	}
	parent, child := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	defer parent.Close()
	defer child.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	if cmd.SysProcAttr, err = attributes(); err != nil {
		return nil, failed(OpSetUp, "", err)
	}
	cmd.Args = []string{marker}
	cmd.ExtraFiles = append([]*os.File{child}, o.Files...)
	cmd.Dir = o.dir
	cmd.Stderr = os.Stderr // only a panic would be seen there
	// The parent's death is that of the thread which started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		e := failed(OpNamespace, "", err)
		if !e.Denied() {
			e.Op = OpSetUp
		}
		return nil, e
	}
	// With its input it ends, and with it its child. The namespaces stay.
	defer cmd.Wait()
	defer parent.Close()
	child.Close()

	var entries []binfmt.Entry
	if o.Entries != nil {
		if entries, err = o.Entries(); err != nil {
			return nil, err
		}
	}
	for _, e := range entries {
		line, err := e.MarshalText()
		if err != nil {
			return nil, failed(OpRegister, e.Name, err)
		}
		config.Entries = append(config.Entries, line)
	}
	writeErr := json.NewEncoder(parent).Encode(config)
	var answer answer
	readErr := json.NewDecoder(parent).Decode(&answer)
	switch {
	case readErr != nil:
		return nil, failed(OpSetUp, "", errors.Join(errors.New("the helper ended"), writeErr, readErr))
	case answer.Failure != nil:
		return nil, answer.Failure
	}
	i := &Instance{Path: string(answer.Path)}
	if err := i.open(cmd.Process.Pid, answer.Holder); err != nil {
		i.Close()
		return nil, failed(OpSetUp, "", err)
	}
	return i, nil
}

// open opens the namespaces and the working directory of the processes.
func (i *Instance) open(pid, holder int) error {
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
			return &os.PathError{Op: "open", Path: link.path, Err: err}
		}
		*link.file = os.NewFile(uintptr(fd), link.path)
	}
	return nil
}

// files returns what is open, in the order in which stub has it.
func (i *Instance) files() []*os.File {
	files := []*os.File{i.user, i.mount, i.dir}
	if i.identity != nil {
		files = append(files, i.identity)
	}
	return files
}

// Close gives the instance up.
func (i *Instance) Close() {
	for _, f := range i.files() {
		f.Close() // which may be nil
	}
}

// stub returns a program that enters the instance, whose files have these
// numbers in its process, and executes another. What is said of failures is
// written to a descriptor.
func (i *Instance) stub(numbers []uint32, calls []tinyelf.Call, descriptor uint32, callFailed, execFailed string) (*os.File, error) {
	arch, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	calls = append(calls,
		tinyelf.Call{Name: "setns", Args: []uint32{numbers[0], unix.CLONE_NEWUSER}},
		tinyelf.Call{Name: "setns", Args: []uint32{numbers[1], unix.CLONE_NEWNS}}, // and its root
		tinyelf.Call{Name: "fchdir", Args: []uint32{numbers[2]}})
	if i.identity != nil {
		calls = append(calls, tinyelf.Call{Name: "setns", Args: []uint32{numbers[3], unix.CLONE_NEWUSER}})
	}
	for _, number := range numbers {
		calls = append(calls, tinyelf.Call{Name: "close", Args: []uint32{number}})
	}
	program, err := tinyelf.Stub(arch, calls, descriptor, callFailed, execFailed)
	if err != nil {
		return nil, err
	}
	return file.Memory("stub", program)
}

// Exec enters the instance, and executes the program at path in this process's
// place. It returns only if that fails before the instance is entered;
// afterwards there is a message on standard error, and exit status 126.
func (i *Instance) Exec(name, path string, argv, env []string) error {
	files := i.files()
	var numbers []uint32
	for _, f := range files {
		numbers = append(numbers, uint32(f.Fd()))
	}
	memory, err := i.stub(numbers, nil, 2,
		name+": error: cannot enter the private instance of binfmt_misc: errno",
		name+": error: "+path+": cannot be executed in the private instance of binfmt_misc: errno")
	if err != nil {
		return failed(OpEnter, "", err)
	}
	defer memory.Close()
	for _, f := range files {
		// The stub needs them open, and closes them itself.
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
			return failed(OpEnter, "", err)
		}
	}
	err = syscall.Exec("/proc/self/fd/"+strconv.Itoa(int(memory.Fd())), append([]string{name, path}, argv...), env)
	for _, f := range files {
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
	ctx := c.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	i, err := NewInstance(ctx, InstanceOptions{Entries: func() ([]binfmt.Entry, error) { return c.Entries, nil }, stayRoot: true, dir: c.Dir})
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
	c.ExtraFiles = append([]*os.File(nil), c.ExtraFiles...)
	inherit := func(f *os.File) uint32 {
		c.ExtraFiles = append(c.ExtraFiles, f)
		return uint32(2 + len(c.ExtraFiles))
	}
	// What the command does not inherit, but the stub needs to the end.
	last := func(number uint32) tinyelf.Call {
		return tinyelf.Call{Name: "fcntl", Args: []uint32{number, unix.F_SETFD, unix.FD_CLOEXEC}}
	}
	result := inherit(resultOut)
	calls := []tinyelf.Call{last(result)}
	path := own.Path
	if path == "/proc/self/exe" {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fail(err)
		}
		self := os.NewFile(uintptr(fd), path)
		defer self.Close()
		number := inherit(self)
		calls, path = append(calls, last(number)), "/proc/self/fd/"+strconv.Itoa(int(number))
	}
	var numbers []uint32
	for _, f := range i.files() {
		numbers = append(numbers, inherit(f))
	}
	number := uint32(3 + len(c.ExtraFiles))
	memory, err := i.stub(numbers, append(calls, last(number)), result, string(OpEnter), "exec")
	if err != nil {
		return fail(err)
	}
	defer memory.Close()
	inherit(memory)
	c.Path, c.Args = "/proc/self/fd/"+strconv.Itoa(int(number)), append([]string{marker, path}, own.Args...)
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
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
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
		return attr, nil
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	return attr, nil
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
