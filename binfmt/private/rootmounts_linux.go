package private

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// attributes of mounts in which there are no programs and no devices.
const (
	data     = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	readOnly = unix.MOUNT_ATTR_RDONLY
)

// devices are those that every system has (Documentation/admin-guide/devices.rst).
// Who has one of them can do nothing to the machine.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// devLinks are the symbolic links in /dev.
var devLinks = [][2]string{
	{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
	{"pts/ptmx", "ptmx"},
}

// protected are files and directories of /proc by which root could change the
// machine, and are read-only.
var protected = []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "mtrr"}

// covered are files that tell of the machine what root could read.
var covered = []string{
	"/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
	"/sys/firmware", "/sys/fs/bpf", "/sys/fs/pstore", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing",
}

// mounts are those that a root file system gets. They are made while the host's
// root is still there, and are nowhere; once the new root is entered no name leads
// out of it, so that they are put where names of the new root lead.
type mounts struct {
	proc, sys, dev, shm, pts int
	devices                  map[string]int
	resolv                   int // -1: the host has none
}

// collect makes the mounts.
func collect() (m mounts, err error) {
	keep := func(to *int) func(int, error) {
		return func(fd int, openErr error) { *to, err = fd, errors.Join(err, openErr) }
	}
	// Where parts of this /proc are covered, as in containers, a new one would show them:
	// the kernel denies it (mount_too_revealing in fs/namespace.c).
	keep(&m.proc)(newMount("proc", data))
	keep(&m.dev)(newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "mode", "755", "size", "4m"))
	keep(&m.shm)(newMount("tmpfs", data, "mode", "1777"))
	pts := []string{"ptmxmode", "666", "mode", "620"}
	if hasGroup("/proc/self/gid_map", ttyGroup) {
		pts = append(pts, "gid", strconv.Itoa(ttyGroup))
	}
	keep(&m.pts)(newMount("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, pts...))
	keep(&m.sys)(cloneMount("/sys", unix.AT_RECURSIVE))
	if err != nil {
		return m, err
	}
	m.devices = make(map[string]int)
	for _, name := range devices {
		if fd, err := cloneMount("/dev/"+name, 0); err == nil { // else the host has none
			m.devices[name] = fd
		}
	}
	if fd := terminal(0); fd >= 0 {
		m.devices["console"] = fd
	}
	m.resolv, err = copyOf("/etc/resolv.conf")
	return m, err
}

// terminal returns a mount of the terminal that a descriptor is, which is nowhere yet,
// or -1: it is none, or has no name here. What is open is in another mount
// namespace, and cannot be mounted itself.
func terminal(fd int) int {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return -1
	}
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return -1
	}
	mount, err := cloneMount(name, 0)
	if err != nil {
		return -1
	}
	var is, named unix.Stat_t
	if unix.Fstat(fd, &is) != nil || unix.Fstat(mount, &named) != nil || is.Rdev != named.Rdev || is.Mode != named.Mode {
		unix.Close(mount)
		return -1
	}
	return mount
}

// ttyGroup is the group of terminals, in all distributions.
const ttyGroup = 5

// hasGroup reports whether a map of IDs has one.
func hasGroup(path string, id int) bool {
	ids, _ := readIDs(path) // as far as it can be read
	return slices.ContainsFunc(ids, func(m syscall.SysProcIDMap) bool { return m.ContainerID <= id && id < m.ContainerID+m.Size })
}

// copyOf mounts a copy of a file, which is nowhere yet: what is written to it does
// not reach the file. It returns -1 if there is no such regular file.
func copyOf(path string) (int, error) {
	f, err := file.OpenRegular(path)
	if err != nil {
		return -1, nil
	}
	defer f.Close()
	const most = 64 << 10
	content, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return -1, nil
	}
	dir, err := newMount("tmpfs", data, "mode", "755", "size", "256k")
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	const name = "copy"
	fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return -1, &os.PathError{Op: "create a copy of", Path: path, Err: err}
	}
	to := os.NewFile(uintptr(fd), path)
	_, err = to.Write(content)
	if err = errors.Join(err, to.Close()); err != nil {
		return -1, err
	}
	return cloneMountAt(dir, name, 0)
}

// attach puts the mounts, and binfmt_misc, where they belong in the root file
// system, which this process is in.
func (m *mounts) attach(binfmtMisc int) error {
	if err := m.attachDev(); err != nil {
		return err
	}
	if err := attachDir(m.proc, "/proc"); err != nil {
		return err
	}
	for _, name := range protected {
		if err := protect("/proc/" + name); err != nil {
			return err
		}
	}
	attr := unix.MountAttr{Attr_set: data | readOnly}
	if err := unix.MountSetattr(m.sys, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return os.NewSyscallError("mount_setattr /sys", err)
	}
	if err := attachDir(m.sys, "/sys"); err != nil {
		return err
	}
	// Only where a user of this namespace is the machine's root: a /proc that is
	// partly covered does not let itself be mounted again by a process in it.
	if isRoot("/proc/self/uid_map") {
		for _, path := range covered {
			if err := m.cover(path); err != nil {
				return err
			}
		}
	}
	if err := attach(binfmtMisc, "/proc/sys/fs/binfmt_misc"); err != nil {
		return err
	}
	return m.attachResolv("/etc/resolv.conf")
}

// attachDev makes /dev.
func (m *mounts) attachDev() error {
	if err := attachDir(m.dev, "/dev"); err != nil {
		return err
	}
	for _, link := range devLinks {
		if err := os.Symlink(link[0], "/dev/"+link[1]); err != nil {
			return err
		}
	}
	for name, fd := range m.devices {
		if err := os.WriteFile("/dev/"+name, nil, 0o666); err != nil {
			return err
		}
		if err := attach(fd, "/dev/"+name); err != nil {
			return err
		}
	}
	for name, fd := range map[string]int{"shm": m.shm, "pts": m.pts} {
		if err := attachDir(fd, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// attachDir puts a mount on a directory, which is made if it is missing.
func attachDir(mount int, path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.EROFS) {
		return err
	}
	return attach(mount, path)
}

// protect makes a file or directory, if it is there, read-only.
func protect(path string) error {
	fd, err := cloneMount(path, unix.AT_RECURSIVE)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Attr_set: data | readOnly}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return &os.PathError{Op: "mount_setattr", Path: path, Err: err}
	}
	return attach(fd, path)
}

// cover puts /dev/null on a file, or an empty directory on a directory, if it is
// there.
func (m *mounts) cover(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	var fd int
	if info.IsDir() {
		fd, err = newMount("tmpfs", data|readOnly, "mode", "555", "size", "4k")
	} else {
		fd, err = cloneMount("/dev/null", 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attach(fd, path)
}

// attachResolv puts the copy of the host's resolv.conf on the system's own, which
// is made if it is missing. Its symbolic links lead to files of this root, which are
// made, too: a system that is to be booted has a link to what systemd-resolved makes
// below /run. Where none can be, the system does without, and where it is no regular file.
func (m *mounts) attachResolv(path string) error {
	if m.resolv < 0 {
		return nil
	}
	makeFile(path)
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return attach(m.resolv, path)
}

// makeFile makes a file that is missing, or to which links lead, with the directories above the
// latter, as far as that can be.
func makeFile(path string) {
	for range 8 { // links may lead to each other
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		if err == nil {
			unix.Close(fd)
			return
		}
		to, err := os.Readlink(path)
		if err != nil {
			return
		}
		if !strings.HasPrefix(to, "/") {
			to = path[:strings.LastIndexByte(path, '/')+1] + to // not cleaned: a directory on the way may be a link
		}
		path = to
		_ = os.MkdirAll(path[:strings.LastIndexByte(path, '/')+1], 0o755)
	}
}

// isRoot reports whether a user of this user namespace is the machine's root, as far
// as a map of IDs says.
func isRoot(path string) bool {
	ids, _ := readIDs(path) // as far as it can be read
	return slices.ContainsFunc(ids, func(m syscall.SysProcIDMap) bool { return m.HostID == 0 })
}
