package host_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// foreign is an architecture that no host is of.
const foreign = "hppa"

// works does what a tiny program does, for any program that it is given.
const works = "#!/bin/sh\nread line\nexit 42\n"

func file(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "interpreter")
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	return path
}

func program(t *testing.T, name string) string {
	t.Helper()
	program, err := tinyelf.Program(lookup(t, name))
	require.NoError(t, err)
	return string(program)
}

func register(t *testing.T, fs binfmt.FS, name, interpreter string) {
	t.Helper()
	require.NoError(t, fs.Register(binfmt.Entry{Name: name, Pattern: lookup(t, foreign).Pattern(), Interpreter: interpreter}))
}

func check(t *testing.T, fs binfmt.FS, name string) *host.Error {
	t.Helper()
	var failed *host.Error
	require.ErrorAs(t, host.Check(t.Context(), fs, lookup(t, name)), &failed)
	assert.Equal(t, name, failed.Arch.Name)
	return failed
}

func TestWhatRunsPassesTheCheck(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, arch := range native(t) {
		assert.NoError(t, host.Check(t.Context(), fs, arch))
	}
	register(t, fs, "e", file(t, works, 0o755))
	assert.NoError(t, host.Check(t.Context(), fs, lookup(t, foreign)))
}

func TestTheKernelShowsEachCause(t *testing.T) {
	dynamic := func(t *testing.T) string {
		text, err := os.ReadFile("/bin/true")
		require.NoError(t, err)
		i := bytes.Index(text, []byte("/ld-"))
		if i < 0 {
			t.Skip("/bin/true is static")
		}
		text[i+1] = 'X'
		return file(t, string(text), 0o755)
	}
	for name, test := range map[string]struct {
		interpreter func(t *testing.T) string // none: no entry
		change      func(t *testing.T, fs binfmt.FS)
		cause       host.Cause
		errno       error
		path        func(interpreter string) string
	}{
		"no entry": {nil, nil, host.NoEntry, syscall.ENOEXEC, nil},
		"another's entry": {nil, func(t *testing.T, fs binfmt.FS) {
			require.NoError(t, fs.Register(binfmt.Entry{Name: "other", Extension: "x", Interpreter: "/bin/true"}))
		}, host.NoEntry, syscall.ENOEXEC, nil},
		"a disabled entry": {
			func(t *testing.T) string { return "/bin/true" },
			func(t *testing.T, fs binfmt.FS) { require.NoError(t, fs.Disable("e")) },
			host.Disabled, syscall.ENOEXEC, nil,
		},
		"all are disabled": {
			func(t *testing.T) string { return "/bin/true" },
			func(t *testing.T, fs binfmt.FS) {
				status := filepath.Join(fs.Dir(), "status")
				require.NoError(t, os.WriteFile(status, []byte("0"), 0))
				t.Cleanup(func() { require.NoError(t, os.WriteFile(status, []byte("1"), 0)) })
			},
			host.AllDisabled, syscall.ENOEXEC, nil,
		},
		"no interpreter": {
			func(t *testing.T) string { return "/no/such/interpreter" }, nil,
			host.NoInterpreter, syscall.ENOENT, func(interpreter string) string { return interpreter },
		},
		"its loader is missing": {
			dynamic, nil, host.NoInterpreter, syscall.ENOENT,
			func(interpreter string) string {
				f, err := os.Open(interpreter)
				require.NoError(t, err)
				defer f.Close()
				header, err := elfmagic.Identify(f)
				require.NoError(t, err)
				segments, err := header.Segments(f)
				require.NoError(t, err)
				loader, err := elfmagic.Interp(f, segments)
				require.NoError(t, err)
				return loader
			},
		},
		"the interpreter is not executable": {
			func(t *testing.T) string { return file(t, works, 0o644) }, nil,
			host.BadInterpreter, syscall.EACCES, func(interpreter string) string { return interpreter },
		},
		"the interpreter is a pipe": {
			func(t *testing.T) string {
				pipe := filepath.Join(t.TempDir(), "pipe")
				require.NoError(t, syscall.Mkfifo(pipe, 0o755))
				return pipe
			}, nil,
			host.BadInterpreter, syscall.EACCES, func(interpreter string) string { return interpreter },
		},
		"the interpreter is no program": {
			func(t *testing.T) string { return file(t, "just text\n", 0o755) }, nil,
			host.BadInterpreter, syscall.ENOEXEC, func(interpreter string) string { return interpreter },
		},
		"the interpreter is for another host": {
			func(t *testing.T) string { return file(t, program(t, "alpha"), 0o755) }, nil,
			host.BadInterpreter, syscall.ENOEXEC, func(interpreter string) string { return interpreter },
		},
		"the interpreter is its own": {
			func(t *testing.T) string { return file(t, program(t, foreign), 0o755) }, nil,
			host.Loop, syscall.ELOOP, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			interpreter := ""
			if test.interpreter != nil {
				interpreter = test.interpreter(t)
				register(t, fs, "e", interpreter)
			}
			if test.change != nil {
				test.change(t, fs)
			}
			failed := check(t, fs, foreign)
			assert.Equal(t, test.cause, failed.Cause, failed.Error())
			assert.ErrorIs(t, failed, test.errno)
			entry := ""
			if interpreter != "" {
				entry = "e"
			}
			assert.Equal(t, entry, failed.Entry)
			path := ""
			if test.path != nil {
				path = test.path(interpreter)
			}
			assert.Equal(t, path, failed.Path)

			elsewhere := check(t, binfmt.New(t.TempDir()), foreign)
			if test.errno == syscall.EACCES {
				assert.Equal(t, host.Unknown, elsewhere.Cause)
			} else {
				assert.Equal(t, host.Unseen, elsewhere.Cause, "nothing is mounted there")
			}
			assert.Empty(t, elsewhere.Entry)
		})
	}
}

// The newest entry that is enabled is the one that the kernel uses.
func TestTheEntryThatTheKernelUsesIsNamed(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, name := range []string{"oldest", "used", "newest"} {
		register(t, fs, name, "/no/such/"+name)
	}
	require.NoError(t, fs.Disable("newest"))
	assert.Equal(t, "used", check(t, fs, foreign).Entry)
	require.NoError(t, fs.Disable("oldest"))
	require.NoError(t, fs.Disable("used"))
	failed := check(t, fs, foreign)
	assert.Equal(t, host.Disabled, failed.Cause)
	assert.Equal(t, "newest", failed.Entry)
}

func TestAProgramThatFailsIsTold(t *testing.T) {
	fs := kerneltest.Instance(t)
	register(t, fs, "exits", file(t, "#!/bin/sh\necho one >&2\necho no luck >&2\nexit 3\n", 0o755))
	failed := check(t, fs, foreign)
	assert.Equal(t, host.Failed, failed.Cause)
	assert.Equal(t, 3, failed.Status.ExitStatus())
	assert.Equal(t, "no luck", failed.Stderr)
	assert.ErrorContains(t, failed, "hppa programs do not run: the program failed: exit status 3")

	register(t, fs, "killed", file(t, "#!/bin/sh\nkill -ILL $$\n", 0o755))
	failed = check(t, fs, foreign)
	assert.Equal(t, host.Failed, failed.Cause)
	assert.Equal(t, syscall.SIGILL, failed.Status.Signal())
}

func TestACheckThatIsInterruptedFindsNothingOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := host.Check(ctx, binfmt.New(""), native(t)[0])
	assert.ErrorIs(t, err, context.Canceled)
	var failed *host.Error
	assert.NotErrorAs(t, err, &failed)
	_, err = host.Platforms(ctx)
	assert.ErrorIs(t, err, context.Canceled, "and not: nothing is supported")
}

// A process that has no descriptor left, say, has not seen that nothing runs.
func TestWhatCouldNotBeTriedIsNotSaidNotToRun(t *testing.T) {
	kerneltest.Need(t)
	arch := lookup(t, native(t)[0].Name)
	var err, platformsErr error
	var platforms []string
	kerneltest.WithDescriptors(t, 3, func() {
		err = host.Check(t.Context(), binfmt.New(""), arch)
		platforms, platformsErr = host.Platforms(t.Context())
	})
	assert.ErrorIs(t, err, syscall.EMFILE)
	var failed *host.Error
	assert.NotErrorAs(t, err, &failed, "it says something about the architecture")
	assert.ErrorIs(t, platformsErr, syscall.EMFILE, "%s", platforms)
}

// inside, in the environment, is the directory on which a process in a user
// namespace of its own mounts another instance.
func TestWhatSaysNothingAboutTheArchitectureIsReturnedAsItIs(t *testing.T) {
	assert.NoError(t, host.Explain(binfmt.New(""), lookup(t, foreign), nil))
	stopped := fmt.Errorf("interrupted: %w", context.Canceled)
	assert.Equal(t, stopped, host.Explain(binfmt.New(""), lookup(t, foreign), stopped))
}

const inside = "GO_BUILD_HOST_TEST_MOUNT"

// A container that sees its host's entries, and has an instance of its own.
func TestAnotherInstanceIsTold(t *testing.T) {
	if dir := os.Getenv(inside); dir != "" {
		require.NoError(t, unix.Mount("binfmt_misc", dir, "binfmt_misc", 0, ""))
		failed := check(t, binfmt.New(""), foreign)
		require.ErrorIs(t, failed, syscall.ENOEXEC)
		require.Equal(t, host.OtherInstance, failed.Cause, failed.Error())
		require.Equal(t, host.NoEntry, check(t, binfmt.New(dir), foreign).Cause)
		return
	}
	fs := kerneltest.Instance(t)
	register(t, fs, "e", file(t, works, 0o755))
	require.NoError(t, host.Check(t.Context(), fs, lookup(t, foreign)))
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestAnotherInstanceIsTold$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--- PASS: TestAnotherInstanceIsTold")
}

func TestPlatformsAreThoseThatRun(t *testing.T) {
	fs := kerneltest.Instance(t)
	platforms, err := host.Platforms(t.Context())
	require.NoError(t, err)
	own := lookup(t, native(t)[0].Name).Platform()
	assert.Equal(t, own, platforms[0], "this program's own comes first")
	for _, arch := range elfmagic.Archs() {
		if !slices.Contains(native(t), arch) {
			assert.NotContains(t, platforms, arch.Platform(), "nothing is registered")
			require.NoError(t, fs.Register(binfmt.Entry{Name: arch.Name, Pattern: arch.Pattern(), Interpreter: file(t, works, 0o755)}))
		}
	}
	native := platforms
	platforms, err = host.Platforms(t.Context())
	require.NoError(t, err)
	var foreign []string
	for _, platform := range []string{
		"linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4", "linux/arm64", "linux/riscv64", "linux/ppc64", "linux/ppc64le", "linux/s390x",
		"linux/386", "linux/mips64le", "linux/mips64", "linux/loong64", "linux/arm/v7", "linux/arm/v6",
	} {
		if arch := lookup(t, platform); arch.Platform() != own {
			foreign = append(foreign, platform)
		}
	}
	var got []string
	for _, platform := range platforms {
		if lookup(t, platform).Platform() != own {
			got = append(got, platform)
		}
	}
	assert.Equal(t, foreign, got, "in BuildKit's order")
	for _, platform := range native {
		assert.Contains(t, platforms, platform)
	}
}
