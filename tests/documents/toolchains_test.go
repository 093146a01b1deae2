package documents

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Tools that docs/toolchains.md speaks of, and that Go's module proxy has. Newer ones of
// GoReleaser require a newer Go than this module.
const (
	goreleaser = "github.com/goreleaser/goreleaser/v2@v2.14.3"
	ko         = "github.com/google/ko@v0.19.1"
	act        = "github.com/nektos/act@v0.2.89" // runs GitHub's workflows
)

// toolchains skips unless TEST_TOOLCHAINS asks for what takes tools that are fetched.
func toolchains(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_TOOLCHAINS") == "" {
		t.Skip("fetches tools, of gigabytes: make test-toolchains")
	}
	kerneltest.Need(t)
	if commands.SingleUser(t) {
		t.Skip("it takes caches that are root's: the run as root shows it")
	}
	for _, goarch := range []string{"arm64", "s390x"} {
		if kerneltest.Native(t, kerneltest.Lookup(t, goarch)) {
			t.Skip(goarch, " is native here")
		}
	}
}

// typed returns what docs/toolchains.md says to type in the block that has a line that
// begins so.
func typed(t *testing.T, line string) string {
	t.Helper()
	const file = "docs/toolchains.md"
	list := blocks(file, commands.Read(t, filepath.Join(root, file)))
	i := slices.IndexFunc(list, func(b block) bool {
		return b.kind == "" && slices.ContainsFunc(b.lines, func(l string) bool { return strings.HasPrefix(l, line) })
	})
	require.GreaterOrEqual(t, i, 0, "%s has no block with %q", file, line)
	return strings.Join(list[i].lines, "\n")
}

// goTools returns a directory with tools that Go's module proxy has.
func goTools(t *testing.T, modules ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, module := range modules {
		cmd := exec.Command("go", "install", module)
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return dir
}

// project returns a directory with a project that has a commit.
func project(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/toolchains/"+from)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.org/work\n\ngo 1.24\n"), 0o644))
	shell(t, dir, os.Environ(), `git init -q . && git remote add origin https://example.org/a/work.git
printf '/dist/\n/image.tar\n' >.gitignore && git add . && git -c user.name=A -c user.email=a@example.org commit -qm hello`)
	return dir
}

func TestGoReleaserTriesWhatItHasBuilt(t *testing.T) {
	toolchains(t)
	path := "PATH=" + goTools(t, goreleaser) + ":" + commands.Dir() + ":" + os.Getenv("PATH")
	dir := project(t, "go")
	r := shell(t, dir, append(os.Environ(), path), typed(t, "goreleaser "))
	assert.Contains(t, r.Stdout+r.Stderr, "release succeeded")

	// A program that fails stops it.
	main := filepath.Join(dir, "cmd/hello/main.go")
	require.NoError(t, os.WriteFile(main, []byte(strings.Replace(commands.Read(t, main), "func main() {", `func main() { if runtime.GOARCH == "s390x" { os.Exit(3) };`, 1)), 0o644))
	cmd := exec.Command("sh", "-ec", typed(t, "goreleaser "))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), path)
	r = commands.Run(t, cmd)
	assert.NotZero(t, r.Status)
	assert.Contains(t, r.Stdout+r.Stderr, "linux_s390x")
}

func TestAnImageOfKosRuns(t *testing.T) {
	toolchains(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	base, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/base:latest")
	require.NoError(t, err)
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64"})
	require.NoError(t, err)
	require.NoError(t, remote.Write(base, image))
	r := shell(t, project(t, "go"), append(os.Environ(), "PATH="+goTools(t, ko)+":"+commands.Dir()+":"+os.Getenv("PATH"), "KO_DEFAULTBASEIMAGE="+base.String()), typed(t, "ko "))
	assert.Contains(t, r.Stdout, "hello from arm64 [--version]\n")
}

// The workflow is run as it is published, by a runner: with the action of this repository,
// and one that stands for setup-go. The commands are built from source, by the action.
func TestARunnerRunsTheWorkflow(t *testing.T) {
	toolchains(t)
	for _, goarch := range []string{"arm64", "s390x"} {
		commands.FindEmulator(t, kerneltest.Lookup(t, goarch))
	}
	here, err := filepath.Abs(root)
	require.NoError(t, err)
	tools, home, setup := goTools(t, act), t.TempDir(), t.TempDir()
	dir := project(t, "go")
	require.NoError(t, os.WriteFile(filepath.Join(setup, "action.yml"), []byte(`name: stands for setup-go
description: Go is here
runs: {using: composite, steps: [{run: "true", shell: sh}]}
`), 0o644))
	commands.CopyFile(t, root+"/ci/github.yml", filepath.Join(dir, ".github/workflows/other.yml"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cmd/hello/main_test.go"), []byte(`package main

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

func TestItIsTested(t *testing.T) {
	if out, err := exec.Command(os.Args[0], "-test.run=^$").CombinedOutput(); err != nil {
		t.Fatalf("%s, and what it starts, runs: %v %s", runtime.GOARCH, err, out)
	}
}
`), 0o644))
	shell(t, dir, os.Environ(), "git add . && git -c user.name=A -c user.email=a@example.org commit -qm test")
	r := shell(t, dir, append(os.Environ(), "HOME="+home, "PATH="+tools+":"+os.Getenv("PATH")),
		"act push -P ubuntu-24.04=-self-hosted --action-offline-mode --local-repository actions/setup-go@v5='"+setup+"' "+
			"--local-repository projectcalico/go-build@main='"+here+"' --env TO="+home+"/to --env GOPATH="+goPath(t)+" --env GOCACHE="+goEnv(t, "GOCACHE"))
	assert.Contains(t, r.Stdout, "ci/setup: building crossrun and register")
	assert.Equal(t, 2, strings.Count(r.Stdout, "| ok  \texample.org/work/cmd/hello\t"), r.Stdout)
	assert.Equal(t, 2, strings.Count(r.Stdout, "Job succeeded"), r.Stdout)
	for _, goarch := range []string{"arm64", "s390x"} {
		assert.Contains(t, r.Stdout, "::set-env:: GOARCH="+goarch)
	}
}

// toolsRoot returns a Debian with the tools of its that a machine for these tests has not.
func toolsRoot(t *testing.T) string {
	t.Helper()
	archive := commands.Archive(t, "toolchains-"+runtime.GOARCH, func(path, mirror string) *exec.Cmd {
		return exec.Command("mmdebstrap", "--variant=minbase", "--architectures="+kerneltest.Lookup(t, runtime.GOARCH).Debian[0].Name+",arm64",
			"--include=bazel-bootstrap,cargo,rustc,libstd-rust-dev:arm64,gcc,libc6-dev,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross",
			"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--format=tar", "trixie", path, mirror)
	})
	dir, err := os.MkdirTemp("", "toolchains-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	out, err := exec.Command("tar", "-C", dir, "--exclude=./dev/*", "-xf", archive).CombinedOutput()
	require.NoError(t, err, "%s", out)
	emulator := commands.FindEmulator(t, kerneltest.Lookup(t, "arm64"))
	commands.CopyFile(t, filepath.Join(commands.Dir(), "crossrun"), filepath.Join(dir, "usr/local/bin/crossrun"))
	commands.CopyFile(t, emulator.Path, filepath.Join(dir, "usr/local/bin/qemu-aarch64-static"))
	return dir
}

// inTools runs a script in a root file system, in a directory of testdata's.
func inTools(t *testing.T, system, from, script string) commands.Result {
	t.Helper()
	work := filepath.Join(system, "work")
	require.NoError(t, os.RemoveAll(work))
	require.NoError(t, os.CopyFS(work, os.DirFS("testdata/toolchains/"+from)))
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec",
		`mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$1" sh -ec "cd /work; $2"`, "sh", system, script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	return commands.Run(t, cmd)
}

func TestDebiansToolsRunWhatTheyHaveBuilt(t *testing.T) {
	toolchains(t)
	system := toolsRoot(t)
	t.Run("Cargo", func(t *testing.T) {
		r := inTools(t, system, "cargo", "cargo --version\n"+typed(t, "cargo "))
		require.Zero(t, r.Status, "%s%s", r.Stdout, r.Stderr)
		assert.Contains(t, r.Stdout, "test runs_on_aarch64 ... ok")
		t.Log(strings.SplitN(r.Stdout, "\n", 2)[0])

		r = inTools(t, system, "cargo", "eval \"$(crossrun --env arm64)\"\ncargo test && cargo run") // as docs/ci.md says
		require.Zero(t, r.Status, "%s%s", r.Stdout, r.Stderr)
		assert.Contains(t, r.Stdout, "test runs_on_aarch64 ... ok")
		assert.Contains(t, r.Stdout, "hello from aarch64\n")
	})
	t.Run("Bazel", func(t *testing.T) {
		r := inTools(t, system, "bazel", "dpkg-query -W bazel-bootstrap\n"+typed(t, "bazel "))
		require.Zero(t, r.Status, "%s%s", r.Stdout, r.Stderr)
		assert.Regexp(t, `(?m)^//:hello_test +PASSED`, r.Stdout)
		t.Log(strings.SplitN(r.Stdout, "\n", 2)[0])

		r = inTools(t, system, "bazel", strings.Replace(typed(t, "bazel "), "--run_under=crossrun ", "", 1))
		assert.NotZero(t, r.Status, "it is crossrun that runs them")
		assert.Regexp(t, `(?m)^//:hello_test +FAILED`, r.Stdout)
	})
}
