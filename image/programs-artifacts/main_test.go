package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMistakesAreSaid(t *testing.T) {
	tests := []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"arm64"}, 2, "artifacts: error: \"arm64\" is no flag\nartifacts: hint: artifacts -help lists them\n"},
		{[]string{"-arch", "riscv64"}, 1, "artifacts: error: there is no image for riscv64\nartifacts: hint: there are images for amd64, arm64, ppc64le, s390x\n"},
		{[]string{"-only", "own,all"}, 1, "artifacts: error: no part \"all\"\nartifacts: hint: there are own, emulators, go, tools, kubernetes\n"},
		{[]string{"-only", "own", "-file", "nowhere.yaml"}, 1, "artifacts: error: open nowhere.yaml: no such file or directory\nartifacts: hint: "},
	}
	for _, test := range tests {
		var stderr strings.Builder
		args := test.args
		if len(test.args) < 4 {
			args = append([]string{"-file", "../versions.yaml"}, args...)
		}
		if test.args[0] == "-only" && len(test.args) == 2 {
			args = append([]string{"-dir", t.TempDir()}, args...)
		}
		assert.Equal(t, test.status, run(t.Context(), args, &stderr), args)
		assert.True(t, strings.HasPrefix(stderr.String(), test.want), stderr.String())
	}
}

func TestInterruptedRunsCanGoOn(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupt"))
	var stderr strings.Builder
	assert.Equal(t, 1, run(ctx, []string{"-file", "../versions.yaml", "-dir", t.TempDir()}, &stderr))
	assert.Contains(t, stderr.String(), "artifacts: error: interrupted: interrupt\nartifacts: hint: what was built is kept: run it again\n")
}
