package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/tinyelf"
)

// A looping is what a loop on a node is told, and a looped what it tells.
type looping struct {
	Program string
	Times   int    // of heal
	Others  string // the emulator of systemd-binfmt's entry, of heal
}

type looped struct {
	Ran    int
	Failed []failure
}

// A failure is a program that did not run: when, and why.
type failure struct {
	span
	Why string
}

func (f failure) String() string { return f.From.Format(time.StampMilli) + ": " + f.Why }

// failedOutside returns the failures that were at no time in which entries were undone.
func (r looped) failedOutside(undone []span) []failure {
	return slices.DeleteFunc(slices.Clone(r.Failed), func(f failure) bool {
		return slices.ContainsFunc(undone, func(s span) bool { return f.From.Before(s.To) && s.From.Before(f.To) })
	})
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
			r.Failed = append(r.Failed, failure{span{at, time.Now()}, err.Error()})
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
