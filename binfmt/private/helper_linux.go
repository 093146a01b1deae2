package private

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// marker is the name under which the running program is started as the helper.
const marker = "binfmt-private"

var mainCalled bool

// Main returns at once, unless this process is the helper that sets an instance
// up for its parent: then it does that, and exits. It must be the first call in
// main, and in TestMain.
//
// Its name alone makes no process a helper: anybody can choose argv[0] and the
// descriptors of a program, of a set-user-ID one, too. See trusted.
func Main() {
	mainCalled = true
	if len(os.Args) != 1 || os.Args[0] != marker {
		return
	}
	runtime.LockOSThread()
	conn := os.NewFile(setupFile, "socket")
	if err := trusted(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: this name is for the program's own use: %v\n", marker, err)
		os.Exit(125)
	}
	if err := help(conn); err != nil {
		failure := (*Error)(nil)
		if !errors.As(err, &failure) {
			failure = failed(OpSetUp, "", err)
		}
		_ = json.NewEncoder(conn).Encode(answer{Failure: failure})
		os.Exit(125)
	}
	os.Exit(0)
}

// trusted makes sure that this process is the helper, before it does anything.
// All three are facts of the kernel's, and no caller can choose them:
//
//   - It has no privilege that its caller does not have: a set-user-ID program
//     has, or one with capabilities.
//   - The socket was made by its parent, and by a process of the same user.
//   - It is in a new user namespace, in which it has no power over anything but
//     what was made with it.
func trusted() error {
	if err := unprivileged(); err != nil {
		return err
	}
	unix.CloseOnExec(setupFile)
	peer, err := unix.GetsockoptUcred(setupFile, unix.SOL_SOCKET, unix.SO_PEERCRED)
	switch {
	case err != nil:
		return fmt.Errorf("descriptor %d is no socket: %w", setupFile, err)
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

// unprivileged returns an error if the process can do more than its caller.
func unprivileged() error {
	const secure = 23 // AT_SECURE, include/uapi/linux/auxvec.h
	auxv, err := unix.Auxv()
	if err != nil {
		return err
	}
	for _, v := range auxv {
		if v[0] == secure && v[1] != 0 {
			return errors.New("the program is privileged (set-user-ID, or with capabilities)")
		}
	}
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return errors.New("the program is privileged: its real and effective users or groups differ")
	}
	return nil
}

// setup is what the helper does.
type setup struct {
	// All are bytes, which JSON keeps as they are: paths need not be UTF-8.
	Entries             [][]byte // registrations
	Root, Command, PATH []byte
	UID, GID            int // who to be, in a second user namespace; -1: nobody else
}

// answer is what it says in the end.
type answer struct {
	Failure *Error
	Path    []byte // of the command
	Holder  int    // process that has the second namespace; 0: none
}

// help sets the instance up, says so, and keeps it until its input ends. What
// takes no configuration is done while that is made.
func help(conn *os.File) error {
	if err := mount(); err != nil {
		return err
	}
	var config setup
	if err := json.NewDecoder(conn).Decode(&config); err != nil {
		return fmt.Errorf("cannot read what to set up: %w", err)
	}
	fs := binfmt.New("")
	for _, line := range config.Entries {
		var e binfmt.Entry
		err := e.UnmarshalText(line)
		if err == nil {
			err = fs.Register(e)
		}
		if of := (*binfmt.Error)(nil); errors.As(err, &of) {
			err = of.Err // the rest is said by Error
		}
		if err != nil {
			return failed(OpRegister, e.Name, err)
		}
	}
	if root := string(config.Root); root != "" {
		if err := enterRoot(root); err != nil {
			return failed(OpRoot, root, err)
		}
	}
	var answer answer
	if command := string(config.Command); command != "" {
		path, err := lookPath(command, string(config.PATH))
		if err != nil {
			return failed(OpLookUp, command, err)
		}
		answer.Path = []byte(path)
	}
	if config.UID >= 0 {
		holder, input, err := identity(config.UID, config.GID)
		if err != nil {
			return failed(OpNamespace, "", err)
		}
		defer holder.Wait()
		defer input.Close()
		answer.Holder = holder.Process.Pid
	}
	if err := json.NewEncoder(conn).Encode(answer); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	return err
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
	if old := tooOld(err); old != nil {
		return old
	}
	return failed(OpMount, "", err)
}

// identity starts a process in a user namespace below this one, in which its
// only user is called what it is called outside. It ends with its input.
func identity(uid, gid int) (*exec.Cmd, io.Closer, error) {
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
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: 0, Size: 1}},
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
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	for _, dir := range []string{"proc", "sys", "dev"} {
		to := filepath.Join(root, dir)
		if info, err := os.Lstat(to); err != nil || !info.IsDir() {
			continue // the system does without
		}
		if err := unix.Mount("/"+dir, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return &os.PathError{Op: "mount", Path: to, Err: err}
		}
	}
	const resolv = "/etc/resolv.conf"
	if info, err := os.Lstat(filepath.Join(root, resolv)); err == nil && info.Mode().IsRegular() {
		if err := unix.Mount(resolv, filepath.Join(root, resolv), "", unix.MS_BIND, ""); err != nil && !errors.Is(err, unix.ENOENT) {
			return &os.PathError{Op: "mount", Path: resolv, Err: err}
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
	return "", unix.ENOENT
}
