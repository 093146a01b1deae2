package commands

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filterVariable has this program execute its arguments behind a seccomp filter: ACTION
// NUMBER …, of which the system calls are.
const filterVariable = "BEHIND_FILTER"

// behindFilter is for Main.
func behindFilter() {
	fields := strings.Fields(os.Getenv(filterVariable))
	if len(fields) == 0 {
		return
	}
	os.Unsetenv(filterVariable)
	var numbers []uint32
	for _, field := range fields {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			panic(err)
		}
		numbers = append(numbers, uint32(n))
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number of the system call
	for _, number := range numbers[1:] {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: numbers[0]})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	err := Restrict(filter)
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	panic(err)
}

// Restrict installs a seccomp filter for all threads of this process, as a container's
// runtime does.
func Restrict(filter []unix.SockFilter) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	runtime.LockOSThread()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// Filtered returns a command of ours behind a seccomp filter that does that with these
// system calls.
func Filtered(action uint32, calls []int, name string, args ...string) *exec.Cmd {
	words := strconv.FormatUint(uint64(action), 10)
	for _, call := range calls {
		words += " " + strconv.Itoa(call)
	}
	cmd := Command(name, args...)
	cmd.Args = append([]string{"filtered", cmd.Path}, args...)
	cmd.Path = "/proc/self/exe"
	cmd.Env = append(os.Environ(), filterVariable+"="+words)
	return cmd
}
