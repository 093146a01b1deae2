package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSingleFilesThatCannotBeMadeAreSaid(t *testing.T) {
	empty := t.TempDir()
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--arch", "pdp11"}, 2, "image single-files: error: "},
		{[]string{"--arch", "sparc"}, 2, "Go has no port"},
		{[]string{"--targets", "arm64,pdp11"}, 2, "pdp11"},
		{[]string{"--emulators", empty, "--dir", empty}, 1, "no static emulator for linux/"},
		{[]string{"--emulators", "ours"}, 2, "neither debian nor built, nor a directory"},
		{[]string{"--commands", ""}, 2, "--commands names none"},
		{[]string{"--no-such-flag"}, 2, "no-such-flag"},
	} {
		status, stdout, stderr := called(t, append([]string{"single-files"}, test.args...)...)
		assert.Equal(t, test.status, status, test.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, test.want)
	}
}
