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

// A watcher has an instance of its own, in a user namespace.
type watcher struct {
	*exec.Cmd
	out commands.Output
}

// watch starts one, and waits until it has registered.
func watch(t *testing.T) *watcher {
	t.Helper()
	w := &watcher{Cmd: other(inUserNamespace("register", "--watch", "--own-instance", "--check-every", "1s", "--output", "json", "s390x"))}
	w.Stdout, w.Stderr = &w.out, &w.out
	require.NoError(t, w.Start())
	t.Cleanup(func() {
		_ = w.Process.Kill() // if it has not ended
		_ = w.Wait()
	})
	w.until(t, "registered", 1)
	return w
}

// until waits until it has said n times that something happened.
func (w *watcher) until(t *testing.T, event string, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(w.out.String(), `"event":"`+event+`"`) >= n }, time.Minute, 5*time.Millisecond, "%s: %s", event, &w.out)
}

// inside is a command in its namespaces.
func (w *watcher) inside(args ...string) *exec.Cmd {
	cmd := commands.Command("register")
	cmd.Path, cmd.Args = "/usr/bin/nsenter", append([]string{"nsenter", "--target", fmt.Sprint(w.Process.Pid), "--user", "--mount", "--preserve-credentials"}, args...)
	return other(cmd)
}

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
			w := watch(t)
			defer func() {
				require.NoError(t, w.Process.Signal(syscall.SIGTERM))
				assert.NoError(t, w.Wait(), &w.out)
			}()
			// The instance, as the watcher sees it.
			instance := fmt.Sprintf("/proc/%d/root%s", w.Process.Pid, binfmt.DefaultMount)
			require.NoError(t, os.WriteFile(filepath.Join(instance, "status"), []byte("-1"), 0))
			w.until(t, "healed", 1)
			w.until(t, "registered", 2)
			assert.Contains(t, commands.Run(t, w.inside(hello)).Stdout, "hello from s390x")

			r := commands.Run(t, w.inside("umount", "--lazy", binfmt.DefaultMount))
			require.Zero(t, r.Status, r.Stderr)
			// In a user namespace programs run even so. What is checked meanwhile does not
			// wait for the daemon.
			time.Sleep(3 * time.Second)
			r = commands.Run(t, w.inside(hello))
			assert.Contains(t, r.Stdout, "hello from s390x", "%s; %s", r.Stderr, &w.out)
			assert.NotContains(t, w.out.String(), `"event":"failed"`)
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
	w := watch(t)
	require.NoError(t, w.inside("umount", "--lazy", binfmt.DefaultMount).Run())
	ls := w.inside("ls", binfmt.DefaultMount+"/register")
	require.NoError(t, ls.Start())
	defer func() {
		_ = ls.Process.Kill()
		_ = ls.Wait()
	}()
	_, err := d.request()
	require.NoError(t, err)
	require.Eventually(t, func() bool { return waits(t, w.Process.Pid) }, time.Minute, time.Millisecond, "it does not wait: %s", &w.out)
	require.NoError(t, w.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, w.Wait(), &exit, "%s", &w.out)
	assert.Equal(t, 1, exit.ExitCode(), &w.out)
	assert.Contains(t, w.out.String(), "the file system there does not answer")
}
