package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheVersionThatWasLinkedInIsTheVersion(t *testing.T) {
	defer func() { linked = "" }()
	linked = "v1.2.3-4-gabcdef"
	assert.Equal(t, "v1.2.3-4-gabcdef", Version())
}

func TestWithoutOneTheGoCommandKnows(t *testing.T) {
	require.Empty(t, linked)
	assert.NotEmpty(t, Version())
	assert.NotContains(t, Version(), "(", "of (devel)")
}

// The name that the Makefile has for the linker is that of the variable: the
// linker says nothing if there is none.
func TestTheMakefileLinksItIn(t *testing.T) {
	const flag = "github.com/projectcalico/go-build/internal/cli.linked="
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	text := strings.ReplaceAll(string(makefile), "$(MODULE)", "github.com/projectcalico/go-build")
	require.Contains(t, text, "-X "+flag+"$(VERSION)")

	command := filepath.Join(t.TempDir(), "crossrun")
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X "+flag+"v9.9", "-o", command, "../../cmd/crossrun")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command(command, "--version").Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), "crossrun v9.9 ")
}
