package library_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/kerneltest"
)

const (
	podman   = "github.com/containers/podman/v5@v5.6.2"
	buildkit = "github.com/moby/buildkit@v0.34.2"
)

// ask skips unless TEST_TOOLCHAINS asks for what takes the source of others.
func ask(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_TOOLCHAINS") == "" {
		t.Skip("fetches the source of Podman and BuildKit: make test-toolchains")
	}
}

// Podman's own test of its detection passes with the example in its place.
func TestPodmansOwnTestPasses(t *testing.T) {
	ask(t)
	dir := engines(t)
	var podmans struct{ Dir string }
	require.NoError(t, json.Unmarshal([]byte(run(t, dir, "go", "mod", "download", "-json", podman)), &podmans))
	text, err := os.ReadFile(filepath.Join(podmans.Dir, "pkg/emulation/binfmtmisc_linux_test.go"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "emulation", "podmans_test.go"), text, 0o644))
	said := run(t, dir, "go", "test", "-mod=mod", "-v", "./emulation")
	assert.Contains(t, said, "\n--- PASS: TestParseBinfmtMisc ")
	assert.NotContains(t, said, "SKIP")

	// It can fail.
	source := filepath.Join(dir, "emulation", "emulation.go")
	example, err := os.ReadFile(source)
	require.NoError(t, err)
	spoiled := strings.Replace(string(example), "return int(e.Pattern.Offset), ", "return int(e.Pattern.Offset) + 1, ", 1)
	require.NotEqual(t, string(example), spoiled)
	require.NoError(t, os.WriteFile(source, []byte(spoiled), 0o644))
	cmd := exec.Command("go", "test", "./emulation")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	assert.Error(t, err, "%s", out)
}

// BuildKit's package has no tests: the example answers as it does, with emulators
// registered and without.
func TestBuildKitsAnswersAreTheExamples(t *testing.T) {
	ask(t)
	dir := engines(t)
	bin := t.TempDir()
	for name, from := range map[string]string{"ours": "example.com/engines/archutil", "buildkits": "github.com/moby/buildkit/util/archutil"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "main.go"), []byte(strings.Replace(`package main

import (
	"fmt"

	"github.com/containerd/platforms"

	"FROM"
)

func main() {
	for _, p := range archutil.SupportedPlatforms(true) {
		fmt.Println(platforms.Format(platforms.Normalize(p))) // linux/arm is linux/arm/v7
	}
}
`, "FROM", from, 1)), 0o644))
		if name == "buildkits" {
			run(t, dir, "go", "get", buildkit)
		}
		run(t, dir, "go", "build", "-mod=mod", "-o", filepath.Join(bin, name), "./"+name)
	}
	run(t, "../..", "go", "build", "-o", filepath.Join(bin, "crossrun"), "./cmd/crossrun")
	answer := func(args ...string) []string {
		list := strings.Fields(run(t, bin, args...))
		require.NotEmpty(t, list)
		slices.Sort(list[1:]) // the first is the program's own
		return list
	}
	assert.Equal(t, answer("./buildkits"), answer("./ours"))
	if kerneltest.Native(t, kerneltest.Lookup(t, "s390x")) {
		t.Skip("s390x is native here")
	}
	with := answer("./crossrun", "--private", "./buildkits")
	require.Contains(t, with, "linux/s390x", "with emulators that crossrun registers")
	require.Equal(t, "linux/"+runtime.GOARCH, with[0])
	assert.Equal(t, with, answer("./crossrun", "--private", "./ours"))
}
