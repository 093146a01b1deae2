package debian_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
)

func TestPackagesSayWhatTheyWereBuiltFrom(t *testing.T) {
	for said, want := range map[string]debian.Sources{
		`qemu\t1:7.2+dfsg-7\tglibc (= 2.36-9), zlib (= 1:1.2.13), \n`: {Source: debian.Package{Name: "qemu", Version: "1:7.2+dfsg-7"}, Using: []debian.Package{{Name: "glibc", Version: "2.36-9"}, {Name: "zlib", Version: "1:1.2.13"}}},
		`zlib\t1:1.3\t, \n`:                    {Source: debian.Package{Name: "zlib", Version: "1:1.3"}},
		`a\t1\t, rust-b (= 2), rust-c (= 3)\n`: {Source: debian.Package{Name: "a", Version: "1"}, Using: []debian.Package{{Name: "rust-b", Version: "2"}, {Name: "rust-c", Version: "3"}}},
	} {
		tools(t, map[string]string{"dpkg-deb": `[ "$1 $2 $4" = "--show --showformat a.deb" ] && printf '` + said + `'`})
		got, err := debian.SourcesOf(t.Context(), "a.deb")
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	tools(t, map[string]string{"dpkg-deb": "exit 2"})
	_, err := debian.SourcesOf(t.Context(), "a.deb")
	assert.Error(t, err)
}

func TestFilesAreOfPackages(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("this is not Debian: ", err)
	}
	p, s, err := debian.Owner(t.Context(), "/usr/bin/dpkg-query")
	require.NoError(t, err)
	assert.Equal(t, "dpkg", p.Name)
	assert.NotEmpty(t, p.Version)
	assert.Equal(t, "dpkg", s.Source.Name)
	p, s, err = debian.Owner(t.Context(), t.TempDir())
	require.NoError(t, err)
	assert.Zero(t, p)
	assert.Zero(t, s)
	t.Setenv("PATH", t.TempDir())
	p, _, err = debian.Owner(t.Context(), "/usr/bin/dpkg-query")
	require.NoError(t, err, "another distribution")
	assert.Zero(t, p)
}
