package artifacts

import (
	"archive/zip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/versions"
)

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
