package private

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/internal/file"
)

// parentMarker is the name under which the running program is started as the
// parent of a command in a root file system.
const parentMarker = "binfmt-private-parent"

// exitCannot is the parent's exit status if the command cannot be executed.
const exitCannot = 126

// A parent waits for a command in another PID namespace, and makes it look as if
// the command were in its own place. The command is in the process group of process 1,
// which is another than the parent's: no signal that it sends to its group reaches a
// process outside. So the parent does what a shell does for its jobs: it lends the
// group the terminal while its own group has it, stops when the command stops, and
// hands on signals.
type parent struct {
	init, child int
	group       int      // the parent's own
	tty         *os.File // nil: it has none
	holder      int      // the group inside that had the terminal last
	proc        int      // the host's /proc
	signals     chan os.Signal
}

// beParent is the parent's main. Its arguments are the name for messages, process
// 1, the numbers of the Instance's files, of the socket, of the program and of what is held,
// and the command: its path and its arguments.
func beParent(args []string) {
	const fixed = 2 + rootFiles + 3
	err := unprivileged()
	if err == nil && len(args) < fixed+2 {
		err = errors.New("arguments are missing")
	}
	if err != nil {
		refuse(parentMarker, err)
	}
	var files [rootFiles + 3]int
	for n := range files {
		files[n], _ = strconv.Atoi(args[2+n])
		unix.CloseOnExec(files[n])
	}
	unix.Close(files[rootFiles+1]) // the program
	inherited := file.Inherited()
	null, _ := open(os.DevNull, unix.O_RDWR) // of the host's, too
	name, path := args[0], args[fixed]
	p := &parent{group: unix.Getpgrp(), signals: make(chan os.Signal, 64)}
	p.init, _ = strconv.Atoi(args[1])
	p.holder = p.init
	// Of the host's: in the root file system it may be anything.
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0); err == nil {
		p.tty = tty
	}
	p.proc, _ = open("/proc", unix.O_PATH)
	p.lend()
	ignoreAsCaller()
	p.notify()
	// It is the thread's, and never another's.
	runtime.LockOSThread()
	if err = enter(files[:rootFiles], isRoot("/proc/self/uid_map")); err == nil {
		_, _ = entry.Block() // the command has blocked what the caller had
		p.child, err = syscall.ForkExec(path, args[fixed+1:], &syscall.ProcAttr{
			Env: os.Environ(), Files: []uintptr{0, 1, 2},
			Sys: &syscall.SysProcAttr{Setpgid: true, Pgid: 1},
		})
	}
	if err != nil {
		p.end()
		fmt.Fprintf(os.Stderr, "%s: error: %s: cannot be executed in the root file system: %v\n", name, path, err)
		os.Exit(exitCannot)
	}
	file.LetGo(inherited, null, unix.Stderr+1)
	signal.Ignore(unix.SIGTTOU) // the child must not inherit it
	status := p.wait()
	p.end()
	finish(status)
}

// enter has this thread's children be in the namespaces. Where root is the machine's,
// by the rights to its files, nothing may undo that /proc and /sys are read-only.
// (User namespaces below have copies that cannot be undone: locked mounts,
// mount_namespaces(7).)
func enter(files []int, root bool) error {
	// The root and the working directory are shared with other threads otherwise.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	for _, ns := range []struct{ file, kind int }{
		{fileIPC, unix.CLONE_NEWIPC}, {fileUTS, unix.CLONE_NEWUTS}, {filePID, unix.CLONE_NEWPID}, {fileMount, unix.CLONE_NEWNS},
	} {
		if err := unix.Setns(files[ns.file], ns.kind); err != nil {
			return os.NewSyscallError("setns", err)
		}
	}
	if err := unix.Fchdir(files[fileDirectory]); err != nil {
		return os.NewSyscallError("fchdir", err)
	}
	// The caller's keys are left behind. A kernel may have none, and a filter may deny it.
	_, _ = unix.KeyctlJoinSessionKeyring("")
	if root {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl", err)
		}
	}
	return denyInput()
}

// inputs are the ioctls that put text into a terminal's input: TIOCSTI (CVE-2017-5226; since
// Linux 6.2 sysctl dev.tty.legacy_tiocsti denies it, too), and TIOCLINUX, which pastes what it has
// selected on the screen of a virtual console (CVE-2023-28100; since Linux 6.7 only for
// CAP_SYS_ADMIN, 8d1b43f6a6df).
var inputs = []uint32{unix.TIOCSTI, unix.TIOCLINUX}

// denyInput has the kernel refuse to put text into the terminal's input, which the shell
// outside would execute. The filter is for this thread and its children.
func denyInput() error {
	const request = 24 // of struct seccomp_data: the lower half of the second argument
	offset := uint32(request)
	if runtime.GOARCH == "s390x" {
		offset += 4
	}
	// ioctl is 54 for the 32-bit programs of these hosts, and 514 in x32.
	numbers := []uint32{unix.SYS_IOCTL, 54, 0x40000000 + 514}
	load := func(from uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: from}
	}
	filter := []unix.SockFilter{load(0)}
	for n, number := range numbers {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(numbers) - n), K: number})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}, load(offset))
	for _, request := range inputs {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: request},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		)
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 && errno != unix.ENOSYS && errno != unix.EINVAL { // the kernel may have no filters
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}

// ignoreAsCaller ignores what the caller does, of which Go's run time keeps only
// SIGHUP and SIGINT so: the command inherits it. SIGCHLD cannot be, as nobody could
// wait for the command then.
func ignoreAsCaller() {
	for n := syscall.Signal(1); n <= 64; n++ {
		if entry.Ignored()>>(n-1)&1 != 0 && n != unix.SIGCHLD && !entry.Own(n) {
			signal.Ignore(n)
		}
	}
}

// notify has the signals collected that the command gets: all that a process can
// handle, but those of this process's own and those that the caller ignores.
func (p *parent) notify() {
	for n := syscall.Signal(1); n <= 64; n++ {
		switch n {
		case unix.SIGCHLD, unix.SIGTTIN, unix.SIGTTOU:
			continue
		}
		if !entry.Own(n) && !signal.Ignored(n) {
			signal.Notify(p.signals, n)
		}
	}
}

// wait waits until the command has ended.
func (p *parent) wait() syscall.WaitStatus {
	changes, goOn := make(chan syscall.WaitStatus), make(chan bool)
	go func() {
		for {
			var status syscall.WaitStatus
			if _, err := syscall.Wait4(p.child, &status, unix.WUNTRACED, nil); err == syscall.EINTR {
				continue
			} else if err != nil {
				status = exitCannot << 8
			}
			changes <- status
			<-goOn
		}
	}()
	for {
		select {
		case s := <-p.signals:
			p.pass(s.(syscall.Signal))
		case status := <-changes:
			if !status.Stopped() {
				return status
			}
			p.stopped(status.StopSignal())
			goOn <- true
		}
	}
}

// pass hands a signal on. What the terminal sends to this process's group would have
// been for all of the command's.
func (p *parent) pass(s syscall.Signal) {
	if s == unix.SIGCONT {
		p.resume()
		return
	}
	to := p.child
	if p.foreground() == p.group && (s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGTSTP) {
		p.lend() // a shell has given it the terminal, and need not have said so
		to = -p.init
	}
	_ = syscall.Kill(to, s)
}

// foreground returns the process group that has the terminal.
func (p *parent) foreground() int {
	if p.tty == nil {
		return 0
	}
	group, err := unix.IoctlGetInt(int(p.tty.Fd()), unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return group
}

// lend gives the terminal to the command, if this process's group has it.
func (p *parent) lend() {
	if p.foreground() == p.group {
		_ = unix.IoctlSetPointerInt(int(p.tty.Fd()), unix.TIOCSPGRP, p.holder)
	}
}

// stopped stops this process, as the command has stopped, until it is continued.
func (p *parent) stopped(s syscall.Signal) {
	front := p.foreground()
	if front == p.group && (s == unix.SIGTTIN || s == unix.SIGTTOU) {
		p.resume() // it has the terminal meanwhile
		return
	}
	if front != 0 && p.inside(front) {
		p.holder = front
	}
	p.stop(s)
	p.resume()
}

// stop stops this process by the signal that has stopped the command, and the rest of
// its group, as the terminal would have done to all of a job. It returns when the
// process is continued, or at once where nobody could do that (setpgid(2) about
// orphaned process groups).
func (p *parent) stop(s syscall.Signal) {
	if s != unix.SIGSTOP {
		signal.Ignore(s) // once: the run time, whose handler this removes, must know
		_ = syscall.Kill(-p.group, s)
		byDefault(s)
	}
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), s)
	switch s {
	case unix.SIGTSTP:
		signal.Notify(p.signals, s)
	case unix.SIGTTOU:
		signal.Ignore(s)
	}
}

// inside reports whether a process group is one of the command's.
func (p *parent) inside(group int) bool {
	if group == p.init {
		return true
	}
	namespace := func(process int) string {
		link := make([]byte, 64)
		n, _ := unix.Readlinkat(p.proc, fmt.Sprintf("%d/ns/pid", process), link)
		return string(link[:max(n, 0)])
	}
	of := namespace(group)
	return of != "" && of == namespace(p.init)
}

// resume has the command go on.
func (p *parent) resume() {
	p.lend()
	_ = syscall.Kill(-p.init, unix.SIGCONT)
	_ = syscall.Kill(p.child, unix.SIGCONT)
}

// byDefault has the kernel do what it does by default about a signal, also one that
// the run time handles.
func byDefault(s syscall.Signal) {
	var action [64]byte // struct sigaction: SIG_DFL, without flags
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

// end ends all that is left in the PID namespace, and takes the terminal back.
func (p *parent) end() {
	front := p.foreground()
	borrowed := front != 0 && p.inside(front)
	_ = syscall.Kill(p.init, unix.SIGKILL)
	_ = file.IgnoringEINTR(func() error { _, err := syscall.Wait4(p.init, nil, 0, nil); return err })
	// The group may be gone: that of an interactive shell.
	if front != 0 && front != p.group && (borrowed || syscall.Kill(-front, 0) == unix.ESRCH) {
		_ = unix.IoctlSetPointerInt(int(p.tty.Fd()), unix.TIOCSPGRP, p.group)
	}
}

// finish ends this process as the command has ended.
func finish(status syscall.WaitStatus) {
	if !status.Signaled() {
		os.Exit(status.ExitStatus())
	}
	s := status.Signal()
	// The command has dumped its core, if it was to.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	byDefault(s)
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), s)
	os.Exit(128 + int(s))
}
