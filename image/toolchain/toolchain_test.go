package toolchain

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

func version(t *testing.T) string {
	t.Helper()
	v, err := versions.Load("../../" + versions.File)
	require.NoError(t, err)
	return v.Go
}

// need skips a test where the pinned Go is unavailable. Where it is the one that
// runs the test, it must be what go.dev distributes.
func need(t *testing.T) *Toolchain {
	t.Helper()
	tc, err := Find(t.Context(), version(t))
	if runtime.Version() == "go"+version(t) && strings.Contains(sums, runtime.Version()+".linux-"+runtime.GOARCH+" ") {
		require.NoError(t, err)
	} else if err != nil {
		t.Skipf("no pinned toolchain: %v", err)
	}
	return tc
}

func lookup(t *testing.T, name string) *elfmagic.Arch {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch
}

func write(t *testing.T, file, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
}

func TestOnlySettingsThatDoNotMatterAreTheCallers(t *testing.T) {
	callers := map[string]string{
		"PATH": "/bin", "HOME": "/home", "HTTPS_PROXY": "proxy", "GOMAXPROCS": "2", "GOTMPDIR": "/t", "GOPROXY": "other",
		"GOFLAGS": "-race", "GOAMD64": "v3", "GOARM64": "v9.0", "CC": "clang", "GONOSUMDB": "all", "GODEBUG": "x=1", "LD_PRELOAD": "x.so", "GO_EXTLINK_ENABLED": "1",
	}
	settings := map[string]string{
		"GOFLAGS": "-race", "GOAMD64": "v3", "GOPATH": "/p", "CC": "clang", "GOTMPDIR": "/t", "GOPROXY": "there", "GOSUMDB": "sums",
		"GOAUTH": "off", "GOMODCACHE": "/m", "GOCACHE": "/c", "CGO_ENABLED": "1", "GONOSUMDB": "all",
	}
	assert.Equal(t, []string{
		"PATH=/bin", "HOME=/home", "GOTMPDIR=/t", "GOMAXPROCS=2", "HTTPS_PROXY=proxy",
		"GOPROXY=there", "GOSUMDB=sums", "GOAUTH=off", "GOMODCACHE=/m", "GOCACHE=/c/calico-go-build",
		"GOENV=off", "GOFLAGS=-trimpath -buildvcs=false", "GOTOOLCHAIN=local", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux",
	}, environ(func(name string) string { return callers[name] }, settings))
}

// repository makes one with a command, of which a tag, a level of an architecture
// and an experiment make others.
func repository(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module example.org/hello\n\ngo 1.26.0\n")
	write(t, filepath.Join(root, "cmd/hello/main.go"), `package main

import "math/bits"

var said = "nothing"

func main() { println(said, bits.OnesCount64(uint64(len(said)))) }
`)
	for _, tag := range []string{"x", "amd64.v3", "arm64.v9.0", "goexperiment.jsonv2", "cgo", "race"} {
		write(t, filepath.Join(root, "cmd/hello", tag+"_.go"), "//go:build "+tag+"\n\npackage main\n\nfunc init() { said += \" "+tag+"\" }\n")
	}
	return root
}

func TestWhatIsBuiltIsTheSameWhateverTheCallersSettings(t *testing.T) {
	root := repository(t)
	built := func(t *testing.T, tc *Toolchain, goarch string) []byte {
		t.Helper()
		file := filepath.Join(t.TempDir(), "hello")
		require.NoError(t, tc.Build(t.Context(), root, lookup(t, goarch), "hello", "v1", file))
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		return data
	}
	archs := []string{"amd64", "arm64"}
	want := make(map[string][]byte)
	for _, goarch := range archs {
		want[goarch] = built(t, need(t), goarch)
	}
	config := filepath.Join(t.TempDir(), "env")
	write(t, config, "GOFLAGS=-tags=x\nGOAMD64=v3\nGOARM64=v9.0\nGOEXPERIMENT=jsonv2\nCGO_ENABLED=1\n")
	work := filepath.Join(root, "go.work")
	write(t, work, "go 1.26.0\n\nuse .\n\ngodebug panicnil=1\n")
	for name, leaked := range map[string]map[string]string{
		"a tag":             {"GOFLAGS": "-tags=x"},
		"the race detector": {"GOFLAGS": "-race", "CGO_ENABLED": "1"},
		"levels":            {"GOAMD64": "v3", "GOARM64": "v9.0"},
		"an experiment":     {"GOEXPERIMENT": "jsonv2"},
		"go env -w":         {"GOENV": config},
		"cgo":               {"CGO_ENABLED": "1", "CC": "false"},
		"a workspace":       {"GOWORK": work},
		"another system":    {"GOOS": "windows", "GOARCH": "386"},
		"all":               {"GOENV": config, "GOFLAGS": "-tags=x -gcflags=-N", "GOAMD64": "v3", "GOARM64": "v9.0", "GOEXPERIMENT": "jsonv2", "GODEBUG": "panicnil=1", "GOFIPS140": "latest"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range leaked {
				t.Setenv(name, value)
			}
			tc := need(t)
			for _, goarch := range archs {
				assert.True(t, bytes.Equal(want[goarch], built(t, tc, goarch)), goarch)
			}
			if name != "all" {
				return
			}
			plain := filepath.Join(t.TempDir(), "hello")
			cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags="+Linked, "-o", plain, "./cmd/hello")
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			data, err := os.ReadFile(plain)
			require.NoError(t, err)
			assert.Contains(t, string(data), "goexperiment.jsonv2", "it matters where nothing is done about it")
		})
	}
}

func TestTheToolchainIsThePinnedOne(t *testing.T) {
	t.Setenv("GOFLAGS", "-tags=never")
	t.Setenv("GOARM64", "v9.0")
	tc := need(t)
	out, err := tc.Run(t.Context(), lookup(t, "arm64"), "", "env", "GOVERSION", "GOARCH", "GOARM64", "GOFLAGS", "CGO_ENABLED", "GOHOSTARCH", "GOEXPERIMENT")
	require.NoError(t, err)
	assert.Equal(t, "go"+tc.Version+"\narm64\nv8.0\n-trimpath -buildvcs=false\n0\n"+tc.Host.GOARCH+"\n\n", out)
	assert.False(t, tc.Released.IsZero())
}

func TestAnotherToolchainIsAnErrorWithAHint(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	_, err := Find(t.Context(), "1.99.7")
	require.ErrorContains(t, err, "go 1.99.7 is unavailable")
	assert.Contains(t, cli.Hint(err), "install it")

	t.Setenv("PATH", t.TempDir())
	_, err = Find(t.Context(), "1.99.7")
	require.ErrorIs(t, err, exec.ErrNotFound)
}

func TestTheChecksumDatabaseIsNeeded(t *testing.T) {
	tc := need(t)
	t.Setenv("GOSUMDB", "off")
	_, err := Find(t.Context(), tc.Version)
	assert.ErrorContains(t, err, "checksum database is turned off")
}

// There is a checksum for each host that there are images for.
func TestChecksumsAreOfThePinnedVersion(t *testing.T) {
	for _, arch := range versions.Architectures() {
		assert.Contains(t, sums, "golang.org/toolchain v0.0.1-go"+version(t)+".linux-"+arch.GOARCH+" h1:")
	}
}

func TestAGoThatWasChangedIsNotUsed(t *testing.T) {
	tc := &Toolchain{Version: version(t), Host: lookup(t, "amd64"), Root: t.TempDir()}
	fails := func(contains, hint string) {
		t.Helper()
		err := tc.verify("linux")
		require.ErrorContains(t, err, contains)
		assert.Contains(t, cli.Hint(err), hint)
	}
	fails("go.env", "go.dev")
	environment := filepath.Join(tc.Root, "go.env")
	write(t, environment, "# GOFLAGS=-x\nGOPROXY=here\nGOAMD64=v3\n")
	fails("sets GOAMD64", "remove the line")
	write(t, environment, "# GOFLAGS=-x\nGOPROXY=here\n")
	fails("bin/go: no such file", "go.dev")
	for _, tool := range Tools {
		write(t, filepath.Join(tc.Root, ToolPath(tool, tc.Host)), "")
	}
	fails(tc.Root+" is not the go"+tc.Version+" that go.dev distributes", "go.dev")
	tc.Version = "1.26.99"
	fails("no checksum of golang.org/toolchain@v0.0.1-go1.26.99.linux-amd64", "go mod download -json golang.org/toolchain@v0.0.1-go1.26.99.linux-amd64")
}

// What differs between a GOROOT and the module of it does not count.
func TestChecksumIsThatOfTheModule(t *testing.T) {
	tc := &Toolchain{Host: lookup(t, "amd64"), Root: t.TempDir()}
	for _, tool := range Tools {
		write(t, filepath.Join(tc.Root, ToolPath(tool, tc.Host)), "")
	}
	for _, name := range []string{"src/go.mod", "VERSION", "go.env"} {
		write(t, filepath.Join(tc.Root, name), name)
	}
	digests, err := tc.digests()
	require.NoError(t, err)
	assert.Len(t, digests, len(Tools)+3)
	assert.NotContains(t, digests, "src/go.mod")
	assert.Equal(t, fmt.Sprintf("%x", sha256.Sum256([]byte("src/go.mod"))), digests["src/_go.mod"])
	assert.Equal(t, goEnv, digests["go.env"])
	// printf 'aa  m@v1/a\n' | sha256sum | xxd -r -p | base64
	assert.Equal(t, "h1:65g1wpVIh/ik1Sp+clciWEY61Ks1xnDGMwU9Xgmbu9Y=", sum("m@v1", map[string]string{"a": "aa"}))
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
		"go: updates to go.mod needed; to update it:\n\tgo mod tidy":            "go run ./image pin",
		"main.go:3: undefined: x":                                               "what was built is kept",
		"missing go.sum entry for module providing package k8s.io/x (imported)": "go run ./image pin",
	}
	tc := &Toolchain{Root: t.TempDir()}
	write(t, filepath.Join(tc.Root, "bin/go"), "#!/bin/sh\necho \"$1\" >&2; exit 3\n")
	require.NoError(t, os.Chmod(filepath.Join(tc.Root, "bin/go"), 0o755))
	for said, want := range tests {
		_, err := tc.Run(t.Context(), lookup(t, "arm64"), "", said)
		require.ErrorContains(t, err, "exit status 3: ")
		assert.ErrorContains(t, err, strings.Split(said, "\n")[0])
		assert.Contains(t, cli.Hint(err), want, said)
	}
	lines := cli.Quoted(strings.Repeat("line\n", 100) + "last\n")
	assert.Equal(t, 20, strings.Count(lines, "\n"))
	assert.True(t, strings.HasSuffix(lines, "\n\tlast"))
	assert.Empty(t, cli.Quoted("\n"))
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
	tc := &Toolchain{Root: root}
	files, err := tc.Source()
	require.NoError(t, err)
	slices.Sort(files)
	assert.Equal(t, []string{
		"LICENSE", "VERSION", "go.env", "lib/time/zoneinfo.zip", "lib/wasm/go_js_wasm_exec", "pkg/include/textflag.h",
		"src/all.bash", "src/bin/x", "src/cmd/dist/main.go", "src/fmt/print.go", "src/fmt/testdata/x",
	}, files)

	require.NoError(t, os.Symlink("fmt", filepath.Join(root, "src/link")))
	_, err = tc.Source()
	assert.ErrorContains(t, err, "not a regular file")
}

// The module of a package is looked for in the directories that this is in.
func TestVersionsOfAPackagesModule(t *testing.T) {
	tc := &Toolchain{Root: t.TempDir(), Host: lookup(t, "amd64")}
	write(t, filepath.Join(tc.Root, "bin/go"), "#!/bin/sh\nfor last; do :; done\ncase $last in go) echo 1.1 1.2;; example.org/x/v2) echo v2.0.0 v2.1.0;; example.org/y) ;; *) echo \"no $last\" >&2; exit 1;; esac\n")
	require.NoError(t, os.Chmod(filepath.Join(tc.Root, "bin/go"), 0o755))
	for name, want := range map[string]string{"go": "1.1 1.2", "example.org/x/v2/cmd/x": "v2.0.0 v2.1.0"} {
		got, err := tc.Versions(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, want, strings.Join(got, " "))
	}
	for _, name := range []string{"example.org/y", "z"} {
		_, err := tc.Versions(t.Context(), name)
		assert.Error(t, err, name)
	}
}

// git shortens a commit by how many objects a clone has, and as it is told to.
func TestTheVersionIsTheSameInEveryClone(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("clones a repository: ", err)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	git := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	first, second := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	git(first, "init", "--quiet")
	write(t, filepath.Join(first, "file"), "1")
	git(first, "add", "file")
	git(first, "commit", "--quiet", "--message", "1")
	git(first, "clone", "--quiet", first, second)
	git(second, "config", "core.abbrev", "40")
	r := ReadRevision(t.Context(), first)
	assert.Equal(t, r.Commit[:12], r.Version)
	assert.Equal(t, r, ReadRevision(t.Context(), second))
	assert.False(t, r.Dirty())

	write(t, filepath.Join(second, "file"), "2")
	dirty := ReadRevision(t.Context(), second)
	assert.Equal(t, r.Version+"-dirty", dirty.Version)
	assert.True(t, dirty.Dirty())
	assert.Equal(t, r.Time, dirty.Time)

	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	assert.Equal(t, time.Unix(1700000000, 0).UTC(), ReadRevision(t.Context(), first).Time)
	_, _, err := Epoch()
	require.NoError(t, err)
	for _, wrong := range []string{"yesterday", "1700000000x", "1.5"} {
		t.Setenv("SOURCE_DATE_EPOCH", wrong)
		_, _, err = Epoch()
		assert.ErrorContains(t, err, wrong)
		assert.NotEmpty(t, cli.Hint(err))
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")

	shallow := filepath.Join(t.TempDir(), "shallow")
	write(t, filepath.Join(first, "file"), "2")
	git(first, "commit", "--quiet", "--all", "--message", "2")
	git(first, "clone", "--quiet", "--depth=1", "file://"+first, shallow)
	assert.True(t, ReadRevision(t.Context(), shallow).Shallow)
	assert.False(t, ReadRevision(t.Context(), first).Shallow)
	write(t, filepath.Join(shallow, "file"), "3")
	assert.True(t, ReadRevision(t.Context(), shallow).Shallow)
	git(shallow, "checkout", "--quiet", "file")
	git(shallow, "tag", "v1.0.0")
	assert.False(t, ReadRevision(t.Context(), shallow).Shallow, "its version is the tag's")

	inside := filepath.Join(first, "go-build")
	require.NoError(t, os.Mkdir(inside, 0o755))
	of := ReadRevision(t.Context(), inside)
	assert.Equal(t, Revision{Version: "unknown", Commit: "unknown", Time: time.Unix(0, 0).UTC(), Unknown: "this is the directory go-build/ of another repository"}, of)

	none := ReadRevision(t.Context(), t.TempDir())
	assert.Equal(t, "unknown", none.Version)
	assert.Contains(t, none.Unknown, "fatal: ")
	assert.Empty(t, r.Unknown)
}
