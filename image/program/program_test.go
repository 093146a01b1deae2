package program_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/program"
)

func TestAFailedProgramsLastWordsAreQuoted(t *testing.T) {
	sh := func(script string) *exec.Cmd { return program.Command(t.Context(), "/bin/sh", "-c", script) }
	out, err := program.Output(sh("echo out; echo err >&2"))
	require.NoError(t, err)
	assert.Equal(t, "out\n", out)
	var lines []string
	out, err = program.Output(sh("echo 1; echo 2; echo err >&2"), func(line string) { lines = append(lines, line) })
	require.NoError(t, err)
	assert.Equal(t, "1\n2\n", out)
	assert.Equal(t, []string{"1", "2"}, lines)
	_, err = program.Output(sh("echo out; echo err >&2; exit 3"))
	assert.EqualError(t, err, "/bin/sh -c echo out; echo err >&2; exit 3: exit status 3: err")
	_, err = program.Output(sh("echo out; exit 3"))
	assert.ErrorContains(t, err, "exit status 3: out")
}

// The cause comes first, in few lines, and all is kept in a file.
func TestErrorsOfOtherProgramsHaveFewLines(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	said := func(script string) string {
		_, err := program.Output(program.Command(t.Context(), "/bin/sh", "-c", script))
		require.Error(t, err)
		_, text, _ := strings.Cut(err.Error(), "exit status 3: ")
		return text
	}
	for name, test := range map[string]struct{ script, want string }{
		"few lines":              {"printf 'a\nb\n' >&2; exit 3", "a\n\tb"},
		"a line again and again": {"for i in $(seq 105); do echo 'cp: No space left on device' >&2; done; exit 3", "cp: No space left on device"},
	} {
		assert.Equal(t, test.want, said(test.script), name)
	}
	for name, test := range map[string]struct{ script, want string }{
		"no cause is known":     {"seq 105 >&2; exit 3", "101\n\t102\n\t103\n\t104\n\t105"},
		"the cause comes first": {"seq 50 >&2; echo 'E: Unable to locate package x' >&2; seq 51 105 >&2; exit 3", "E: Unable to locate package x\n\t102\n\t103\n\t104\n\t105"},
		"the cause is last":     {"seq 105 >&2; echo 'fatal: disk full' >&2; exit 3", "102\n\t103\n\t104\n\t105\n\tfatal: disk full"},
	} {
		text, log, found := strings.Cut(said(test.script), "\n(all that it said: ")
		assert.Equal(t, test.want, text, name)
		require.True(t, found, name)
		all, err := os.ReadFile(strings.TrimSuffix(log, ")"))
		require.NoError(t, err)
		assert.Contains(t, string(all), "1\n2\n3\n", name)
	}
}

func TestAnInterruptedProgramCleansUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	// The shell acts on its trap only when its child has ended.
	cmd := program.Command(ctx, "/bin/sh", "-c", `trap 'echo cleaned up; exit 0' INT; sh -c 'echo ready; exec sleep 100'; sleep 100`)
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buffer := make([]byte, 100)
	n, err := pipe.Read(buffer)
	require.NoError(t, err)
	assert.Equal(t, "ready\n", string(buffer[:n]))
	cancel()
	n, err = pipe.Read(buffer)
	require.NoError(t, err)
	assert.Equal(t, "cleaned up\n", string(buffer[:n]))
	assert.ErrorIs(t, cmd.Wait(), context.Canceled)
}
