package emulator_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/product"
)

func TestWhatIsNoneOfQEMUsIsKnownByItsName(t *testing.T) {
	arch, dir := lookup(t, "x86_64"), t.TempDir()
	program, err := os.ReadFile("/bin/true") // it says no version that is understood
	require.NoError(t, err)
	for name, want := range map[string]struct {
		product                  string
		argv0, descriptor, atAll bool
	}{
		"FEX":            {"FEX", true, true, false},
		"FEXInterpreter": {"FEX", true, true, false},
		"box64":          {"box64", false, false, true},
		"box86":          {"box86", false, false, true},
		"rosetta":        {"Rosetta", false, true, false},
		"unknown":        {},
		"qemu-x86_64":    {},
	} {
		path := filepath.Join(dir, name)
		write(t, path, program)
		link := filepath.Join(dir, "link-to-"+name)
		require.NoError(t, os.Symlink(path, link))
		for _, path := range []string{path, link} {
			e, err := emulator.Open(arch, path)
			require.NoError(t, err)
			assert.Equal(t, want.product, e.Product)
			assert.Equal(t, want.argv0, e.PassesArgv0(), name)
			assert.Equal(t, want.descriptor, product.TakesDescriptor(e.Product, e.Version), name)
			assert.Equal(t, want.atAll, product.FoundInRoot(path))
			assert.Equal(t, path == filepath.Join(dir, "qemu-x86_64"), e.IsQEMU(), path)
			assert.Empty(t, e.FasterCPU())
			_, _, numbered := e.Release()
			assert.False(t, numbered, "no fault of QEMU's is its")
		}
	}
	assert.True(t, product.TakesDescriptor("", "10.0.2"), "QEMU")
}

// A file that has QEMU's version in it is QEMU's, whatever it is called.
func TestQEMUByAnotherNameIsQEMU(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box64")
	write(t, path, versioned(t, "x86_64", "9.8.7"))
	e, err := emulator.Open(lookup(t, "aarch64"), path)
	require.NoError(t, err)
	assert.Empty(t, e.Product)
	assert.True(t, e.IsQEMU())
	assert.True(t, e.PassesArgv0())
}
