package register

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// patience is how long what is done within a second may take where others have the
// machine.
const patience = 30 * time.Second

// A watcher is a register --watch.
type watcher struct {
	t      testing.TB
	cmd    *exec.Cmd
	events *events
	ended  chan error
}

// events are the lines of JSON that a watcher writes.
type events struct{ commands.Output }

// of returns the events of a kind.
func (e *events) of(kind string) (list []map[string]any) {
	for line := range strings.Lines(e.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["event"] == kind {
			list = append(list, fields)
		}
	}
	return list
}

// watch starts a watcher, which is killed with the test, and waits until a program of
// each architecture ran.
func watch(t testing.TB, command string, archs int, args ...string) *watcher {
	t.Helper()
	return watchBy(t, exec.Command(command), archs, args...)
}

// watchBy is watch by a command that takes the arguments.
func watchBy(t testing.TB, cmd *exec.Cmd, archs int, args ...string) *watcher {
	t.Helper()
	cmd.Args = append(cmd.Args, append([]string{"--watch", "--output", "json"}, args...)...)
	w := &watcher{t: t, cmd: cmd, events: new(events), ended: make(chan error, 1)}
	w.cmd.Stdout, w.cmd.Stderr = w.events, w.events
	require.NoError(t, w.cmd.Start())
	go func() { w.ended <- w.cmd.Wait() }()
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	w.until("it registers", func() bool { return len(w.events.of("registered"))+len(w.events.of("yielded")) >= archs })
	return w
}

func (w *watcher) until(what string, is func() bool) {
	w.t.Helper()
	require.Eventually(w.t, is, patience, 5*time.Millisecond, "%s: %s", what, w.events)
}

func (w *watcher) end(signal syscall.Signal) error {
	w.t.Helper()
	require.NoError(w.t, w.cmd.Process.Signal(signal))
	return <-w.ended
}

// execute executes a program again and again until stop is called, which returns how
// often, and how often it failed.
func execute(program string) (stop func() (ran, failed int, last string)) {
	var ran, failed atomic.Int32
	var last atomic.Value
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			if out, err := exec.Command(program).CombinedOutput(); err != nil {
				failed.Add(1)
				last.Store(fmt.Sprintf("%v: %s", err, out))
			}
			ran.Add(1)
		}
	}()
	return func() (int, int, string) {
		close(done)
		<-ended
		text, _ := last.Load().(string)
		return int(ran.Load()), int(failed.Load()), text
	}
}

// Killed and started again, upgraded by new files, followed by another one with other
// emulators: not one program fails.
func TestAWatchThatIsKilledFollowedAndUpgradedLeavesNoGap(t *testing.T) {
	fs := kerneltest.Instance(t)
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
	dirs, versions := commands.TwoVersions(t, kerneltest.Lookup(t, "arm64"))
	register := filepath.Join(commands.Dir(), "register")
	name := "qemu-aarch64-static"
	first := watch(t, register, 1, "--qemu-path", dirs[0], "--uninstall-on-exit", "arm64")
	stop := execute(hello)

	assert.Error(t, first.end(syscall.SIGKILL))
	second := watch(t, register, 1, "--qemu-path", dirs[0], "--uninstall-on-exit", "arm64")
	assert.Equal(t, []string{"qemu-aarch64"}, commands.Names(t, fs))

	next := watch(t, register, 1, "--qemu-path", dirs[1], "--uninstall-on-exit", "arm64")
	second.until("it yields", func() bool { return len(second.events.of("yielded")) == 1 })
	require.NoError(t, second.end(syscall.SIGTERM), second.events)

	copied := filepath.Join(dirs[1], ".new")
	commands.CopyFile(t, filepath.Join(dirs[0], name), copied)
	require.NoError(t, os.Rename(copied, filepath.Join(dirs[1], name)))
	next.until("it is upgraded", func() bool { return len(next.events.of("upgraded")) == 1 })

	ran, failed, last := stop()
	assert.Zero(t, failed, "of %d: %s", ran, last)
	assert.Greater(t, ran, 3)
	r := commands.Register(t, "--status", "--output", "json", "arm64")
	assert.Contains(t, r.Stdout, `"version": "`+versions[0])
	require.NoError(t, next.end(syscall.SIGTERM), next.events)
	assert.Empty(t, commands.Names(t, fs))
	assert.Len(t, next.events.of("withdrawn"), 1)
}

// What a watch keeps comes back: who removes it is told.
func TestRemovingWhatAWatchKeepsIsSaidToBeInVain(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, name := range []string{"s390x", "riscv64"} {
		commands.FindEmulator(t, kerneltest.Lookup(t, name))
	}
	const warning = "warning: linux/s390x: a register --watch keeps it so, and registers it again\n"
	uninstall := map[string]func() commands.Result{
		"register":            func() commands.Result { return commands.Register(t, "--uninstall") },
		"register, a dry run": func() commands.Result { return commands.Register(t, "--uninstall", "--dry-run") },
		"binfmt":              func() commands.Result { return asBinfmt(t, "--uninstall", "qemu-*") },
	}
	w := watch(t, filepath.Join(commands.Dir(), "register"), 1, "s390x")
	for name, remove := range uninstall {
		require.Zero(t, commands.Register(t, "riscv64").Status)
		r := remove()
		assert.Zero(t, r.Status, r.Stderr)
		assert.Contains(t, r.Stderr, warning, name)
		w.until("it is registered again", func() bool { return slices.Contains(commands.Names(t, fs), "qemu-s390x") })
	}
	require.NoError(t, w.end(syscall.SIGTERM), w.events)
	for name, remove := range uninstall {
		require.Zero(t, commands.Register(t, "s390x").Status)
		assert.NotContains(t, remove().Stderr, "warning", name)
	}
}

func TestAWatchReadsItsFileAgain(t *testing.T) {
	fs := kerneltest.Instance(t)
	config := filepath.Join(t.TempDir(), "register.json")
	set := func(archs string) {
		require.NoError(t, os.WriteFile(config, []byte(`{"architectures": `+archs+`}`), 0o600))
	}
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	commands.FindEmulator(t, kerneltest.Lookup(t, "riscv64"))
	set(`["s390x"]`)
	w := watch(t, filepath.Join(commands.Dir(), "register"), 1, "--config", config)
	assert.Equal(t, []string{"qemu-s390x"}, commands.Names(t, fs))
	set(`["riscv64"]`)
	require.NoError(t, w.cmd.Process.Signal(syscall.SIGHUP))
	w.until("it does what the file says", func() bool { return slices.Equal([]string{"qemu-riscv64"}, commands.Names(t, fs)) })
	set(`[`)
	require.NoError(t, w.cmd.Process.Signal(syscall.SIGHUP))
	w.until("it says that the file is wrong", func() bool { return len(w.events.of("failed")) == 1 })
	assert.Equal(t, []string{"qemu-riscv64"}, commands.Names(t, fs))
	require.NoError(t, w.end(syscall.SIGTERM))
	assert.Equal(t, []string{"qemu-riscv64"}, commands.Names(t, fs), "they stay: %s", w.events)
}

func TestAWatchThatCannotBeginFails(t *testing.T) {
	kerneltest.Instance(t)
	r := commands.Register(t, "--watch", "--qemu-path", t.TempDir())
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "no emulator found")
	r = commands.Register(t, "--watch", "--output", "json", "--qemu-path", t.TempDir())
	assert.Equal(t, 1, r.Status)
	var line map[string]string
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &line), r.Stdout)
	assert.Equal(t, 1, strings.Count(r.Stdout, "\n"), r.Stdout)
	assert.Equal(t, "failed", line["event"])
	assert.Contains(t, line["error"], "no emulator found")
	r = commands.Register(t, "--watch", "--listen", "9100", "s390x")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "register: error: --listen: this register was built without a server\nregister: hint: ")
}

// The end, when register says what was unknown, may be months away.
func TestAWatchSaysAtOnceWhatIsUnknown(t *testing.T) {
	kerneltest.Instance(t)
	w := watch(t, filepath.Join(commands.Dir(), "register"), 1, "s390x", "rsicv64", "bogus")
	failed := w.events.of("failed")
	require.Len(t, failed, 2, w.events)
	assert.Equal(t, `unknown architecture "rsicv64"`, failed[0]["error"])
	assert.Error(t, w.end(syscall.SIGTERM), "as without --watch")
}

// What others see of a watcher: readiness, metrics, little memory. How long entries
// were missing is in the log.
func TestAWatchServesWhatItSees(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, arch := range []string{"s390x", "arm64"} {
		commands.FindEmulator(t, kerneltest.Lookup(t, arch))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	w := watch(t, commands.RegisterWithServer(t), 2, "--listen", address, "s390x", "arm64")
	get := func(path string) (int, string) {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	ready := func() bool { status, _ := get("/readyz"); return status == http.StatusOK }
	w.until("it is ready", ready)
	status, _ := get("/healthz")
	assert.Equal(t, http.StatusOK, status)

	const times = 15
	var took []time.Duration
	for i := range times {
		healed := len(w.events.of("healed"))
		// Without an entry of any name the kernel has nothing for these programs.
		missing := func() bool {
			return len(binfmt.Catching(commands.List(t, fs), kerneltest.Lookup(t, "s390x").Heads())) == 0
		}
		began := time.Now()
		if i%2 == 0 {
			require.NoError(t, os.WriteFile(filepath.Join(fs.Dir(), "status"), []byte("-1"), 0))
		} else {
			require.NoError(t, fs.Disable("qemu-s390x"))
		}
		for missing() && time.Since(began) < patience {
			time.Sleep(100 * time.Microsecond)
		}
		took = append(took, time.Since(began))
		w.until("it says so", func() bool { return len(w.events.of("healed")) > healed })
		w.until("it is in order", func() bool { return slices.Equal([]string{"qemu-aarch64", "qemu-s390x"}, commands.Names(t, fs)) })
	}
	slices.Sort(took)
	t.Logf("healed %d times: median %v, worst %v", times, took[times/2], took[times-1])
	assert.Less(t, took[times-1], patience)
	w.until("it is ready again", ready)
	_, text := get("/metrics")
	for _, line := range []string{"register_ready 1", `register_heals_total{architecture="linux/s390x",cause="disabled"} ` + strconv.Itoa(times/2), `register_architecture_runs{architecture="linux/arm64"} 1`} {
		assert.Contains(t, text, line+"\n")
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "register_heal_duration_seconds_") {
			t.Log(strings.TrimSpace(line))
		}
	}
	resident := residentKiB(t, w.cmd.Process.Pid)
	t.Logf("%d KiB resident", resident)
	assert.Less(t, resident, 20<<10)
	require.NoError(t, w.end(syscall.SIGTERM))
}

// residentKiB returns how much memory a process has, with what it maps of its file
// (/proc/PID/status, proc_pid_status(5)).
func residentKiB(t testing.TB, pid int) int {
	t.Helper()
	_, rest, found := strings.Cut(commands.Read(t, fmt.Sprintf("/proc/%d/status", pid)), "VmRSS:")
	require.True(t, found)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	return n
}

// A pod's sidecar: user 0 of a user namespace that has no instance yet, in a PID namespace.
func TestAWatchInAContainerHasAnInstanceOfItsOwn(t *testing.T) {
	kerneltest.Instance(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	const script = `mount -t proc proc /proc || exit 9
"$0" --watch s390x; echo "without: $?"
"$0" --watch --own-instance --uninstall-on-exit s390x & pid=$!
i=0; until [ -e /proc/sys/fs/binfmt_misc/qemu-s390x ] || [ $((i += 1)) = 300 ]; do sleep 0.1; done
"$0" --status s390x; echo "status: $?"
kill $pid; wait $pid; echo "end: $?"`
	cmd := exec.Command("/bin/sh", "-c", script, filepath.Join(commands.Dir(), "register"))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
	}
	r := commands.Run(t, cmd)
	if r.Status == 9 {
		t.Skip("proc cannot be mounted here: ", r.Stderr)
	}
	assert.Contains(t, r.Stdout, "without: 1\n", r.Stderr)
	assert.Contains(t, r.Stdout, "status: 0\n", r.Stderr)
	assert.Contains(t, r.Stdout, "end: 0\n", r.Stderr)
}

// watchBelow has an instance of its own kept in a user namespace whose user 0 is that user
// above. It sees this one's instance.
func watchBelow(t *testing.T, above int, args ...string) *watcher {
	t.Helper()
	return watchBelowBy(t, commands.Command("register"), above, args...)
}

// watchBelowBy does so by a command.
func watchBelowBy(t *testing.T, cmd *exec.Cmd, above int, args ...string) *watcher {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Credential: &syscall.Credential{NoSetGroups: true},
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: above, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: above, Size: 1}},
	}
	return watchBy(t, cmd, 1, append([]string{"--own-instance"}, args...)...)
}

// instance is the one that the watcher sees.
func (w *watcher) instance() binfmt.FS {
	return binfmt.New(fmt.Sprintf("/proc/%d/root%s", w.cmd.Process.Pid, binfmt.DefaultMount))
}

// A container that sees the instance of the user namespace above has one of its own, and in
// that what ran by the one above; it changes nothing there. So it is with rootless Podman on a
// host that has mounted binfmt_misc.
func TestAnInstanceOfItsOwnIsNotTheOneAbove(t *testing.T) {
	for name, above := range map[string]int{"an ordinary user above": 1000, "root above": 0} {
		t.Run(name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			if above != 0 {
				kerneltest.NeedUsers(t)
			}
			commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
			commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
			require.Zero(t, commands.Register(t, "arm64").Status)
			w := watchBelow(t, above, "s390x")
			assert.Equal(t, []string{"qemu-aarch64"}, commands.Names(t, fs), "above")
			own := w.instance()
			w.until("it has its own", func() bool { return slices.Contains(commands.Names(t, own), "qemu-s390x") })
			if above != 0 {
				w.until("what it hides is there, too", func() bool { return slices.Contains(commands.Names(t, own), "qemu-aarch64") })
			}
			require.NoError(t, os.WriteFile(filepath.Join(own.Dir(), "status"), []byte("-1"), 0))
			w.until("it heals", func() bool {
				return len(w.events.of("healed")) > 0 && slices.Contains(commands.Names(t, own), "qemu-s390x")
			})
			require.NoError(t, w.end(syscall.SIGTERM), w.events)
			assert.Equal(t, []string{"qemu-aarch64"}, commands.Names(t, fs), "above")
		})
	}
}

// A watcher with an instance of its own keeps nothing in the one above, though root there, as
// which it began, may change that one: another watcher's entries are removed with it.
func TestAnInstanceOfItsOwnIsTheOneThatIsClaimed(t *testing.T) {
	fs := kerneltest.Instance(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	above := watch(t, filepath.Join(commands.Dir(), "register"), 1, "--uninstall-on-exit", "s390x")
	below := watchBelow(t, 0, "--uninstall-on-exit", "s390x")
	require.Equal(t, []string{"qemu-s390x"}, commands.Names(t, below.instance()))
	require.NoError(t, above.end(syscall.SIGTERM))
	assert.Empty(t, commands.Names(t, fs), above.events)
	assert.Equal(t, []string{"qemu-s390x"}, commands.Names(t, below.instance()))
	require.NoError(t, below.end(syscall.SIGTERM))
}

// What runs by entries of the user namespace above is left to them, and gets an instance of its
// own when it does not any more.
func TestAnInstanceOfItsOwnIsMadeWhenTheOneAboveLosesItsEntries(t *testing.T) {
	for name, end := range map[string]func(binfmt.FS) error{
		"removed":  func(fs binfmt.FS) error { return fs.Remove("qemu-s390x") },
		"disabled": func(fs binfmt.FS) error { return fs.Disable("qemu-s390x") },
		"all off":  func(fs binfmt.FS) error { return os.WriteFile(filepath.Join(fs.Dir(), "status"), []byte("0"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			kerneltest.NeedUsers(t)
			commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
			require.Zero(t, commands.Register(t, "s390x").Status)
			w := watchBelow(t, 1000, "s390x")
			assert.Len(t, w.events.of("yielded"), 1)
			require.NoError(t, end(fs))
			above, err := fs.List()
			require.NoError(t, err)
			w.until("it has its own", func() bool {
				enabled, err := w.instance().Enabled()
				return err == nil && enabled && slices.Equal([]string{"qemu-s390x"}, commands.Names(t, w.instance()))
			})
			now, err := fs.List()
			require.NoError(t, err)
			assert.Equal(t, above, now)
			require.NoError(t, w.instance().Remove("qemu-s390x"))
			w.until("it heals", func() bool { return slices.Equal([]string{"qemu-s390x"}, commands.Names(t, w.instance())) })
			assert.Empty(t, w.events.of("failed"))
			require.NoError(t, w.end(syscall.SIGTERM), w.events)
		})
	}
}

// Where there can be no instance of its own, that is said once, and tried seldom.
func TestAnInstanceOfItsOwnThatCannotBeMadeIsSaidOnce(t *testing.T) {
	fs := kerneltest.Instance(t)
	kerneltest.NeedUsers(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	require.Zero(t, commands.Register(t, "s390x").Status)
	mounts := []int{unix.SYS_MOUNT, unix.SYS_FSOPEN, unix.SYS_MOVE_MOUNT}
	w := watchBelowBy(t, commands.Filtered(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), mounts, "register"), 1000, "s390x")
	require.NoError(t, fs.Remove("qemu-s390x"))
	w.until("it says so", func() bool { return len(w.events.of("failed")) > 0 })
	time.Sleep(5 * time.Second)
	assert.Len(t, w.events.of("failed"), 1, w.events)
	assert.Empty(t, w.events.of("delayed"), "nobody undoes anything")
	require.Zero(t, commands.Register(t, "s390x").Status)
	w.until("it is left to the entry above again", func() bool { return len(w.events.of("yielded")) == 2 })
	require.NoError(t, w.end(syscall.SIGTERM))
}

// What deploy/kubernetes gives a container: user 0 without a capability, and without a way
// to get one.
func TestAWatchNeedsNoCapability(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("drops capabilities: ", err)
	}
	fs := kerneltest.Instance(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	cmd := exec.Command(setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", filepath.Join(commands.Dir(), "register"))
	w := watchBy(t, cmd, 1, "s390x")
	for line := range strings.Lines(commands.Read(t, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))) {
		if strings.HasPrefix(line, "CapEff:") {
			assert.Equal(t, "CapEff:\t0000000000000000\n", line)
		}
	}
	require.NoError(t, fs.Remove("qemu-s390x"))
	w.until("it heals", func() bool {
		return len(w.events.of("healed")) == 1 && slices.Equal([]string{"qemu-s390x"}, commands.Names(t, fs))
	})
	require.NoError(t, w.end(syscall.SIGTERM))
}
