package artifacts

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

func TestOnlySettingsThatDoNotMatterAreTheCallers(t *testing.T) {
	settings := map[string]string{
		"GOFLAGS": "-race", "GOAMD64": "v3", "GOPATH": "/p", "CC": "clang", "GOTMPDIR": "/t", "GOPROXY": "there", "GOSUMDB": "sums",
		"GOAUTH": "off", "GOMODCACHE": "/m", "GOCACHE": "/c", "CGO_ENABLED": "1", "GONOSUMDB": "all",
	}
	env := environ([]string{
		"PATH=/bin", "HOME=/home", "GOFLAGS=-race", "GOAMD64=v3", "GOARM64=v9.0", "CC=clang", "GONOSUMDB=all", "GODEBUG=x=1", "GOMAXPROCS=2", "GOTMPDIR=/t", "GOLANG_VERSION=1", "GOPROXY=other",
	}, settings)
	assert.Equal(t, []string{
		"PATH=/bin", "HOME=/home", "GOMAXPROCS=2", "GOTMPDIR=/t", "GOLANG_VERSION=1",
		"GOPROXY=there", "GOSUMDB=sums", "GOAUTH=off", "GOMODCACHE=/m", "GOCACHE=/c",
		"GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux",
	}, env)
}

func TestTheToolchainIsThePinnedOne(t *testing.T) {
	t.Setenv("GOFLAGS", "-tags=never")
	t.Setenv("GOARM64", "v9.0")
	tc := needToolchain(t)
	cmd := tc.command(t.Context(), lookup(t, "arm64"), "env", "GOVERSION", "GOARCH", "GOARM64", "GOFLAGS", "CGO_ENABLED", "GOHOSTARCH")
	out, err := run(cmd)
	require.NoError(t, err)
	assert.Equal(t, "go"+tc.Version+"\narm64\nv8.0\n\n0\n"+tc.Host.GOARCH+"\n", out)
	assert.False(t, tc.Released.IsZero())
}

func TestAnotherToolchainIsAnErrorWithAHint(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	_, err := FindToolchain(t.Context(), "1.99.7")
	require.ErrorContains(t, err, "go 1.99.7 cannot be had")
	assert.Contains(t, cli.Hint(err), "install it")

	t.Setenv("PATH", t.TempDir())
	_, err = FindToolchain(t.Context(), "1.99.7")
	require.ErrorIs(t, err, exec.ErrNotFound)
}

func TestTheChecksumDatabaseIsNeeded(t *testing.T) {
	tc := needToolchain(t)
	t.Setenv("GOSUMDB", "off")
	_, err := FindToolchain(t.Context(), tc.Version)
	assert.ErrorContains(t, err, "checksum database is turned off")
}

func TestReleaseTimeIsReadFromVERSION(t *testing.T) {
	root := t.TempDir()
	_, err := released(root)
	require.ErrorIs(t, err, os.ErrNotExist)
	write(t, filepath.Join(root, "VERSION"), "go1.26.8\n")
	_, err = released(root)
	require.ErrorContains(t, err, "does not say when")
	write(t, filepath.Join(root, "VERSION"), "go1.26.8\ntime 2026-08-28T16:20:06Z\n")
	when, err := released(root)
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 8, 28, 16, 20, 6, 0, time.UTC), when)
}

func TestFailedCommandsSayWhatToDo(t *testing.T) {
	tests := map[string]string{
		"go: x@v1 requires go >= 1.27 (running go 1.26.8)":                      "pin an older",
		"write x: no space left on device":                                      "make room",
		"Get \"x\": dial tcp: lookup x: no such host":                           "GOPROXY",
		"verifying x: checksum mismatch":                                        "find out why",
		"go: updates to go.mod needed; to update it:\n\tgo mod tidy":            "image pin",
		"main.go:3: undefined: x":                                               "what was built is kept",
		"missing go.sum entry for module providing package k8s.io/x (imported)": "image pin",
	}
	for said, want := range tests {
		cmd := exec.Command("sh", "-c", `echo "$0" >&2; exit 3`, said)
		_, err := run(cmd)
		require.ErrorContains(t, err, "exit status 3\n\t")
		assert.ErrorContains(t, err, strings.Split(said, "\n")[0])
		assert.Contains(t, cli.Hint(err), want, said)
	}
	lines := cli.Quoted(strings.Repeat("line\n", 100) + "last\n")
	assert.Equal(t, 20, strings.Count(lines, "\n"))
	assert.True(t, strings.HasSuffix(lines, "\n\tlast"))
	assert.Empty(t, cli.Quoted("\n"))
}

func TestProgramsAreSeenToBeWhatWasAskedFor(t *testing.T) {
	tc := needToolchain(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.org/hello\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(1) }\n")
	arm64, s390x := lookup(t, "arm64"), lookup(t, "s390x")
	path := filepath.Join(dir, "hello")
	cmd := tc.command(t.Context(), arm64, "build", "-o", path)
	cmd.Dir = dir
	_, err := run(cmd)
	require.NoError(t, err)

	p, err := describe(tc, arm64, path, "usr/bin/hello", "v1")
	require.NoError(t, err)
	sum, err := file.SHA256(path)
	require.NoError(t, err)
	assert.Equal(t, Program{
		Path: "usr/bin/hello", Package: "example.org/hello", Version: "v1", SHA256: sum,
		Modules: []Module{{"stdlib", tc.Version}},
	}, p)

	_, err = describe(tc, s390x, path, "", "")
	assert.ErrorContains(t, err, "not for s390x")
	other := *tc
	other.Version = "1.26.7"
	_, err = describe(&other, arm64, path, "", "")
	assert.ErrorContains(t, err, "not go1.26.7")
	_, err = describe(tc, arm64, filepath.Join(dir, "main.go"), "", "")
	assert.Error(t, err)

	sh, err := filepath.EvalSymlinks("/bin/sh")
	require.NoError(t, err)
	if err := static(sh, tc.Host); assert.Error(t, err) {
		assert.EqualError(t, err, "not static")
	}
}

func TestDistributionIsTheSameFromAnyGOROOT(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"VERSION", "LICENSE", "go.env", "src/fmt/print.go", "src/all.bash", "src/fmt/testdata/x", "src/bin/x", "src/cmd/dist/main.go", "lib/time/zoneinfo.zip",
		"pkg/include/textflag.h", "lib/wasm/go_js_wasm_exec",
		// Not of the distribution for another architecture.
		"bin/go", "pkg/tool/linux_amd64/asm", "pkg/obj/x", "pkg/distpack/go.tar.gz", "src/cmd/dist/dist",
		// Not in every GOROOT.
		"api/go1.txt", "doc/x", "misc/x", "test/x.go", ".git/HEAD", ".gitignore", "VERSION.cache",
	} {
		write(t, filepath.Join(root, name), name)
	}
	files, err := goSource(root)
	require.NoError(t, err)
	modes := make(map[string]int64)
	for _, f := range files {
		modes[f.Name] = f.Mode
		assert.Equal(t, filepath.Join(root, f.Name), f.Source)
	}
	assert.Equal(t, map[string]int64{
		"VERSION": 0o644, "LICENSE": 0o644, "go.env": 0o644, "src/fmt/print.go": 0o644, "src/all.bash": 0o755, "src/fmt/testdata/x": 0o644,
		"src/bin/x": 0o644, "src/cmd/dist/main.go": 0o644, "lib/time/zoneinfo.zip": 0o644, "pkg/include/textflag.h": 0o644, "lib/wasm/go_js_wasm_exec": 0o755,
	}, modes)

	require.NoError(t, os.Symlink("fmt", filepath.Join(root, "src/link")))
	_, err = goSource(root)
	assert.ErrorContains(t, err, "not a regular file")
}

func TestGoDoesNotGetOtherToolchains(t *testing.T) {
	for _, env := range []string{"GOPROXY=x\nGOTOOLCHAIN=auto\n", "GOPROXY=x\nGOTOOLCHAIN=local\n\n"} {
		assert.Equal(t, "GOPROXY=x\nGOTOOLCHAIN=local\n", string(localToolchain([]byte(env))))
	}
}

// The machine's own distribution is not compiled, and whole.
func TestOwnDistributionIsACopy(t *testing.T) {
	b, said := newBuilder(t, needToolchain(t).Host.GOARCH)
	b.toolchain = needToolchain(t)
	commands, err := b.goCommands(t.Context())
	require.NoError(t, err)
	assert.Empty(t, said.String(), "nothing is built")
	assert.Equal(t, filepath.Join(b.toolchain.Root, "bin/go"), commands["go"])
	c, err := b.golang(t.Context())
	require.NoError(t, err)
	var names []string
	for _, p := range c.programs {
		names = append(names, p.Package)
	}
	assert.Equal(t, []string{"cmd/go", "cmd/gofmt", "cmd/asm", "cmd/cgo", "cmd/compile", "cmd/cover", "cmd/fix", "cmd/link", "cmd/preprofile", "cmd/vet"}, names)
	for _, name := range []string{"bin/go", "pkg/tool/linux_" + b.Arch.GOARCH + "/compile", "VERSION", "src/fmt/print.go", "pkg/include/textflag.h", "lib/time/zoneinfo.zip", "src/runtime/cgo/cgo.go"} {
		assert.True(t, slices.ContainsFunc(c.files, func(f rootfs.File) bool { return f.Name == "usr/local/go/"+name }), name)
	}
}
