package emulators

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// On PowerPC a program may take a fault's address from the signal's frame, as Go
// does. Stock emulators leave there what lay on the stack: what it must hold is
// what Linux stores.
func TestSignalFramesSayWhereTheFaultWas(t *testing.T) {
	s := setup(t)
	want := outcome{end: "exit status 0", stdout: "read: si_addr right, DAR right, DSISR 40000000\n" +
		"write: si_addr right, DAR right, DSISR 42000000\n" +
		"jump: si_addr right, DAR right, DSISR 40000000\n"}
	for _, target := range []string{"ppc", "ppc64", "ppc64le"} {
		t.Run(target, func(t *testing.T) {
			arch, err := elfmagic.Lookup(target)
			require.NoError(t, err)
			contestants := s.contestants(t, arch)
			compiler := crossCompiled(t, arch) + "-gcc"
			dir := filepath.Join(s.work, "signals")
			require.NoError(t, os.MkdirAll(dir, 0o755))
			program := filepath.Join(dir, "fault-"+target)
			out, err := exec.CommandContext(t.Context(), compiler, "-static", "-O1", "-Wall", "-Werror", "-o", program, "testdata/fault.c").CombinedOutput()
			require.NoError(t, err, "%s", out)
			for _, c := range contestants {
				o := execute(t.Context(), time.Minute, dir, nil, c.path, program)
				if !c.judged {
					t.Logf("%s: as Linux does: %t", c.name, o == want)
					continue
				}
				if !c.patched {
					t.Skipf("%s is not of our build, or without patches: %s", c.path, o)
				}
				assert.Equal(t, want, o)
			}
		})
	}
}
