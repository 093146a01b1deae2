package qemu

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// A real build. What the user's cache has is not built again.
func TestABuiltEmulatorRunsProgramsAndIsNotBuiltAgain(t *testing.T) {
	if os.Getenv("TEST_EMULATORS_BUILD") != "1" {
		t.Skip("TEST_EMULATORS_BUILD=1 builds an emulator: minutes, and what make emulators installs")
	}
	host, err := Host(runtime.GOARCH)
	require.NoError(t, err)
	target := arch(t, "s390x")
	var said bytes.Buffer
	b := Builder{Root: "../..", Host: host, Targets: []*elfmagic.Arch{target}, Out: t.TempDir(), Say: func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }}
	require.NoError(t, b.Build(t.Context()), &said)

	m, err := ReadManifest(b.Out)
	require.NoError(t, err)
	require.Len(t, m.Emulators, 1)
	assert.Equal(t, "s390x", m.Emulators[0].Target)
	assert.Equal(t, []string{"s390x"}, m.Emulators[0].Profile)
	assert.NotEmpty(t, m.Patches)
	file := filepath.Join(b.Out, m.Emulators[0].File)
	require.NoError(t, b.prove(t.Context(), target, file))
	out, err := exec.Command(file, filepath.Join(b.work, "s390x", "work")).Output()
	require.NoError(t, err)
	native, err := exec.Command("go", "run", "../../"+trainingDir+"/work").Output()
	require.NoError(t, err)
	assert.Equal(t, string(native), string(out))

	said.Reset()
	require.NoError(t, b.Build(t.Context()))
	assert.Contains(t, said.String(), "1 there, 0 to build")
}
