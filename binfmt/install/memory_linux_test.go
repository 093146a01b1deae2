package install

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// What the kernel holds of a copy in memory is not the file on disk: that can be
// written to, which it cannot while the kernel holds it.
func TestWhatIsRegisteredFromMemoryDoesNotHoldTheFile(t *testing.T) {
	kerneltest.Need(t)
	fs := binfmt.New("")
	warn := func(err error) { t.Error(err) }
	for _, copied := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "qemu-aarch64-static")
		content, err := os.ReadFile("/proc/self/exe")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, 0o755))
		other := filepath.Join(filepath.Dir(path), "other")
		require.NoError(t, os.WriteFile(other, nil, 0o644))

		want := new(int)
		register := func() (*int, error) {
			_, err := os.Stat(other)
			assert.Equal(t, copied, os.IsNotExist(err), "the directory is covered for who registers")
			return want, fs.Register(binfmt.Entry{Name: "held", Extension: "held", Interpreter: path, Flags: binfmt.FixBinary})
		}
		var got *int
		if copied {
			got, err = inMemory([]string{path}, warn, register)
		} else {
			got, err = register()
		}
		require.NoError(t, err)
		assert.Same(t, want, got)

		_, err = os.Stat(other)
		assert.NoError(t, err, "and for nobody else")
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if copied {
			assert.NoError(t, err)
			require.NoError(t, f.Close())
		} else {
			assert.ErrorIs(t, err, unix.ETXTBSY)
		}
		require.NoError(t, fs.Remove("held"))
	}
}

func TestWhatCannotBeKeptInMemoryIsRegisteredWithAWarning(t *testing.T) {
	var warning error
	_, err := inMemory([]string{"/no/such/emulator"}, func(err error) { warning = err }, func() (int, error) { return 0, io.ErrUnexpectedEOF })
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "what it is called for is called")
	assert.ErrorIs(t, warning, ErrOnFUSE)
	assert.EqualError(t, warning, "the emulators are on a FUSE file system, and cannot be kept in memory: open /no/such/emulator: no such file or directory")
}

func TestCopiesThatDoNotFitAreRefused(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"a", "b", "c"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Truncate(path, 20<<20))
		paths = append(paths, path)
	}
	for name, test := range map[string]struct{ file, limit, err string }{
		"version 2, unlimited":    {"memory.max", "max\n", ""},
		"version 2, enough":       {"memory.max", "134217728\n", ""},
		"version 2, not enough":   {"memory.max", "67108864\n", "3 emulators are on a FUSE file system, and are to be kept in memory: 92 MiB, where this container may use 64 MiB"},
		"version 1, unlimited":    {"memory/memory.limit_in_bytes", "9223372036854771712\n", ""},
		"version 1, not enough":   {"memory/memory.limit_in_bytes", "67108864\n", "3 emulators are on a FUSE file system, and are to be kept in memory: 92 MiB, where this container may use 64 MiB"},
		"no control group's file": {"other", "1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cgroups := t.TempDir()
			path := filepath.Join(cgroups, test.file)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(test.limit), 0o600))
			err := enoughMemory(paths, cgroups)
			if test.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.EqualError(t, err, test.err)
			assert.ErrorIs(t, err, ErrNoMemory)
			assert.NoError(t, enoughMemory(paths[:1], cgroups), "one of them fits")
		})
	}
}
