package private

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// marker is the name under which the running program is started as the helper.
const marker = "binfmt-private"

var mainCalled bool

// Main returns at once, unless this process is the helper that sets an instance
// up for its parent: then it does that, and exits or becomes a Cmd's command. It
// must be the first call in main, and in TestMain.
//
// Its name alone makes no process a helper: anybody can choose argv[0] and the
// descriptors of a program, of a set-user-ID one, too. See trusted.
func Main() {
	mainCalled = true
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case marker:
		helpCommand(os.Args[1:])
	case rootMarker:
		helpRoot(os.Args[1:])
	case parentMarker:
		beParent(os.Args[1:])
	}
}

// refuse ends a process that is called by one of the names of this package, and is
// none of its own.
func refuse(name string, err error) {
	fmt.Fprintf(os.Stderr, "%s: error: this name is for the program's own use: %v\n", name, err)
	os.Exit(125)
}

// helpCommand is the helper's main without a root file system.
func helpCommand(args []string) {
	socket := -1 // see start
	if len(args) >= 3 {
		socket, _ = strconv.Atoi(args[0])
	}
	if err := trusted(socket, "mnt"); err != nil {
		refuse(marker, err)
	}
	fds, err := help(args[1], args[2])
	if tell(socket, fds, err) && len(args) > 3 {
		if n, _ := unix.Read(socket, make([]byte, 1)); n > 0 { // the entries are registered
			errno, _ := syscall.Exec(args[3], args[4:], os.Environ()).(syscall.Errno)
			_, _ = unix.Write(socket, []byte(strconv.Itoa(int(errno))))
		}
	}
	os.Exit(125) // who waits has been told more
}

// trusted makes sure that this process is the helper, before it does anything.
// All three are facts of the kernel's, and no caller can choose them:
//
//   - It has no privilege that its caller does not have: a set-user-ID program
//     has, or one with capabilities.
//   - The socket was made by its parent, and by a process of the same user.
//   - It is in a new user namespace, in which it has no power over anything but
//     what was made with it: namespaces of these kinds.
func trusted(socket int, kinds ...string) error {
	if err := unprivileged(); err != nil {
		return err
	}
	unix.CloseOnExec(socket)
	peer, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	switch {
	case err != nil:
		return fmt.Errorf("descriptor %d is no socket: %w", socket, err)
	case int(peer.Pid) != os.Getppid() || int(peer.Uid) != os.Geteuid() && !(peer.Uid == unmapped && len(kinds) > 1):
		return errors.New("the socket is not the parent's")
	}
	return inNewNamespaces(kinds)
}

// unmapped is the number of users whom a user namespace has not: of the parent, if
// root of a namespace is not the machine's (the default of sysctl
// kernel.overflowuid).
const unmapped = 65534

// unprivileged returns an error if this process has a privilege that its caller may
// not have.
func unprivileged() error {
	const secure = 23 // AT_SECURE, include/uapi/linux/auxvec.h
	auxv, err := unix.Auxv()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(auxv, func(v [2]uintptr) bool { return v[0] == secure && v[1] != 0 }) {
		return errors.New("the program is privileged (set-user-ID, or with capabilities)")
	}
	return nil
}

// inNewNamespaces returns an error unless this process's namespaces of these kinds
// belong to its user namespace, and none of the other kinds does: those were there
// before. NS_GET_USERNS (Linux 4.9) opens the owner if it is the caller's user
// namespace or below, else it fails with EPERM.
func inNewNamespaces(kinds []string) error {
	for _, kind := range []string{"mnt", "pid", "ipc", "net", "uts"} {
		if kind == "pid" && !slices.Contains(kinds, kind) {
			continue // a Cmd may have one
		}
		f, err := os.Open("/proc/self/ns/" + kind)
		if errors.Is(err, os.ErrNotExist) {
			continue // the kernel has no such namespaces
		}
		if err != nil {
			return err
		}
		owner, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_USERNS)
		f.Close()
		if err == nil {
			unix.Close(owner)
		}
		if (err == nil) != slices.Contains(kinds, kind) {
			return errors.New("it is in no user namespace of its own")
		}
	}
	return nil
}

// help sets an instance up. Its arguments are the user and group that the caller
// is to be. It returns, open: where binfmt_misc is mounted, the user and mount
// namespaces, the working directory and, unless the user is to be root, the user
// namespace in which they have their own number.
func help(uid, gid string) (fds []int, err error) {
	if err := mount(); err != nil {
		return nil, err
	}
	add := func(fd int, openErr error) {
		fds = append(fds, fd)
		err = cmp.Or(err, openErr)
	}
	add(open(binfmt.DefaultMount, unix.O_PATH))
	add(open("/proc/self/ns/user", unix.O_RDONLY))
	add(open("/proc/self/ns/mnt", unix.O_RDONLY))
	add(open(".", unix.O_PATH))
	if uid != "0" && err == nil {
		add(identity(uid, gid))
	}
	if err != nil {
		return nil, err
	}
	return fds, nil
}

func open(path string, flags int) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// identity opens a user namespace below this one, in which its only user has the
// given number. It has to have a process when that is said.
func identity(uid, gid string) (int, error) {
	program, err := executable("hold", tinyelf.NativeProgram)
	if err != nil {
		return -1, err
	}
	defer program.Close()
	user, _ := strconv.Atoi(uid)
	group, _ := strconv.Atoi(gid)
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{program}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: group, HostID: 0, Size: 1}},
	}
	if _, err := cmd.StdinPipe(); err != nil { // it waits for its input
		return -1, err
	}
	if err := cmd.Start(); err != nil {
		return -1, failed(OpNamespace, "", err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	return open("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/ns/user", 0)
}

// mount mounts the instance.
func mount() error {
	// What is mounted here stays here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return failed(OpMount, "", fmt.Errorf("cannot make mounts private: %w", err))
	}
	// Over an instance that is visible already, too: that is another one.
	err := unix.Mount("binfmt_misc", binfmt.DefaultMount, "binfmt_misc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err == nil {
		return nil
	}
	return cmp.Or[error](tooOld(err), failed(OpMount, "", err))
}
