package rootarchive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
)

// archiveOf makes a tar archive. Each entry is a name and what it is: a file's
// content, "->target" of a symbolic link, "=target" of a hard link; names that end in
// a slash are directories, and "name:mode" has another mode than 0644 and 0755.
func archiveOf(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		name, mode, hasMode := strings.Cut(entries[i], ":")
		h := &tar.Header{Name: name, Mode: 0o644, ModTime: time.Unix(1e9, 0), Uid: os.Getuid(), Gid: os.Getgid()}
		content := entries[i+1]
		switch {
		case strings.HasSuffix(name, "/"):
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		case strings.HasPrefix(content, "->"):
			h.Typeflag, h.Linkname, content = tar.TypeSymlink, content[2:], ""
		case strings.HasPrefix(content, "="):
			h.Typeflag, h.Linkname, content = tar.TypeLink, content[1:], ""
		case content == "DEVICE":
			h.Typeflag, content = tar.TypeBlock, ""
		case content == "PIPE":
			h.Typeflag, content = tar.TypeFifo, ""
		default:
			h.Typeflag = tar.TypeReg
		}
		if hasMode {
			_, err := fmt.Sscanf(mode, "%o", &h.Mode)
			require.NoError(t, err)
		}
		h.Size = int64(len(content))
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// A layout is an OCI layout that is being made, as the entries of an archive.
type layout struct {
	t       testing.TB
	entries map[string]string
	index   document
}

func newLayout(t testing.TB) *layout {
	return &layout{t: t, entries: map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}}
}

func (l *layout) blob(b []byte) descriptor {
	digest := digestOf(b)
	l.entries["blobs/sha256/"+strings.TrimPrefix(digest, "sha256:")] = string(b)
	return descriptor{Digest: digest}
}

func (l *layout) json(v any) descriptor {
	b, err := json.Marshal(v)
	require.NoError(l.t, err)
	return l.blob(b)
}

// add adds an image of layers, which are archives.
func (l *layout) add(p platform, layers ...[]byte) (manifest descriptor) {
	c := config{platform: p}
	var doc document
	for i, layer := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digestOf(layer))
		if i%2 == 0 {
			layer = zipped(l.t, layer)
		}
		doc.Layers = append(doc.Layers, l.blob(layer))
	}
	doc.Config = l.json(c)
	manifest = l.json(doc)
	manifest.Platform = &p
	l.index.Manifests = append(l.index.Manifests, manifest)
	return manifest
}

// files returns the layout's files, as archiveOf wants them.
func (l *layout) files() (entries []string) {
	index, err := json.Marshal(l.index)
	require.NoError(l.t, err)
	l.entries["index.json"] = string(index)
	for name, content := range l.entries {
		entries = append(entries, name, content)
	}
	return entries
}

func save(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// unpacked unpacks an archive into a new cache, and lists what is there.
func unpacked(t *testing.T, path, platform string) (tree map[string]string, err error) {
	t.Helper()
	cache := filepath.Join(t.TempDir(), "cache")
	dir, _, err := Directory(t.Context(), cache, path, platform, func() {})
	left, _ := os.ReadDir(cache)
	for _, entry := range left {
		if entry.Name() != known && filepath.Join(cache, entry.Name()) != dir {
			assert.Fail(t, "left in the cache", entry.Name())
		}
	}
	if err != nil {
		return nil, err
	}
	return listed(t, dir), nil
}

func listed(t *testing.T, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		name := strings.TrimPrefix(path, dir+"/")
		switch {
		case path == dir:
		case entry.IsDir():
			tree[name+"/"] = ""
		case entry.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(path)
			tree[name] = "->" + to
		case entry.Type() == fs.ModeNamedPipe:
			tree[name] = "PIPE"
		default:
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			tree[name] = string(text)
		}
		return nil
	}))
	return tree
}

func TestPlainArchives(t *testing.T) {
	archive := archiveOf(t, "./", "", "./bin/:0500", "", "bin/su:4755", "set-user-ID", "bin/same", "=./bin/su", "usr/lib/libm", "m", "lib", "->usr/lib", "lib/libc", "by a link", "dev/sda", "DEVICE", "fifo", "PIPE", "/absolute", "a", "manifest.json", "{}")
	want := map[string]string{"bin/": "", "bin/su": "set-user-ID", "bin/same": "set-user-ID", "lib": "->usr/lib", "usr/": "", "usr/lib/": "", "usr/lib/libm": "m", "usr/lib/libc": "by a link", "fifo": "PIPE", "absolute": "a", "manifest.json": "{}"}
	contents := map[string][]byte{"tar": archive, "tar.gz": zipped(t, archive)}
	for _, command := range []string{"zstd", "xz", "bzip2"} {
		cmd := exec.Command(command, "-c")
		cmd.Stdin = bytes.NewReader(archive)
		if out, err := cmd.Output(); err == nil {
			contents[command] = out
		}
	}
	for name, content := range contents {
		tree, err := unpacked(t, save(t, content), "")
		require.NoError(t, err, name)
		assert.Equal(t, want, tree, name)
	}
	cache := t.TempDir()
	dir, _, err := Directory(t.Context(), cache, save(t, archive), "", func() {})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(cache, "sha256-"+strings.TrimPrefix(digestOf(archive), "sha256:")), dir)
	su, err := os.Stat(dir + "/bin/su")
	require.NoError(t, err)
	assert.Equal(t, 0o755|fs.ModeSetuid, su.Mode())
	assert.Equal(t, time.Unix(1e9, 0), su.ModTime())
	bin, err := os.Stat(dir + "/bin")
	require.NoError(t, err)
	assert.Equal(t, 0o500|fs.ModeDir, bin.Mode(), "what was written to has its own mode in the end")
	assert.Equal(t, time.Unix(1e9, 0), bin.ModTime())
}

func TestLayersRemoveWhatLowerOnesHave(t *testing.T) {
	l := newLayout(t)
	l.add(platform{"linux", "arm64", ""},
		archiveOf(t, "a", "1", "b", "1", "dir/", "", "dir/x", "1", "dir/sub/y", "1", "opaque/x", "1", "opaque/sub/y", "1", "gone/x", "1", "file", "1", "link", "->dir"),
		archiveOf(t, ".wh.a", "", "b", "2", "dir/.wh.x", "", "dir/z", "2", "opaque/new", "2", "opaque/sub/new", "2", "opaque/.wh..wh..opq", "", ".wh.gone", "", "gone/new", "2", ".wh..wh.plnk", "", ".wh.missing", "", "no/.wh.missing", "", "link/", "", "link/in", "2"),
		archiveOf(t, ".wh.file", "", "file/", "", "file/in", "3", "dir", "now a file"),
	)
	want := map[string]string{"b": "2", "dir": "now a file", "opaque/": "", "opaque/new": "2", "opaque/sub/": "", "opaque/sub/new": "2", "gone/": "", "gone/new": "2", "file/": "", "file/in": "3", "link/": "", "link/in": "2"}
	tree, err := unpacked(t, save(t, archiveOf(t, l.files()...)), "")
	require.NoError(t, err)
	assert.Equal(t, want, tree)

	// As a directory, and zipped as a whole.
	dir := filepath.Join(t.TempDir(), "layout")
	files := l.files()
	for i := 0; i < len(files); i += 2 {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, files[i])), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o644))
	}
	assert.True(t, Is(dir))
	tree, err = unpacked(t, dir, "")
	require.NoError(t, err)
	assert.Equal(t, want, tree)
	tree, err = unpacked(t, save(t, zipped(t, archiveOf(t, l.files()...))), "")
	require.NoError(t, err)
	assert.Equal(t, want, tree)
}

func TestArchivesOfDockerSave(t *testing.T) {
	layers := [][]byte{archiveOf(t, "a", "1"), archiveOf(t, ".wh.a", "", "b", "2")}
	c := config{platform: platform{"linux", "s390x", ""}}
	entries := []string{}
	for i, layer := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digestOf(layer))
		entries = append(entries, fmt.Sprintf("%d/layer.tar", i), string(layer))
	}
	text, err := json.Marshal(c)
	require.NoError(t, err)
	name := strings.TrimPrefix(digestOf(text), "sha256:") + ".json"
	manifest := fmt.Sprintf(`[{"Config":%q,"RepoTags":["x:latest"],"Layers":["0/layer.tar","1/layer.tar"]}]`, name)
	entries = append(entries, name, string(text), "manifest.json", manifest)
	tree, err := unpacked(t, save(t, archiveOf(t, entries...)), "")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"b": "2"}, tree)

	entries[1] = string(archiveOf(t, "a", "2"))
	_, err = unpacked(t, save(t, archiveOf(t, entries...)), "")
	assert.ErrorContains(t, err, "layer 1 of 2: its content is not that of its digest")
}

// docker save before 25 wrote a layer that is there twice once, with a symbolic link in the other
// one's place. Directories are in alphabetical order, so that the link may come first.
func TestALayerMayBeALinkToALaterOne(t *testing.T) {
	first, twice := archiveOf(t, "a", "1"), archiveOf(t, "b", "2")
	c := config{platform: platform{"linux", "s390x", ""}}
	c.RootFS.DiffIDs = []string{digestOf(first), digestOf(twice), digestOf(twice)}
	text, err := json.Marshal(c)
	require.NoError(t, err)
	name := strings.TrimPrefix(digestOf(text), "sha256:") + ".json"
	manifest := fmt.Sprintf(`[{"Config":%q,"Layers":["b/layer.tar","c/layer.tar","a/layer.tar"]}]`, name)
	entries := []string{"a/layer.tar", "->../c/layer.tar", "b/layer.tar", string(first), "c/layer.tar", string(twice), name, string(text), "manifest.json", manifest}
	tree, err := unpacked(t, save(t, archiveOf(t, entries...)), "")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "b": "2"}, tree)

	entries[5] = "->../a/layer.tar" // each is the other
	entries[4] = "c/layer.tar"
	_, err = unpacked(t, save(t, archiveOf(t, entries...)), "")
	assert.ErrorContains(t, err, "layer 2 of 3: c/layer.tar: file does not exist")
}

// What ko, crane and others write with go-containerregistry has other names, and layers that
// are zipped.
func TestArchivesOfKoAndCrane(t *testing.T) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archiveOf(t, "a", "1", "b", "2"))), nil
	})
	require.NoError(t, err)
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "s390x"})
	require.NoError(t, err)
	image, err = mutate.AppendLayers(image, layer)
	require.NoError(t, err)
	ref, err := name.ParseReference("example.org/a:latest")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, tarball.WriteToFile(path, ref, image))
	tree, err := unpacked(t, path, "linux/s390x")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "b": "2"}, tree)
}

func TestOneImageOfSeveralIsChosen(t *testing.T) {
	l := newLayout(t)
	of := func(p platform) { l.add(p, archiveOf(t, "is", p.String())) }
	of(platform{"linux", "arm64", ""})
	of(platform{"linux", "arm", "v6"})
	of(platform{"linux", "arm", "v7"})
	of(platform{"linux", runtime.GOARCH, ""})
	attested := l.add(platform{"unknown", "unknown", ""}, archiveOf(t, "is", "nothing"))
	l.index.Manifests[len(l.index.Manifests)-1].Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	delete(l.entries, "blobs/sha256/"+strings.TrimPrefix(attested.Digest, "sha256:"))
	all := l.index
	l.index = document{Manifests: []descriptor{l.json(all)}} // as buildx writes it
	path := save(t, archiveOf(t, l.files()...))
	for asked, want := range map[string]string{
		"": "linux/" + runtime.GOARCH, "arm64": "linux/arm64", "linux/arm64/v8": "linux/arm64", "aarch64": "linux/arm64", "linux/arm/v6": "linux/arm/v6", "arm": "linux/arm/v7",
	} {
		tree, err := unpacked(t, path, asked)
		require.NoError(t, err, asked)
		assert.Equal(t, map[string]string{"is": want}, tree, asked)
	}
	_, err := unpacked(t, path, "s390x")
	assert.ErrorContains(t, err, "it has no image for linux/s390x, but for ")
	assert.ErrorContains(t, err, "linux/arm/v6, linux/arm/v7, linux/arm64")
	assert.Equal(t, "--platform chooses one of these", cli.Hint(err))
	_, err = unpacked(t, path, "vax")
	assert.ErrorContains(t, err, "vax")
}

// Nothing is half done, and no file outside is touched.
func TestBadArchivesLeaveNothing(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("untouched"), 0o644))
	dir := filepath.Dir(outside)
	ok := archiveOf(t, "a", strings.Repeat("x", 5000))
	bad := newLayout(t)
	bad.add(platform{"linux", "arm64", ""}, ok)
	for name := range bad.entries {
		if strings.HasPrefix(name, "blobs/") && bytes.HasPrefix([]byte(bad.entries[name]), []byte("\x1f\x8b")) {
			bad.entries[name] = string(zipped(t, archiveOf(t, "a", "y")))
		}
	}
	missing := newLayout(t)
	missing.index.Manifests = []descriptor{{Digest: digestOf(nil)}}
	strange := newLayout(t)
	strange.index.Manifests = []descriptor{{Digest: "sha256:../../../etc/passwd"}}
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":                             {nil, "no whole tar archive"},
		"text":                              {[]byte(strings.Repeat("text", 1000)), "no whole tar archive"},
		"cut off":                           {ok[:3000], "no whole tar archive"},
		"zipped, cut off":                   {zipped(t, ok)[:60], "cannot be decompressed: unexpected EOF"},
		"upwards":                           {archiveOf(t, "../../outside", "x"), "the name leads out of the archive"},
		"upwards by a link":                 {archiveOf(t, "x", "=../../outside"), "the name leads out of the archive"},
		"through a link that leads nowhere": {archiveOf(t, "lib", "->usr/lib", "lib/libc", "x"), "lib is a symbolic link that leads nowhere"},
		"a link to nothing":                 {archiveOf(t, "x", "=etc/passwd"), "link to etc/passwd: no such file or directory"},
		"another content":                   {archiveOf(t, bad.files()...), "layer 1 of 1: its content is not that of its digest"},
		"a missing blob":                    {archiveOf(t, missing.files()...), "no such file or directory"},
		"a strange digest":                  {archiveOf(t, strange.files()...), "is no SHA-256"},
	} {
		_, err := unpacked(t, save(t, test.content), "")
		if name == "a missing blob" {
			assert.ErrorIs(t, err, os.ErrNotExist)
		} else {
			assert.ErrorContains(t, err, test.want, name)
		}
	}
	for _, entries := range [][]string{
		{"x", "->" + dir, "x/outside", "written"},
		{"x", "->" + outside, "x", "written"},
		{"x", "->../../../../../../../../" + dir, "x/outside", "written"},
		{"a/", "", "a/b", "->" + dir, "a/b/.wh.outside", ""},
		{"y", "=x", "x", "->" + outside},
		{"x", "->/proc/self/root", "x" + outside, "written"},
	} {
		unpacked(t, save(t, archiveOf(t, entries...)), "")
		l := newLayout(t)
		l.add(platform{"linux", "arm64", ""}, archiveOf(t, entries...))
		unpacked(t, save(t, archiveOf(t, l.files()...)), "")
		text, err := os.ReadFile(outside)
		require.NoError(t, err)
		assert.Equal(t, "untouched", string(text), "%q", entries)
	}
}

func TestTheCacheIsFilledOnce(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	path := save(t, zipped(t, archiveOf(t, "a", "1")))
	var wait sync.WaitGroup
	dirs := make([]string, 8)
	for i := range dirs {
		wait.Go(func() {
			var err error
			dirs[i], _, err = Directory(t.Context(), cache, path, "", func() {})
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	assert.Len(t, slices.Compact(dirs), 1)
	mark := filepath.Join(dirs[0], "mark")
	require.NoError(t, os.WriteFile(mark, nil, 0o600))
	same := save(t, archiveOf(t, "a", "1")) // another file, the same archive
	for _, path := range []string{path, same} {
		dir, _, err := Directory(t.Context(), cache, path, "", func() {})
		require.NoError(t, err)
		assert.Equal(t, dirs[0], dir)
		assert.FileExists(t, mark, "it is not made again")
	}
	require.NoError(t, os.WriteFile(path, archiveOf(t, "a", "2"), 0o600))
	dir, _, err := Directory(t.Context(), cache, path, "", func() {})
	require.NoError(t, err)
	assert.NotEqual(t, dirs[0], dir, "the file was changed")

	// What a killed process left goes; what one is at stays.
	left, busy := filepath.Join(cache, partial+"left"), filepath.Join(cache, partial+"busy")
	require.NoError(t, os.MkdirAll(left+"/x", 0o700))
	require.NoError(t, os.Chmod(left, 0o500))
	require.NoError(t, os.Mkdir(busy, 0o700))
	held, err := os.Open(busy)
	require.NoError(t, err)
	defer held.Close()
	require.NoError(t, syscall.Flock(int(held.Fd()), syscall.LOCK_EX))
	require.NoError(t, os.WriteFile(path, archiveOf(t, "a", "3"), 0o600))
	_, _, err = Directory(t.Context(), cache, path, "", func() {})
	require.NoError(t, err)
	assert.NoDirExists(t, left)
	assert.DirExists(t, busy)
}

// What an archive was before, and what nobody has asked for in a month, goes, unless it is in use.
func TestOldTreesAreForgotten(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	defer removeTree(cache)
	dir := t.TempDir()
	path := filepath.Join(dir, "image.tar")
	unpack := func(path, content string) (string, *os.File) {
		require.NoError(t, os.WriteFile(path+".new", archiveOf(t, "./:555", "", "a:444", content, "no/:555", "", "no/b", ""), 0o644))
		require.NoError(t, os.Rename(path+".new", path))
		tree, use, err := Directory(t.Context(), cache, path, "", func() {})
		require.NoError(t, err)
		text, err := os.ReadFile(filepath.Join(tree, "a"))
		require.NoError(t, err)
		assert.Equal(t, content, string(text))
		return tree, use
	}
	trees := func() []string {
		list, err := filepath.Glob(filepath.Join(cache, "*"))
		require.NoError(t, err)
		partials, err := filepath.Glob(filepath.Join(cache, partial+"*"))
		require.NoError(t, err)
		assert.Empty(t, partials)
		return slices.DeleteFunc(list, func(name string) bool { return filepath.Base(name) == known })
	}
	links := func() int {
		list, err := os.ReadDir(filepath.Join(cache, known))
		require.NoError(t, err)
		return len(list)
	}
	first, using := unpack(path, "1")
	second, use := unpack(path, "2")
	assert.ElementsMatch(t, []string{first, second}, trees(), "the first is in use")
	use.Close()
	using.Close()
	third, use := unpack(path, "3")
	defer use.Close()
	assert.Equal(t, []string{third}, trees())
	assert.Equal(t, 1, links())

	// Another archive of the same content keeps it, and so does the lock of another process.
	other := filepath.Join(dir, "other.tar")
	same, alsoUse := unpack(other, "3")
	assert.Equal(t, third, same)
	alsoUse.Close()
	use.Close()
	fourth, use := unpack(path, "4")
	use.Close()
	assert.ElementsMatch(t, []string{third, fourth}, trees())
	assert.Equal(t, 2, links())

	// The link of what was not asked for in a month goes; asking is enough to keep it.
	long := time.Now().Add(-maxAge - time.Hour).UnixNano()
	entries, err := os.ReadDir(filepath.Join(cache, known))
	require.NoError(t, err)
	for _, e := range entries {
		times := []unix.Timespec{unix.NsecToTimespec(long), unix.NsecToTimespec(long)}
		require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(cache, known, e.Name()), times, unix.AT_SYMLINK_NOFOLLOW))
	}
	_, use, err = Directory(t.Context(), cache, other, "", func() {})
	require.NoError(t, err)
	use.Close()
	fifth, use := unpack(filepath.Join(dir, "third.tar"), "5")
	use.Close()
	assert.ElementsMatch(t, []string{third, fifth}, trees())
	assert.Equal(t, 2, links())
}

func TestWhatIsAnArchive(t *testing.T) {
	dir := t.TempDir()
	assert.False(t, Is(dir))
	assert.False(t, Is(dir+"/missing"))
	assert.False(t, Is("/dev/null"))
	require.NoError(t, syscall.Mkfifo(dir+"/oci-layout", 0o600))
	require.NoError(t, os.WriteFile(dir+"/index.json", nil, 0o600))
	assert.False(t, Is(dir))
	assert.True(t, Is(dir+"/index.json"))
}

// Whatever an archive is, it is unpacked or refused, and only below the cache.
func TestArchivesWithWrongBytes(t *testing.T) {
	l := newLayout(t)
	l.add(platform{"linux", "arm64", ""}, archiveOf(t, "a", "1", "b/c", "2"), archiveOf(t, ".wh.a", "", "b/.wh..wh..opq", ""))
	whole := [][]byte{
		archiveOf(t, "./", "", "bin/su:4755", "x", "bin/same", "=bin/su", "usr/lib/", "", "lib", "->usr/lib", "lib/libc", "x", "fifo", "PIPE", "dev/sda", "DEVICE"),
		archiveOf(t, l.files()...),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		content := bytes.Clone(whole[n%2])
		for range 1 + random.IntN(4) {
			block := random.IntN(len(content)/512) * 512
			content[block+random.IntN(300)] = "0123456S 7/.\x00\xff"[random.IntN(14)]
			checksum(content[block : block+512]) // or nearly all would be refused for it
		}
		dir := t.TempDir()
		path := filepath.Join(dir, "archive")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		tree, _, err := Directory(t.Context(), filepath.Join(dir, "cache"), path, "", func() {})
		names, readErr := os.ReadDir(dir)
		require.NoError(t, readErr)
		assert.Len(t, names, 2)
		if err == nil {
			assert.Equal(t, filepath.Join(dir, "cache"), filepath.Dir(tree))
			removeTree(tree)
		}
		left, _ := filepath.Glob(filepath.Join(dir, "cache", ".*"))
		assert.Empty(t, left)
	}
}

// checksum writes that of a tar header, which a block may be.
func checksum(block []byte) {
	sum := 0
	for i, b := range block {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// A link that a layer makes is not followed when what lower layers have is removed, and what
// was known of a directory is not the link's.
func TestLinksOfALayerLeadNoRemovalAstray(t *testing.T) {
	l := newLayout(t)
	l.add(platform{"linux", "arm64", ""},
		archiveOf(t, "shared/keep", "1", "alt/old", "1", "data/private/:0700", "", "pub/private/:0755", "", "pub/private/x", "1"),
		archiveOf(t, "alt/x", "->/shared", "alt/new/in", "2", "alt/.wh..wh..opq", "", "data", "->pub"),
	)
	cache := filepath.Join(t.TempDir(), "cache")
	dir, _, err := Directory(t.Context(), cache, save(t, archiveOf(t, l.files()...)), "", func() {})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"shared/": "", "shared/keep": "1", "alt/": "", "alt/x": "->/shared", "alt/new/": "", "alt/new/in": "2", "data": "->pub", "pub/": "", "pub/private/": "", "pub/private/x": "1",
	}, listed(t, dir))
	private, err := os.Stat(filepath.Join(dir, "pub/private"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o755), private.Mode().Perm())
}

func TestAFileMayBeALinkToItself(t *testing.T) {
	tree, err := unpacked(t, save(t, archiveOf(t, "a", "1", "b", "=a", "./a", "=./a", "b", "=a")), "")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "1", "b": "1"}, tree)
}

func TestTheVariantThatEachProcessorCanIsChosen(t *testing.T) {
	l := newLayout(t)
	for _, variant := range []string{"v3", "", "v2"} {
		p := platform{"linux", "amd64", variant}
		l.add(p, archiveOf(t, "is", p.String()))
	}
	path := save(t, archiveOf(t, l.files()...))
	for asked, want := range map[string]string{"amd64": "linux/amd64", "linux/amd64": "linux/amd64", "linux/amd64/v3": "linux/amd64/v3", "x86_64": "linux/amd64"} {
		tree, err := unpacked(t, path, asked)
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"is": want}, tree, asked)
	}
}

func TestAPlatformsVariantIsTheOneThatIsNamed(t *testing.T) {
	l := newLayout(t)
	for _, variant := range []string{"v6", "v7", "v5"} {
		p := platform{"linux", "arm", variant}
		l.add(p, archiveOf(t, "is", p.String()))
	}
	for _, variant := range []string{"", "v3"} {
		p := platform{"linux", "amd64", variant}
		l.add(p, archiveOf(t, "is", p.String()))
	}
	path := save(t, archiveOf(t, l.files()...))
	for asked, want := range map[string]string{
		"arm/v6": "linux/arm/v6", "arm/6": "linux/arm/v6", "LINUX/ARM/V6": "linux/arm/v6", "armv6l": "linux/arm/v6", "arm32v6": "linux/arm/v6", "armel": "linux/arm/v6",
		"arm-linux-gnueabi": "linux/arm/v6", "armv5tel": "linux/arm/v5", "arm32v5": "linux/arm/v5",
		"armhf": "linux/arm/v7", "arm-linux-gnueabihf": "linux/arm/v7", "armv7l": "linux/arm/v7", "arm": "linux/arm/v7", "linux/arm": "linux/arm/v7",
		"arm/v8": "linux/arm/v7", "armv8l": "linux/arm/v7", // the newest that it can do
		"amd64/v2": "linux/amd64", "amd64/v4": "linux/amd64/v3", "amd64": "linux/amd64",
	} {
		tree, err := unpacked(t, path, asked)
		require.NoError(t, err, asked)
		assert.Equal(t, map[string]string{"is": want}, tree, asked)
	}
	l = newLayout(t)
	l.add(platform{"linux", "arm", "v7"}, archiveOf(t, "is", "v7"))
	_, err := unpacked(t, save(t, archiveOf(t, l.files()...)), "arm/v6")
	assert.ErrorContains(t, err, "it has no image for linux/arm/v6, but for linux/arm/v7")
}

// docker save writes the whole index of an image, and the files of those platforms that were
// pulled: one, most often.
func TestOnlyImagesThatAreThereAreChosen(t *testing.T) {
	for _, part := range []string{"manifest", "config", "layer"} {
		l := newLayout(t)
		layer := archiveOf(t, "is", runtime.GOARCH)
		manifest := l.add(platform{"linux", runtime.GOARCH, ""}, layer)
		var doc document
		require.NoError(t, json.Unmarshal([]byte(l.entries["blobs/sha256/"+strings.TrimPrefix(manifest.Digest, "sha256:")]), &doc))
		l.add(platform{"linux", "s390x", ""}, archiveOf(t, "is", "s390x"))
		missing := map[string]string{"manifest": manifest.Digest, "config": doc.Config.Digest, "layer": doc.Layers[0].Digest}[part]
		delete(l.entries, "blobs/sha256/"+strings.TrimPrefix(missing, "sha256:"))
		path := save(t, archiveOf(t, l.files()...))
		for _, asked := range []string{"", "s390x"} {
			tree, err := unpacked(t, path, asked)
			require.NoError(t, err, part)
			assert.Equal(t, map[string]string{"is": "s390x"}, tree, part)
		}
		_, err := unpacked(t, path, runtime.GOARCH)
		assert.ErrorContains(t, err, "it has not all files of its image for linux/"+runtime.GOARCH+", but for linux/s390x", part)
	}
}

// An index names an image once for each of its tags, and signatures, which have no platform.
func TestAnImageThatIsNamedTwiceIsOne(t *testing.T) {
	l := newLayout(t)
	manifest := l.add(platform{"linux", "s390x", ""}, archiveOf(t, "is", "s390x"))
	manifest.Annotations = map[string]string{"org.opencontainers.image.ref.name": "another"}
	l.index.Manifests = append(l.index.Manifests, manifest)
	empty := l.blob([]byte("{}"))
	signature := l.json(document{Config: empty, Layers: []descriptor{empty}})
	l.index.Manifests = append(l.index.Manifests, signature)
	l.add(platform{"unknown", "unknown", ""}, []byte("{}"))
	path := save(t, archiveOf(t, l.files()...))
	for _, asked := range []string{"", "s390x"} {
		tree, err := unpacked(t, path, asked)
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"is": "s390x"}, tree)
	}
	_, err := unpacked(t, path, "arm64")
	assert.ErrorContains(t, err, "it has no image for linux/arm64, but for linux/s390x, unknown/unknown")
	l.add(platform{"linux", "s390x", ""}, archiveOf(t, "is", "another"))
	_, err = unpacked(t, save(t, archiveOf(t, l.files()...)), "s390x")
	assert.ErrorContains(t, err, "it has several images for linux/s390x")
}

func TestALayoutWithoutAnImageIsRefused(t *testing.T) {
	for _, index := range []string{`{"manifests":[]}`, `{}`} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o600))
		_, err := unpacked(t, dir, "")
		assert.ErrorContains(t, err, "it has no image")
	}
}

// No process sweeps away what another one is at.
func TestArchivesAreUnpackedAtOnce(t *testing.T) {
	var paths []string
	for n := range 12 {
		paths = append(paths, save(t, archiveOf(t, "a", strconv.Itoa(n))))
	}
	for range 20 {
		cache := filepath.Join(t.TempDir(), "cache")
		var wait sync.WaitGroup
		for _, path := range paths {
			wait.Go(func() {
				_, _, err := Directory(t.Context(), cache, path, "", func() {})
				assert.NoError(t, err)
			})
		}
		wait.Wait()
	}
}

// Root does not run what another user may change.
func TestAnotherUsersCacheIsNotUsed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a directory away")
	}
	cache := filepath.Join(t.TempDir(), "cache")
	path := save(t, archiveOf(t, "a", "1"))
	_, _, err := Directory(t.Context(), cache, path, "", func() {})
	require.NoError(t, err)
	for _, dir := range []string{filepath.Join(cache, known), cache} {
		require.NoError(t, os.Chown(dir, 12345, 12345))
		_, _, err = Directory(t.Context(), cache, path, "", func() {})
		assert.ErrorContains(t, err, "belongs to user 12345")
	}
}

// A file's holes, and what is zero in it, take no place.
func TestHolesStayHoles(t *testing.T) {
	content := strings.Repeat("\x00", 1<<20) + "middle" + strings.Repeat("\x00", 1<<20)
	cache := t.TempDir()
	dir, _, err := Directory(t.Context(), cache, save(t, archiveOf(t, "lastlog", content, "zeros", content[:1<<20], "small", "\x00\x00")), "", func() {})
	require.NoError(t, err)
	for name, want := range map[string]string{"lastlog": content, "zeros": content[:1<<20], "small": "\x00\x00"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.True(t, want == string(text), name)
		var st syscall.Stat_t
		require.NoError(t, syscall.Stat(filepath.Join(dir, name), &st))
		assert.LessOrEqual(t, st.Blocks*512, int64(128<<10), name)
	}
}

func TestAPlatformIsForImages(t *testing.T) {
	_, err := unpacked(t, save(t, archiveOf(t, "a", "1")), "linux/arm64")
	assert.ErrorContains(t, err, "not of an image")
	assert.Equal(t, "leave --platform out", cli.Hint(err))
}

func TestARelativeHomeHasNoCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "~")
	_, err := UserCache()
	assert.ErrorContains(t, err, "no directory to unpack it into: HOME=~ is not an absolute path")
	t.Setenv("HOME", "/home/me")
	cache, err := UserCache()
	require.NoError(t, err)
	assert.Equal(t, "/home/me/.cache/crossrun/rootfs", cache)
}
