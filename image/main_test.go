package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Subcommands run in the root of the repository.
func TestMain(m *testing.M) {
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func called(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return calledWith(t.Context(), args...)
}

func calledWith(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	status = run(ctx, args, &out, &err)
	return status, out.String(), err.String()
}

// script puts a script in front of a command of the machine's.
func script(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestEverySubcommandHasHelp(t *testing.T) {
	status, overview, stderr := called(t, "--help")
	assert.Zero(t, status, stderr)
	for _, c := range commands {
		assert.Contains(t, overview, "\n  "+c.name+" ")
		status, help, stderr := called(t, c.name, "--help")
		assert.Zero(t, status)
		assert.Empty(t, stderr)
		assert.True(t, strings.HasPrefix(help, "Usage: go run ./image "+c.name), help)
		for line := range strings.Lines(overview + help) {
			assert.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 90, line)
		}
	}
	status, stdout, stderr := called(t)
	assert.Equal(t, exitUsage, status)
	assert.Empty(t, stdout)
	assert.Equal(t, overview, stderr)
}

func TestMistypedSubcommandsAreGuessed(t *testing.T) {
	for word, hint := range map[string]string{
		"singel-files": "did you mean single-files?", "version": "did you mean versions?", "biuld": "did you mean build?",
		"register-image": "did you mean register-images?", "debian": "did you mean debian-emulators?", "gobuild-images": "go run ./image --help lists them",
	} {
		status, stdout, stderr := called(t, word)
		assert.Equal(t, exitUsage, status)
		assert.Empty(t, stdout)
		assert.Equal(t, "image: error: unknown subcommand \""+word+"\"\nimage: hint: "+hint+"\n", stderr)
	}
}

// What make or a shell reads, or is redirected to, was written, or it is an error.
func TestOutputThatIsNotWrittenIsAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	for _, args := range [][]string{{"--help"}, {"versions", "tag"}, {"notes"}} {
		var stderr strings.Builder
		assert.Equal(t, exitFailure, run(t.Context(), args, full, &stderr), args)
		assert.Contains(t, stderr.String(), "image: error: cannot write to standard output: ")
	}
}

// Nothing is done before: not even what is interrupted at once.
func TestArgumentsAreLookedAtFirst(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	script(t, "docker", "exit 0")
	for _, c := range commands {
		for _, args := range [][]string{{"--no-such-flag"}, {"--arch", "arm46"}, {"--emulators", "ours"}, {"unexpected"}} {
			status, stdout, stderr := calledWith(ctx, append([]string{c.name}, args...)...)
			assert.Equal(t, exitUsage, status, "%s %s: %s", c.name, args, stderr)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "image "+c.name+": error: ")
			assert.Contains(t, stderr, "image "+c.name+": hint: ")
		}
	}
}

// Each subcommand that would work for long ends when it is told to.
func TestInterruptedSubcommandsEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupt"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	script(t, "docker", "exit 0")
	dir := filepath.Join(t.TempDir(), "new")
	for name, args := range map[string][]string{
		"parts":           {"--dir", dir + "/parts"},
		"build":           {},
		"single-files":    {"--dir", dir, "--emulators", "debian", "--arch", "s390x"},
		"register-images": {"--dir", dir, "--emulators", "debian"},
		"base":            {"--dir", dir},
		"push":            {"--registry", "localhost:1"},
		"manifest":        {"--registry", "localhost:1"},
		"pin":             {},
		"emulators":       {"--dir", dir},
	} {
		status, stdout, stderr := calledWith(ctx, append([]string{name}, args...)...)
		assert.Equal(t, exitFailure, status, name)
		assert.Empty(t, stdout, name)
		assert.Contains(t, stderr, "image "+name+": error: interrupted: interrupt\nimage "+name+": hint: what was built is kept: run it again\n")
	}
}

// What is shipped and what builds it are apart: internal/ has only what the
// commands link, single files too (their tag is embedded).
func TestInternalHasOnlyWhatIsShipped(t *testing.T) {
	list := func(args ...string) []string {
		out, err := exec.Command("go", append([]string{"list", "-e"}, args...)...).Output()
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	shipped := list("-deps", "-tags=embedded", "./cmd/...")
	for _, path := range list("./internal/...") {
		assert.Contains(t, shipped, path)
	}
	for _, path := range shipped {
		assert.NotContains(t, path, "go-build/image")
	}
}
