package artifacts

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/versions"
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
	for name, content := range map[string]string{"go.mod": mod, "main.go": main} {
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
	tc.Env = append(tc.Env, "GOPROXY=file://"+dir, "GOSUMDB=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw")
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
		assert.Equal(t, "building hello2 v2.1.0 for linux/"+arch+" …\n", said.String())
		require.Len(t, c.files, 1)
		require.NoError(t, static(c.files[0].Source, b.Arch))

		said.Reset()
		again, err := b.tools(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c, again)
		assert.Empty(t, said.String(), "it is there already")

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
