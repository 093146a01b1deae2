package commands

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
)

// CheckPage tests what a command generates of its description: that the manual page and the
// completions name each flag, that mandoc's lint has nothing to say of the page, and that what
// is unknown is an error with the given status.
func CheckPage(t *testing.T, page *cli.Page, usageStatus int, run func(args ...string) Result) {
	for _, what := range append([]string{"man"}, cli.Shells...) {
		t.Run(what, func(t *testing.T) {
			r := run("--generate", what)
			require.Zero(t, r.Status, r.Stderr)
			page.Flags.VisitAll(func(f *pflag.Flag) {
				want := "--" + f.Name
				switch what {
				case "man":
					want = strings.ReplaceAll(want, "-", `\-`)
				case "fish":
					want = "-l " + f.Name
				}
				assert.Contains(t, r.Stdout, want)
			})
		})
	}
	t.Run("another", func(t *testing.T) {
		r := run("--generate", "tcsh")
		assert.Equal(t, usageStatus, r.Status)
		assert.Contains(t, r.Stderr, page.Name+": hint: "+page.Name+" --generate bash|zsh|fish|man")
	})
	t.Run("lint", func(t *testing.T) {
		mandoc, err := exec.LookPath("mandoc")
		if err != nil {
			t.Skip(err)
		}
		path := filepath.Join(t.TempDir(), page.Name+".1")
		require.NoError(t, os.WriteFile(path, []byte(page.Manual()), 0o644))
		out, _ := exec.Command(mandoc, "-T", "lint", path).CombinedOutput()
		for line := range bytes.Lines(out) {
			// mandoc looks for other pages where those of the machine are.
			assert.Contains(t, string(line), "referenced manual not found")
		}
	})
}
