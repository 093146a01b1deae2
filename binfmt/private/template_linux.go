package private

import (
	"os"

	"golang.org/x/sys/unix"
)

// overTemplate returns a mount of overlayfs in which a directory, which is mounted, is
// seen, and changes of it are kept in memory. They are gone with the namespace,
// however that ends: nothing has to be removed.
func overTemplate(tree int) (int, error) {
	var template unix.Stat_t
	if err := unix.Fstat(tree, &template); err != nil {
		return -1, os.NewSyscallError("fstat", err)
	}
	// A file system of its own, so that upperdir and workdir are on one.
	memory, err := newMount("tmpfs", unix.MOUNT_ATTR_NODEV, "mode", "0755")
	if err != nil {
		return -1, err
	}
	defer unix.Close(memory)
	for name, mode := range map[string]uint32{"lower": 0o700, "upper": template.Mode & 0o7777, "work": 0o700} {
		if err := unix.Mkdirat(memory, name, mode); err != nil {
			return -1, &os.PathError{Op: "mkdir", Path: name, Err: err}
		}
	}
	// Overlayfs takes mounts that are nowhere since Linux 6.15 only. These are there
	// until the old root goes; the host's /sys has been opened.
	const at = "/sys"
	if err := attach(memory, at); err != nil {
		return -1, err
	}
	if err := attach(tree, at+"/lower"); err != nil {
		return -1, err
	}
	return newMount("overlay", unix.MOUNT_ATTR_NODEV, "lowerdir", at+"/lower", "upperdir", at+"/upper", "workdir", at+"/work", "userxattr", "")
}
