package private

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/tinyelf"
)

// rootMarker is the name under which the running program is started as the helper
// that sets a root file system up: process 1 of a PID namespace.
const rootMarker = "binfmt-private-root"

// initName is what process 1 is called afterwards.
const initName = "crossrun-init"

// The numbers of an Instance's files if it has a root. Without one there are the
// first three, and the user namespace in which the caller has their own number.
const (
	fileUser = iota
	fileMount
	fileDirectory
	filePID
	fileIPC
	fileUTS
	rootFiles // how many there are
)

// helpRoot is the helper's main: its arguments are the number of its socket, the
// directory, whether that is sent over the socket as a mount, and whether it is a
// template. It sends what it has opened, and becomes process 1.
func helpRoot(args []string) {
	socket := -1
	if len(args) == 4 {
		socket, _ = strconv.Atoi(args[0])
	}
	if err := trusted(socket, "mnt", "pid", "ipc", "uts"); err != nil {
		refuse(rootMarker, err)
	}
	fds, err := setUpRoot(socket, args[1], args[2] == "sent", args[3] == "template")
	if err == nil {
		var executed [2]int // the other end is closed by execve: see tryRootInstance
		if err = os.NewSyscallError("pipe2", unix.Pipe2(executed[:], unix.O_CLOEXEC)); err == nil {
			fds = append(fds, executed[0])
		}
	}
	if tell(socket, fds, err) {
		for _, fd := range fds {
			unix.Close(fd)
		}
		err = becomeInit(socket)
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", initName, err)
	}
	os.Exit(125)
}

// tell sends the parent what is open, or why it is not.
func tell(socket int, fds []int, err error) bool {
	var failure *Error
	if err != nil && !errors.As(err, &failure) {
		failure = failed(OpSetUp, "", err)
	}
	answer, _ := json.Marshal(failure)
	return unix.Sendmsg(socket, answer, unix.UnixRights(fds...), nil, 0) == nil && failure == nil
}

// becomeInit executes a program that waits for the other end of the socket to be
// closed, and ends then: the kernel ends all in the PID namespace with it, also if
// the parent was killed. As SIGCHLD is ignored, the kernel waits for orphans itself.
func becomeInit(socket int) error {
	program, err := executable(initName, tinyelf.NativeProgram)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGCHLD)
	if err := unix.Dup3(socket, 0, 0); err != nil {
		return os.NewSyscallError("dup3", err)
	}
	// Who reads the caller's output to its end does not wait for this process.
	if err := unix.CloseRange(1, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return os.NewSyscallError("close_range", err)
	}
	path := "/proc/self/fd/" + strconv.Itoa(int(program.Fd()))
	return &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, []string{initName}, nil)}
}

// setUpRoot makes a directory, or the mount that is sent over the socket, the root
// file system, and opens what there is of the instance: where binfmt_misc is
// mounted, and the Instance's files.
func setUpRoot(socket int, root string, sent, template bool) (fds []int, err error) {
	syscall.Umask(0)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, failed(OpMount, "", fmt.Errorf("cannot make mounts private: %w", err))
	}
	binfmtMisc, err := newMount("binfmt_misc", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, cmp.Or[error](tooOld(err), failed(OpMount, "", err))
	}
	host, err := collect()
	if err != nil {
		return nil, failed(OpRoot, root, err)
	}
	tree := -1
	if sent {
		tree, err = receive(socket)
	} else {
		tree, err = cloneMount(root, unix.AT_RECURSIVE)
	}
	if err == nil && template {
		tree, err = overTemplate(tree)
	}
	if err == nil {
		err = enterRoot(tree)
	}
	if err == nil {
		err = host.attach(binfmtMisc)
	}
	if err != nil {
		return nil, failed(OpRoot, root, err)
	}
	fds = append(fds, binfmtMisc)
	for _, path := range [rootFiles]string{"/proc/self/ns/user", "/proc/self/ns/mnt", "/", "/proc/self/ns/pid", "/proc/self/ns/ipc", "/proc/self/ns/uts"} {
		flags := unix.O_RDONLY
		if path == "/" {
			flags = unix.O_PATH
		}
		fd, err := open(path, flags)
		if err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// receive receives a mount from the parent, or nothing if that has ended.
func receive(socket int) (int, error) {
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return -1, io.ErrUnexpectedEOF
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// enterRoot makes a mount the root file system of this mount namespace. No devices
// can be opened in it: those of /dev are mounted.
func enterRoot(tree int) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	// Anywhere: it is there for a moment only. The directory itself may be one that
	// the root user of the namespace cannot reach.
	if err := attach(tree, "/proc"); err != nil {
		return err
	}
	if err := unix.Fchdir(tree); err != nil {
		return os.NewSyscallError("fchdir", err)
	}
	// The old root is put where the new one is, and goes (pivot_root(2)).
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount2", err)
	}
	return os.Chdir("/")
}

// newMount mounts a file system that is new, and is nowhere yet. Parameters are
// names and values; what has no value is a flag.
func newMount(kind string, attributes int, parameters ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, &os.PathError{Op: "fsopen", Path: kind, Err: err}
	}
	defer unix.Close(fs)
	parameters = append([]string{"source", kind}, parameters...) // which is what mount(8) shows
	for i := 0; i < len(parameters); i += 2 {
		set := unix.FsconfigSetString
		if parameters[i+1] == "" {
			set = func(fs int, name, _ string) error { return unix.FsconfigSetFlag(fs, name) }
		}
		if err := set(fs, parameters[i], parameters[i+1]); err != nil {
			return -1, &os.PathError{Op: "fsconfig " + parameters[i] + " of", Path: kind, Err: err}
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, &os.PathError{Op: "mount", Path: kind, Err: err}
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, &os.PathError{Op: "mount", Path: kind, Err: err}
	}
	return fd, nil
}

// cloneMount makes another mount of what is at path, which is nowhere yet.
func cloneMount(path string, flags uint) (int, error) {
	return cloneMountAt(unix.AT_FDCWD, path, flags)
}

func cloneMountAt(dir int, path string, flags uint) (int, error) {
	fd, err := unix.OpenTree(dir, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags)
	if err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	return fd, nil
}

// attach puts a mount that is nowhere at a path.
func attach(mount int, path string) error {
	if err := unix.MoveMount(mount, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_SYMLINKS); err != nil {
		return &os.PathError{Op: "mount", Path: path, Err: err}
	}
	return nil
}
