package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
)

// The manual page and the completions name each flag.
func TestWhatIsGeneratedNamesEachFlag(t *testing.T) {
	for _, what := range append([]string{"man"}, cli.Shells...) {
		var stdout, stderr bytes.Buffer
		require.Zero(t, run(t.Context(), []string{"--generate", what}, &stdout, &stderr), stderr.String())
		page().Flags.VisitAll(func(f *pflag.Flag) {
			want := map[string]string{"man": `\-\-` + manualName(f.Name), "fish": "-l " + f.Name}[what]
			if want == "" {
				want = "--" + f.Name
			}
			assert.Contains(t, stdout.String(), want, what)
		})
	}
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitUsage, run(t.Context(), []string{"--generate", "tcsh"}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "register: hint: register --generate bash|zsh|fish|man")
}

func manualName(flag string) string {
	return string(bytes.ReplaceAll([]byte(flag), []byte("-"), []byte(`\-`)))
}

func TestTheManualPagePassesMandocsLint(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "register.1")
	require.NoError(t, os.WriteFile(path, []byte(page().Manual()), 0o644))
	out, _ := exec.Command(mandoc, "-T", "lint", path).CombinedOutput()
	for line := range bytes.Lines(out) {
		// mandoc looks for other pages where those of the machine are.
		assert.Contains(t, string(line), "referenced manual not found")
	}
}
