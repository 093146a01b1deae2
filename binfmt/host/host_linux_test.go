package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

var lookup = kerneltest.Lookup

func native(t *testing.T) []*elfmagic.Arch {
	t.Helper()
	native, err := host.Native(t.Context())
	require.NoError(t, err)
	return native
}

// In an empty instance it is the kernel itself that runs what runs.
func TestNativeIsWhatRunsWithNothingRegistered(t *testing.T) {
	kerneltest.Instance(t)
	native := native(t)
	assert.Same(t, lookup(t, runtime.GOARCH), native[0], "this program's own comes first")
	for _, arch := range elfmagic.Archs() {
		program, err := tinyelf.Program(arch)
		require.NoError(t, err)
		err = tinyelf.Run(t.Context(), program, nil)
		if !slices.Contains(native, arch) {
			var failed *tinyelf.RunError
			assert.True(t, errors.Is(err, syscall.ENOEXEC) || errors.As(err, &failed), "%s: %v", arch, err)
			continue
		}
		assert.NoError(t, err, arch.Name)
	}
}

// Entries for all architectures, the host's own among them, catch all programs
// but those that ask the kernel.
func TestNativeIsTheSameWhateverIsRegistered(t *testing.T) {
	fs := kerneltest.Instance(t)
	before := native(t)
	for _, arch := range elfmagic.Archs() {
		require.NoError(t, fs.Register(binfmt.Entry{Name: emulator.EntryName(arch), Pattern: arch.Pattern(), Interpreter: "/no/such/interpreter"}))
	}
	for _, arch := range before {
		program, err := tinyelf.Program(arch)
		require.NoError(t, err)
		require.ErrorIs(t, tinyelf.Run(t.Context(), program, nil), syscall.ENOENT, "an entry catches programs for %s", arch)
	}
	assert.Equal(t, before, native(t))
}

// An entry that catches even the programs that ask is noticed.
func TestWhatAnInterpreterRunsIsNotNative(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.NotEmpty(t, native(t))
	interpreter := filepath.Join(t.TempDir(), "interpreter")
	for name, lines := range map[string]string{
		"it works":  "#!/bin/sh\nread line\nexit 42\n",
		"it fails":  "#!/bin/sh\nread line\nexit 1\n",
		"it cannot": "not a program\n",
	} {
		require.NoError(t, os.WriteFile(interpreter, []byte(lines), 0o755))
		entry := binfmt.Entry{Name: "all", Pattern: elfmagic.Pattern{Offset: 6, Magic: []byte{0x7f}}, Interpreter: interpreter}
		require.NoError(t, fs.Register(entry))
		_, err := host.Native(t.Context())
		assert.ErrorIs(t, err, host.ErrEmulated, name)
		require.NoError(t, fs.Remove(entry.Name))
	}

	// That the interpreter is not there says nothing of the host.
	entry := binfmt.Entry{Name: "all", Pattern: elfmagic.Pattern{Offset: 6, Magic: []byte{0x7f}}, Interpreter: "/no/such/interpreter"}
	require.NoError(t, fs.Register(entry))
	_, err := host.Native(t.Context())
	assert.ErrorIs(t, err, syscall.ENOENT)
	self := lookup(t, runtime.GOARCH)
	asked := append(host.Relatives(self), self)[0] // relatives come first: any of them would answer for it
	assert.ErrorContains(t, err, "cannot find out whether this host runs "+asked.Name+" natively: ")
	assert.NotErrorIs(t, err, host.ErrEmulated)
}

// The same, for a relative of the host's architecture only.
func TestARelativeThatAnInterpreterRunsIsNotNative(t *testing.T) {
	fs := kerneltest.Instance(t)
	before := native(t)
	relatives := host.Relatives(lookup(t, runtime.GOARCH))
	if len(relatives) == 0 {
		t.Skip("no other architecture's programs can be native here")
	}
	entry := func(interpreter string) binfmt.Entry {
		p := relatives[0].Pattern()
		p.Magic[6] = 0x7f
		p.Mask[6] = 0xff
		return binfmt.Entry{Name: "relative", Pattern: p, Interpreter: interpreter}
	}
	require.NoError(t, fs.Register(entry("/bin/false")))
	assert.Equal(t, slices.DeleteFunc(before, func(a *elfmagic.Arch) bool { return a == relatives[0] }), native(t))

	require.NoError(t, fs.Remove("relative"))
	require.NoError(t, fs.Register(entry("/no/such/interpreter")))
	_, err := host.Native(t.Context())
	assert.ErrorContains(t, err, "cannot find out whether this host runs "+relatives[0].Name+" natively: ")
}

func TestNativeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := host.Native(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, host.ErrEmulated)
}

func TestRelatives(t *testing.T) {
	want := map[string][]string{
		"aarch64": {"arm"}, "mips64": {"mips", "mipsn32"}, "mips64el": {"mipsel", "mipsn32el"},
		"ppc64": {"ppc"}, "riscv64": {"riscv32"}, "x86_64": {"i386"},
	}
	for _, arch := range elfmagic.Archs() {
		var names []string
		for _, relative := range host.Relatives(arch) {
			names = append(names, relative.Name)
			assert.Equal(t, arch.Data, relative.Data, "a kernel has one byte order")
			assert.Equal(t, "ELFCLASS32", relative.Class.String())
		}
		assert.Equal(t, want[arch.Name], names, arch.Name)
	}
}
