package artifacts

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

func TestProgramsAreSeenToBeWhatWasAskedFor(t *testing.T) {
	tc := needToolchain(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.org/hello\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(1) }\n")
	arm64, s390x := lookup(t, "arm64"), lookup(t, "s390x")
	hello := filepath.Join(dir, "hello")
	_, err := tc.Run(t.Context(), arm64, dir, "build", "-o", hello)
	require.NoError(t, err)

	p, err := Describe(tc, arm64, hello, "usr/bin/hello", "v1")
	require.NoError(t, err)
	sum, err := file.SHA256(hello)
	require.NoError(t, err)
	assert.Equal(t, Program{
		Path: "usr/bin/hello", Package: "example.org/hello", Version: "v1", SHA256: sum,
		Modules: []Module{{"stdlib", tc.Version}},
	}, p)

	_, err = Describe(tc, s390x, hello, "", "")
	assert.ErrorContains(t, err, "not for s390x")
	other := *tc
	other.Version = "1.26.7"
	_, err = Describe(&other, arm64, hello, "", "")
	assert.ErrorContains(t, err, "not go1.26.7")
	_, err = Describe(tc, arm64, filepath.Join(dir, "main.go"), "", "")
	assert.Error(t, err)

	sh, err := filepath.EvalSymlinks("/bin/sh")
	require.NoError(t, err)
	if err := static(sh, tc.Host); assert.Error(t, err) {
		assert.EqualError(t, err, "not static")
	}
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
	c, err := b.golang(t.Context())
	require.NoError(t, err)
	assert.Empty(t, said.String(), "nothing is built")
	assert.Contains(t, c.files, rootfs.File{Name: "usr/local/go/bin/go", Source: filepath.Join(b.toolchain.Root, "bin/go"), Mode: 0o755})
	var names []string
	for _, p := range c.programs {
		names = append(names, p.Package)
	}
	assert.Equal(t, []string{"cmd/go", "cmd/gofmt", "cmd/asm", "cmd/cgo", "cmd/compile", "cmd/cover", "cmd/fix", "cmd/link", "cmd/preprofile", "cmd/vet"}, names)
	for _, name := range []string{"bin/go", "pkg/tool/linux_" + b.Arch.GOARCH + "/compile", "VERSION", "src/fmt/print.go", "pkg/include/textflag.h", "lib/time/zoneinfo.zip", "src/runtime/cgo/cgo.go"} {
		assert.True(t, slices.ContainsFunc(c.files, func(f rootfs.File) bool { return f.Name == "usr/local/go/"+name }), name)
	}
}

// What is there may have lost its permissions.
func TestScriptsOfADistributionAreExecutable(t *testing.T) {
	for name, mode := range map[string]int64{"VERSION": 0o644, "src/fmt/print.go": 0o644, "src/all.bash": 0o755, "src/fmt/testdata/x": 0o644, "lib/wasm/go_js_wasm_exec": 0o755} {
		assert.Equal(t, mode, goMode(name), name)
	}
}

// proxy makes a module proxy in a directory, with one module of one command.
func proxy(t *testing.T, module, version, main string) string {
	t.Helper()
	dir := t.TempDir()
	versions := filepath.Join(dir, module, "@v")
	mod := "module " + module + "\n\ngo 1.26.0\n"
	write(t, filepath.Join(versions, "list"), version+"\n")
	write(t, filepath.Join(versions, version+".info"), `{"Version": "`+version+`"}`)
	write(t, filepath.Join(versions, version+".mod"), mod)
	f, err := os.Create(filepath.Join(versions, version+".zip"))
	require.NoError(t, err)
	defer f.Close()
	archive := zip.NewWriter(f)
	for name, content := range map[string]string{"go.mod": mod, "main.go": main, "LICENSE": mit} {
		w, err := archive.Create(module + "@" + version + "/" + name)
		require.NoError(t, err)
		_, err = w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return dir
}

func TestToolsAreBuiltUnderTheirNames(t *testing.T) {
	tc := needToolchain(t)
	dir := proxy(t, "example.org/hello/v2", "v2.1.0", "package main\n\nfunc main() { println(1) }\n")
	cache := t.TempDir()
	tc.Env = append(tc.Env, "GOPROXY=file://"+dir, "GOSUMDB=off", "GOMODCACHE="+cache, "GOFLAGS=-modcacherw")
	for _, arch := range []string{tc.Host.GOARCH, "ppc64le", "arm64"} {
		b, said := newBuilder(t, arch)
		b.toolchain = tc
		b.Versions.Tools = []versions.Tool{{Name: "hello2", Package: "example.org/hello/v2", Version: "v2.1.0"}}
		c, err := b.tools(t.Context())
		require.NoError(t, err)
		require.Len(t, c.programs, 1)
		p := c.programs[0]
		assert.Equal(t, "usr/local/bin/hello2", p.Path)
		assert.Equal(t, "example.org/hello/v2", p.Package)
		assert.Equal(t, []Module{{"stdlib", tc.Version}, {"example.org/hello/v2", "v2.1.0"}}, p.Modules)
		assert.Equal(t, "building tool 1 of 1, hello2 v2.1.0 for linux/"+arch+" …\n", said.String())
		require.Len(t, c.files, 1)
		require.NoError(t, static(c.files[0].Source, b.Arch))

		said.Reset()
		again, err := b.tools(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c, again)
		assert.Empty(t, said.String(), "it is there already")

		// Its licence is read where the module is, and that fetched again if it is gone.
		module := filepath.Join(cache, "example.org/hello/v2@v2.1.0")
		require.NoError(t, os.RemoveAll(module))
		for range 2 {
			texts, err := readTexts(t.Context(), tc, c.programs)
			require.NoError(t, err)
			assert.Equal(t, mit, texts[p.Modules[1]])
			assert.Contains(t, texts[p.Modules[0]], "The Go Authors")
			assert.FileExists(t, filepath.Join(module, "LICENSE"))
		}

		// Of the next one, nothing; and the first is kept.
		b.Versions.Tools = append(b.Versions.Tools, versions.Tool{Name: "other", Package: "example.org/other", Version: "v1.0.0"})
		_, err = b.tools(t.Context())
		require.ErrorContains(t, err, "other v1.0.0: ")
		b.Versions.Tools = b.Versions.Tools[:1]
		said.Reset()
		_, err = b.tools(t.Context())
		require.NoError(t, err)
		assert.Empty(t, said.String())
	}
}

// A tool that is patched, or whose module does not say what it requires, is built in a
// module of its own; and what was patched is not taken for what was released.
func TestToolsArePatchedAndPinned(t *testing.T) {
	tc := needToolchain(t)
	const main = "package main\n\nvar version string\n\nfunc main() { println(version) }\n"
	dir := proxy(t, "example.org/hello", "v2.1.0+incompatible", main)
	tc.Env = append(tc.Env, "GOPROXY=file://"+dir, "GOSUMDB=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw -trimpath")
	b, _ := newBuilder(t, tc.Host.GOARCH)
	b.toolchain, b.File = tc, filepath.Join(t.TempDir(), "versions.yaml")
	tool := versions.Tool{Name: "hello", Also: []string{"greet"}, Package: "example.org/hello", Version: "v2.1.0+incompatible", Patch: "hello.patch", Stamp: "main.version"}
	b.Versions.Tools = []versions.Tool{tool}
	says := func() string {
		t.Helper()
		c, err := b.tools(t.Context())
		require.NoError(t, err)
		require.Len(t, c.files, 2)
		assert.Equal(t, rootfs.File{Name: "usr/local/bin/greet", Target: "hello"}, c.files[1])
		assert.Equal(t, []Module{{"stdlib", tc.Version}, {"example.org/hello", tool.Version}}, c.programs[0].Modules)
		out, err := exec.Command(c.files[0].Source).CombinedOutput()
		require.NoError(t, err)
		return string(out)
	}
	write(t, b.patch(tool), "Why: for a test\n\n--- a/main.go\n+++ b/main.go\n@@ -5 +5 @@\n-func main() { println(version) }\n+func main() { println(version, 2) }\n")
	assert.Equal(t, "v2.1.0+incompatible 2\n", says())
	write(t, b.patch(tool), "--- a/main.go\n+++ b/main.go\n@@ -5 +5 @@\n-func main() { println(version) }\n+func main() { println(version, 3) }\n")
	assert.Equal(t, "v2.1.0+incompatible 3\n", says())
	write(t, b.patch(tool), "--- a/main.go\n+++ b/main.go\n@@ -5 +5 @@\n-func main() {}\n+func main() { println(3) }\n")
	_, err := b.tools(t.Context())
	require.ErrorContains(t, err, "hello.patch does not fit example.org/hello@v2.1.0+incompatible: ")
	assert.Contains(t, cli.Hint(err), "correct the patch")

	b.Versions.Tools = []versions.Tool{{Name: "hello", Also: tool.Also, Package: tool.Package, Version: tool.Version, With: []string{"example.org/hello@" + tool.Version}}}
	assert.Equal(t, "\n", says())
}

func TestAProgramsLicenceIsItsModules(t *testing.T) {
	std := Module{"stdlib", "1.26.8"}
	said := texts{std: bsd, {"k8s.io/kubernetes", "v1"}: mit, {"k8s.io/kubernetes/cmd/kubectl", "v1"}: bsd + mit, {"k8s.io/kube", "v1"}: "?"}
	for name, want := range map[string]string{
		"k8s.io/kubernetes/cmd/kubelet": "MIT", "k8s.io/kubernetes/cmd/kubectl": "BSD-3-Clause AND MIT",
		"cmd/go": "BSD-3-Clause", "k8s.io/kube/x": "NOASSERTION", "example.org/x": "NOASSERTION",
	} {
		assert.Equal(t, want, said.license(Program{Package: name, Modules: []Module{std}}), name)
	}
}
