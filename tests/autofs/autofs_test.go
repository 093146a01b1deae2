// Package autofs tests the commands where an autofs is on binfmt_misc's mount point,
// as systemd has it, and its daemon does not mount.
package autofs

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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

func TestMain(m *testing.M) {
	kerneltest.Outside()
	os.Exit(commands.Main(m))
}

// A daemon is what the kernel asks to mount.
type daemon struct {
	root  *os.File // of the autofs
	asked *os.File // the requests
}

// mount mounts an autofs in a mount namespace of the calling thread's own: what the
// test starts is in it.
func mount(t *testing.T) *daemon {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a user namespace cannot mount an autofs: root does")
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	asked, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	t.Cleanup(func() { asked.Close() })
	// Of its own process group the kernel asks nothing.
	options := fmt.Sprintf("fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", w.Fd(), syscall.Getpgrp())
	switch err := unix.Mount("test", binfmt.DefaultMount, "autofs", 0, options); err {
	case nil:
	case unix.ENODEV, unix.EPERM:
		t.Skip("no autofs can be mounted here: ", err)
	default:
		require.NoError(t, err)
	}
	root, err := os.Open(binfmt.DefaultMount)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return &daemon{root, asked}
}

// request reads a request (struct autofs_v5_packet in linux/auto_fs.h), and returns its
// token.
func (d *daemon) request() (int, error) {
	var packet [4096]byte
	n, err := d.asked.Read(packet[:])
	if err == nil && n < 12 {
		err = fmt.Errorf("a request of %d bytes", n)
	}
	return int(binary.NativeEndian.Uint32(packet[8:])), err
}

// answer answers all requests: AUTOFS_IOC_READY or AUTOFS_IOC_FAIL.
func (d *daemon) answer(ioctl uint) {
	for {
		token, err := d.request()
		if err != nil {
			return
		}
		_ = unix.IoctlSetInt(int(d.root.Fd()), ioctl, token)
	}
}

// other is a command of another process group.
func other(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// inUserNamespace is a command in one, so that the machine's instance, which another
// mount may have filled, is neither seen nor changed.
func inUserNamespace(name string, args ...string) *exec.Cmd {
	return exec.Command("unshare", append([]string{"--user", "--map-root-user", "--mount", filepath.Join(commands.Dir(), name)}, args...)...)
}

// A daemon that says nothing, one that says that it has mounted and has not (for the
// kernel that is a circle of links: ELOOP), one that cannot, and one that is gone.
func TestADaemonThatDoesNotMountIsNoObstacle(t *testing.T) {
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	hello := commands.GoProgram(t, "hello", "s390x")
	for name, behave := range map[string]func(*daemon){
		"silent": func(*daemon) {},
		"ready":  func(d *daemon) { go d.answer(0x9360) },
		"fails":  func(d *daemon) { go d.answer(0x9361) },
		"gone":   func(d *daemon) { d.asked.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			behave(mount(t))
			for _, args := range [][]string{{"--status"}, {"--uninstall"}, {"--dry-run", "s390x"}} {
				r := commands.Run(t, other(inUserNamespace("register", args...)))
				assert.Zero(t, r.Status, "%s: %s", args, r.Stderr)
				assert.Contains(t, r.Stderr, "register: warning: binfmt_misc is not mounted on "+binfmt.DefaultMount+": nobody has had the autofs there do it, ", args)
			}
			// Of the machine's instance this reads only.
			r := commands.Run(t, other(commands.Command("register", "--facts")))
			assert.Zero(t, r.Status, r.Stderr)

			r = commands.Run(t, other(inUserNamespace("register", "s390x")))
			assert.Zero(t, r.Status, r.Stderr)
			// Or the machine has entries, which a user namespace sees used.
			assert.Regexp(t, `added, runs|left alone \(it runs, by an entry that cannot be seen from here\)`, r.Stdout)
			r = commands.Run(t, other(commands.Command("crossrun", hello)))
			assert.Zero(t, r.Status, r.Stderr)
			assert.Contains(t, r.Stdout, "hello from s390x")
		})
	}
}

// waiting has a process wait for the daemon: every other one that comes by the
// directory does then, too.
func waiting(t *testing.T) {
	t.Helper()
	d := mount(t)
	ls := other(exec.Command("ls", binfmt.DefaultMount+"/register"))
	require.NoError(t, ls.Start())
	t.Cleanup(func() {
		_ = ls.Process.Kill()
		_ = ls.Wait()
	})
	_, err := d.request()
	require.NoError(t, err)
}

func TestWhatDoesNotAnswerIsSaid(t *testing.T) {
	for _, args := range [][]string{{"register", "--status"}, {"register", "s390x"}, {"binfmt"}, {"binfmt", "--uninstall", "*"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			waiting(t)
			cmd := other(inUserNamespace("register", args[1:]...))
			if args[0] == "binfmt" {
				link := filepath.Join(t.TempDir(), "binfmt")
				require.NoError(t, os.Symlink(filepath.Join(commands.Dir(), "register"), link))
				cmd = other(exec.Command("unshare", append([]string{"--user", "--map-root-user", "--mount", link}, args[1:]...)...))
			}
			r := commands.Run(t, cmd)
			assert.Equal(t, 1, r.Status)
			assert.Contains(t, r.Stderr, args[0]+": error: cannot look at "+binfmt.DefaultMount+": the file system there does not answer")
			assert.Contains(t, r.Stderr, "systemctl restart proc-sys-fs-binfmt_misc.automount")
		})
	}
}

// waits reports whether a thread of a process waits for the daemon.
func waits(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/wchan")
	require.NoError(t, err)
	for _, path := range threads {
		if text, err := os.ReadFile(path); err == nil && string(text) == "autofs_wait" {
			return true
		}
	}
	return false
}

// Signals end a process in which a system call hangs.
func TestSignalsEndWhatHangs(t *testing.T) {
	for _, args := range [][]string{{"--status"}, {"s390x"}, {"--uninstall"}} {
		t.Run(args[0], func(t *testing.T) {
			waiting(t)
			cmd := other(inUserNamespace("register", args...))
			require.NoError(t, cmd.Start())
			defer cmd.Process.Kill()
			require.Eventually(t, func() bool { return waits(t, cmd.Process.Pid) }, time.Minute, time.Millisecond, "it does not wait")
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			err := cmd.Wait()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			assert.Equal(t, syscall.SIGTERM, exit.Sys().(syscall.WaitStatus).Signal(), err)
		})
	}
}
