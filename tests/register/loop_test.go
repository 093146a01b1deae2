package register

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// An attempt is one execution of a program, from before execve until it has ended.
type attempt struct {
	began, ended time.Time
	err          error
}

// A looper executes a program again and again.
type looper struct {
	mu       sync.Mutex
	attempts []attempt
	done     chan struct{}
	ended    sync.WaitGroup
}

func loop(program string) *looper {
	l := &looper{done: make(chan struct{})}
	l.ended.Go(func() {
		for {
			select {
			case <-l.done:
				return
			default:
			}
			a := attempt{began: time.Now()}
			out, err := exec.Command(program).CombinedOutput()
			if err != nil {
				a.err = fmt.Errorf("%w: %s", err, out)
			}
			a.ended = time.Now()
			l.mu.Lock()
			l.attempts = append(l.attempts, a)
			l.mu.Unlock()
		}
	})
	return l
}

func (l *looper) stop() []attempt {
	close(l.done)
	l.ended.Wait()
	return l.attempts
}

// A span is a time in which there may be no entry, as somebody has just removed it.
type span struct {
	began, ended time.Time
	cause        string
}

// A course is what a loop of programs goes through.
type course struct {
	t       testing.TB
	fs      binfmt.FS
	arch    *elfmagic.Arch
	dirs    [2]string // of emulators
	w       *watcher
	heals   commands.Heals
	spans   []span
	restart func() *exec.Cmd // systemd-binfmt
}

// restarting returns what restarts systemd-binfmt with a file for one architecture, or nil.
func restarting(t testing.TB, arch *elfmagic.Arch, emulator string) func() *exec.Cmd {
	t.Helper()
	e := binfmt.Entry{Name: "qemu-" + arch.Name, Pattern: arch.Pattern(), Interpreter: emulator, Flags: binfmt.FixBinary | binfmt.PreserveArgv0}
	restart, err := commands.RestartSystemdBinfmt(t.TempDir(), e)
	require.NoError(t, err)
	return restart
}

// start starts a watcher with one of the two emulators.
func (c *course) start(which int) *watcher {
	c.t.Helper()
	return watch(c.t, filepath.Join(commands.Dir(), "register"), 1, "--qemu-path", c.dirs[which], c.arch.Name)
}

// undo does something that leaves programs without an entry, and waits until they have one
// and all is in order again.
func (c *course) undo(cause string, do func() error) {
	c.t.Helper()
	s := span{began: time.Now(), cause: cause}
	require.NoError(c.t, do(), cause)
	for len(binfmt.Catching(commands.List(c.t, c.fs), c.arch.Heads())) == 0 && time.Since(s.began) < patience {
		time.Sleep(100 * time.Microsecond)
	}
	s.ended = time.Now()
	c.spans = append(c.spans, s)
	c.heals[cause] = append(c.heals[cause], s.ended.Sub(s.began))
	c.settle()
}

// settle waits until there is one entry, that will stay.
func (c *course) settle() {
	c.t.Helper()
	name := "qemu-" + c.arch.Name
	c.w.until("it is in order", func() bool {
		entries := commands.List(c.t, c.fs)
		return len(entries) == 1 && entries[0].Name == name && !entries[0].Disabled
	})
}

// round is once through all that there is.
func (c *course) round(which int) {
	entry := "qemu-" + c.arch.Name
	write := func(file, text string) func() error {
		return func() error { return os.WriteFile(filepath.Join(c.fs.Dir(), file), []byte(text), 0) }
	}
	c.undo("`echo -1 > status`", write("status", "-1"))
	c.undo("`echo -1 >` entry", write(entry, "-1"))
	c.undo("`echo 0 >` entry", write(entry, "0"))

	assert.Error(c.t, c.w.end(syscall.SIGKILL))
	c.w = c.start(which)
	c.settle()

	next := c.start(1 - which)
	require.NoError(c.t, c.w.end(syscall.SIGTERM))
	c.w = next
	c.settle()
	if c.restart != nil {
		c.restarted()
	}
}

// restarted has systemd-binfmt make its entry anew, and notes each time in which there was none.
func (c *course) restarted() {
	c.t.Helper()
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for missing := (time.Time{}); ; time.Sleep(100 * time.Microsecond) {
			entries, err := c.fs.List()
			if now := time.Now(); err == nil && len(binfmt.Catching(entries, c.arch.Heads())) == 0 {
				if missing.IsZero() {
					missing = now
				}
				continue
			} else if !missing.IsZero() {
				c.heals[restartOf] = append(c.heals[restartOf], now.Sub(missing))
				missing = time.Time{}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	s := span{began: time.Now(), cause: restartOf}
	out, err := c.restart().CombinedOutput()
	close(done)
	looking.Wait() // until there is an entry
	s.ended = time.Now()
	c.spans = append(c.spans, s)
	require.NoError(c.t, err, "%s", out)
	c.settle()
}

// restartOf is what restarted notes.
const restartOf = "`systemctl restart systemd-binfmt`, each time without an entry"

// failures returns the attempts that failed though nobody had just removed the entry, and how
// many failed in all.
func (c *course) failures(attempts []attempt) (unexplained []error, all int) {
	for _, a := range attempts {
		if a.err == nil {
			continue
		}
		all++
		explained := false
		for _, s := range c.spans {
			explained = explained || a.began.Before(s.ended) && s.began.Before(a.ended)
		}
		if !explained {
			unexplained = append(unexplained, a.err)
		}
	}
	return unexplained, all
}

// spin has each processor do something else, twice.
func spin(t testing.TB) {
	t.Helper()
	for range 2 * runtime.NumCPU() {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// roundsVariable is how often a loop of programs goes through what may happen.
const roundsVariable = "TEST_WATCH_ROUNDS"

// A loop of programs runs while entries are removed, disabled and made anew, the watcher is
// killed, and followed by one with another emulator. Between a removal and the entry that heals
// it the kernel has nothing for them, and tells nobody before; at all other times each one runs.
func TestALoopOfProgramsFailsAtMostWhileThereIsNoEntry(t *testing.T) {
	rounds := 2
	if text := os.Getenv(roundsVariable); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err)
		if commands.SingleUser(t) {
			t.Skip("root's run shows it")
		}
	}
	var text strings.Builder
	for _, load := range []string{"", ", with twice as many busy processes as cores beside it"} {
		t.Run("load"+load, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			c := &course{t: t, fs: fs, arch: kerneltest.Lookup(t, "arm64"), heals: make(commands.Heals)}
			hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
			c.dirs, _ = commands.TwoVersions(t, c.arch)
			c.restart = restarting(t, c.arch, filepath.Join(c.dirs[0], "qemu-"+c.arch.Name+"-static"))
			if c.restart == nil {
				t.Log("systemd-binfmt is not installed")
			}
			if load != "" {
				spin(t)
			}
			c.w = c.start(0)
			l := loop(hello)
			for i := range rounds {
				c.round(i % 2)
			}
			attempts := l.stop()
			unexplained, all := c.failures(attempts)
			assert.NoError(t, errors.Join(unexplained...))
			assert.Greater(t, len(attempts), rounds)
			fmt.Fprintf(&text, "%d rounds%s; %s. Of %d programs %d failed, each while there was no entry, and %d at another time.\n\n%s\n",
				rounds, load, commands.Conditions(t), len(attempts), all, len(unexplained), c.heals.Markdown())
		})
	}
	t.Log(text.String())
	if kerneltest.Updating() && !commands.SingleUser(t) {
		commands.WriteSection(t, "../../docs/nodes.md", "heals", text.String())
	}
}
