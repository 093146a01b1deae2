package host_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestCheckFindsTheCause(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := lookup(t, "s390x")
	dir := t.TempDir()
	program, err := tinyelf.Program(arch)
	require.NoError(t, err)
	itself := filepath.Join(dir, "itself")
	require.NoError(t, os.WriteFile(itself, program, 0o755))
	status := func(t *testing.T, s string) {
		require.NoError(t, os.WriteFile(filepath.Join(fs.Dir(), "status"), []byte(s), 0))
	}
	for _, test := range []struct {
		name, interpreter string
		change            func(t *testing.T)
		cause             host.Cause
		is                error
	}{
		{name: "none", cause: host.NoEntry, is: syscall.ENOEXEC},
		{name: "missing", interpreter: "/no/such/emulator", cause: host.NoInterpreter, is: syscall.ENOENT},
		{name: "itself", interpreter: itself, cause: host.Loop, is: syscall.ELOOP},
		{name: "fails", interpreter: "/bin/false", cause: host.Failed},
		{name: "disabled", interpreter: "/bin/false", change: func(t *testing.T) { require.NoError(t, fs.Disable("test")) }, cause: host.Disabled, is: syscall.ENOEXEC},
		{name: "all disabled", interpreter: "/bin/false", change: func(t *testing.T) {
			status(t, "0")
			t.Cleanup(func() { status(t, "1") })
		}, cause: host.AllDisabled, is: syscall.ENOEXEC},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := ""
			if test.interpreter != "" {
				require.NoError(t, fs.Register(binfmt.Entry{Name: "test", Pattern: arch.Pattern(), Interpreter: test.interpreter}))
				defer func() { require.NoError(t, fs.Remove("test")) }()
				want = "test"
			}
			if test.change != nil {
				test.change(t)
			}
			var failed *host.Error
			err := host.Check(t.Context(), fs, arch)
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, test.cause, failed.Cause, err)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
				assert.Equal(t, want, failed.Entry)
			}
			elsewhere := host.Explain(binfmt.New(dir), arch, failed.Err)
			if test.cause != host.Failed && test.cause != host.Loop {
				assert.Equal(t, host.Unseen, elsewhere.Cause, "nothing is mounted there")
			}
		})
	}
	assert.NoError(t, host.Check(t.Context(), fs, lookup(t, runtime.GOARCH)))
}

func TestAnEntryOfAnotherInstanceIsNotUsed(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := lookup(t, "s390x")
	require.NoError(t, fs.Register(binfmt.Entry{Name: "test", Pattern: arch.Pattern(), Interpreter: "/bin/false"}))
	defer func() { require.NoError(t, fs.Remove("test")) }()
	assert.Equal(t, host.OtherInstance, host.Explain(fs, arch, syscall.ENOEXEC).Cause)
	assert.Equal(t, host.Unknown, host.Explain(fs, arch, syscall.ENOMEM).Cause)
}
