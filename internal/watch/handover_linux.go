package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// A handover is a program that an Asker is to become, from when the Asker is made
// until it asks.
type handover struct {
	*Emulation
	program *Program
	made    time.Time
}

func (h *handover) close() { h.program.File.Close() }

// A token is what an Asker asks with. Nobody can guess it.
type token [2]uint32

// expect keeps a handover until its Asker asks.
func (s *supervisor) expect(t token, h *handover) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for t, old := range s.expected {
		if time.Since(old.made) > time.Minute { // the kernel did not execute it, as E2BIG says
			old.close()
			delete(s.expected, t)
		}
	}
	s.expected[t] = h
}

// asked returns what is expected under a token, once.
func (s *supervisor) asked(n *notification) *handover {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	t := token{uint32(n.args[1]), uint32(n.args[2])}
	h := s.expected[t]
	delete(s.expected, t)
	return h
}

// emulate answers a call for a program that the kernel does not run.
func (s *supervisor) emulate(g *glance, n *notification, p *Program) response {
	emulation, err := s.Emulate(p)
	if err == nil && emulation != nil {
		var r response
		if r, err = s.replace(g, n, &handover{emulation, p, time.Now()}); err == nil {
			return r
		}
	}
	p.File.Close()
	if err == nil {
		return goOn(n)
	}
	s.say(fmt.Errorf("%s: %w", p.Path, err))
	if errno, ok := errors.AsType[syscall.Errno](err); ok && (errno == syscall.EMFILE || errno == syscall.ENOENT) {
		return refuse(n, errno)
	}
	return goOn(n) // the kernel refuses it: ENOEXEC
}

// errTraced says why a task cannot be stopped.
func errTraced(err error) error {
	if err == unix.EPERM {
		return errors.New("a debugger traces the process that starts it, or it may not be traced: what it starts is left to the kernel")
	}
	return os.NewSyscallError("ptrace", err)
}

// replace has the task execute an Asker in the place of what it wanted. An error says
// that nothing was done.
func (s *supervisor) replace(g *glance, n *notification, h *handover) (response, error) {
	a := find(n.arch, n.number)
	t := token{rand.Uint32() >> 1, rand.Uint32() >> 1}
	content, err := tinyelf.Asker(s.self, t[0], t[1])
	if err != nil {
		return response{}, err
	}
	asker, err := file.Memory("asker", content)
	if err != nil {
		return response{}, err
	}
	defer asker.Close()
	number, err := s.addDescriptor(n, asker.Fd(), unix.O_CLOEXEC)
	if err == syscall.ENOENT {
		// A signal has interrupted the call, which before Linux 5.19 is made again, or
		// the task was killed.
		h.close()
		return response{}, nil
	}
	if err != nil {
		return response{}, err
	}
	pid := int(n.pid)
	if err := ptrace(unix.PTRACE_SEIZE, pid, 0, nil); err != nil {
		if !s.valid(n) { // it was killed
			h.close()
			return response{}, nil
		}
		return response{}, errTraced(err)
	}
	if !h.program.handed {
		h.close() // its path is enough: many may wait, and few files be open
	}
	s.expect(t, h)
	// From here on the answer is given: whatever fails, the call is made again.
	_ = ptrace(unix.PTRACE_INTERRUPT, pid, 0, nil)
	s.send(refuse(n, restart))
	var r registers
	if !s.stopped(pid, &r) {
		return response{}, nil
	}
	if r.waits(n, a) {
		// The end of the task's own path is an empty one.
		r.call(n, a, [5]uint64{uint64(number), g.path + uint64(g.length), g.argv, g.envp, unix.AT_EMPTY_PATH})
		_ = setRegisters(pid, &r) // the call is made again as it was
	}
	s.detach(pid)
	return response{}, nil
}

func ptrace(request, pid int, address uintptr, data unsafe.Pointer) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), address, uintptr(data), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// stopped waits until the task has stopped and reads its registers, or returns false if
// it has ended.
func (s *supervisor) stopped(pid int, r *registers) bool {
	options := unix.WALL | unix.WNOTHREAD
	if isChild(pid) {
		// The first thread, which waits for its children, may see the stop first.
		options |= unix.WNOHANG
	}
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, options, nil)
		switch {
		case got == pid && !status.Stopped():
			s.reaped(pid, status, false)
			wakeFirst()
			return false
		case got == pid, err == nil && getRegisters(pid, r) == nil:
			return got == 0 || getRegisters(pid, r) == nil
		case err == syscall.ECHILD:
			return false
		case options&unix.WNOHANG != 0:
			time.Sleep(pause)
		}
	}
}

// isChild reports whether a task belongs to a child of this process.
func isChild(pid int) bool {
	_, parent := stat(pid)
	return parent == "" || parent == strconv.Itoa(os.Getpid())
}

// detach lets a task go on that has stopped. One that was killed in the meantime is this
// thread's to reap: neither its parent nor the first thread is told before.
func (s *supervisor) detach(pid int) {
	_, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, pendingSignal(pid), 0, 0)
	for tries := 0; errno == syscall.ESRCH && tries < 1000; tries++ {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, unix.WALL|unix.WNOTHREAD|unix.WNOHANG, nil)
		switch {
		case got == pid && !status.Stopped():
			s.reaped(pid, status, false)
			wakeFirst()
			return
		case err == syscall.ECHILD:
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// wakeFirst has the first thread look again which children there are: the kernel wakes
// it for those alone whose tracer it is, if they have one (child_wait_callback in kernel/exit.c).
// The signal is the one with which Go's run time interrupts threads.
func wakeFirst() { _ = unix.Tgkill(os.Getpid(), os.Getpid(), unix.SIGURG) }

// pendingSignal returns the signal whose delivery stopped the task, or 0 if it was
// PTRACE_INTERRUPT, or a stop of its whole process.
func pendingSignal(pid int) uintptr {
	var info struct {
		signal, errno, code int32
		_                   [116]byte
	}
	const event = 8 // bits, after which code has a PTRACE_EVENT
	if ptrace(unix.PTRACE_GETSIGINFO, pid, 0, unsafe.Pointer(&info)) != nil || info.code>>event == unix.PTRACE_EVENT_STOP {
		return 0
	}
	return uintptr(info.signal)
}

// A word is what a pointer is in the Asker.
const word = 8

// answer puts what an Asker shall execute below its stack pointer: execveat's arguments
// where the Asker finds them; the new pointers before those that are there, over
// argc and argv[0]; the strings that they point to further down.
func (s *supervisor) answer(n *notification, h *handover) response {
	pieces, err := s.compose(n, h)
	if err == nil {
		err = writeMemory(n.pid, pieces...)
	}
	if err == nil {
		errno := s.send(response{id: n.id})
		if errno == 0 {
			h.close()
			return response{}
		}
		err = errno
	}
	if !s.valid(n) { // it was interrupted, and asks again
		s.expect(token{uint32(n.args[1]), uint32(n.args[2])}, h)
		return response{}
	}
	h.close()
	s.say(fmt.Errorf("%s: %w", h.program.Path, err))
	return refuse(n, unix.EIO)
}

var order = binary.NativeEndian

func (s *supervisor) compose(n *notification, h *handover) ([]piece, error) {
	stack := n.args[0]
	var argc, argv0 uint64
	var words [2 * word]byte
	if got, _ := readMemory(n.pid, stack, words[:]); got == len(words) {
		argc, argv0 = order.Uint64(words[:]), order.Uint64(words[word:])
	}
	path, err := s.programPath(n, h.program)
	if err != nil {
		return nil, err
	}
	directory, emulator := int64(unix.AT_FDCWD), h.Path
	flags := uint64(0)
	if h.File != nil {
		number, err := s.addDescriptor(n, h.File.Fd(), unix.O_CLOEXEC)
		if err != nil {
			return nil, err
		}
		directory, emulator, flags = int64(number), "", unix.AT_EMPTY_PATH
	}

	// Strings, and where each is.
	var text []byte
	var offsets []int
	add := func(s string) int {
		offsets = append(offsets, len(text))
		text = append(append(text, s...), 0)
		return len(offsets) - 1
	}
	var list []int // of strings; original is what the task gave as argv[0]
	const original = -1
	add(emulator)
	list = append(list, add(h.Name))
	if h.Argv0Flag != "" {
		list = append(list, add(h.Argv0Flag))
		if argc > 0 && h.program.script == nil {
			list = append(list, original)
		} else {
			name := ""
			if h.program.script != nil {
				name = h.program.Path
			}
			list = append(list, add(name))
		}
	}
	for _, flag := range append(h.Flags[:len(h.Flags):len(h.Flags)], h.defaults(n.pid)...) {
		list = append(list, add(flag))
	}
	list = append(list, add(path))
	for _, arg := range h.program.script {
		list = append(list, add(arg))
	}

	const room = tinyelf.Below - 5*word - word
	if len(list)*word > room {
		return nil, fmt.Errorf("%d arguments are added to it: too many", len(list))
	}
	base := (stack - 2*tinyelf.Below - uint64(len(text))) &^ 15
	var pointers []byte
	for _, i := range list {
		value := argv0
		if i != original {
			value = base + uint64(offsets[i])
		}
		pointers = order.AppendUint64(pointers, value)
	}
	argv := stack + word*(1+min(argc, 1)) - uint64(len(pointers))
	environment := stack + word*(1+argc+1)
	var call []byte
	for _, v := range []uint64{uint64(directory), base, argv, environment, flags} {
		call = order.AppendUint64(call, v)
	}
	return []piece{{base, text}, {stack - tinyelf.Below, call}, {argv, pointers}}, nil
}

// programPath returns the path by which the emulator finds the program.
func (s *supervisor) programPath(n *notification, p *Program) (string, error) {
	if !p.handed {
		if strings.HasPrefix(p.Path, "-") {
			return "./" + p.Path, nil // no emulator takes it for a flag
		}
		return p.Path, nil
	}
	number, err := s.addDescriptor(n, p.File.Fd(), 0)
	return fmt.Sprintf("/proc/self/fd/%d", number), err
}

// defaults returns the flags that nothing in the task's environment says.
func (e *Emulation) defaults(pid uint32) (flags []string) {
	if len(e.Defaults) == 0 {
		return nil
	}
	environment, _ := os.ReadFile(string(appendProcess(nil, pid, "/environ")))
	for _, d := range e.Defaults {
		_, rest, set := strings.Cut("\x00"+string(environment), "\x00"+d.Variable+"=")
		value, _, _ := strings.Cut(rest, "\x00")
		if !set || value == d.But {
			flags = append(flags, d.Flags...)
		}
	}
	return flags
}

// native is the architecture of this program.
func native() (*elfmagic.Arch, error) { return elfmagic.Lookup(runtime.GOARCH) }
