package program_test

import (
	"context"
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
	_, err = program.Output(sh("echo out; echo err >&2; exit 3"))
	assert.EqualError(t, err, "/bin/sh -c echo out; echo err >&2; exit 3: exit status 3: err")
	_, err = program.Output(sh("echo out; exit 3"))
	assert.ErrorContains(t, err, "exit status 3: out")
	_, err = program.Output(sh("seq 105 >&2; exit 3"))
	assert.Equal(t, 19, strings.Count(err.Error(), "\n"))
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
