package private

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	if len(os.Args) == 0 || os.Args[0] != marker {
		return
	}
	socket, args := -1, os.Args[1:] // see start
	if len(args) > 3 {
		socket, _ = strconv.Atoi(args[0])
	}
	if err := trusted(socket); err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: this name is for the program's own use: %v\n", marker, err)
		os.Exit(125)
	}
	fds, err := help(args[1], args[2], args[3])
	var failure *Error
	if err != nil && !errors.As(err, &failure) {
		failure = failed(OpSetUp, "", err)
	}
	answer, _ := json.Marshal(failure)
	err = unix.Sendmsg(socket, answer, unix.UnixRights(fds...), nil, 0)
	if command := args[4:]; len(command) > 0 && failure == nil && err == nil {
		if n, _ := unix.Read(socket, answer); n > 0 { // the entries are registered
			errno, _ := syscall.Exec(command[0], command[1:], os.Environ()).(syscall.Errno)
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
//     what was made with it.
func trusted(socket int) error {
	const secure = 23 // AT_SECURE, include/uapi/linux/auxvec.h
	auxv, err := unix.Auxv()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(auxv, func(v [2]uintptr) bool { return v[0] == secure && v[1] != 0 }) {
		return errors.New("the program is privileged (set-user-ID, or with capabilities)")
	}
	unix.CloseOnExec(socket)
	peer, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	switch {
	case err != nil:
		return fmt.Errorf("descriptor %d is no socket: %w", socket, err)
	case int(peer.Pid) != os.Getppid() || int(peer.Uid) != os.Geteuid():
		return errors.New("the socket is not the parent's")
	}
	return inNewNamespaces()
}

// inNewNamespaces returns an error unless this process's mount namespace belongs
// to its user namespace, and no namespace of the other kinds does: those were
// there before. NS_GET_USERNS (Linux 4.9) opens the owner if it is the caller's
// user namespace or below, else it fails with EPERM.
func inNewNamespaces() error {
	for _, kind := range []string{"mnt", "ipc", "net", "uts"} {
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
		if (err == nil) != (kind == "mnt") {
			return errors.New("it is in no user namespace of its own")
		}
	}
	return nil
}

// help sets an instance up. Its arguments are the root file system, and the user
// and group that the caller is to be. It returns, open: where binfmt_misc is
// mounted, the user and mount namespaces, the working directory and, unless the
// user is to be root, the user namespace in which they have their own number.
func help(root, uid, gid string) (fds []int, err error) {
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
	if root != "" && err == nil {
		if err := enterRoot(root); err != nil {
			return nil, failed(OpRoot, root, err)
		}
	}
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
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// identity opens a user namespace below this one, in which its only user has the
// given number. It has to have a process when that is said.
func identity(uid, gid string) (int, error) {
	program, err := executable("hold", tinyelf.NativeProgram)
	if err != nil {
		return 0, err
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
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, failed(OpNamespace, "", err)
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

// enterRoot makes a directory the root file system of this mount namespace.
func enterRoot(root string) error {
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	for _, path := range []string{"/proc", "/sys", "/dev", "/etc/resolv.conf"} {
		to := filepath.Join(root, path)
		if info, err := os.Lstat(to); err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			continue // the system does without, or has a link, which leads elsewhere
		}
		if err := unix.Mount(path, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil && err != unix.ENOENT {
			return &os.PathError{Op: "mount", Path: to, Err: err}
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
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
