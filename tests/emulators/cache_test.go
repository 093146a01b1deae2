package emulators

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
)

// A cached runs a program under an emulator that keeps translations.
type cached struct {
	t        *testing.T
	emulator string
	flags    []string
	program  string
	dir      string // of the cache
	env      []string
}

// counts are what an emulator says at its end, of all processes.
type counts struct{ lines, hits, misses, written int }

func (c cached) with(env ...string) cached {
	c.env = append(append([]string{}, c.env...), env...)
	return c
}

func (c cached) argv(words ...string) []string {
	return append(append(append([]string{c.emulator}, c.flags...), c.program), words...)
}

// run returns what the program said, and what the cache was for it.
func (c cached) run(words ...string) (outcome, counts) {
	c.t.Helper()
	stats := filepath.Join(c.dir, "..", "stats")
	_ = os.Remove(stats)
	env := append([]string{"QEMU_TB_CACHE=" + c.dir, "QEMU_TB_CACHE_STATS=" + stats}, c.env...)
	o := execute(c.t.Context(), 2*time.Minute, filepath.Dir(c.program), env, c.argv(words...)...)
	var n counts
	said, err := os.ReadFile(stats)
	if err != nil {
		return o, n
	}
	for line := range strings.Lines(string(said)) {
		var hits, misses, written int
		_, err := fmt.Sscanf(line, "tb-cache: hits %d misses %d written %d", &hits, &misses, &written)
		require.NoError(c.t, err, line)
		n = counts{n.lines + 1, n.hits + hits, n.misses + misses, n.written + written}
	}
	return o, n
}

// empty gives the cache a directory with nothing in it.
func (c *cached) empty(mode os.FileMode) {
	c.t.Helper()
	require.NoError(c.t, os.RemoveAll(c.dir))
	require.NoError(c.t, os.MkdirAll(filepath.Dir(c.dir), 0o755))
	require.NoError(c.t, os.Mkdir(c.dir, 0o700))
	require.NoError(c.t, os.Chmod(c.dir, mode))
	require.NoError(c.t, own(c.dir))
	require.NoError(c.t, own(filepath.Dir(c.dir)))
}

func (c *cached) files() []string {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, "*.tb"))
	require.NoError(c.t, err)
	return files
}

// What an emulator translated is found again by the next one, and nothing that is
// wrong with the files, or about them, changes what a program does (c0-cache.patch).
func TestTranslationCache(t *testing.T) {
	s := setup(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("hosts of amd64 have a cache of translations, ", runtime.GOARCH, " has none")
	}
	if kept.Mode != "" {
		t.Skip("has a cache of its own: not with TEST_TRANSLATIONS")
	}
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		judged, err := s.judged.Find(arch)
		if err != nil {
			t.Skip(err)
		}
		if help, err := exec.Command(judged.Path, "-help").Output(); err != nil && len(help) == 0 || !bytes.Contains(help, []byte("QEMU_TB_CACHE")) {
			t.Skipf("%s keeps no translations", judged.Path)
		}
		program := guest(t, s, triplet, "cache", "-lm")
		dir := filepath.Join(s.work, "cache-"+triplet, "dir")
		t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(dir)) })
		c := cached{t, judged.Path, nil, program, dir, nil}
		want := execute(t.Context(), 2*time.Minute, filepath.Dir(program), nil, c.argv("work")...)
		require.Equal(t, "exit status 0", want.end, want)
		for _, test := range []struct {
			name string
			run  func(c cached, want outcome)
		}{
			{"again", cached.again}, {"shared", cached.shared}, {"children", cached.children}, {"compared", cached.compared},
			{"damaged", cached.damaged}, {"changed", cached.changed}, {"full", cached.full}, {"many", cached.many},
			{"differs", cached.differs}, {"hole", cached.hole}, {"killed", cached.killed}, {"refused", cached.refused}, {"bounded", cached.bounded}, {"away", cached.away},
		} {
			t.Run(test.name, func(t *testing.T) {
				c.t = t
				c.empty(0o700)
				test.run(c, want)
			})
		}
	})
}

// again starts a program twice, with the cache and without.
func (c cached) again(want outcome) {
	o, first := c.run("work")
	assert.Equal(c.t, want, o)
	assert.Equal(c.t, 0, first.hits)
	assert.Greater(c.t, first.written, 100)
	o, second := c.run("work")
	assert.Equal(c.t, want, o)
	assert.Greater(c.t, second.hits, first.misses*9/10)
	assert.Less(c.t, second.misses, first.misses/10)

	c.empty(0o700)
	o, off := c.with("QEMU_TB_CACHE=").run("work")
	assert.Equal(c.t, want, o)
	assert.Equal(c.t, counts{}, off)
	assert.Empty(c.t, c.files())
	lost := filepath.Join(filepath.Dir(c.dir), "lost")
	require.NoError(c.t, os.WriteFile(lost, nil, 0o666))
	cmd := exec.Command("/bin/sh", append([]string{"-c", `exec "$@" <>` + lost, "sh"}, c.argv("work")...)...)
	cmd.Env = []string{"QEMU_TB_CACHE=" + c.dir, "QEMU_TB_CACHE_STATS=/nonexistent/stats"}
	require.NoError(c.t, cmd.Run())
	said, err := os.ReadFile(lost)
	require.NoError(c.t, err)
	assert.Empty(c.t, string(said), "what cannot be written is not written into the standard input")
	c.empty(0o700)
	o, off = c.with("QEMU_ONE_INSN_PER_TB=1").run("work")
	assert.Equal(c.t, want, o)
	assert.Equal(c.t, counts{}, off)
}

// shared has two programs with the same libraries.
func (c cached) shared(outcome) {
	triplet := strings.TrimPrefix(filepath.Base(c.program), "cache-")
	sysroot := filepath.Join("/usr", triplet)
	if _, err := os.Stat(sysroot); err != nil {
		c.t.Skip(err)
	}
	// Else /etc/ld.so.cache names the machine's own libraries for i386, with a loader that is none of theirs.
	c.flags = []string{"-L", sysroot, "-E", "LD_LIBRARY_PATH=" + sysroot + "/lib"}
	dir := filepath.Dir(c.dir)
	c.program = compile(c.t, triplet, filepath.Join(dir, "one"), "-pthread", "testdata/cache.c", "-lm")
	want, first := c.run("work")
	require.Equal(c.t, "exit status 0", want.end, want)
	o, second := c.run("work")
	assert.Equal(c.t, want, o)
	assert.Greater(c.t, second.hits, first.misses*9/10)
	c.program = compile(c.t, triplet, filepath.Join(dir, "another"), "-O2", "-DANSWER=42", "-pthread", "testdata/cache.c", "-lm")
	o, other := c.run("work")
	assert.Equal(c.t, want, o)
	assert.Greater(c.t, other.hits, first.misses/2, "the libraries' blocks")
}

// children are of fork(2) and execve(2): each writes what it translated itself.
func (c cached) children(want outcome) {
	o, n := c.run("fork")
	assert.Equal(c.t, strings.Repeat(want.stdout, 3), o.stdout)
	assert.Equal(c.t, 4, n.lines)
	o, n = c.run("exec", c.emulator)
	assert.Equal(c.t, want, o)
	assert.Equal(c.t, 2, n.lines)
	assert.Greater(c.t, n.hits, 100)
}

// compared is the mode that translates all the same: no block may differ.
func (c cached) compared(want outcome) {
	for _, words := range [][]string{{"work"}, {"fork"}, {"exec", c.emulator}} {
		c.run(words...)
		o, n := c.with("QEMU_TB_CACHE_CHECK=1").run(words...)
		assert.Equal(c.t, "exit status 0", o.end, o)
		assert.True(c.t, strings.HasPrefix(o.stdout, want.stdout))
		assert.Greater(c.t, n.hits, 100)
	}
}

// differs has blocks whose code is another, with the right checksum: the mode that compares
// says so, in the statistics, too, for nobody may look at what a program says.
func (c cached) differs(outcome) {
	c.run("work")
	for _, file := range c.files() {
		content, err := os.ReadFile(file)
		require.NoError(c.t, err)
		forge(content)
		require.NoError(c.t, os.WriteFile(file, content, 0o600))
	}
	stats := filepath.Join(c.dir, "..", "differs")
	_ = os.Remove(stats)
	env := []string{"QEMU_TB_CACHE=" + c.dir, "QEMU_TB_CACHE_CHECK=1", "QEMU_TB_CACHE_STATS=" + stats}
	o := execute(c.t.Context(), 2*time.Minute, filepath.Dir(c.program), env, c.argv("work")...)
	assert.Equal(c.t, "signal: aborted", o.end, o)
	said, err := os.ReadFile(stats)
	require.NoError(c.t, err)
	assert.Regexp(c.t, `^tb-cache: differs 0x[0-9a-f]+\n$`, string(said))
}

// forge changes the code of all blocks of a file's first segment, and their checksums
// (tb-cache.c, Record).
func forge(file []byte) {
	const head, segmentHead, recordHead = 64, 64, 64
	end := head + binary.NativeEndian.Uint64(file[head+8:])
	at := uint64(head+segmentHead) + 8*uint64(binary.NativeEndian.Uint32(file[head+4:]))
	padded := func(n uint16) uint64 { return (uint64(n) + 7) &^ 7 }
	for at+recordHead <= end {
		r := file[at:end]
		size := uint64(binary.NativeEndian.Uint32(r[32:]))
		if size == 0 {
			break // what fills the segment up
		}
		code := recordHead + padded(binary.NativeEndian.Uint16(r[42:])) + padded(2*binary.NativeEndian.Uint16(r[46:]))
		r[code] ^= 0xff
		binary.NativeEndian.PutUint64(r, checksum(r[8:size], 3))
		at += size
	}
}

// checksum is that of tb-cache.c.
func checksum(data []byte, seed uint64) uint64 {
	mix := func(h uint64) uint64 {
		const factor = 0xd6e8feb86659fd93
		h = (h ^ h>>32) * factor
		h = (h ^ h>>32) * factor
		return h ^ h>>32
	}
	stir := func(p []byte, k uint64) uint64 {
		high, low := bits.Mul64(binary.NativeEndian.Uint64(p)^k, binary.NativeEndian.Uint64(p[8:])^bits.RotateLeft64(k, 32))
		return low ^ high
	}
	k := mix(seed ^ uint64(len(data)))
	a, b := k, ^k
	data = append(slices.Clone(data), make([]byte, 32-len(data)%32)...)
	for ; len(data) > 0; data = data[32:] {
		k += 0x9e3779b97f4a7c15
		a += stir(data, k)
		b ^= stir(data[16:], ^k)
	}
	return mix(a ^ bits.RotateLeft64(b, 17))
}

// damaged has files of which bits were flipped, that were cut, or that are none.
func (c cached) damaged(want outcome) {
	c.run("work")
	files := c.files()
	require.NotEmpty(c.t, files)
	whole, err := os.ReadFile(files[0])
	require.NoError(c.t, err)
	put := func(content []byte) {
		require.NoError(c.t, os.WriteFile(files[0], content, 0o600))
	}
	same := func(what string, args ...any) {
		o, _ := c.run("work")
		require.Equal(c.t, want, o, fmt.Sprintf(what, args...))
	}
	for range 25 {
		content := bytes.Clone(whole)
		var at []int
		for range 1 + rand.IntN(200) {
			bit := rand.IntN(len(whole) * 8)
			at = append(at, bit)
			content[bit/8] ^= 1 << (bit % 8)
		}
		put(content)
		same("bits %v", at)
	}
	for at := range 96 { // headers, and where the index begins
		content := bytes.Clone(whole)
		content[at] ^= byte(1 << rand.IntN(8))
		put(content)
		if at%6 == 0 {
			same("byte %d", at)
		}
	}
	for range 10 {
		n := rand.IntN(len(whole))
		put(whole[:n])
		same("cut at %d", n)
		put(append(bytes.Clone(whole[:n]), make([]byte, len(whole)-n)...))
		same("zero from %d", n)
	}
	put(append(bytes.Clone(whole), whole...))
	same("twice")
	require.NoError(c.t, os.Remove(files[0]))
	require.NoError(c.t, os.Symlink("/dev/zero", files[0]))
	same("a symbolic link")
	require.NoError(c.t, os.Remove(files[0]))
	require.NoError(c.t, os.Mkdir(files[0], 0o700))
	same("a directory")
	require.NoError(c.t, os.Remove(files[0]))
	require.NoError(c.t, unix.Mkfifo(files[0], 0o600))
	same("a pipe")
}

// changed is a program of the same name and size that does something else.
func (c cached) changed(want outcome) {
	triplet := strings.TrimPrefix(filepath.Base(c.program), "cache-")
	dir := filepath.Dir(c.dir)
	c.program = filepath.Join(dir, "program")
	for _, answer := range []string{"17", "18", "17", "19"} {
		compile(c.t, triplet, c.program, "-static", "-pthread", "-DANSWER="+answer, "testdata/cache.c", "-lm")
		o, n := c.run("work")
		assert.Equal(c.t, strings.Replace(want.stdout, " 42\n", " "+answer+"\n", 1), o.stdout)
		if answer != "17" {
			assert.Greater(c.t, n.hits, 100, "what did not change is found")
		}
	}
}

// full is a file system that has no room for the file, and one that cannot be written.
func (c cached) full(want outcome) {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		c.t.Skip(err)
	}
	script := `mount -t tmpfs -o mode=700,size="$1" none "$2" && shift 2 || exit 77
		"$@" && "$@" && mount -o remount,bind,ro "$QEMU_TB_CACHE" && "$@"`
	for _, size := range []string{"4k", "16k", "64k", "256k"} {
		argv := append([]string{unshare, "-rm", "sh", "-c", script, "sh", size, c.dir}, c.argv("work")...)
		o := execute(c.t.Context(), 2*time.Minute, filepath.Dir(c.program), []string{"QEMU_TB_CACHE=" + c.dir}, argv...)
		if o.end == "exit status 77" || strings.Contains(o.stderr, "unshare") {
			c.t.Skip("no mount namespace: ", o.stderr)
		}
		assert.Equal(c.t, outcome{"exit status 0", strings.Repeat(want.stdout, 3), ""}, o, size)
	}
	// What may only be read is read.
	c.run("work")
	require.NoError(c.t, os.Chmod(c.dir, 0o500))
	for _, file := range c.files() {
		require.NoError(c.t, os.Chmod(file, 0o400))
	}
	o, n := c.run("work")
	assert.Equal(c.t, want, o)
	assert.Greater(c.t, n.hits, 100)
	require.NoError(c.t, os.Chmod(c.dir, 0o700))
}

// many processes begin with an empty cache at once.
func (c cached) many(want outcome) {
	var all sync.WaitGroup
	got := make([]outcome, 100)
	for i := range got {
		all.Go(func() {
			got[i] = execute(c.t.Context(), 5*time.Minute, filepath.Dir(c.program), []string{"QEMU_TB_CACHE=" + c.dir}, c.argv("work")...)
		})
	}
	all.Wait()
	for _, o := range got {
		assert.Equal(c.t, want, o)
	}
	o, n := c.with("QEMU_TB_CACHE_CHECK=1").run("work")
	assert.Equal(c.t, want, o)
	assert.Greater(c.t, n.hits, 100)
}

// killed are processes that end at any time, also while they write, where there is room
// for the files and where there is not; and files of which bits were flipped.
func (c cached) killed(want outcome) {
	rounds := 20
	if n := os.Getenv("TEST_CACHE_KILLS"); n != "" {
		var err error
		rounds, err = strconv.Atoi(n)
		require.NoError(c.t, err)
	}
	o, _ := c.run("work") // how long it takes
	require.Equal(c.t, want, o)
	begin := time.Now()
	c.run("work")
	took := time.Since(begin)
	starts := 2
	for round := range rounds {
		if round%5 == 4 {
			starts += c.killedWithoutRoom(want, rand.N(2*took))
			continue
		}
		if round%10 == 0 {
			c.empty(0o700)
		}
		words := [][]string{{"work"}, {"fork", "work"}, {"on"}}[round%3]
		ctx, cancel := context.WithCancel(c.t.Context())
		cmd := command(ctx, filepath.Dir(c.program), []string{"QEMU_TB_CACHE=" + c.dir}, c.argv(words...)...)
		require.NoError(c.t, cmd.Start())
		time.Sleep(rand.N(2*took + time.Millisecond))
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		cancel()
		if files := c.files(); len(files) > 0 && round%2 == 0 {
			c.flip(files[rand.IntN(len(files))])
		}
		o, _ := c.run("work")
		require.Equal(c.t, want, o, "round %d", round)
		starts += 2
	}
	c.t.Logf("%d starts", starts)
}

// killedWithoutRoom kills a process on a file system that is soon full, and looks what
// others find there. It returns how many it started.
func (c cached) killedWithoutRoom(want outcome, after time.Duration) int {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return 0
	}
	script := `mount -t tmpfs -o mode=700,size="$1" none "$2" && delay=$3 && shift 3 || exit 77
		"$@" >/dev/null & sleep "$delay"; kill -KILL $!; wait $! 2>/dev/null; "$@" && "$@"`
	size := fmt.Sprintf("%dk", 4*(1+rand.IntN(150)))
	argv := append([]string{unshare, "-rm", "sh", "-c", script, "sh", size, c.dir, fmt.Sprint(after.Seconds())}, c.argv("work")...)
	o := execute(c.t.Context(), 2*time.Minute, filepath.Dir(c.program), []string{"QEMU_TB_CACHE=" + c.dir}, argv...)
	if o.end == "exit status 77" || strings.Contains(o.stderr, "unshare") {
		return 0 // no mount namespace: full says so
	}
	require.Equal(c.t, want.end, o.end, o)
	require.Equal(c.t, strings.Repeat(want.stdout, 2), o.stdout, "with room for %s", size)
	return 3
}

// flip changes a bit of a file.
func (c cached) flip(name string) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(c.t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(c.t, err)
	if info.Size() == 0 {
		return
	}
	var b [1]byte
	at := rand.Int64N(info.Size())
	_, err = f.ReadAt(b[:], at)
	require.NoError(c.t, err)
	b[0] ^= 1 << rand.IntN(8)
	_, err = f.WriteAt(b[:], at)
	require.NoError(c.t, err)
}

// refused is what others own or may write, and all that a set-user-ID program is given.
func (c cached) refused(want outcome) {
	c.run("work")
	_, n := c.run("work")
	require.Greater(c.t, n.hits, 100)
	off := func(c cached, what string) {
		c.t.Helper()
		o, n := c.run("work")
		assert.Equal(c.t, want, o, what)
		assert.Equal(c.t, 0, n.hits+n.written, what)
	}
	for _, mode := range []os.FileMode{0o720, 0o702, 0o777 | os.ModeSticky} {
		require.NoError(c.t, os.Chmod(c.dir, mode))
		off(c, mode.String())
	}
	require.NoError(c.t, os.Chmod(c.dir, 0o700))
	for _, file := range c.files() {
		require.NoError(c.t, os.Chmod(file, 0o620))
	}
	o, n := c.run("work")
	assert.Equal(c.t, want, o)
	assert.Equal(c.t, 0, n.hits)
	link := filepath.Join(filepath.Dir(c.dir), "link")
	_ = os.Remove(link)
	require.NoError(c.t, os.Symlink("dir", link))
	other := c
	other.dir = link
	off(other, "a symbolic link")
	other.dir = filepath.Join(c.dir, "missing")
	other.env = []string{"QEMU_TB_CACHE_STATS="}
	off(other, "no directory")
	if os.Getuid() != 0 {
		c.t.Skip("who is not root has no other users' directories")
	}
	c.empty(0o700)
	c.run("work")
	require.NoError(c.t, os.Chown(c.dir, 1, 1))
	require.NoError(c.t, os.Chmod(c.dir, 0o755))
	off(c, "another user's")
	c.empty(0o700)
	c.run("work")
	for _, file := range c.files() {
		require.NoError(c.t, os.Chown(file, 1, 1))
		require.NoError(c.t, os.Chmod(file, 0o644))
	}
	o, n = c.run("work")
	assert.Equal(c.t, want, o)
	assert.Equal(c.t, 0, n.hits, "another user's file")

	c.empty(0o700)
	secure := c
	secure.emulator = filepath.Join(filepath.Dir(c.dir), "secure")
	content, err := os.ReadFile(c.emulator)
	require.NoError(c.t, err)
	require.NoError(c.t, os.WriteFile(secure.emulator, content, 0o755))
	require.NoError(c.t, os.Chown(c.dir, 1, 1))
	require.NoError(c.t, os.Chown(secure.emulator, 1, 1))
	require.NoError(c.t, os.Chmod(secure.emulator, 0o4755))
	var fs unix.Statfs_t
	require.NoError(c.t, unix.Statfs(c.dir, &fs))
	if fs.Flags&unix.ST_NOSUID != 0 {
		c.t.Skip("set-user-ID is ignored below ", c.dir)
	}
	off(secure, "AT_SECURE")
	assert.Empty(c.t, c.files())
	require.NoError(c.t, os.Chmod(secure.emulator, 0o755))
	cmd := exec.CommandContext(c.t.Context(), secure.emulator, c.program, "work")
	cmd.Env = []string{"QEMU_TB_CACHE=" + c.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}}
	require.NoError(c.t, cmd.Run())
	assert.NotEmpty(c.t, c.files(), "the same user without set-user-ID")
}

// bounded is a cache that may not have all.
func (c cached) bounded(want outcome) {
	c.run("work")
	var one int64
	for _, file := range c.files() {
		info, err := os.Stat(file)
		require.NoError(c.t, err)
		one += info.Size()
	}
	limit := one * 5 / 2
	content, err := os.ReadFile(c.program)
	require.NoError(c.t, err)
	c.empty(0o700)
	c.env = []string{fmt.Sprint("QEMU_TB_CACHE_SIZE=", limit)}
	programs := filepath.Dir(c.dir)
	for i := range 6 {
		c.program = filepath.Join(programs, fmt.Sprint("program-", i))
		require.NoError(c.t, os.WriteFile(c.program, content, 0o755))
		o, n := c.run("work")
		assert.Equal(c.t, want, o)
		assert.Greater(c.t, n.written, 100)
		var total int64
		for _, file := range c.files() {
			info, err := os.Stat(file)
			require.NoError(c.t, err)
			total += info.Size()
		}
		assert.LessOrEqual(c.t, total, limit)
		_, n = c.run("work")
		assert.Greater(c.t, n.hits, 100, "the last is kept")
	}
}

// likeHosts have guests of 64 bits and the host's byte order.
var likeHosts = []string{"aarch64-linux-gnu", "powerpc64le-linux-gnu", "riscv64-linux-gnu", "x86_64-linux-gnu"}

// hole is a program that maps something where it has just unmapped something: no file of the
// cache's is there, which the emulator maps in between.
func (c cached) hole(outcome) {
	if triplet := strings.TrimPrefix(filepath.Base(c.program), "cache-"); !slices.Contains(likeHosts, triplet) {
		c.t.Skip("its functions have descriptors, or it has a part of the address space of its own")
	}
	for range 3 {
		o, _ := c.run("hole")
		assert.Equal(c.t, outcome{end: "exit status 0"}, o)
	}
}

// away are programs that are linked for where the emulator's buffer is: it goes elsewhere,
// and they are at their own addresses, as the locks of a thread show that is killed.
func (c cached) away(outcome) {
	triplet := strings.TrimPrefix(filepath.Base(c.program), "cache-")
	if !slices.Contains(likeHosts, triplet) {
		c.t.Skip("the kernel cannot walk this guest's lists of locks")
	}
	for _, at := range []string{"0x50000000", "0x57fff000", "0x58000000", "0x5bcd0000"} {
		c.program = compile(c.t, triplet, filepath.Join(filepath.Dir(c.dir), "linked"), "-static", "-pthread", "-DKILLED",
			"-Wl,-Ttext-segment="+at, "testdata/robust.c")
		for range 2 {
			o, _ := c.run()
			o.stderr = "" // what the emulator says of signals
			assert.Equal(c.t, outcome{end: "exit status 0"}, o, at)
		}
	}
}
