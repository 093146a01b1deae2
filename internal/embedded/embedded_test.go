package embedded_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/embedded/codec"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

var lookup = kerneltest.Lookup

// program returns bytes that can be packed in part.
func program(seed uint64, size int) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, size)
	for i := 0; i < len(b); {
		run, c := rng.IntN(200), byte(rng.Uint32())
		for ; run >= 0 && i < len(b); run-- {
			b[i] = c
			if rng.IntN(3) == 0 {
				c = byte(rng.Uint32())
			}
			i++
		}
	}
	return b
}

var programs = map[string][]byte{
	"aarch64": program(1, 3<<20+17), "arm": program(2, 1), "s390x": program(3, 256<<10), "riscv64": random(4, 300<<10),
}

// random cannot be packed.
func random(seed uint64, size int) []byte {
	b := make([]byte, size)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func pack(t testing.TB) []byte {
	t.Helper()
	p := embedded.NewPacker(lookup(t, "amd64"), codec.Encode)
	for _, name := range []string{"aarch64", "arm", "riscv64", "s390x"} {
		require.NoError(t, p.Add(lookup(t, name), "7.2.22 (Debian 1:7.2)", programs[name]))
	}
	var b bytes.Buffer
	_, err := p.WriteTo(&b)
	require.NoError(t, err)
	return b.Bytes()
}

var packed []byte // once: that takes the most time

func find(t testing.TB, name string) *embedded.Emulator {
	t.Helper()
	if packed == nil {
		packed = pack(t)
	}
	a, err := embedded.Open(packed, codec.Decode)
	require.NoError(t, err)
	e := a.Find(lookup(t, name))
	require.NotNil(t, e)
	return e
}

// content opens the emulator, and returns what the file holds.
func content(t testing.TB, e *embedded.Emulator, cache embedded.Cache) (content []byte, where string) {
	t.Helper()
	i, err := e.Open(cache)
	require.NoError(t, err)
	defer i.Close()
	content, err = os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", i.File.Fd()))
	require.NoError(t, err)
	assert.NoError(t, e.Is(i.File))
	return content, i.Where
}

func TestWhatIsPackedIsUnpacked(t *testing.T) {
	a, err := embedded.Open(pack(t), codec.Decode)
	require.NoError(t, err)
	assert.Equal(t, "x86_64", a.Host.Name)
	require.Len(t, a.Emulators, len(programs))
	for _, e := range a.Emulators {
		got, where := content(t, e, "")
		assert.True(t, bytes.Equal(programs[e.Arch.Name], got), e.Arch)
		assert.Contains(t, where, "memory: ")
		assert.Equal(t, "7.2.22 (Debian 1:7.2)", e.Version)
		assert.Equal(t, "embedded, QEMU 7.2.22, "+e.Digest(), e.Describe())
	}
	assert.Nil(t, a.Find(lookup(t, "sparc")))
	emulators, license, _ := strings.Cut(a.Summary(), "\n")
	assert.Equal(t, "4 emulators embedded, QEMU 7.2.22: aarch64 arm riscv64 s390x", emulators)
	assert.Regexp(t, `^QEMU is .* GPL, version 2\. .*source: https://github.com/projectcalico/go-build/\S+/docs/licences.md\n$`, license)
	assert.FileExists(t, "../../docs/licences.md")
	assert.Equal(t, pack(t), pack(t), "the same is packed into the same bytes")
}

func TestNothingIsCarriedWithoutTheTag(t *testing.T) {
	none := embedded.Emulators()
	if none != nil {
		t.Skip("built with the tag embedded")
	}
	assert.Nil(t, none.Find(lookup(t, "arm64")))
	assert.Empty(t, none.Summary())

	out, err := exec.Command("go", "list", "-deps", "../../cmd/...").Output()
	if err != nil {
		t.Skip("asks the go command: ", err)
	}
	assert.Contains(t, string(out), "go-build/internal/embedded\n")
	for _, name := range []string{"embedded/codec", "lz4", "klauspost"} {
		assert.NotContains(t, string(out), name, "costs nothing")
	}
}

func TestDamagedArchivesAreErrors(t *testing.T) {
	whole := pack(t)
	for _, test := range [][]byte{nil, []byte("text"), []byte("emulators-2 amd64\n"), []byte("emulators-2 pdp11\n\n"), []byte("emulators-1 amd64\n\n")} {
		_, err := embedded.Open(test, codec.Decode)
		assert.Error(t, err, "%q", test)
	}
	_, err := embedded.Open(whole[:len(whole)-1], codec.Decode)
	assert.ErrorContains(t, err, "cut off")
	open := func(line string) error {
		_, err := embedded.Open([]byte("emulators-2 amd64\n"+line+"\n\nxx\x01\x00\x00\x00sum!x"), codec.Decode)
		return err
	}
	digest := strings.Repeat("5a", 32)
	for _, line := range []string{
		"arm", "arm 1", "arm 1 2 3", "arm x D 0 v", "arm 1 D x v", "arm 1 D -1 v", "arm -1 D 0 v", "arm 1 D 0 v", "arm 1 D 3 v", "arm 1 D 99 v",
		"arm 262145 D 2 v", "arm 9999999 D 0 v", "pdp11 1 D 2 v", "arm 1 a 2 v", "arm 1 Da 2 v", "arm 1  2 v", "arm 1 " + strings.Repeat("z", 64) + " 2 v",
	} {
		assert.Error(t, open(strings.ReplaceAll(line, "D", digest)), line)
	}
	assert.NoError(t, open("arm 1 "+digest+" 2 v"), "it is all there")
	damaged := bytes.Clone(whole)
	for i := len(damaged) - 1000; i < len(damaged); i++ {
		damaged[i] = 0xff
	}
	a, err := embedded.Open(damaged, codec.Decode)
	require.NoError(t, err)
	_, err = a.Find(lookup(t, "s390x")).Open("")
	assert.ErrorContains(t, err, "this command is damaged")
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	return names
}

func TestTheCacheIsWrittenOnceAndChecked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	want := programs["aarch64"]
	use := func() {
		t.Helper()
		got, where := content(t, find(t, "aarch64"), embedded.Cache(dir))
		assert.True(t, bytes.Equal(want, got))
		assert.Equal(t, []string{where}, files(t, dir), "nothing else is left")
	}
	use()
	path := files(t, dir)[0]
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o500), info.Mode())
	use()
	again, err := os.Stat(path)
	require.NoError(t, err)
	assert.True(t, os.SameFile(info, again))

	for what, damage := range map[string]func([]byte) []byte{
		"a bit":  func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"end":    func(b []byte) []byte { b[len(b)-1]++; return b },
		"short":  func(b []byte) []byte { return b[:len(b)-1] },
		"long":   func(b []byte) []byte { return append(b, 0) },
		"empty":  func([]byte) []byte { return nil },
		"zeroes": func(b []byte) []byte { return make([]byte, len(b)) },
	} {
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.WriteFile(path, damage(bytes.Clone(want)), 0o700), what)
		use()
	}
}

// Whoever else could put something there could have it executed.
func TestWhatOthersMayWriteIsNotUsed(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "cache")
	want := programs["aarch64"]
	use := func(cache, reason string) {
		t.Helper()
		got, where := content(t, find(t, "aarch64"), embedded.Cache(cache))
		assert.True(t, bytes.Equal(want, got))
		if reason == "" {
			assert.True(t, strings.HasPrefix(where, cache), where)
			return
		}
		assert.Regexp(t, "^memory: .*"+reason, where)
	}
	use(dir, "")
	path := files(t, dir)[0]
	for _, mode := range []fs.FileMode{0o777, 0o720, 0o702} {
		require.NoError(t, os.Chmod(dir, mode))
		use(dir, "others may write to it")
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	use(dir, "")
	for _, mode := range []fs.FileMode{0o777, 0o520} {
		require.NoError(t, os.Chmod(path, mode))
		use(dir, "others may write to it")
	}
	require.NoError(t, os.Chmod(path, 0o400))
	use(dir, "not executable")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink("/bin/true", path))
	use(dir, "too many levels of symbolic links")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	use(dir, "not a regular file")

	link := filepath.Join(base, "link")
	require.NoError(t, os.Symlink(dir, link))
	use(link, "not a directory")
	use(filepath.Join(base, "link", "cache"), "") // what is above is as the user has it
	use("/proc/self/emulators", "no such file or directory")
	if os.Getuid() == 0 {
		require.NoError(t, os.RemoveAll(dir))
		use(dir, "")
		kerneltest.NeedUsers(t)
		require.NoError(t, os.Chown(files(t, dir)[0], 1, 1))
		use(dir, "belongs to user 1, not to 0")
		require.NoError(t, os.Chown(dir, 1, 1))
		use(dir, "belongs to user 1: root puts nothing there")
	} else {
		require.NoError(t, os.Chmod(base, 0o500))
		use(filepath.Join(base, "new"), "permission denied")
		require.NoError(t, os.Chmod(base, 0o700))
	}
}

func TestManyMayUnpackAtOnce(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	find(t, "aarch64")
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			got, _ := content(t, find(t, "aarch64"), embedded.Cache(dir))
			assert.True(t, bytes.Equal(programs["aarch64"], got))
		})
	}
	wait.Wait()
	assert.Len(t, files(t, dir), 1)
}

// A disk that is full is as no cache.
func TestWhatCannotBeWrittenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &limit))
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	e := find(t, "aarch64")
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: limit.Max}))
	_, err := e.Open(embedded.Cache(dir))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit))
	assert.ErrorContains(t, err, "file too large", "in memory neither")
	assert.Empty(t, files(t, dir))
}

// What is old goes when something is written; what others put there stays.
func TestTheCacheDoesNotGrowForEver(t *testing.T) {
	dir := t.TempDir()
	old, recent := strings.Repeat("a0", 16), strings.Repeat("b1", 16)
	hour, year := time.Now().Add(-2*time.Hour), time.Now().AddDate(-1, 0, 0)
	for name, age := range map[string]time.Time{
		".qemu-aarch64-1": hour, ".qemu-aarch64-2": time.Now(), ".notes": year, ".qemu-aarch64-notes": year,
		"qemu-aarch64-" + old: year, "qemu-aarch64-" + recent: hour, "qemu-s390x-" + old: year, "notes": year,
		"qemu-aarch64-static": year, "qemu-aarch64-" + old + "0": year, "qemu-aarch64-" + old[:31] + "z": year,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, age, age))
	}
	_, where := content(t, find(t, "aarch64"), embedded.Cache(dir))
	var want []string
	for _, name := range []string{
		"notes", ".notes", filepath.Base(where), "qemu-aarch64-" + recent, "qemu-s390x-" + old, ".qemu-aarch64-2",
		".qemu-aarch64-notes", "qemu-aarch64-static", "qemu-aarch64-" + old + "0", "qemu-aarch64-" + old[:31] + "z",
	} {
		want = append(want, filepath.Join(dir, name))
	}
	assert.ElementsMatch(t, want, files(t, dir))
}

func TestWhereTheCacheIs(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	t.Setenv("XDG_CACHE_HOME", "")
	assert.Equal(t, embedded.Cache("/home/me/.cache/crossrun/emulators"), embedded.UserCache())
	t.Setenv("XDG_CACHE_HOME", "/var/cache/me")
	assert.Equal(t, embedded.Cache("/var/cache/me/crossrun/emulators"), embedded.UserCache())
	t.Setenv("CROSSRUN_CACHE", "/srv/emulators")
	assert.Equal(t, embedded.Cache("/srv/emulators"), embedded.UserCache())
	t.Setenv("CROSSRUN_CACHE", "off")
	assert.Empty(t, embedded.UserCache())
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "CROSSRUN_CACHE"} {
		os.Unsetenv(name)
	}
	assert.Empty(t, embedded.UserCache())
	t.Setenv("HOME", "~")
	assert.Empty(t, embedded.UserCache())
	defer embedded.KeepNothing()() // in the other tests it is as it was
	t.Setenv("HOME", "/home/me")
	assert.Empty(t, embedded.UserCache())
	t.Setenv("CROSSRUN_CACHE", "/srv/emulators")
	assert.Equal(t, embedded.Cache("/srv/emulators"), embedded.UserCache(), "it was asked for")
}

func BenchmarkOpen(b *testing.B) {
	e := find(b, "aarch64")
	for name, cache := range map[string]embedded.Cache{"cached": embedded.Cache(b.TempDir()), "memory": ""} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(e.Size)
			for range b.N {
				i, err := e.Open(cache)
				require.NoError(b, err)
				i.Close()
			}
		})
	}
}
