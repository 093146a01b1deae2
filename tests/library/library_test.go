// Package library_test uses the libraries as other modules do.
package library_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

const module = "github.com/projectcalico/go-build"

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	require.NoError(t, err, "%s %s", out, stderr(err))
	return string(out)
}

func stderr(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}

// The program is in a module of its own, which has nothing but this one.
func TestAnotherModuleAsksWhatRunsHere(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	for name, from := range map[string]string{"main.go": "testdata/asks/main.go", "go.sum": "../../go.sum"} {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	version := run(t, root, "go", "list", "-m", "-f", "{{.GoVersion}}")
	gomod := fmt.Sprintf("module example.com/asks\n\ngo %s\nrequire %s v0.0.0\nreplace %[2]s => %s\n", version, module, root)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(gomod), 0o644))
	run(t, dir, "go", "build", "-mod=mod", "-o", "asks", ".")

	said := strings.Split(strings.TrimSpace(run(t, dir, "./asks")), "\n")
	archs := elfmagic.Archs()
	require.Len(t, said, len(archs), said)
	for i, arch := range archs {
		if kerneltest.Native(t, arch) {
			assert.Equal(t, arch.Name+" programs run", said[i])
		} else {
			assert.Regexp(t, "^"+arch.Name+" programs (run$|do not run: .)", said[i])
		}
	}

	for dep := range strings.SplitSeq(strings.TrimSpace(run(t, dir, "go", "list", "-deps", ".")), "\n") {
		first, _, _ := strings.Cut(dep, "/")
		if strings.Contains(first, ".") {
			assert.Regexp(t, `^(example\.com/asks|`+module+`/.*|golang\.org/x/sys/unix)$`, dep, "what an importer links besides")
		}
	}
}

// containerd's package costs each start half a millisecond: go-digest compiles
// regular expressions.
func TestCommandsDoNotLinkContainerdsPlatforms(t *testing.T) {
	deps := run(t, "../..", "go", "list", "-deps", "./cmd/...") // a pattern of paths would look through all modules
	assert.Contains(t, deps, module+"/binfmt/host\n")
	assert.NotContains(t, deps, "github.com/containerd/")
	assert.NotContains(t, deps, "github.com/opencontainers/")
}

// What serves metrics costs each start three milliseconds: it is behind a tag
// (docs/decisions/15-watch.md).
func TestCommandsLinkAServerWithItsTagOnly(t *testing.T) {
	deps := run(t, "../..", "go", "list", "-deps", "./cmd/...")
	with := run(t, "../..", "go", "list", "-deps", "-tags=watch", "./cmd/...")
	for _, path := range []string{"\nnet/http\n", "/prometheus/client_golang/"} {
		assert.NotContains(t, deps, path)
		assert.Contains(t, with, path)
	}
}

// engines returns a directory with examples of what container engines ask, in a module
// of their own, with this module's requirements, whose files are here.
func engines(t *testing.T) (dir string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir = t.TempDir()
	for _, name := range []string{"emulation", "archutil"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join("testdata", name))))
	}
	sum, err := os.ReadFile("../../go.sum")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644))
	gomod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	text := strings.Replace(string(gomod), "module "+module+"\n", "module example.com/engines\n", 1)
	text += fmt.Sprintf("\nrequire %s v0.0.0\nreplace %[1]s => %s\n", module, root)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o644))
	return dir
}

// What Podman and BuildKit ask is answered by examples on these packages: their own tests,
// and what they answer, are compared in engines_test.go.
func TestExamplesOfContainerEngines(t *testing.T) {
	dir := engines(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "says"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "says", "main.go"), []byte(`package main

import (
	"fmt"

	"github.com/containerd/platforms"

	"example.com/engines/archutil"
	"example.com/engines/emulation"
)

func main() {
	fmt.Println(emulation.Registered())
	for _, p := range archutil.SupportedPlatforms(true) {
		fmt.Println(platforms.Format(p))
	}
	archutil.WarnIfUnsupported([]platforms.Platform{{OS: "linux", Architecture: "nonsense"}})
}
`), 0o644))
	run(t, dir, "go", "vet", "-mod=mod", "./...")
	said := strings.Split(strings.TrimSpace(run(t, dir, "go", "run", "-mod=mod", "./says")), "\n")
	require.Greater(t, len(said), 1)
	assert.Regexp(t, `^\[.*\]$`, said[0])
	assert.Equal(t, "linux/"+runtime.GOARCH, said[1], "this program's own comes first")
}
