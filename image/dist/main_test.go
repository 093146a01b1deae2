package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhatCannotBeMadeIsSaid(t *testing.T) {
	t.Chdir("../..")
	empty := t.TempDir()
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-arch", "pdp11"}, 1, "dist: error: "},
		{[]string{"-arch", "sparc"}, 1, "Go has no port"},
		{[]string{"-targets", "arm64,pdp11"}, 1, "pdp11"},
		{[]string{"-emulators", empty, "-dir", empty}, 1, "no static emulator for linux/"},
		{[]string{"-no-such-flag"}, 2, "no-such-flag"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, test.status, run(context.Background(), test.args, &stdout, &stderr), test.args)
		assert.Empty(t, stdout.String())
		assert.Contains(t, stderr.String(), test.want)
	}
}
