package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// itself is the path of this program.
var itself = os.Getenv("PROBE")

var probes = []probe{
	{"goroutines", goroutines},
	{"channels", channels},
	{"mutexes", mutexes},
	{"preemption", preemption},
	{"locked_threads", lockedThreads},
	{"collection", collection},
	{"memory_returned", memoryReturned},
	{"nil_pointer", nilPointer},
	{"fault_as_panic", faultAsPanic},
	{"stack_growth", stackGrowth},
	{"deep_recursion_fails", deepRecursionFails},
	{"store_load", storeLoad},
	{"compare_and_swap", compareAndSwap},
	{"command_output", commandOutput},
	{"command_missing", commandMissing},
	{"command_not_executable", commandNotExecutable},
	{"command_directory_missing", commandDirectoryMissing},
	{"command_status", commandStatus},
	{"command_killed", commandKilled},
	{"command_cancelled", commandCancelled},
	{"command_input", commandInput},
	{"command_extra_file", commandExtraFile},
	{"command_group", commandGroup},
	{"commands_at_once", commandsAtOnce},
	{"command_with_pidfd", commandWithPidfd},
	{"replaced", replaced},
	{"signal_notified", signalNotified},
	{"signals_counted", signalsCounted},
	{"terminal_signal_context", signalContext},
	{"directories", directories},
	{"file_times", fileTimes},
	{"file_locked", fileLocked},
	{"root_confined", rootConfined},
	{"copied", copied},
	{"own_executable", ownExecutable},
	{"timers", timers},
	{"ticker", ticker},
	{"deadline", deadline},
	{"tcp", tcp},
	{"udp_addresses", udpAddresses},
	{"unix_socket", unixSocket},
	{"web", web},
	{"interfaces", interfaces},
	{"multipath", multipath},
	{"names", names},
	{"users", users},
	{"arithmetic", arithmetic},
	{"processors", processors},
}

func init() {
	parts[":echo"] = func(args []string) int {
		fmt.Println(strings.Join(args, " "))
		return 0
	}
	parts[":wait"] = func([]string) int {
		time.Sleep(time.Hour)
		return 0
	}
	parts[":exit"] = func([]string) int { return 3 }
	parts[":copy"] = func([]string) int {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return map[bool]int{true: 0, false: 1}[err == nil]
	}
	parts[":third"] = func([]string) int {
		_, err := io.Copy(os.Stdout, os.NewFile(3, "third"))
		return map[bool]int{true: 0, false: 1}[err == nil]
	}
	parts[":recurse"] = func([]string) int {
		debug.SetMaxStack(1 << 20)
		return recurse(1 << 30)
	}
	parts[":replace"] = func([]string) int {
		fmt.Println(syscall.Exec(itself, []string{itself, ":echo", "replaced"}, nil))
		return 1
	}
}

//go:noinline
func recurse(n int) int {
	if n == 0 {
		return 0
	}
	var space [64]byte
	space[n%64] = byte(n)
	return recurse(n-1) + int(space[n%64])
}

// same returns an error unless two values are the same.
func same[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("%v, not %v", got, want)
	}
	return nil
}

func goroutines() error {
	var wait sync.WaitGroup
	var sum atomic.Int64
	for i := range 1000 {
		wait.Go(func() {
			runtime.Gosched()
			sum.Add(int64(i))
		})
	}
	wait.Wait()
	return same(sum.Load(), 499500)
}

func channels() error {
	c, done := make(chan int), make(chan int)
	for range 4 {
		go func() {
			n := 0
			for v := range c {
				n += v
			}
			done <- n
		}()
	}
	for i := range 5000 {
		c <- i
	}
	close(c)
	return same(<-done+<-done+<-done+<-done, 12497500)
}

func mutexes() error {
	var lock sync.RWMutex
	var wait sync.WaitGroup
	counts := map[int]int{}
	for range 8 {
		wait.Go(func() {
			for i := range 500 {
				lock.Lock()
				counts[i]++
				lock.Unlock()
				lock.RLock()
				_ = counts[i]
				lock.RUnlock()
			}
		})
	}
	wait.Wait()
	return same(counts[499], 8)
}

// A loop without calls is interrupted by a signal.
func preemption() error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop atomic.Bool
	go func() { stop.Store(true) }()
	n := uint64(0)
	for !stop.Load() {
		n++
	}
	return nil
}

func lockedThreads() error {
	ids := make(chan int)
	for range 5 {
		go func() {
			runtime.LockOSThread() // and ends with it
			ids <- syscall.Gettid()
		}()
	}
	seen := map[int]bool{}
	for range 5 {
		seen[<-ids] = true
	}
	if len(seen) < 2 {
		return fmt.Errorf("threads %v", seen)
	}
	return nil
}

func collection() error {
	var finalized atomic.Int32
	for range 50 {
		p := new([10000]byte)
		runtime.AddCleanup(p, func(int) { finalized.Add(1) }, 0)
	}
	for range 100 {
		runtime.GC()
		if finalized.Load() >= 49 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%d of 50 are gone", finalized.Load())
}

func memoryReturned() error {
	b := make([]byte, 64<<20)
	for i := range b {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	b = nil
	debug.FreeOSMemory()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	if s.HeapReleased < 32<<20 {
		return fmt.Errorf("%d bytes were released", s.HeapReleased)
	}
	return nil
}

func nilPointer() (err error) {
	defer func() {
		if e, is := recover().(runtime.Error); !is || !strings.Contains(e.Error(), "nil pointer") {
			err = fmt.Errorf("the panic is %v", e)
		}
	}()
	var p *struct{ a, b int }
	return fmt.Errorf("it has %d", p.b)
}

func faultAsPanic() (err error) {
	b, err := syscall.Mmap(-1, 0, 65536, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		e, is := recover().(interface{ Addr() uintptr })
		if !is {
			err = errors.New("no panic with an address")
			return
		}
		if at := uintptr(unsafe.Pointer(&b[77])); runtime.GOARCH == "s390x" {
			err = same(e.Addr()>>12, at>>12) // it tells the page only
		} else {
			err = same(e.Addr(), at)
		}
	}()
	return fmt.Errorf("it has %d", b[77])
}

func stackGrowth() error {
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() { recurse(50000) })
	}
	wait.Wait()
	return nil
}

func deepRecursionFails() error {
	out, err := exec.Command(itself, ":recurse").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "stack exceeds") {
		return fmt.Errorf("%v: %.100s", err, out)
	}
	return nil
}

// Each of two goroutines stores, then loads what the other stores.
func storeLoad() error {
	const rounds = 20000
	var x, y, rx, ry [rounds]atomic.Int64
	var gate [2]atomic.Int64
	play := func(me int, mine, other, result *[rounds]atomic.Int64) {
		for i := range rounds {
			gate[me].Store(int64(i + 1))
			for spins := 0; gate[1-me].Load() < int64(i+1); spins++ {
				if spins > 100 {
					runtime.Gosched()
				}
			}
			mine[i].Store(1)
			result[i].Store(other[i].Load() + 1)
		}
	}
	var wait sync.WaitGroup
	wait.Go(func() { play(0, &x, &y, &rx) })
	wait.Go(func() { play(1, &y, &x, &ry) })
	wait.Wait()
	wrong := 0
	for i := range rounds {
		if rx[i].Load() == 1 && ry[i].Load() == 1 {
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("neither saw the other's store in %d of %d rounds", wrong, rounds)
	}
	return nil
}

func compareAndSwap() error {
	var v atomic.Uint64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 20000 {
				for old := v.Load(); !v.CompareAndSwap(old, old+1<<32+1); old = v.Load() {
				}
			}
		})
	}
	wait.Wait()
	return same(v.Load(), 80000<<32+80000)
}

func commandOutput() error {
	out, err := exec.Command(itself, ":echo", "a", "b c").Output()
	return errors.Join(err, same(string(out), "a b c\n"))
}

func isError(err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("the error is %v, not %v", err, want)
	}
	return nil
}

func commandMissing() error { return isError(exec.Command("/nonexistent").Run(), fs.ErrNotExist) }

func commandNotExecutable() error {
	if err := os.WriteFile("f", nil, 0o600); err != nil {
		return err
	}
	return isError(exec.Command("./f").Run(), fs.ErrPermission)
}

func commandDirectoryMissing() error {
	cmd := exec.Command(itself, ":exit")
	cmd.Dir = "/nonexistent"
	return isError(cmd.Run(), fs.ErrNotExist)
}

func commandStatus() error {
	cmd := exec.Command(itself, ":exit")
	_ = cmd.Run() // its status is looked at
	if err := same(cmd.ProcessState.ExitCode(), 3); err != nil {
		return err
	}
	if cmd.ProcessState.UserTime() <= 0 && cmd.ProcessState.SystemTime() <= 0 {
		return errors.New("it took no time")
	}
	return nil
}

func commandKilled() error {
	cmd := exec.Command(itself, ":wait")
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // its status is looked at
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return errors.Join(same(status.Signaled(), true), same(status.Signal(), syscall.SIGKILL))
}

func commandCancelled() error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := exec.CommandContext(ctx, itself, ":wait").Run(); err == nil {
		return errors.New("it ended well")
	}
	return same(ctx.Err(), context.DeadlineExceeded)
}

func commandInput() error {
	text := strings.Repeat("a line\n", 50000)
	cmd := exec.Command(itself, ":copy")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	return errors.Join(err, same(len(out), len(text)))
}

func commandExtraFile() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if _, err := w.WriteString("by the third"); err != nil {
		return err
	}
	w.Close()
	cmd := exec.Command(itself, ":third")
	cmd.ExtraFiles = []*os.File{r}
	out, err := cmd.Output()
	return errors.Join(err, same(string(out), "by the third"))
}

func commandGroup() error {
	cmd := exec.Command(itself, ":wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	group, err := syscall.Getpgid(cmd.Process.Pid)
	err = errors.Join(err, same(group, cmd.Process.Pid), syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM))
	_ = cmd.Wait() // its status is looked at
	return errors.Join(err, same(cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), syscall.SIGTERM))
}

func commandsAtOnce() error {
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() {
			out, err := exec.Command(itself, ":echo", fmt.Sprint(i)).Output()
			errs[i] = errors.Join(err, same(string(out), fmt.Sprintln(i)))
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func commandWithPidfd() error {
	fd := -1
	cmd := exec.Command(itself, ":exit")
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
	_ = cmd.Run() // its status is looked at
	if fd < 0 {
		return errors.New("there is no descriptor")
	}
	return errors.Join(syscall.Close(fd), same(cmd.ProcessState.ExitCode(), 3))
}

func replaced() error {
	out, err := exec.Command(itself, ":replace").Output()
	return errors.Join(err, same(string(out), "replaced\n"))
}

func signalNotified() error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		return err
	}
	return same(<-c, os.Signal(syscall.SIGUSR1))
}

func signalsCounted() error {
	c := make(chan os.Signal, 1000)
	signal.Notify(c, syscall.SIGUSR2)
	for range 100 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
			return err
		}
		<-c
	}
	return nil
}

func signalContext() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func directories() error {
	for i := range 300 {
		if err := os.WriteFile(fmt.Sprintf("f%03d", i), nil, 0o600); err != nil {
			return err
		}
	}
	n := 0
	err := filepath.WalkDir(".", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	return errors.Join(err, same(n, 300))
}

func fileTimes() error {
	at := time.Unix(1234567890, 123456789)
	err := os.WriteFile("f", []byte("x"), 0o640)
	err = errors.Join(err, os.Chtimes("f", at, at))
	info, statErr := os.Stat("f")
	if err := errors.Join(err, statErr); err != nil {
		return err
	}
	return errors.Join(same(info.ModTime().UnixNano(), at.UnixNano()), same(info.Size(), 1))
}

func fileLocked() error {
	a, err := os.Create("f")
	if err != nil {
		return err
	}
	b, err := os.Open("f")
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(a.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	return isError(syscall.Flock(int(b.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func rootConfined() error {
	root, err := os.OpenRoot(".")
	if err != nil {
		return err
	}
	if err := root.Mkdir("d", 0o700); err != nil {
		return err
	}
	if _, err := root.Open("../x"); err == nil || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("outside: %v", err)
	}
	return root.WriteFile("d/f", []byte("x"), 0o600)
}

func copied() error {
	if err := os.WriteFile("a", make([]byte, 300000), 0o600); err != nil {
		return err
	}
	a, err := os.Open("a")
	if err != nil {
		return err
	}
	b, err := os.Create("b")
	if err != nil {
		return err
	}
	n, err := io.Copy(b, a)
	return errors.Join(err, same(n, 300000))
}

func ownExecutable() error {
	path, err := os.Executable()
	return errors.Join(err, same(path, itself))
}

func timers() error {
	start := time.Now()
	select {
	case <-time.After(50 * time.Millisecond):
	case <-time.After(time.Minute):
		return errors.New("a minute is over before 50 milliseconds")
	}
	if took := time.Since(start); took < 50*time.Millisecond {
		return fmt.Errorf("it took %v", took)
	}
	return nil
}

func ticker() error {
	t := time.NewTicker(2 * time.Millisecond)
	defer t.Stop()
	for range 20 {
		<-t.C
	}
	return nil
}

func deadline() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		return err
	}
	_, err = l.Accept()
	return isError(err, os.ErrDeadlineExceeded)
}

func tcp() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until the other end is closed
			}()
		}
	}()
	for range 10 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		fmt.Fprintln(c, "echoed")
		line, err := bufio.NewReader(c).ReadString('\n')
		if err := errors.Join(err, same(line, "echoed\n"), c.(*net.TCPConn).SetKeepAlive(true), c.Close()); err != nil {
			return err
		}
	}
	return nil
}

func udpAddresses() error {
	a, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	b, err := net.DialUDP("udp4", nil, a.LocalAddr().(*net.UDPAddr))
	if err != nil {
		return err
	}
	if _, err := b.Write([]byte("x")); err != nil {
		return err
	}
	_, from, err := a.ReadFromUDPAddrPort(make([]byte, 10))
	return errors.Join(err, same(from.String(), b.LocalAddr().String()))
}

func unixSocket() error {
	l, err := net.Listen("unix", "s")
	if err != nil {
		return err
	}
	c, err := net.Dial("unix", "s")
	if err != nil {
		return err
	}
	defer c.Close()
	d, err := l.Accept()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix([]byte("x"), syscall.UnixRights(int(w.Fd())), nil); err != nil {
		return err
	}
	oob := make([]byte, 100)
	_, n, _, _, err := d.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("%d messages, %v", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	passed := os.NewFile(uintptr(fds[0]), "passed")
	_, err = passed.WriteString("y")
	b := make([]byte, 1)
	_, readErr := r.Read(b)
	return errors.Join(err, readErr, same(string(b), "y"))
}

func web() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })) // until the end
	}()
	for i := range 5 {
		path := fmt.Sprint("/", i)
		r, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err := errors.Join(err, same(string(body), path)); err != nil {
			return err
		}
	}
	return nil
}

func interfaces() error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	addresses, err := lo.Addrs()
	if err != nil || len(addresses) == 0 {
		return fmt.Errorf("%d addresses, %v", len(addresses), err)
	}
	return nil
}

func multipath() error {
	var c net.ListenConfig
	c.SetMultipathTCP(true)
	l, err := c.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			_, _ = c.Write([]byte("x")) // the other end looks
			_, _ = c.Read(make([]byte, 1))
		}
	}()
	var d net.Dialer
	d.SetMultipathTCP(true)
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return err
	}
	_, err = os.Stat("/proc/sys/net/mptcp/enabled")
	is, asked := conn.(*net.TCPConn).MultipathTCP()
	return errors.Join(asked, same(is, err == nil))
}

func names() error {
	addresses, err := net.LookupHost("localhost")
	if err != nil || len(addresses) == 0 {
		return fmt.Errorf("%v, %v", addresses, err)
	}
	return nil
}

func users() error {
	u, err := user.LookupId(fmt.Sprint(os.Getuid()))
	if err != nil {
		return err
	}
	return same(u.Uid, fmt.Sprint(os.Getuid()))
}

func arithmetic() error {
	x := new(big.Int).Exp(big.NewInt(3), big.NewInt(2000), nil)
	y := new(big.Int).Exp(big.NewInt(3), big.NewInt(1000), nil)
	q, r := new(big.Int).QuoRem(x, y, new(big.Int))
	return errors.Join(same(q.Cmp(y), 0), same(r.Sign(), 0), same(math.Sqrt(2), math.Sqrt2), same(math.FMA(1e16, 1, -1e16+2), 2))
}

func processors() error {
	if runtime.NumCPU() < 1 {
		return errors.New("there are no processors")
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return fmt.Errorf("the host's name is %q, %v", host, err)
	}
	return nil
}
