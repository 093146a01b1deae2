package emulators

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// orderRounds are the rounds of each pair of accesses under the emulator that is judged.
// Stock ones get fewer, as what they do is only reported.
const (
	orderRounds      = "1000000"
	orderRoundsStock = "20000"
)

// A load that acquires is not seen before a store that releases and precedes it. Stock
// emulators for aarch64 and arm let it pass in some of a hundred rounds.
func TestOrder(t *testing.T) {
	s := setup(t)
	for _, target := range commands.CPorts {
		t.Run(target.Triplet, func(t *testing.T) {
			arch, err := elfmagic.Lookup(target.Arch)
			require.NoError(t, err)
			var flags []string
			if arch.Name == "arm" {
				flags = []string{"-march=armv8-a+simd"}
			}
			program := guest(t, s, arch, target.Triplet, "order", flags...)
			s.judge(t, arch, func(c contestant) string {
				rounds := orderRounds
				if !c.judged {
					rounds = orderRoundsStock
				}
				o := execute(t.Context(), 20*time.Minute, filepath.Dir(program), nil, c.path, program, rounds)
				if o.end != "exit status 0" {
					return o.String()
				}
				return wrongOrders(o.stdout)
			}, "")
		})
	}
}

// wrongOrders are the lines of pairs that were seen in a wrong order.
func wrongOrders(stdout string) string {
	var wrong strings.Builder
	for line := range strings.Lines(stdout) {
		if !strings.HasSuffix(line, ": 0 wrong\n") {
			wrong.WriteString(line)
		}
	}
	return wrong.String()
}

// guest returns a static program of testdata/NAME.c, in a directory that whoever runs
// programs may read.
func guest(t *testing.T, s settings, arch *elfmagic.Arch, triplet, name string, flags ...string) string {
	t.Helper()
	compiler, err := exec.LookPath(triplet + "-gcc")
	if err != nil {
		t.Skip("no cross compiler: ", err)
	}
	dir := filepath.Join(s.work, name)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	program := filepath.Join(dir, name+"-"+triplet)
	args := append([]string{"-static", "-pthread", "-O1", "-Wall", "-Werror", "-o", program, "testdata/" + name + ".c"}, flags...)
	out, err := exec.CommandContext(t.Context(), compiler, args...).CombinedOutput()
	require.NoError(t, err, "%s: %s", arch, out)
	return program
}

// judge asserts what a run under the emulator that is judged says, if it has our patches, and
// reports of stock ones whether they say so, too.
func (s *settings) judge(t *testing.T, arch *elfmagic.Arch, run func(c contestant) string, want string) {
	t.Helper()
	for _, c := range s.contestants(t, arch) {
		if c.judged && !c.patched {
			t.Skipf("%s is not of our build, or without patches", c.path)
		}
		got := run(c)
		if c.judged {
			assert.Equal(t, want, got, c.path)
			continue
		}
		t.Logf("%s: as Linux does: %t", c.name, got == want)
	}
}
