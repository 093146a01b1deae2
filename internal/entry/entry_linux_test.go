package entry_test

import (
	"os"
	"os/exec"
	"path/filepath"
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
			for _, test := range []struct{ signals, want string }{
				{"", "0\n"}, // and those that whoever runs the tests ignores
				{"HUP INT QUIT USR1 PIPE TERM CHLD TSTP", "95207\n"},
			} {
				script := `trap - HUP INT QUIT USR1 PIPE TERM CHLD TSTP; for s in $0; do trap '' $s; done; exec "$@"`
				said, err := exec.Command("/bin/bash", append([]string{"-c", script, test.signals}, argv...)...).Output()
				assert.NoError(t, err)
				assert.Equal(t, test.want, string(said))
			}
		})
	}
}
