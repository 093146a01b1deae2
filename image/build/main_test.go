package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhatCannotBeBuiltIsSaid(t *testing.T) {
	t.Chdir("../..")
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"arm64", "pdp11"}, 1, "build: error: "},
		{[]string{"sparc"}, 1, "Go has no port"},
		{[]string{"-no-such-flag"}, 2, "no-such-flag"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.status, run(t.Context(), test.args, &stdout, &stderr), test.args)
		assert.Empty(t, stdout.String())
		assert.Contains(t, stderr.String(), test.want)
	}
}
