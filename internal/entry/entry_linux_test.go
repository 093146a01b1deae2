package entry_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/entry"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Each host's machine code says what a shell has had ignored; Go's run time starts
// after it, with the arguments that there are.
func TestIgnoredSignalsAreKnown(t *testing.T) {
	for _, goarch := range []string{"amd64", "arm64", "ppc64le", "riscv64", "s390x"} {
		t.Run(goarch, func(t *testing.T) {
			arch := kerneltest.Lookup(t, goarch)
			program := filepath.Join(t.TempDir(), "ignored")
			build := exec.Command("go", "build", "-ldflags="+entry.Flags, "-o", program, "./testdata/ignored")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
			argv := []string{program}
			if !kerneltest.Native(t, arch) {
				argv = []string{commands.FindEmulator(t, arch).Path, program}
			}
			for _, test := range []struct {
				signals string
				want    uint64
			}{
				{"", 0},
				{"HUP INT QUIT USR1 PIPE TERM CHLD TSTP", 0x95207},
			} {
				said := ignoring(t, test.signals, argv...)
				got, err := strconv.ParseUint(strings.TrimSpace(said), 16, 64)
				require.NoError(t, err, said)
				const standard = 1<<31 - 1 // QEMU has the real-time ones elsewhere
				assert.Equal(t, test.want|others(t)&standard, got&standard, "%#x", got)
			}
			said := ignoring(t, "", append(append([]string{"env", "--block-signal=HUP,INT,USR2,TERM,TSTP"}, argv...), "blocked")...)
			assert.Equal(t, "84803", strings.TrimSpace(said))
		})
	}
}

// ignoring returns what a command prints whose caller ignores signals, and those that
// whoever runs the tests ignores, but for these.
func ignoring(t *testing.T, signals string, argv ...string) string {
	t.Helper()
	script := `trap - HUP INT QUIT USR1 PIPE TERM CHLD TSTP; for s in $0; do trap '' $s; done; exec "$@"`
	said, err := exec.Command("/bin/bash", append([]string{"-c", script, signals}, argv...)...).Output()
	require.NoError(t, err)
	return string(said)
}

// others returns the signals that whoever runs the tests ignores, as Linux says it.
func others(t *testing.T) uint64 {
	t.Helper()
	said := ignoring(t, "", "grep", "SigIgn", "/proc/self/status")
	set, err := strconv.ParseUint(strings.Fields(said)[1], 16, 64)
	require.NoError(t, err, said)
	return set
}
