package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/file"
)

// What was not made here is neither replaced nor removed.
func TestDirectoriesOfOthersAreLeftAlone(t *testing.T) {
	script(t, "docker", "exit 0")
	for name, sub := range map[string]string{"parts": "", "single-files": "work", "register-images": runtime.GOARCH} {
		dir := t.TempDir()
		notes := filepath.Join(dir, sub, "emulators", "notes")
		require.NoError(t, os.MkdirAll(filepath.Dir(notes), 0o755))
		require.NoError(t, os.WriteFile(notes, []byte("mine"), 0o644))
		status, stdout, stderr := called(t, name, "--dir", dir)
		assert.Equal(t, exitFailure, status, name)
		assert.Empty(t, stdout, name)
		assert.Contains(t, stderr, "image "+name+": error: "+filepath.Join(dir, sub)+" holds files that were not made here")
		assert.Contains(t, stderr, "image "+name+": hint: name a new or an empty directory")
		assert.FileExists(t, notes, name)
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		require.NoError(t, err)
		assert.Len(t, entries, 1, name)
	}
}

// Two runs in one directory would each remove what the other is making, and SHA256SUMS would
// be of neither.
func TestRunsInOneDirectoryWaitForOneAnother(t *testing.T) {
	script(t, "docker", "exit 0")
	for name, sub := range map[string]string{"single-files": "work", "packages": "work", "sources": "work", "register-images": runtime.GOARCH} {
		dir := t.TempDir()
		work := filepath.Join(dir, sub)
		require.NoError(t, workdir.Claim(work))
		if name == "sources" {
			require.NoError(t, workdir.Claim(filepath.Join(work, "sources")))
		}
		unlock, err := file.Lock(t.Context(), filepath.Join(work, "lock"), func() {})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, []string{name, "--dir", dir}, io.Discard, w)
			w.Close()
		}()
		lines := bufio.NewScanner(r)
		waits := false
		for lines.Scan() {
			if lines.Text() == "image "+name+": waiting for another run in "+work+" …" {
				waits = true
				cancel()
			}
		}
		assert.True(t, waits, name)
		assert.Equal(t, exitFailure, <-ended, name)
		cancel()
		unlock()
	}
}

// make clean removes what make builds, in the repository.
func TestCleaningIsNotToldWhatToRemove(t *testing.T) {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")} // and nothing of a make that runs this
	cmd := exec.Command("make", "-n", "clean", "BIN=/x")
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	assert.Error(t, err)
	assert.Contains(t, string(out), "BIN cannot be set")
	assert.NotContains(t, string(out), "rm ")
	cmd = exec.Command("make", "-n", "clean")
	cmd.Env = append(env, "BIN=/x", "DIST=/x", "DIR=/x", "PROVE=/x", "PLAIN=/x")
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "rm -rf bin dist\n", string(out))
}

// A clone may be in a directory whose name has a space: what names it is quoted.
func TestTheMakefilesPathsMayHaveSpaces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin/emulators"), 0o755))
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Makefile"), makefile, 0o644))
	args := []string{"-n", "--no-print-directory", "PROVE=bin/emulators", "VIA=bin/via", "STOCK=" + dir}
	targets := regexp.MustCompile(`(?m)^[a-z-]+:.* ## `).FindAllString(string(makefile), -1)
	require.Greater(t, len(targets), 30)
	for _, target := range targets {
		if name, _, _ := strings.Cut(target, ":"); name != "test-release" { // which runs make, with -n too
			args = append(args, name)
		}
	}
	cmd := exec.Command("make", args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), dir)
	for line := range strings.Lines(string(out)) {
		assert.NotContains(t, regexp.MustCompile(`'[^']*'`).ReplaceAllString(line, ""), "a b", line)
	}
}

// The script that clears an image's /tmp does not clear the machine's.
func TestWhatClearsAnImageClearsNothingElse(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"apt-get", "apt-cache", "dpkg", "rm"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho ran >"+dir+"/changed\n"), 0o755))
	}
	cmd := exec.Command("/bin/sh", "image/install-packages", "")
	cmd.Env = []string{"PATH=" + dir}
	out, err := cmd.CombinedOutput()
	assert.Error(t, err)
	assert.Equal(t, "install-packages: error: this is for an image that is being built\ninstall-packages: hint: make image\n", string(out))
	assert.NoFileExists(t, filepath.Join(dir, "changed"))
}
