package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMistakesInPartsAreSaid(t *testing.T) {
	tests := []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--arch", "riscv64"}, 2, "image parts: error: invalid argument \"riscv64\" for \"--arch\" flag: there is no image for riscv64\nimage parts: hint: there are images for amd64, arm64, ppc64le, s390x\n"},
		{[]string{"own", "all"}, 2, "image parts: error: no part \"all\"\nimage parts: hint: there are own, emulators, sysroots, go, tools, kubernetes\n"},
		{[]string{"own", "--file", "nowhere.yaml"}, 1, "image parts: error: open nowhere.yaml: no such file or directory\nimage parts: hint: run this in the root of the repository, or name the file\n"},
	}
	for _, test := range tests {
		status, stdout, stderr := called(t, append([]string{"parts", "--dir", t.TempDir()}, test.args...)...)
		assert.Equal(t, test.status, status, test.args)
		assert.Empty(t, stdout)
		assert.Equal(t, test.want, stderr)
	}
}
