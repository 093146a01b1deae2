package main

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/image"
)

func called(args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	status = run(append([]string{"-file", "../versions.yaml"}, args...), &out, &err)
	return status, out.String(), err.String()
}

func TestWhatMakefilesAskFor(t *testing.T) {
	v, err := image.Load("../versions.yaml")
	assert.NoError(t, err)
	tests := map[string]string{
		"tag arm64":     v.String() + "-arm64",
		"tag aarch64":   v.String() + "-arm64",
		"latest s390x":  "latest-s390x",
		"manifest":      v.String(),
		"branch-name":   "image-" + v.String(),
		"architectures": "amd64 arm64 ppc64le s390x",
		"get go":        v.Go,
		"get llvm":      v.LLVM,
	}
	if _, err := image.Architecture(runtime.GOARCH); err == nil {
		tests["tag"] = v.String() + "-" + runtime.GOARCH
	}
	for args, want := range tests {
		status, stdout, stderr := called(strings.Fields(args)...)
		assert.Zero(t, status, stderr)
		assert.Equal(t, want+"\n", stdout, args)
		assert.Empty(t, stderr)
	}
}

func TestMistakesAreSaidOnStderr(t *testing.T) {
	tests := map[string]string{
		"":              "version: error: no command\nversion: hint: version -help lists what there is\n",
		"tags":          "version: error: no command \"tags\"\nversion: hint: version -help lists what there is\n",
		"get":           "version: error: get: a name is missing\nversion: hint: version -help lists what there is\n",
		"manifest x":    "version: error: manifest: \"x\" is too much\nversion: hint: version -help lists what there is\n",
		"tag arm64 x":   "version: error: tag: \"x\" is too much\nversion: hint: version -help lists what there is\n",
		"latest mipsel": "version: error: there is no image for mipsel\nversion: hint: there are images for amd64, arm64, ppc64le, s390x\n",
	}
	for args, want := range tests {
		status, stdout, stderr := called(strings.Fields(args)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, stdout)
		assert.Equal(t, want, stderr)
	}
	status, _, stderr := called("-file", "nowhere.yaml", "tag")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "version: error: open nowhere.yaml: no such file or directory\nversion: hint: ")
}
