package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/versions"
)

func TestWhatMakefilesAskFor(t *testing.T) {
	v := pinned(t)
	tests := map[string]string{
		"tag --arch arm64":              v.String() + "-arm64",
		"tag --arch aarch64":            v.String() + "-arm64",
		"tag --arch linux/arm64,x86_64": v.String() + "-arm64\n" + v.String() + "-amd64",
		"tag --arch arm64,aarch64":      v.String() + "-arm64",
		"latest --arch s390x,all,arm64": "latest-s390x\nlatest-amd64\nlatest-arm64\nlatest-ppc64le",
		"latest --arch s390x":           "latest-s390x",
		"latest --arch all":             "latest-amd64\nlatest-arm64\nlatest-ppc64le\nlatest-s390x",
		"core --arch powerpc64le":       "core-ppc64le",
		"core --arch ppc64el":           "core-ppc64le",
		"core --arch x86_64-linux-gnu":  "core-amd64",
		"core --arch linux/arm64/v8":    "core-arm64",

		"core --arch aarch64-unknown-linux-musl": "core-arm64",
		"manifest":                               v.String(),
		"branch-name":                            "image-" + v.String(),
		"architectures":                          "amd64\narm64\nppc64le\ns390x",
		"go":                                     v.Go,
		"llvm":                                   v.LLVM,
		"--file image/versions.yaml yq":          v.Tools[slices.IndexFunc(v.Tools, func(t versions.Tool) bool { return t.Name == "yq" })].Version,
		"branch-name --arch mips64":              "image-" + v.String(),

		"--file image/versions-release-v3.32.yaml latest --arch s390x": "release-v3.32-s390x",
	}
	if _, err := versions.Architecture(runtime.GOARCH); err == nil {
		tests["tag"] = v.String() + "-" + runtime.GOARCH
		tests["tag --arch="] = tests["tag"]
	}
	for args, want := range tests {
		status, stdout, stderr := called(t, append([]string{"versions"}, strings.Fields(args)...)...)
		assert.Zero(t, status, stderr)
		assert.Equal(t, want+"\n", stdout, args)
		assert.Empty(t, stderr)
	}
	// What it prints it takes, too.
	_, list, _ := called(t, "versions", "architectures")
	status, stdout, stderr := called(t, "versions", "--arch", list, "latest")
	assert.Zero(t, status, stderr)
	assert.Equal(t, tests["latest --arch all"]+"\n", stdout)
}

func TestMistakesAreSaidOnStderr(t *testing.T) {
	const list = "image versions: hint: go run ./image versions --help lists what there is\n"
	tests := map[string]string{
		"":                     "image versions: error: one name is required, not 0\n" + list,
		"tag arm64":            "image versions: error: one name is required, not 2\n" + list,
		"tags":                 "image versions: error: no version of \"tags\"\nimage versions: hint: there are ",
		"latest --arch mipsel": "image versions: error: there is no image for mipsel\nimage versions: hint: there are images for amd64, arm64, ppc64le, s390x\n",
		"latest --arch amr64":  "image versions: error: invalid argument \"amr64\" for \"--arch\" flag: unknown architecture \"amr64\"\nimage versions: hint: did you mean arm64?\n",
	}
	for args, want := range tests {
		status, stdout, stderr := called(t, append([]string{"versions"}, strings.Fields(args)...)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, stdout)
		assert.True(t, strings.HasPrefix(stderr, want), stderr)
	}
	status, _, stderr := called(t, "versions", "--file", "nowhere.yaml", "tag")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "image versions: error: open nowhere.yaml: no such file or directory\nimage versions: hint: ")
	dir := t.TempDir() // what is refused would be written
	other := filepath.Join(dir, "versions-release-v3.32.yaml")
	for _, name := range []string{"versions.yaml", filepath.Base(other)} {
		text, err := os.ReadFile(filepath.Join("image", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	for _, args := range [][]string{{"updates", "--write"}, {"pin", "--base"}} { // those of a branch are as it pins them
		before, err := os.ReadFile(other)
		require.NoError(t, err)
		status, stdout, stderr := called(t, append(args, "--file", other)...)
		assert.NotZero(t, status, args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "versions.yaml")
		assert.NotContains(t, stderr, "is not found in")
		assert.NotContains(t, stderr, "cannot look up")
		after, err := os.ReadFile(other)
		require.NoError(t, err)
		assert.Equal(t, before, after)
	}
	status, _, stderr = called(t, "versions", "--file", "image/versions-v3.32.yaml", "tag")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, ": hint: there are image/versions-release-v3.30.yaml, ")
}
