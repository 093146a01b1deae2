package autofs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// As on nodes of EKS, where nobody triggers the autofs of a host whose daemon does not answer
// who comes from a container: a watcher mounts over it, heals, and does not wait for the daemon when that
// is unmounted.
func TestAWatchOverADaemonThatDoesNotMount(t *testing.T) {
	kerneltest.NothingRegistered(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	hello := commands.GoProgram(t, "hello", "s390x")
	for name, behave := range map[string]func(*daemon){
		"silent": func(*daemon) {},
		"fails":  func(d *daemon) { go d.answer(0x9361) },
		"gone":   func(d *daemon) { d.asked.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			behave(mount(t))
			cmd := other(inUserNamespace("register", "--watch", "--own-instance", "--check-every", "1s", "--output", "json", "s390x"))
			var out commands.Output
			cmd.Stdout, cmd.Stderr = &out, &out
			require.NoError(t, cmd.Start())
			defer func() {
				require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
				assert.NoError(t, cmd.Wait(), &out)
			}()
			until := func(event string, n int) {
				t.Helper()
				require.Eventually(t, func() bool { return strings.Count(out.String(), `"event":"`+event+`"`) >= n }, time.Minute, 5*time.Millisecond, "%s: %s", event, &out)
			}
			until("registered", 1)
			// The instance, as the watcher sees it.
			instance := fmt.Sprintf("/proc/%d/root%s", cmd.Process.Pid, binfmt.DefaultMount)
			inside := func(args ...string) commands.Result {
				t.Helper()
				pid := fmt.Sprint(cmd.Process.Pid)
				cmd := commands.Command("register")
				cmd.Path, cmd.Args = "/usr/bin/nsenter", append([]string{"nsenter", "--target", pid, "--user", "--mount", "--preserve-credentials"}, args...)
				return commands.Run(t, other(cmd))
			}
			require.NoError(t, os.WriteFile(filepath.Join(instance, "status"), []byte("-1"), 0))
			until("healed", 1)
			until("registered", 2)
			assert.Contains(t, inside(hello).Stdout, "hello from s390x")

			r := inside("umount", "--lazy", binfmt.DefaultMount)
			require.Zero(t, r.Status, r.Stderr)
			// In a user namespace programs run even so. What is checked meanwhile does not
			// wait for the daemon.
			time.Sleep(3 * time.Second)
			r = inside(hello)
			assert.Contains(t, r.Stdout, "hello from s390x", "%s; %s", r.Stderr, &out)
			assert.NotContains(t, out.String(), `"event":"failed"`)
		})
	}
}

// A DaemonSet's container without privilege has the host's directory, bound somewhere else: it
// cannot mount, so that it fails, says why, and is started again later; it does not wait.
func TestAWatchWithoutPrivilegeSaysThatNobodyMounted(t *testing.T) {
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	mount(t)
	dir := t.TempDir()
	require.NoError(t, unix.Mount(binfmt.DefaultMount, dir, "", unix.MS_BIND, ""))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	began := time.Now()
	r := commands.Run(t, other(exec.Command("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", filepath.Join(commands.Dir(), "register"), "--watch", "--mount", dir, "s390x")))
	assert.Equal(t, 1, r.Status, r.Stdout)
	assert.Contains(t, r.Stderr, "register: error: ")
	assert.Contains(t, r.Stderr, "register: hint: an autofs is there whose daemon has mounted nothing: systemctl start")
	assert.Less(t, time.Since(began), time.Minute)
	t.Log(r.Stderr)
}

// A watcher ends when it is told to, even if the mount point has come to hang in the
// meantime: another process asks the daemon, and so has everybody wait.
func TestAWatchThatHangsEnds(t *testing.T) {
	kerneltest.NothingRegistered(t)
	commands.FindEmulator(t, kerneltest.Lookup(t, "s390x"))
	d := mount(t)
	cmd := other(inUserNamespace("register", "--watch", "--own-instance", "--check-every", "1s", "--output", "json", "s390x"))
	var out commands.Output
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), `"event":"registered"`) }, time.Minute, 5*time.Millisecond, "%s", &out)
	inside := func(args ...string) *exec.Cmd {
		return other(exec.Command("nsenter", append([]string{"--target", fmt.Sprint(cmd.Process.Pid), "--user", "--mount", "--preserve-credentials"}, args...)...))
	}
	require.NoError(t, inside("umount", "--lazy", binfmt.DefaultMount).Run())
	ls := inside("ls", binfmt.DefaultMount+"/register")
	require.NoError(t, ls.Start())
	defer func() {
		_ = ls.Process.Kill()
		_ = ls.Wait()
	}()
	_, err := d.request()
	require.NoError(t, err)
	require.Eventually(t, func() bool { return waits(t, cmd.Process.Pid) }, time.Minute, time.Millisecond, "it does not wait: %s", &out)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit, "%s", &out)
	assert.Equal(t, 1, exit.ExitCode(), &out)
	assert.Contains(t, out.String(), "the file system there does not answer")
}
