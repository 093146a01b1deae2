package cli_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/internal/cli"
)

func TestWhatIsNotWrittenIsNoSuccess(t *testing.T) {
	var stderr strings.Builder
	good := &cli.Output{Writer: new(bytes.Buffer)}
	_, _ = io.WriteString(good, "text")
	assert.Zero(t, good.Status(0, 125, &stderr, "crossrun"))
	assert.Equal(t, 2, good.Status(2, 125, &stderr, "crossrun"))
	assert.Empty(t, stderr.String())

	read, write := io.Pipe()
	read.CloseWithError(errors.New("no space left on device"))
	bad := &cli.Output{Writer: write}
	_, _ = io.WriteString(bad, "text")
	_, _ = io.WriteString(bad, "")
	assert.Equal(t, 2, bad.Status(2, 125, &stderr, "crossrun"), "that was said")
	assert.Empty(t, stderr.String())
	assert.Equal(t, 125, bad.Status(0, 125, &stderr, "crossrun"))
	assert.Equal(t, "crossrun: error: cannot write to standard output: no space left on device\n", stderr.String())
}
