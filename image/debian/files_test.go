package debian_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/progress"
)

func openSources(t *testing.T) (*debian.Apt, string) {
	t.Helper()
	dir := t.TempDir()
	apt, err := debian.OpenSources(dir, "sid", "testing")
	require.NoError(t, err)
	return apt, filepath.Join(dir, "source-sid-testing")
}

const mirror = `indextargets) echo 'Debian|trixie|stable|http://mirror.example/debian/' ;;
`

func TestSourcesAreOfNoArchitecture(t *testing.T) {
	tools(t, map[string]string{"apt-get": "case $1 in\n" + mirror + "*) cat \"$APT_CONFIG\" >&2; exit 100 ;;\nesac"})
	apt, dir := openSources(t)
	assert.NotContains(t, apt.Update(t.Context()).Error(), "APT::Architecture")
	sources, err := os.ReadFile(filepath.Join(dir, "sources.list"))
	require.NoError(t, err)
	assert.Contains(t, string(sources), "deb-src [signed-by="+debian.Keyring+"] http://mirror.example/debian/ testing main\n")
}

func TestSourceVersionsAreSortedAsDebianDoes(t *testing.T) {
	tools(t, map[string]string{"apt-get": "case $1 in\n" + mirror + "esac", "apt-cache": `cat <<EOT
      qemu | 1:9.2.0+ds-1 | http://mirror.example/debian sid/main Sources
      qemu | 1:11.1.3+ds-1~bpo13+1 | http://mirror.example/debian trixie-backports/main Sources
      qemu | 1:11.1.3+ds-1 | http://mirror.example/debian sid/main Sources
      qemu | 1:11.1.3+ds-1 | http://mirror.example/debian testing/main Sources
      qemu | 1:12.0+ds-1 | http://mirror.example/debian sid/main amd64 Packages
EOT`})
	apt, _ := openSources(t)
	versions, err := apt.Versions(t.Context(), "qemu")
	require.NoError(t, err)
	assert.Equal(t, []string{"1:11.1.3+ds-1", "1:11.1.3+ds-1~bpo13+1", "1:9.2.0+ds-1"}, versions)
}

func TestASourceIsWhatTheListSays(t *testing.T) {
	tools(t, map[string]string{"apt-get": "case $* in\n" + strings.Replace(mirror, "indextargets", "indextargets*", 1) + `*q=3*print-uris*) echo "'http://mirror.example/q_3.orig.tar.xz' q_3.orig.tar.xz 3 MD5Sum:abc" ;;
*print-uris*) echo "NOTICE: it has a repository"; [ -e q_1.orig.tar.xz ] || echo "'http://mirror.example/q_1.orig.tar.xz' q_1.orig.tar.xz 3 SHA256:abc" ;;
*q=2*) exit 100 ;;
source*) printf abc >q_1.orig.tar.xz ;;
esac`})
	apt, dir := openSources(t)
	files, where, err := apt.GetSource(t.Context(), "q", "1")
	require.NoError(t, err)
	assert.Equal(t, []debian.File{{Name: "q_1.orig.tar.xz", Size: 3, SHA256: "abc"}}, files)
	assert.Equal(t, filepath.Join(dir, "debs"), where)
	assert.FileExists(t, filepath.Join(where, files[0].Name))
	again, _, err := apt.GetSource(t.Context(), "q", "1")
	require.NoError(t, err)
	assert.Equal(t, files, again, "though apt names none that it sees")
	_, _, err = apt.GetSource(t.Context(), "q", "3")
	assert.EqualError(t, err, "q_3.orig.tar.xz: apt's list has no SHA256 of it")
	_, _, err = apt.GetSource(t.Context(), "q", "2")
	assert.Error(t, err)
}

func TestPackagesThatAreThereAreNotFetchedAgain(t *testing.T) {
	tools(t, map[string]string{"apt-get": `case "$*" in
*--print-uris*) echo "'http://mirror.example/a.deb' a_1%3a2-3_arm64.deb 2 SHA256:` + sumOf("xx") + `"; echo "'http://mirror.example/b.deb' b_4_all.deb 2 SHA256:` + sumOf("yy") + `" ;;
download*) shift 2; echo "$@" >>asked; for p; do case $p in a=*) printf xx >a_1%3a2-3_arm64.deb ;; b=*) printf yy >b_4_all.deb ;; esac; done ;;
esac`})
	apt, dir := open(t, "arm64")
	for _, list := range []func() ([]debian.File, error){
		func() ([]debian.File, error) { return apt.Packages(t.Context(), "a", "b") },
		func() ([]debian.File, error) { return apt.Closure(t.Context(), "a") },
	} {
		files, err := list()
		require.NoError(t, err)
		require.Len(t, files, 2)
		assert.Equal(t, debian.Package{Name: "a", Version: "1:2-3"}, files[0].Package())
		paths, err := apt.Get(t.Context(), files)
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "arm64/debs/b_4_all.deb"), paths[1])
	}
	asked, err := os.ReadFile(filepath.Join(dir, "arm64/debs/asked"))
	require.NoError(t, err)
	assert.Equal(t, "a=1:2-3 b=4\n", string(asked), "once")
}

// A run that was interrupted, or had no room, may have left half of one, and a disk may have
// lost some of it. Apt takes what has the right size.
func TestHalfAPackageIsFetchedAgain(t *testing.T) {
	tools(t, map[string]string{"apt-get": `case "$*" in
*--print-uris*) echo "'http://mirror.example/a.deb' a_1%3a2-3_arm64.deb 2 SHA256:` + sumOf("xx") + `" ;;
download*) [ "$(wc -c 2>/dev/null <a_1%3a2-3_arm64.deb)" = 2 ] || printf xx >a_1%3a2-3_arm64.deb ;;
esac`})
	apt, dir := open(t, "arm64")
	for _, spoilt := range []string{"x", "xy"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "arm64/debs/a_1%3a2-3_arm64.deb"), []byte(spoilt), 0o644))
		path, err := apt.Download(t.Context(), "a", "1:2-3")
		require.NoError(t, err)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, "xx", string(content))
	}
}

func sumOf(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

func TestNoFilesAreAnError(t *testing.T) {
	tools(t, map[string]string{"apt-get": "echo 'E: nothing'"})
	apt, _ := open(t, "arm64")
	_, err := apt.Packages(t.Context(), "a")
	assert.ErrorContains(t, err, "it names no files")
}

// shown returns a context with a display, and a function that waits until it shows a text.
func shown(t *testing.T) (context.Context, func(text string)) {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { r.Close() })
	d := progress.New(w, "x")
	d.Interval = time.Millisecond
	lines := bufio.NewScanner(r)
	return progress.With(t.Context(), d), func(text string) {
		for lines.Scan() && !strings.Contains(lines.Text(), text) {
		}
		assert.Contains(t, lines.Text(), text)
		go io.Copy(io.Discard, r)
	}
}

func TestPackagesAreCountedWhileTheyAreDownloaded(t *testing.T) {
	goOn := filepath.Join(t.TempDir(), "go-on")
	tools(t, map[string]string{"apt-get": `echo "Get:1 http://mirror.example s/main arm64 a arm64 1 [2 B]"; echo "Get:2 http://mirror.example s/main arm64 b arm64 1 [2 B]"
while [ ! -e ` + goOn + ` ]; do sleep 0.1; done; : >a_1_arm64.deb; : >b_1_arm64.deb; : >c_1_arm64.deb`})
	apt, _ := open(t, "arm64")
	ctx, wait := shown(t)
	done := make(chan error)
	go func() {
		_, err := apt.Get(ctx, []debian.File{{Name: "a_1_arm64.deb"}, {Name: "b_1_arm64.deb"}, {Name: "c_1_arm64.deb"}})
		done <- err
	}()
	wait("x: downloading Debian's packages: 2 of 3, ")
	require.NoError(t, os.WriteFile(goOn, nil, 0o644))
	assert.NoError(t, <-done)
}
