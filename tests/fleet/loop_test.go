package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// A looping is what a loop on a node is told, and a looped what it tells.
type looping struct {
	Program string
	Times   int // of heal
}

type looped struct {
	Ran    int
	Failed []string // when, and how
}

// loop executes a foreign program again and again until standard input ends.
func loop() error {
	var s looping
	if err := settings(&s); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	var r looped
	for {
		select {
		case <-ended:
			return json.NewEncoder(os.Stdout).Encode(r)
		default:
		}
		at := time.Now()
		if err := ran(exec.Command(s.Program)); err != nil {
			r.Failed = append(r.Failed, fmt.Sprintf("%s: %v", at.Format(time.StampMilli), err))
		}
		r.Ran++
	}
}

// ran runs the tiny program, and returns how it did not do what it should.
func ran(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == tinyelf.ExitCode {
		return nil
	}
	return fmt.Errorf("%v: %s", err, out)
}

// startLoop starts a loop on a node. What it returns stops it.
func (f *fleet) startLoop(t *testing.T, n *node) (stop func() looped) {
	t.Helper()
	cmd := f.onNode(t, n, asLoop, looping{Program: f.path("tiny-arm64")})
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return func() (r looped) {
		t.Helper()
		require.NoError(t, stdin.Close())
		require.NoError(t, json.NewDecoder(stdout).Decode(&r))
		require.NoError(t, cmd.Wait())
		return r
	}
}

// onNode returns a command that is this program in a role, on a node.
func (f *fleet) onNode(t *testing.T, n *node, name string, s looping) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := as(name, s, n.in(self))
	cmd.Stderr = os.Stderr
	return cmd
}

// withLoops runs something while foreign programs are executed on all nodes, of which none
// may fail.
func (f *fleet) withLoops(t *testing.T, what func()) {
	t.Helper()
	var stops []func() looped
	for _, n := range f.nodes {
		stops = append(stops, f.startLoop(t, n))
	}
	what()
	time.Sleep(3 * time.Second) // what follows from it is to be seen, too
	for i, stop := range stops {
		r := stop()
		t.Logf("%s: %d programs, %d failed", nodeName(i), r.Ran, len(r.Failed))
		assert.Greater(t, r.Ran, 100)
		assert.Empty(t, r.Failed, nodeName(i))
	}
}

// heal removes all entries of the node again and again, as somebody would who writes to
// status, and tells how long there was none for a program.
func heal() error {
	var s looping
	if err := settings(&s); err != nil {
		return err
	}
	fs := binfmt.New("")
	arm64, err := elfmagic.Lookup("arm64")
	if err != nil {
		return err
	}
	caught := func() bool {
		entries, err := fs.List()
		return err == nil && len(binfmt.Catching(entries, arm64.Heads())) > 0
	}
	var took []time.Duration
	for i := range s.Times {
		time.Sleep(time.Second + time.Duration(i*37%500)*time.Millisecond) // it is in order again
		began := time.Now()
		if err := os.WriteFile(fs.Dir()+"/status", []byte("-1"), 0); err != nil {
			return err
		}
		for !caught() {
			if time.Since(began) > patience {
				return errors.New("nobody heals")
			}
			time.Sleep(100 * time.Microsecond)
		}
		took = append(took, time.Since(began))
		if err := ran(exec.Command(s.Program)); err != nil {
			return fmt.Errorf("healed, and does not run: %w", err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

// bounds are of a histogram of heal times.
var bounds = []time.Duration{time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, patience}

func histogram(took []time.Duration) (text string) {
	from := time.Duration(0)
	for _, to := range bounds {
		n := 0
		for _, d := range took {
			if d > from && d <= to {
				n++
			}
		}
		text += fmt.Sprintf("%10v to %6v %4d\n", from, to, n)
		from = to
	}
	slices.Sort(took)
	return text + fmt.Sprintf("median %v, worst %v", took[len(took)/2], took[len(took)-1])
}
