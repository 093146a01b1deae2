package kerneltest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
)

var native = sync.OnceValues(func() ([]*elfmagic.Arch, error) { return host.Native(context.Background()) })

// Native reports whether the kernel runs an architecture's programs itself. As
// register does, it asks the kernel: not every amd64 runs i386's.
func Native(t testing.TB, arch *elfmagic.Arch) bool {
	t.Helper()
	archs, err := native()
	require.NoError(t, err)
	return slices.Contains(archs, arch)
}

// Lookup returns the architecture of a name.
func Lookup(t testing.TB, name string) *elfmagic.Arch {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch
}

// NothingRegistered skips a test that is about a machine on which nobody has registered: it has
// watchers and containers with instances of their own, which leave programs to the
// machine's entries, so that what the test does to theirs it would do to these.
func NothingRegistered(t testing.TB) {
	t.Helper()
	entries, err := binfmt.New("").List()
	if err != nil {
		require.ErrorIs(t, err, binfmt.ErrNotMounted)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name, "qemu-") {
			t.Skipf("the machine has entry %s: register --uninstall removes it", e.Name)
		}
	}
}
