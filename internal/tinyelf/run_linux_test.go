package tinyelf_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// foreign is an architecture that no kernel of this one runs.
func foreign(t *testing.T) *elfmagic.Arch {
	if runtime.GOARCH == "s390x" {
		return lookup(t, "aarch64")
	}
	return lookup(t, "s390x")
}

func script(lines string) []byte { return []byte("#!/bin/sh\n" + lines + "\n") }

func TestNativeProgramRuns(t *testing.T) {
	kerneltest.Instance(t)
	native, err := tinyelf.NativeProgram(lookup(t, runtime.GOARCH))
	require.NoError(t, err)
	for _, program := range [][]byte{program(t, lookup(t, runtime.GOARCH)), native} {
		called := 0
		require.NoError(t, tinyelf.Run(t.Context(), program, func(p tinyelf.Process) {
			called++
			itself, err := p.Native()
			require.NoError(t, err)
			assert.True(t, itself)
			content, err := os.ReadFile(p.Exe())
			require.NoError(t, err)
			assert.Equal(t, program, content, "it is the file that runs")
		}))
		assert.Equal(t, 1, called)
		require.NoError(t, tinyelf.Run(t.Context(), program, nil))
	}
}

func TestWhatTheKernelDoesNotTakeIsENOEXEC(t *testing.T) {
	kerneltest.Instance(t)
	for name, program := range map[string][]byte{"a foreign program": program(t, foreign(t)), "text": []byte("text\n")} {
		err := tinyelf.Run(t.Context(), program, func(tinyelf.Process) { assert.Fail(t, "it does not run") })
		assert.ErrorIs(t, err, syscall.ENOEXEC, name)
		assert.EqualError(t, err, "exec format error", "without the name of a file that nobody knows")
		var failed *tinyelf.RunError
		assert.NotErrorAs(t, err, &failed)
	}
}

func TestAnEntrysMissingInterpreterIsENOENT(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := foreign(t)
	require.NoError(t, fs.Register(binfmt.Entry{Name: "missing", Pattern: arch.Pattern(), Interpreter: "/no/such/interpreter"}))
	assert.ErrorIs(t, tinyelf.Run(t.Context(), program(t, arch), nil), syscall.ENOENT)
}

func TestAnEntrysInterpreterIsSeenWhileItRuns(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := foreign(t)
	search := emulator.Search{Dirs: emulator.DefaultDirs(), Static: true, Native: []*elfmagic.Arch{lookup(t, runtime.GOARCH)}}
	found, err := search.Locate(arch)
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, fs.Register(binfmt.Entry{Name: "qemu", Pattern: arch.Pattern(), Interpreter: found.Path, Flags: binfmt.FixBinary}))
	called := false
	require.NoError(t, tinyelf.Run(t.Context(), program(t, arch), func(p tinyelf.Process) {
		called = true
		itself, err := p.Native()
		require.NoError(t, err)
		assert.False(t, itself)
		link, err := os.Readlink(p.Exe())
		require.NoError(t, err)
		assert.Equal(t, found.Path, link)
	}))
	assert.True(t, called)

	native, err := tinyelf.NativeProgram(arch)
	require.NoError(t, err)
	assert.ErrorIs(t, tinyelf.Run(t.Context(), native, nil), syscall.ENOEXEC, "the entry is not for it")
}

func TestProgramsThatFailSayHow(t *testing.T) {
	for _, test := range []struct {
		name, script string
		stderr, text string
		signal       syscall.Signal
		status       int
	}{
		{name: "another status", script: "exit 3", text: "exit status 3 instead of 42", status: 3},
		{name: "success is not enough", script: "exit 0", text: "exit status 0 instead of 42"},
		{name: "the last line that it wrote", script: "echo first >&2; echo 'last  ' >&2; echo >&2; echo on standard output; exit 41", text: "exit status 41 instead of 42: last", status: 41, stderr: "last"},
		{name: "killed", script: "echo oops >&2; kill -SEGV $$", text: "killed by SIGSEGV: oops", signal: syscall.SIGSEGV, stderr: "oops"},
		{name: "killed in silence", script: "kill -ILL $$", text: "killed by SIGILL", signal: syscall.SIGILL},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := tinyelf.Run(t.Context(), script("ulimit -c 0\n"+test.script), nil)
			var failed *tinyelf.RunError
			require.ErrorAs(t, err, &failed)
			assert.EqualError(t, err, test.text)
			assert.Equal(t, test.stderr, failed.Stderr)
			if test.signal != 0 {
				assert.True(t, failed.Status.Signaled())
				assert.Equal(t, test.signal, failed.Status.Signal())
			} else {
				assert.Equal(t, test.status, failed.Status.ExitStatus())
			}
		})
	}
}

func TestProgramsRunUntilTheEndOfTheirInput(t *testing.T) {
	require.NoError(t, tinyelf.Run(t.Context(), script("cat; exit 42"), func(p tinyelf.Process) {
		_, err := os.Stat(p.Exe())
		assert.NoError(t, err, "it waits")
	}))
}

func TestProgramsHaveNoEnvironment(t *testing.T) {
	t.Setenv("QEMU_CPU", "bogus")
	require.NoError(t, tinyelf.Run(t.Context(), script(`[ -z "$QEMU_CPU" ] && exit 42`), nil))
}

func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	require.NoError(t, tinyelf.Run(t.Context(), program(t, lookup(t, runtime.GOARCH)), nil))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestAProgramThatHangsIsEndedWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := tinyelf.Run(ctx, script("exec sleep 1000"), func(tinyelf.Process) { cancel() })
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotContains(t, err.Error(), "did not end within", "nobody waited that long")

	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	assert.ErrorIs(t, tinyelf.Run(ctx, script("exec sleep 1000"), nil), context.DeadlineExceeded)
}

// A wrapper of an emulator may leave a process behind that keeps the standard
// error open.
func TestAProgramsChildrenAreNotWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	defer func() {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "it still ran")
	}()
	require.NoError(t, tinyelf.Run(t.Context(), script("sleep 1000 &\necho $! >"+file+"\nexit 42"), nil))
}

// What the loader says without a program that runs is what a program that runs
// shows, of every architecture.
func TestTheLoaderSaysWhatItWouldRun(t *testing.T) {
	kerneltest.Instance(t)
	loads := 0
	for _, arch := range elfmagic.Archs() {
		native, err := tinyelf.NativeProgram(arch)
		require.NoError(t, err)
		if want := tinyelf.Run(t.Context(), native, nil); want == nil {
			loads++
			assert.NoError(t, tinyelf.Loads(arch), arch)
		} else {
			require.ErrorIs(t, want, syscall.ENOEXEC)
			assert.Equal(t, syscall.ENOEXEC, tinyelf.Loads(arch), arch)
		}
	}
	assert.GreaterOrEqual(t, loads, 1, "this program's own")
}

// An entry may catch every program: what the loader would say is not known then.
func TestNothingIsSaidOfTheLoaderWhereAnEntryCatchesAll(t *testing.T) {
	fs := kerneltest.Instance(t)
	interpreter := filepath.Join(t.TempDir(), "interpreter")
	require.NoError(t, os.WriteFile(interpreter, script("exec sleep 60"), 0o755))
	for _, path := range []string{interpreter, "/no/such/interpreter"} {
		entry := binfmt.Entry{Name: "all", Pattern: elfmagic.Pattern{Offset: 6, Magic: []byte{tinyelf.ForeignVersion}}, Interpreter: path}
		require.NoError(t, fs.Register(entry))
		err := tinyelf.Loads(lookup(t, runtime.GOARCH))
		assert.Error(t, err)
		assert.NotErrorIs(t, err, syscall.ENOEXEC)
		require.NoError(t, fs.Remove(entry.Name))
	}
}
