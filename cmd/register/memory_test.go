package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// What the kernel holds of a copy in memory is not the file on disk: that can be
// written to, which it cannot while the kernel holds it.
func TestWhatIsRegisteredFromMemoryDoesNotHoldTheFile(t *testing.T) {
	kerneltest.Need(t)
	fs := binfmt.New("")
	var stderr bytes.Buffer
	r := &registrar{name: "register", stderr: &stderr}
	for _, inMemory := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "qemu-aarch64-static")
		content, err := os.ReadFile("/proc/self/exe")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, 0o755))
		other := filepath.Join(filepath.Dir(path), "other")
		require.NoError(t, os.WriteFile(other, nil, 0o644))

		want := new(report)
		register := func() (*report, error) {
			_, err := os.Stat(other)
			assert.Equal(t, inMemory, os.IsNotExist(err), "the directory is covered for who registers")
			return want, fs.Register(binfmt.Entry{Name: "held", Extension: "held", Interpreter: path, Flags: binfmt.FixBinary})
		}
		var got *report
		if inMemory {
			got, err = r.inMemory([]*emulator.Emulator{{Path: path}}, register)
		} else {
			got, err = register()
		}
		require.NoError(t, err)
		assert.Same(t, want, got)
		assert.Empty(t, stderr.String())

		_, err = os.Stat(other)
		assert.NoError(t, err, "and for nobody else")
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if inMemory {
			assert.NoError(t, err)
			require.NoError(t, f.Close())
		} else {
			assert.ErrorIs(t, err, unix.ETXTBSY)
		}
		require.NoError(t, fs.Remove("held"))
	}
}

func TestWhatCannotBeKeptInMemoryIsRegisteredWithAWarning(t *testing.T) {
	var stderr bytes.Buffer
	r := &registrar{name: "register", stderr: &stderr}
	_, err := r.inMemory([]*emulator.Emulator{{Path: "/no/such/emulator"}}, func() (*report, error) { return nil, io.ErrUnexpectedEOF })
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "what it is called for is called")
	assert.Contains(t, stderr.String(), "register: warning: the emulators are on a FUSE file system, and cannot be kept in memory: open /no/such/emulator")
	assert.Contains(t, stderr.String(), "register: hint: ")
}

func TestOnlyFilesThatAProcessServesAreOnFUSE(t *testing.T) {
	assert.Empty(t, onFUSE([]*emulator.Emulator{{Path: "/proc/self/exe"}, {Path: "/no/such/emulator"}}))
}
