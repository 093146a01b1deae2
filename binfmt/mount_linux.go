package binfmt

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/thread"
)

// Types of file systems, from linux/magic.h.
const (
	binfmtMagic = 0x42494e4d
	autofsMagic = 0x0187
)

func openFile(path string, flags int) (*os.File, error) { return file.OpenFile(path, flags) }

// openToWrite opens a file of an instance, and of no other file system: what another directory has
// by that name is not written to.
func openToWrite(path string) (*os.File, error) {
	f, err := openFile(path, unix.O_WRONLY)
	if err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	err = file.IgnoringEINTR(func() error { return unix.Fstatfs(int(f.Fd()), &st) })
	if err == nil && uint32(st.Type) != binfmtMagic {
		err = ErrNotMounted
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}

// State looks at the type of the file system on the directory. An autofs is not
// triggered: its daemon may hang, or be gone. Once somebody else has triggered it,
// State, as all that follows the path, waits for the daemon (autofs_d_manage in
// fs/autofs/root.c, seen on 6.18).
func (fs FS) State() (State, error) {
	st, err := statfs(fs.Dir())
	switch {
	case errors.Is(err, unix.ENOENT):
		return NotMounted, nil // no such directory: the module is not loaded
	case err != nil:
		return NotMounted, fs.failure("look at", "", fs.Dir(), err)
	}
	// The field's type differs between architectures; the magics fit any.
	switch uint32(st.Type) {
	case binfmtMagic:
		return Mounted, nil
	case autofsMagic:
		return Autofs, nil
	}
	return NotMounted, nil
}

// statfs is statfs(2) of what is on the path without an autofs there being made to
// mount: statfs itself triggers that, an open with O_PATH does not (follow_automount
// in fs/namei.c). The descriptor that it returns can be asked since Linux 3.12.
func statfs(path string) (st unix.Statfs_t, err error) {
	fd, err := file.Descriptor(path, unix.O_PATH)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	err = file.IgnoringEINTR(func() error {
		if err := unix.Fstatfs(fd, &st); err != unix.EBADF {
			return err
		}
		return unix.Statfs(path, &st)
	})
	return st, err
}

// Mount mounts the file system unless it is mounted, and reports whether it
// did. What is in the directory would be hidden: it is to be empty. It is mounted
// over an autofs, as the automount daemon does: mount(2) does not trigger that, and
// asking a daemon that does not answer would be for ever. Where the kernel lacks the
// file system, its module is loaded with modprobe.
func (fs FS) Mount() (mounted bool, err error) {
	state, err := fs.State()
	if err != nil || state == Mounted {
		return false, err
	}
	if err := fs.Mountable(); err != nil {
		return false, err
	}
	err = fs.mount()
	// ENOENT: since Linux 5.18 the module makes the directory in /proc/sys.
	if (err == unix.ENODEV || err == unix.ENOENT) && modprobe() == nil {
		err = fs.mount()
	}
	return err == nil, fs.failure("mount", "", fs.Dir(), err)
}

// Mountable returns why the directory is no place for Mount, as far as that is seen
// without mounting: it is missing, or has something in it. The directory below /proc/sys may
// come with the kernel's module.
func (fs FS) Mountable() error {
	state, err := fs.State()
	if err != nil || state != NotMounted {
		return err
	}
	if fs.hides() {
		return fs.failure("mount", "", fs.Dir(), unix.ENOTEMPTY)
	}
	if err := unix.Access(fs.Dir(), unix.F_OK); err == unix.ENOENT && !strings.HasPrefix(fs.Dir(), "/proc/sys/") {
		return fs.failure("mount", "", fs.Dir(), err)
	}
	return nil
}

// hides reports whether the directory is seen to have something in it.
func (fs FS) hides() bool {
	dir, err := openFile(fs.Dir(), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false // what is wrong with it, mount(2) says
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(1)
	return len(names) > 0
}

// MountOver mounts the instance of this process's user namespace over whatever is there, an
// instance of another one's, too.
func (fs FS) MountOver() error { return fs.failure("mount", "", fs.Dir(), fs.mount()) }

// MountIn mounts the file system as Mount does, in the mount namespace that the
// given file stands for: /proc/1/ns/mnt is that of process 1. The directory is
// taken in that namespace. It requires CAP_SYS_ADMIN and CAP_SYS_CHROOT over both
// namespaces' owners, and ptrace access to the process (setns(2)).
func (fs FS) MountIn(namespace string) (mounted bool, err error) {
	err = inNamespace(namespace, func() error {
		mounted, err = fs.Mount()
		return err
	})
	return mounted, err
}

// UnmountIn undoes MountIn.
func (fs FS) UnmountIn(namespace string) error { return inNamespace(namespace, fs.Unmount) }

// inNamespace calls f in another mount namespace.
func inNamespace(namespace string, f func() error) error {
	target, err := os.Open(namespace)
	if err != nil {
		return &Error{Op: "open", Path: namespace, Err: errors.Unwrap(err)}
	}
	defer target.Close()
	thread.Own(func() {
		// Threads that share a working directory must stay in one namespace.
		if err = unix.Unshare(unix.CLONE_FS); err == nil {
			err = unix.Setns(int(target.Fd()), unix.CLONE_NEWNS)
		}
		if err != nil {
			err = &Error{Op: "enter", Path: namespace, Err: err}
			return
		}
		err = f()
	})
	return err
}

// Made returns when the instance came into being, as coarse as the kernel's
// clock tick: with the mount that first made it. Whoever mounts one that was
// made before shares it with others; one that was made by that very mount is
// nobody else's, and is gone with the mount.
func (fs FS) Made() (time.Time, error) {
	if err := fs.mustBeMounted("look at", fs.Dir()); err != nil {
		return time.Time{}, err
	}
	var st unix.Stat_t
	if err := unix.Stat(fs.Dir(), &st); err != nil {
		return time.Time{}, fs.failure("look at", "", fs.Dir(), err)
	}
	return time.Unix(st.Ctim.Unix()), nil
}

func (fs FS) mount() error {
	return unix.Mount("binfmt_misc", fs.Dir(), "binfmt_misc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

func modprobe() error {
	path, err := exec.LookPath("modprobe")
	if err != nil {
		path = "/sbin/modprobe" // not in every PATH
	}
	return exec.Command(path, "-q", "binfmt_misc").Run()
}

// Unmount undoes Mount. Since 1c5976ef0f7a (Linux 5.11 and stable releases of
// older ones) the last unmount of an instance removes its entries.
func (fs FS) Unmount() error {
	if err := fs.mustBeMounted("unmount", fs.Dir()); err != nil {
		return err
	}
	return fs.failure("unmount", "", fs.Dir(), unix.Unmount(fs.Dir(), 0))
}
