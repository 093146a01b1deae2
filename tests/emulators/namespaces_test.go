package emulators

import (
	"testing"

	"github.com/projectcalico/go-build/elfmagic"
)

// A process has new namespaces by unshare(2), setns(2) and clone(2) as without an emulator.
// Stock ones have a thread, with which the kernel refuses.
func TestNamespaces(t *testing.T) {
	s := setup(t)
	if out, err := command(t.Context(), s.work, nil, "unshare", "-Urmn", "true").CombinedOutput(); err != nil {
		t.Skipf("an ordinary user may have no user namespace here: %s", out)
	}
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		program := guest(t, s, triplet, "namespaces")
		s.judge(t, arch, func(c contestant) string { return c.handingOn(t, program) }, "")
	})
}
