package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// What is done to a node's entries again and again.
const (
	statusRemoved = "`echo -1 > status`"
	binfmtRestart = "`systemctl restart systemd-binfmt`, each time without an entry"
)

// testHealed has all nodes' entries removed, and systemd-binfmt restarted, again and again,
// while foreign programs are executed on all nodes: those fail only while somebody undoes.
// Nothing is said of how long that may take: machines are shared. The histogram is in the log.
func (f *fleet) testHealed(t *testing.T) {
	const times = 20
	heals := make(commands.Heals)
	var mu sync.Mutex
	var group sync.WaitGroup
	var stops []func() looped
	undone := make([][]span, nodes)
	for i, n := range f.nodes {
		stops = append(stops, f.startLoop(t, n))
		cmd := f.onNode(t, n, asHeal, looping{Program: f.path("tiny-arm64"), Times: times, Others: f.path("emulators-a", "qemu-aarch64-static")})
		group.Go(func() {
			var h healed
			out, err := cmd.Output()
			if assert.NoError(t, err, n.name) && assert.NoError(t, json.Unmarshal(out, &h)) {
				mu.Lock()
				defer mu.Unlock()
				undone[i] = h.Undone
				for cause, took := range h.Heals {
					heals[cause] = append(heals[cause], took...)
				}
			}
		})
	}
	group.Wait()
	for i, stop := range stops {
		r := stop()
		unexplained := r.failedOutside(undone[i])
		t.Logf("%s: %d programs, %d failed while there may have been no entry, %d at another time", nodeName(i), r.Ran, len(r.Failed)-len(unexplained), len(unexplained))
		assert.Greater(t, r.Ran, 100)
		assert.Empty(t, unexplained, nodeName(i))
	}
	require.Len(t, heals[statusRemoved], times*nodes)
	if len(heals[binfmtRestart]) == 0 {
		t.Log("systemd-binfmt is not installed: it was not restarted")
	}
	t.Logf("healed on %d nodes; %s:\n%s", nodes, commands.Conditions(t), heals.Markdown())
}

// A span is a time in which programs may have had no entry.
type span struct{ From, To time.Time }

// A healed is what was done to a node's entries.
type healed struct {
	Heals  commands.Heals
	Undone []span
}

// An undoing is a node on which entries are undone.
type undoing struct {
	healed
	fs   binfmt.FS
	arch *elfmagic.Arch
}

// heal is the role that undoes, and tells for how long there was no entry.
func heal() error {
	var s looping
	if err := settings(&s); err != nil {
		return err
	}
	arm64, err := elfmagic.Lookup("arm64")
	if err != nil {
		return err
	}
	u := undoing{healed{Heals: make(commands.Heals)}, binfmt.New(""), arm64}
	dir, err := os.MkdirTemp("", "go-build-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	restart, err := commands.RestartSystemdBinfmt(dir, binfmt.Entry{Name: "qemu-aarch64", Pattern: arm64.Pattern(), Interpreter: s.Others, Flags: binfmt.FixBinary})
	if err != nil {
		return err
	}
	for i := range s.Times {
		// It is in order again until then.
		time.Sleep(time.Second + time.Duration(i*37%500)*time.Millisecond)
		// Each time the watcher yields to systemd-binfmt's entry, which is removed then.
		if restart != nil {
			if err := u.restart(restart()); err != nil {
				return err
			}
			if err := ran(exec.Command(s.Program)); err != nil {
				return fmt.Errorf("systemd-binfmt was restarted, and it does not run: %w", err)
			}
			time.Sleep(time.Second)
		}
		if err := u.remove(); err != nil {
			return err
		}
		if err := ran(exec.Command(s.Program)); err != nil {
			return fmt.Errorf("healed, and does not run: %w", err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(u.healed)
}

// caught reports whether there is an entry for programs.
func (u *undoing) caught() bool {
	entries, err := u.fs.List()
	return err == nil && len(binfmt.Catching(entries, u.arch.Heads())) > 0
}

// remove removes all entries, as somebody does who writes to status, and waits for one.
func (u *undoing) remove() error {
	s := span{From: time.Now()}
	if err := os.WriteFile(u.fs.Dir()+"/status", []byte("-1"), 0); err != nil {
		return err
	}
	for !u.caught() {
		if time.Since(s.From) > patience {
			return errors.New("nobody heals")
		}
		time.Sleep(100 * time.Microsecond)
	}
	s.To = time.Now()
	u.Undone = append(u.Undone, s)
	u.Heals[statusRemoved] = append(u.Heals[statusRemoved], s.To.Sub(s.From))
	return nil
}

// restart restarts systemd-binfmt, and notes each time in which there was no entry.
func (u *undoing) restart(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	s := span{From: time.Now()}
	go func() {
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("systemd-binfmt: %w: %s", err, out)
		}
		done <- err
	}()
	missing, ended := time.Time{}, false
	for !ended || !missing.IsZero() {
		if time.Since(s.From) > patience {
			return errors.New("nobody heals after systemd-binfmt")
		}
		switch caught, now := u.caught(), time.Now(); {
		case !caught && missing.IsZero():
			missing = now
		case caught && !missing.IsZero():
			u.Heals[binfmtRestart] = append(u.Heals[binfmtRestart], now.Sub(missing))
			missing = time.Time{}
		}
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			ended = true
		default:
			time.Sleep(100 * time.Microsecond)
		}
	}
	s.To = time.Now()
	u.Undone = append(u.Undone, s)
	return nil
}

func TestFailuresOutsideOfWhatIsUndone(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	r := looped{Failed: []failure{{span{at(0), at(2)}, "before"}, {span{at(1), at(4)}, "as it begins"}, {span{at(4), at(5)}, "within"}, {span{at(5), at(9)}, "as it ends"}, {span{at(7), at(8)}, "between"}, {span{at(20), at(21)}, "second"}}}
	assert.Equal(t, []failure{r.Failed[0], r.Failed[4]}, r.failedOutside([]span{{at(3), at(6)}, {at(19), at(22)}}))
	assert.Len(t, r.failedOutside(nil), len(r.Failed))
}
