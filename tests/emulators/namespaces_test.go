package emulators

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// A process has new namespaces by unshare(2), setns(2) and clone(2) as without an emulator.
// Stock ones have a thread, with which the kernel refuses.
func TestNamespaces(t *testing.T) {
	s := setup(t)
	if out, err := command(t.Context(), s.work, nil, "unshare", "-Urmn", "true").CombinedOutput(); err != nil {
		t.Skipf("an ordinary user may have no user namespace here: %s", out)
	}
	for _, target := range commands.CPorts {
		t.Run(target.Triplet, func(t *testing.T) {
			arch, err := elfmagic.Lookup(target.Arch)
			require.NoError(t, err)
			program := guest(t, s, arch, target.Triplet, "namespaces")
			s.judge(t, arch, func(c contestant) string { return c.handingOn(t, program) }, "")
		})
	}
}
