package watch

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// run is a machine for classic BPF, as far as filters of this package need it.
func run(t *testing.T, code []unix.SockFilter, number int32, arch uint32) uint32 {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(code); pc++ {
		switch i := code[pc]; i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = map[uint32]uint32{0: uint32(number), 4: arch}[i.K]
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a == i.K {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		default:
			require.Fail(t, "unknown instruction", "%+v", i)
		}
	}
	require.Fail(t, "no answer")
	return 0
}

func TestTheFilterAsksAboutExecveAndTheViewAlone(t *testing.T) {
	code := filter()
	for _, a := range abis {
		for number := range int32(700) {
			want := uint32(unix.SECCOMP_RET_ALLOW)
			if find(a.arch, number) != nil || isView(a.arch, number) {
				want = unix.SECCOMP_RET_USER_NOTIF
			}
			assert.Equal(t, want, run(t, code, number, a.arch), "%x %d", a.arch, number)
		}
		assert.EqualValues(t, unix.SECCOMP_RET_USER_NOTIF, run(t, code, a.execve, a.arch))
		assert.EqualValues(t, unix.SECCOMP_RET_USER_NOTIF, run(t, code, a.execveat, a.arch))
		assert.EqualValues(t, unix.SECCOMP_RET_ALLOW, run(t, code, a.execve, 1), "another architecture's")
	}
	assert.Nil(t, find(abis[0].arch, 1<<20))
	for _, v := range views {
		for _, n := range v.numbers {
			assert.EqualValues(t, unix.SECCOMP_RET_USER_NOTIF, run(t, code, int32(n), v.arch), "%x %d", v.arch, n)
		}
	}
	assert.True(t, isView(abis[0].arch, unix.SYS_CHROOT))
	assert.False(t, isView(abis[0].arch, unix.SYS_CHDIR))
}

func TestWhoseCallsAreSeen(t *testing.T) {
	for name, host := range map[string]string{"i386": "amd64", "arm": "arm64", "x86_64": "amd64", "s390x": "s390x", "armeb": ""} {
		arch, err := elfmagic.Lookup(name)
		require.NoError(t, err)
		assert.Equal(t, runtime.GOARCH == host, Sees(arch), name)
	}
}

func TestACallIsMadeAnew(t *testing.T) {
	for i := range abis {
		a := &abis[i]
		var r, was registers
		n := &notification{number: a.execve, arch: a.arch, instruction: 0x1000}
		r.call(n, a, [5]uint64{7, 8, 9, 10, 11})
		values := map[uint64]bool{}
		for _, v := range r {
			values[v], values[v>>32], values[v&(1<<32-1)] = true, true, true // registers may have 32 bits
		}
		for _, want := range []uint64{7, 8, 9, 10, 11, uint64(a.execveat), 0x1000 - a.instruction} {
			assert.True(t, values[want], "%d in %v", want, r)
		}
		assert.False(t, was.waits(n, a), "it is elsewhere")
	}
}

// A path is looked at as the task has it, and stays as it was given.
func TestPathsAreTheTasks(t *testing.T) {
	const pid = 1234567
	for _, test := range []struct {
		given       string
		dirfd       int32
		flags       uint64
		name, path_ string
	}{
		{"/bin/sh", unix.AT_FDCWD, 0, "/bin/sh", "/bin/sh"},
		{"bin/sh", unix.AT_FDCWD, 0, "/proc/1234567/cwd/bin/sh", "/proc/1234567/cwd/bin/sh"},
		{"sh", 5, 0, "/proc/1234567/fd/5/sh", ""},
		{"", 5, unix.AT_EMPTY_PATH, "/proc/1234567/fd/5", ""},
		{"", unix.AT_FDCWD, 0, "", ""},
		{"/proc/self/exe", unix.AT_FDCWD, 0, "/proc/1234567/exe", "/proc/1234567/exe"},
		{"/proc/thread-self/fd/3", 9, 0, "/proc/1234567/fd/3", "/proc/1234567/fd/3"},
		{"/dev/fd/3", unix.AT_FDCWD, 0, "/proc/1234567/fd/3", "/proc/1234567/fd/3"},
		{"/dev/stdin", unix.AT_FDCWD, 0, "/proc/1234567/fd/0", "/proc/1234567/fd/0"},
		{"/dev/stdin2", unix.AT_FDCWD, 0, "/dev/stdin2", "/dev/stdin2"},
		{"/proc/selfish", unix.AT_FDCWD, 0, "/proc/selfish", "/proc/selfish"},
	} {
		g := &glance{dirfd: test.dirfd, flags: test.flags, length: len(test.given)}
		copy(g.buffer[before:], test.given)
		assert.Equal(t, test.name+"\x00", string(g.name(pid)), test.given)
		assert.Equal(t, test.given, g.given(), "it is as it was")
		if test.path_ != "" {
			assert.Equal(t, test.path_, place{pid: pid}.path(test.given))
		}
	}
}

// A script gets the name that the kernel has for it, and only if that lasts.
func TestWhatIsExecutedByADescriptorHasAName(t *testing.T) {
	assert.Equal(t, "/dev/fd/5", descriptorPath(5, ""))
	assert.Equal(t, "/dev/fd/5/bin/script", descriptorPath(5, "bin/script"))
	for path, own := range map[string]bool{"/proc/1/exe": true, "/dev/fd/3": true, "/dev/stderr": true, "/dev/stderr2": false, "/bin/sh": false, "": false} {
		assert.Equal(t, own, itsOwn(path), path)
	}
	for flags, closed := range map[int]bool{unix.O_CLOEXEC: true, 0: false} {
		fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_APPEND|flags, 0)
		require.NoError(t, err)
		assert.Equal(t, closed, closedOnExec(uint32(os.Getpid()), int32(fd)))
		unix.Close(fd)
	}
}

func TestAGlanceAllocatesNothing(t *testing.T) {
	s, g := new(supervisor), new(glance)
	path := []byte("/bin/sh\x00")
	a := &abis[0]
	n := &notification{pid: uint32(os.Getpid()), number: a.execve, arch: a.arch}
	n.args[0] = uint64(uintptr(unsafe.Pointer(&path[0])))
	allocs := testing.AllocsPerRun(100, func() {
		if !g.read(n, a) || !g.lookAround(s, n.pid) {
			panic("nothing was read")
		}
		g.looksKnown(s, g.name(n.pid))
	})
	assert.Zero(t, allocs)
	assert.Equal(t, "/bin/sh", g.given())
}

func TestAFileIsKnownUntilItIsChanged(t *testing.T) {
	var k known
	old := identity{inode: 5, size: 100, changed: unix.StatxTimestamp{Sec: time.Now().Unix() - 100}}
	k.add(old)
	assert.True(t, k.has(old))
	changed := old
	changed.size++
	assert.False(t, k.has(changed))
	fresh := identity{inode: 6, changed: unix.StatxTimestamp{Sec: time.Now().Unix()}}
	k.add(fresh)
	assert.False(t, k.has(fresh), "it may change once more within a tick of the clock")
}

// Who asks finds the emulator, and what it was given, on its stack.
func TestWhatAnAskerIsAnswered(t *testing.T) {
	s := new(supervisor)
	stack := []uint64{2, 1001, 1002, 0, 2001, 0} // argc, argv, environment
	top := uint64(uintptr(unsafe.Pointer(&stack[0])))
	n := &notification{pid: uint32(os.Getpid())}
	n.args[0] = top
	compose := func(h *handover) (argv []string, call []uint64) {
		pieces, err := s.compose(n, h)
		require.NoError(t, err)
		require.Len(t, pieces, 3)
		text, words, pointers := pieces[0], pieces[1], pieces[2]
		assert.Equal(t, top-tinyelf.Below, words.address)
		for i := 0; i < len(words.content); i += word {
			call = append(call, order.Uint64(words.content[i:]))
		}
		at := func(address uint64) string {
			if address == 1001 {
				return "(argv[0])"
			}
			before, _, _ := strings.Cut(string(text.content[address-text.address:]), "\x00")
			return before
		}
		for i := 0; i < len(pointers.content); i += word {
			argv = append(argv, at(order.Uint64(pointers.content[i:])))
		}
		assert.Equal(t, top+2*word, pointers.address+uint64(len(pointers.content)), "the second argument follows")
		assert.Equal(t, call[2], pointers.address)
		assert.Equal(t, top+4*word, call[3])
		assert.Equal(t, "/usr/bin/qemu-arm", at(call[1]))
		assert.Less(t, text.address+uint64(len(text.content)), words.address)
		return argv, call
	}
	e := &Emulation{Path: "/usr/bin/qemu-arm", Name: "qemu-arm", Argv0Flag: "-0", Flags: []string{"-cpu", "max"}}
	argv, call := compose(&handover{Emulation: e, program: &Program{Path: "-dash"}})
	assert.Equal(t, []string{"qemu-arm", "-0", "(argv[0])", "-cpu", "max", "./-dash"}, argv)
	assert.EqualValues(t, []uint64{1<<64 - 100, 0}, []uint64{call[0], call[4]})
	argv, _ = compose(&handover{Emulation: e, program: &Program{Path: "/bin/i", script: []string{"arg", "./script"}}})
	assert.Equal(t, []string{"qemu-arm", "-0", "/bin/i", "-cpu", "max", "/bin/i", "arg", "./script"}, argv)
	path := os.Getenv("PATH")
	t.Setenv("A_VARIABLE", "x") // which /proc/PID/environ does not show
	with := *e
	with.Flags, with.Defaults = nil, []Default{
		{"NO_SUCH_VARIABLE", "", []string{"-L", "/r"}}, {"PATH", "", []string{"-x"}}, {"PATH", path + "x", []string{"-x"}}, {"PATH", path, []string{"-y"}},
	}
	argv, _ = compose(&handover{Emulation: &with, program: &Program{Path: "x"}})
	assert.Equal(t, []string{"qemu-arm", "-0", "(argv[0])", "-L", "/r", "-y", "x"}, argv)
	with.Flags = make([]string, 60)
	_, err := s.compose(n, &handover{Emulation: &with, program: &Program{Path: "x"}})
	assert.ErrorContains(t, err, "too many")
}

func TestASignalTellsWhoSentIt(t *testing.T) {
	pipe, err := catchSignals()
	require.NoError(t, err)
	assert.Nil(t, nextSignal(pipe))
	for _, number := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTSTP, syscall.SIGUSR1, 40} {
		require.NoError(t, syscall.Kill(os.Getpid(), number))
		var info *signalInfo
		require.Eventually(t, func() bool { info = nextSignal(pipe); return info != nil }, time.Minute, time.Millisecond)
		assert.EqualValues(t, number, info.number)
		assert.EqualValues(t, os.Getpid(), info.pid)
		assert.Zero(t, info.code, "SI_USER")
	}
}

func TestWhatForbidsASupervisor(t *testing.T) {
	dir := t.TempDir()
	set := func(name, value string) {
		path := filepath.Join(dir, strings.ReplaceAll(name, ".", "/"))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(value+"\n"), 0o644))
	}
	assert.NoError(t, checkSysctls(dir), "a kernel without them")
	set("kernel.yama.ptrace_scope", "1")
	set("vm.memfd_noexec", "1")
	assert.NoError(t, checkSysctls(dir))
	set("vm.memfd_noexec", "2")
	assert.EqualError(t, checkSysctls(dir), "programs in memory are denied here: vm.memfd_noexec is 2")
	set("kernel.yama.ptrace_scope", "3")
	err := checkSysctls(dir)
	assert.EqualError(t, err, "ptrace is denied here: kernel.yama.ptrace_scope is 3")
	assert.Contains(t, hintOf(err), "kernel.yama.ptrace_scope=1")

	for release, old := range map[string]bool{"5.8.18": true, "4.19.0-26-amd64": true, "5.9.0": false, "5.10.0": false, "6.1.0-18": false, "10.0": false, "": false} {
		assert.Equal(t, old, olderThan(release, 5, 9), release)
	}
}

func TestAProcessMayHaveBracketsInItsName(t *testing.T) {
	before, err := os.ReadFile("/proc/self/comm")
	require.NoError(t, err)
	defer os.WriteFile("/proc/self/comm", before, 0)
	require.NoError(t, os.WriteFile("/proc/self/comm", []byte("a) T 1 (b"), 0))
	state, parent := stat(os.Getpid())
	assert.Contains(t, []string{"R", "S"}, state)
	assert.Equal(t, strconv.Itoa(os.Getppid()), parent)
	state, parent = stat(1 << 30)
	assert.Empty(t, state+parent, "there is no such process")
}

func TestMessagesCarryDescriptors(t *testing.T) {
	a, b, err := newMessages()
	require.NoError(t, err)
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	require.NoError(t, a.send(message{Kind: says, Text: "a\nb", Hint: "c"}))
	require.NoError(t, a.send(message{Kind: ready, PID: 7}, int(null.Fd())))
	a.close()
	one, fd, err := b.receive()
	require.NoError(t, err)
	assert.Equal(t, message{Kind: says, Text: "a\nb", Hint: "c"}, one)
	assert.Equal(t, -1, fd)
	one, fd, err = b.receive()
	require.NoError(t, err)
	assert.Equal(t, 7, one.PID)
	require.Positive(t, fd)
	unix.Close(fd)
	_, _, err = b.receive()
	assert.Error(t, err)
	b.close()
}
