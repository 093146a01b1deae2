package emulators

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// eachPort runs a test for each of the ports that C programs are compiled for.
func eachPort(t *testing.T, test func(t *testing.T, arch *elfmagic.Arch, triplet string)) {
	for _, port := range commands.CPorts {
		t.Run(port.Triplet, func(t *testing.T) {
			arch, err := elfmagic.Lookup(port.Arch)
			require.NoError(t, err)
			test(t, arch, port.Triplet)
		})
	}
}

// compile compiles a C program, or skips the test if there is no compiler for it.
func compile(t *testing.T, triplet, program string, args ...string) string {
	t.Helper()
	compiler, err := exec.LookPath(triplet + "-gcc")
	if err != nil {
		t.Skip("no cross compiler: ", err)
	}
	out, err := exec.CommandContext(t.Context(), compiler, append([]string{"-O1", "-Wall", "-o", program}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// guest returns a program of testdata/NAME.c, in a directory that whoever runs
// programs may read.
func guest(t *testing.T, s settings, triplet, name string, flags ...string) string {
	t.Helper()
	dir := filepath.Join(s.work, name)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	return compile(t, triplet, filepath.Join(dir, name+"-"+triplet), slices.Concat(commands.Port(triplet).Link(), []string{"-pthread", "-Werror", "testdata/" + name + ".c"}, flags)...)
}

// judge asserts what a run under the emulator that is judged says, if it has our patches, and
// reports of stock ones whether they say so, too.
func (s *settings) judge(t *testing.T, arch *elfmagic.Arch, run func(c contestant) string, want string) {
	t.Helper()
	for _, c := range s.contestants(t, arch) {
		if c.judged && !c.patched {
			t.Skipf("%s is not of our build, or without patches", c.path)
		}
		switch got := run(c); {
		case c.judged:
			assert.Equal(t, want, got, c.path)
		case got != want:
			t.Logf("%s: not as Linux does: %s", c.name, got)
		default:
			t.Logf("%s: as Linux does", c.name)
		}
	}
}
