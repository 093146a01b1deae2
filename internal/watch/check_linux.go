package watch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// Check returns an error if it can be seen, without a filter, that this process cannot
// have a program watched. It asks
//
//   - for the kernel's version: 5.9;
//   - what a seccomp filter answers to calls of seccomp(2), ptrace(2), ioctl(2), memfd_create(2)
//     and execveat(2) that the kernel itself refuses, as they make no sense;
//   - for the sysctls kernel.yama.ptrace_scope and vm.memfd_noexec, and the limit of files'
//     sizes, which those in memory have, too;
//   - whether /proc has this process, by its number here.
//
// What it does not see is that another supervisor watches (EBUSY), and security
// modules that forbid ptrace.
func Check() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil && olderThan(unix.ByteSliceToString(name.Release[:]), 5, 9) {
		return &Error{"Linux 5.9 is needed (SECCOMP_IOCTL_NOTIF_ADDFD), and this is " + unix.ByteSliceToString(name.Release[:]), ""}
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != strconv.Itoa(os.Getpid()) {
		return &Error{"/proc does not have this process: it is not mounted, or of another PID namespace", ""}
	}
	return errors.Join(checkCalls(), checkSysctls("/proc/sys"), checkFileSize())
}

// checkFileSize makes sure that there may be an Asker.
func checkFileSize() error {
	self, err := native()
	if err != nil {
		return err
	}
	asker, err := tinyelf.Asker(self, 0, 0)
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err == nil && limit.Cur < uint64(len(asker)) {
		return &Error{fmt.Sprintf("programs in memory are denied here: no file may be longer than %d bytes (RLIMIT_FSIZE)", limit.Cur), "ulimit -f unlimited, where the limit may be raised"}
	}
	return nil
}

// asksUser is what a filter of this package does. It is not on a stack, which moves when it grows.
var asksUser = uint32(unix.SECCOMP_RET_USER_NOTIF)

// checkCalls asks for calls whose arguments the kernel refuses.
func checkCalls() error {
	tried := []struct {
		name  string
		errno unix.Errno // the kernel's own
		call
	}{
		{"seccomp", 0, call{unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&asksUser))}},
		{"seccomp", unix.EFAULT, call{unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, 0}},
		{"ptrace", unix.ESRCH, call{unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1 << 30, 0, 0}},
		{"ioctl", unix.EBADF, call{unix.SYS_IOCTL, ^uintptr(0), unix.SECCOMP_IOCTL_NOTIF_RECV}},
		{"memfd_create", unix.EFAULT, call{unix.SYS_MEMFD_CREATE}},
		{"execveat", unix.EFAULT, call{unix.SYS_EXECVEAT, ^uintptr(0)}},
	}
	var calls []call
	for _, c := range tried {
		calls = append(calls, c.call)
	}
	deadly := kills(calls...)
	for _, c := range tried {
		if deadly && kills(c.call) {
			return &Error{c.name + " is denied here: a seccomp filter ends who calls it", "of a systemd unit, SystemCallFilter=@debug @sandbox allows it"}
		}
		_, _, errno := unix.Syscall6(c.call[0], c.call[1], c.call[2], c.call[3], c.call[4], c.call[5], c.call[6])
		if errno != c.errno {
			return &Error{fmt.Sprintf("%s is denied here: %v", c.name, errno), "a container's seccomp profile may deny it, or the kernel lacks it (CONFIG_SECCOMP_FILTER)"}
		}
	}
	return nil
}

// checkSysctls looks at what restricts this user.
func checkSysctls(dir string) error {
	value := func(name string) int {
		text, _ := os.ReadFile(dir + "/" + strings.ReplaceAll(name, ".", "/"))
		number, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return number
	}
	const yama, memfd = "kernel.yama.ptrace_scope", "vm.memfd_noexec"
	switch scope := value(yama); {
	case scope == 3, scope == 2 && !mayTraceAll():
		return &Error{fmt.Sprintf("ptrace is denied here: %s is %d", yama, scope), "sysctl " + yama + "=1 lets processes trace their descendants"}
	case value(memfd) == 2:
		return &Error{"programs in memory are denied here: " + memfd + " is 2", "sysctl " + memfd + "=1"}
	}
	return nil
}

// mayTraceAll reports whether this process has CAP_SYS_PTRACE.
func mayTraceAll() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective>>unix.CAP_SYS_PTRACE&1 == 1
}

// olderThan compares a kernel's release, such as 6.1.0-18-amd64, with a version. One
// that cannot be read is taken for new enough.
func olderThan(release string, major, minor int) bool {
	version, err := binfmt.ParseKernelVersion(release)
	return err == nil && !version.AtLeast(binfmt.KernelVersion{Major: major, Minor: minor})
}
