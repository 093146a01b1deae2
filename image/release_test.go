package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReleasesThatCannotBeMadeAreSaid(t *testing.T) {
	empty := t.TempDir()
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"sources", "--arch", "sparc"}, 2, "Go has no port"},
		{[]string{"sources", "--emulators", "ours"}, 2, "neither debian nor built, nor a directory"},
		{[]string{"sources", "--emulators", empty, "--dir", empty}, 1, "no static emulator for linux/"},
		{[]string{"provenance", "--emulators", empty, "--dir", empty}, 1, "no static emulator for linux/"},
		{[]string{"provenance", "--arch", "pdp11"}, 2, "pdp11"},
		{[]string{"provenance", "dist"}, 2, `unexpected argument "dist"`},
	} {
		status, stdout, stderr := called(t, test.args...)
		assert.Equal(t, test.status, status, test.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, test.want)
	}
}
