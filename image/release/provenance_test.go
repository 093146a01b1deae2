package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	predicate "github.com/in-toto/attestation/go/predicates/provenance/v1"
	attestation "github.com/in-toto/attestation/go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/release"
	"github.com/projectcalico/go-build/image/toolchain"
)

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

// sumOfNothing is the SHA-256 of an empty file.
const sumOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// of is a release of one file.
func of(t *testing.T) *release.Provenance {
	t.Helper()
	root, dir := repository(t), t.TempDir()
	sums := sumOfNothing + "  crossrun-linux-amd64\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "crossrun-linux-amd64"), nil, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, release.ChecksumsFile), []byte(sums), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.sum"), []byte(`example.com/A v1.0.0 h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
example.com/A v1.0.0/go.mod h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
`), 0o644))
	o := artifacts.Origin{
		Package: debian.Package{Name: "qemu-user", Version: "1:10.0"},
		Sources: debian.Sources{Source: debian.Package{Name: "qemu", Version: "1:10.0"}, Using: []debian.Package{{Name: "glibc", Version: "2.41"}}},
	}
	return &release.Provenance{
		Root: root, Dir: dir, Hosts: []string{"amd64"},
		Toolchain: &toolchain.Toolchain{Version: "1.26.8"}, Origins: []artifacts.Origin{o, o},
	}
}

// The module of those who wrote the specification reads it, and finds it whole.
func TestProvenanceIsASLSAStatement(t *testing.T) {
	p := of(t)
	p.Invocation = "https://ci.example/runs/7"
	path, err := p.Write(t.Context())
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var s attestation.Statement
	require.NoError(t, protojson.Unmarshal(text, &s))
	require.NoError(t, s.Validate())
	assert.Equal(t, "https://slsa.dev/provenance/v1", s.PredicateType)
	require.Len(t, s.Subject, 1)
	assert.Equal(t, "crossrun-linux-amd64", s.Subject[0].Name)
	assert.Equal(t, sumOfNothing, s.Subject[0].Digest["sha256"])

	inner, err := protojson.Marshal(s.Predicate)
	require.NoError(t, err)
	var said predicate.Provenance
	require.NoError(t, protojson.Unmarshal(inner, &said))
	require.NoError(t, said.Validate())
	assert.Equal(t, release.ByHand, said.RunDetails.Builder.Id)
	assert.Equal(t, "https://ci.example/runs/7", said.RunDetails.Metadata.InvocationId)
	digests := make(map[string]map[string]string)
	for _, d := range said.BuildDefinition.ResolvedDependencies {
		assert.NotContains(t, digests, d.Uri, "once")
		digests[d.Uri] = d.Digest
	}
	assert.Equal(t, run(t, p.Root, "git", "rev-parse", "HEAD"), digests["git+https://github.com/projectcalico/go-build"]["gitCommit"])
	assert.Equal(t, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", digests["pkg:golang/example.com/a@v1.0.0"]["dirHash"])
	for _, uri := range []string{
		"pkg:generic/go@1.26.8", "pkg:deb/debian/qemu-user@1%3A10.0",
		"pkg:deb/debian/qemu@1%3A10.0?arch=source", "pkg:deb/debian/glibc@2.41?arch=source",
	} {
		assert.Contains(t, digests, uri)
	}
	assert.Len(t, digests, 6)
}

func TestProvenanceOfNothingIsAnError(t *testing.T) {
	for want, change := range map[string]func(*release.Provenance){
		"SHA256SUMS names no files": func(p *release.Provenance) {
			require.NoError(t, os.WriteFile(filepath.Join(p.Dir, release.ChecksumsFile), nil, 0o644))
		},
		"is no checksum of a file": func(p *release.Provenance) {
			require.NoError(t, os.WriteFile(filepath.Join(p.Dir, release.ChecksumsFile), []byte("abc\n"), 0o644))
		},
		"crossrun-linux-amd64: no such": func(p *release.Provenance) {
			require.NoError(t, os.Remove(filepath.Join(p.Dir, "crossrun-linux-amd64")))
		},
		"crossrun-linux-amd64 is not what SHA256SUMS says": func(p *release.Provenance) {
			require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "crossrun-linux-amd64"), []byte("other"), 0o755))
		},
		"no such file":      func(p *release.Provenance) { p.Dir = t.TempDir() },
		`"me" is no URI`:    func(p *release.Provenance) { p.Builder = "me" },
		`"run 7" is no URI`: func(p *release.Provenance) { p.Invocation = "run 7" },
		"go.sum: no such":   func(p *release.Provenance) { require.NoError(t, os.Remove(filepath.Join(p.Root, "go.sum"))) },
	} {
		p := of(t)
		change(p)
		_, err := p.Write(t.Context())
		assert.ErrorContains(t, err, want)
		assert.NoFileExists(t, filepath.Join(p.Dir, release.ProvenanceFile))
	}
}

// What was made of a tree with changes is of no commit.
func TestProvenanceOfChangesNamesNoCommit(t *testing.T) {
	p := of(t)
	read := func() string {
		path, err := p.Write(t.Context())
		require.NoError(t, err)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	assert.Contains(t, read(), `"gitCommit": "`+run(t, p.Root, "git", "rev-parse", "HEAD")+`"`)
	tracked := strings.Fields(run(t, p.Root, "git", "ls-files"))
	require.NoError(t, os.WriteFile(filepath.Join(p.Root, tracked[0]), []byte("changed"), 0o644))
	changed := read()
	assert.Contains(t, changed, `"git+https://github.com/projectcalico/go-build"`)
	assert.NotContains(t, changed, "gitCommit")
}
