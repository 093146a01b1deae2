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

func TestOnlyFilesThatAProcessServesAreOnFUSE(t *testing.T) {
	assert.False(t, onFUSE("/proc/self/exe"))
	assert.False(t, onFUSE("/no/such/emulator"))
}

func TestADryRunMountsNothing(t *testing.T) {
	kerneltest.Need(t)
	dir := t.TempDir()
	_, _, err := Install(t.Context(), binfmt.New(dir), Request{DryRun: true, Persistent: No}, func(error) {})
	require.NoError(t, err)
	state, err := binfmt.New(dir).State()
	require.NoError(t, err)
	assert.Equal(t, binfmt.NotMounted, state)
}
