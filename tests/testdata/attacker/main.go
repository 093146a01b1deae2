// Attacker does in a root file system what would reach the machine if that were not
// isolated, and prints how each attempt has ended, as JSON. Its arguments are the
// ID of a process, a socket's name, and a directory that are the machine's. Nothing
// that it attempts would do harm: it opens and does not write, and the process, the
// socket and the directory are a test's.
package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	results := make(map[string]string)
	process, _ := strconv.Atoi(os.Args[1])
	directory := os.Args[3]

	// What is there.
	results["descriptors"] = strings.Join(descriptors("/proc/self/fd"), " ")
	results["descriptors of process 1"] = strings.Join(descriptors("/proc/1/fd"), " ")
	results["devices"] = strings.Join(names("/dev"), " ")
	results["mounts"] = mounts()
	results["processes"] = strings.Join(slices.DeleteFunc(names("/proc"), func(name string) bool { return strings.Trim(name, "0123456789") != "" }), " ")
	results["resolv.conf"] = text("/etc/resolv.conf")
	results["directory"] = strings.Join(names(directory), " ")
	results["users"] = text("/proc/self/uid_map")

	// Written before it is unmounted.
	results["write resolv.conf"] = errno(os.WriteFile("/etc/resolv.conf", []byte("nameserver 192.0.2.66\n"), 0o644))

	// Processes: as few signals as would show.
	results["kill"] = errno(unix.Kill(process, unix.SIGTERM))
	signal.Ignore(unix.SIGTERM)
	results["kill the group"] = errno(unix.Kill(0, unix.SIGTERM))
	results["kill all"] = errno(unix.Kill(-1, unix.SIGTERM))
	results["ptrace"] = errno(unix.PtraceSeize(process))
	_, err := net.Dial("unix", "@"+os.Args[2])
	results["abstract socket"] = errno(err)

	// The kernel: twice, as what is read-only may be made writable.
	attack := func(when string) {
		for _, path := range []string{"/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/sys/power/state"} {
			results["write "+path+when] = opened(path, os.O_WRONLY)
		}
		for _, path := range []string{"/proc/kcore", "/proc/kmsg", "/proc/kpageflags", "/sys/kernel/debug/clear_warn_once", "/sys/kernel/security/lsm", "/sys/fs/pstore/x"} {
			results["read "+path+when] = read(path)
		}
	}
	attack("")
	for _, path := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/kcore", "/proc/irq", "/sys", "/etc/resolv.conf"} {
		_ = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "")
		_ = unix.Unmount(path, unix.MNT_DETACH)
	}
	attack(" after unmounting")
	_ = unix.Mount("proc", "/mnt", "proc", 0, "")
	results["write core_pattern in another /proc"] = opened("/mnt/sys/kernel/core_pattern", os.O_WRONLY)

	// Devices.
	results["mknod"] = errno(unix.Mknod("/tmp/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	results["mknod of a disk"] = errno(unix.Mknod("/dev/disk", unix.S_IFBLK|0o666, int(unix.Mkdev(254, 0))))
	results["device in the directory"] = opened("/dev-of-others/null", os.O_RDONLY)
	character := byte('x')
	results["TIOCSTI"] = errno(ioctl(0, unix.TIOCSTI, &character))
	paste := byte(3) // TIOCL_PASTESEL, on a virtual console
	results["TIOCLINUX"] = errno(ioctl(0, unix.TIOCLINUX, &paste))

	// Files.
	results["remove"] = errno(os.Remove(filepath.Join(directory, "marker")))
	for _, name := range names("/dev") {
		_ = os.Remove("/dev/" + name) // see isolation: its /dev is one of its own
	}
	results["open standard error"] = opened("/proc/self/fd/2", os.O_WRONLY) // no attack: it must do
	results["host name"] = errno(unix.Sethostname([]byte("attacked")))

	_ = json.NewEncoder(os.Stdout).Encode(results)
}

// errno returns an error's number as a text, "done" for none.
func errno(err error) string {
	var number syscall.Errno
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &number):
		return unix.ErrnoName(number)
	}
	return err.Error()
}

func opened(path string, flags int) string {
	f, err := os.OpenFile(path, flags|unix.O_NONBLOCK, 0)
	if err == nil {
		f.Close()
	}
	return errno(err)
}

// read reads one byte: of a file that is covered there is none.
func read(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return errno(err)
	}
	defer f.Close()
	if n, err := f.Read(make([]byte, 1)); n == 0 {
		if err != nil && !errors.As(err, new(syscall.Errno)) {
			return "empty"
		}
		return errno(err)
	}
	return "done"
}

func text(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return errno(err)
	}
	return strings.Join(strings.Fields(string(content)), " ")
}

func names(path string) []string {
	entries, err := os.ReadDir(path)
	if err != nil {
		return []string{errno(err)}
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// descriptors returns what the descriptors of a process are, without the numbers of
// pipes and sockets, and those of this program's run time.
func descriptors(path string) (all []string) {
	for _, name := range names(path) {
		link, err := os.Readlink(path + "/" + name)
		if err != nil || strings.HasPrefix(link, "anon_inode:[event") || strings.HasPrefix(link, "/sys/fs/cgroup/") {
			continue // the one of this directory is closed
		}
		kind, _, _ := strings.Cut(link, ":[")
		all = append(all, name+"="+kind)
	}
	return all
}

// mounts returns where something is mounted, and which part of its file system.
func mounts() string {
	var all []string
	for line := range strings.Lines(textLines("/proc/self/mountinfo")) {
		if fields := strings.Fields(line); len(fields) > 4 {
			all = append(all, fields[3]+" "+fields[4])
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func textLines(path string) string {
	content, _ := os.ReadFile(path)
	return string(content)
}
