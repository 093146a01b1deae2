package emulators

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/guests"
)

// nobody is the ordinary user that programs run as where root runs the tests:
// some of QEMU's own do what only a user may try.
const nobody = 65534

// dataLimit is how much memory of its own a program gets, in bytes.
const dataLimit = 8 << 30

func TestMain(m *testing.M) {
	if dir := os.Getenv(recordDir); dir != "" {
		os.Exit(record(dir))
	}
	// An emulator that ends as its program did would leave a core file each time.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	// QEMU 7.2 keeps books of each page of a mapping, and test-vma makes one of
	// terabytes: it would fill the machine's memory before its time is over.
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: dataLimit, Max: dataLimit}); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	status := m.Run()
	tables.print()
	if !kept.Check() {
		status = 1
	}
	os.Exit(status)
}

// settings are what the environment asks for.
type settings struct {
	judged guests.Set
	stock  []guests.Set
	via    string // what runs those to judge, if they are for another host
	work   string // directory that is kept, and belongs to who runs programs
}

// without is the set of the emulators to judge when they keep no translations, which those
// that do are compared with.
const without = "without"

// kept is how those to judge keep them, once [prepare] was called.
var kept guests.KeptTranslations

var prepare = sync.OnceValues(func() (s settings, err error) {
	s.judged = guests.Set{Name: "judged", Path: os.Getenv("TEST_EMULATORS")}
	s.via = os.Getenv("TEST_VIA")
	for _, dir := range filepath.SplitList(os.Getenv("TEST_STOCK")) {
		s.stock = append(s.stock, guests.Set{Path: dir})
	}
	mode := os.Getenv("TEST_TRANSLATIONS")
	if mode != "" {
		s.stock = []guests.Set{{Path: s.judged.Path}}
	}
	if len(s.stock) == 0 {
		cache, err := workdir.Cache("stock")
		if err != nil {
			return s, err
		}
		if s.stock, err = guests.StockEmulators(context.Background(), cache); err != nil {
			return s, err
		}
	}
	for i := range s.stock {
		s.stock[i].Name = s.stock[i].Version()
	}
	if mode != "" {
		s.stock[0].Name = without
	}
	// Not in a cache directory: an ordinary user may not look into root's.
	s.work = filepath.Join(os.TempDir(), fmt.Sprint("go-build-emulators-", os.Getuid()))
	if err := os.MkdirAll(s.work, 0o755); err != nil {
		return s, err
	}
	info, err := os.Lstat(s.work)
	if err != nil {
		return s, err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if !info.IsDir() || owner != uint32(os.Getuid()) && owner != nobody {
		return s, fmt.Errorf("%s belongs to somebody else", s.work)
	}
	// One run at a time: another would build anew what this one runs.
	lock, err := unix.Open(s.work, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return s, err
	}
	if err := unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return s, fmt.Errorf("%s is used by another run: %w", s.work, err)
	}
	kept, err = guests.KeepTranslations(mode, s.work, nobody)
	return s, errors.Join(err, own(s.work))
})

// setup returns what the environment asks for, or skips the test.
func setup(t *testing.T) settings {
	t.Helper()
	s := setupForeign(t)
	if s.via != "" {
		t.Skip("emulators for another host run TestOrder and TestBarriers only")
	}
	return s
}

// setupForeign is setup for tests whose emulators may be for another host.
func setupForeign(t *testing.T) settings {
	t.Helper()
	if os.Getenv("TEST_EMULATORS") == "" {
		t.Skip("TEST_EMULATORS names no directory of emulators to prove: make test-emulators")
	}
	s, err := prepare()
	require.NoError(t, err)
	return s
}

// own gives a file to the user that programs run as.
func own(path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(path, nobody, nobody)
}

// ownTree gives all of a directory to that user.
func ownTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || os.Getuid() != 0 {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
}

// A contestant is one emulator of a target.
type contestant struct {
	name    string
	version string // the number alone
	path    string
	judged  bool
	patched bool // by us
	via     string
}

// argv is how a command begins that the emulator runs.
func (c contestant) argv() []string {
	if c.via != "" {
		return []string{c.via, c.path}
	}
	return []string{c.path}
}

// contestants are the target's stock emulators, and the one to judge at last.
func (s *settings) contestants(t *testing.T, arch *elfmagic.Arch) []contestant {
	t.Helper()
	if s.via != "" {
		return []contestant{s.foreign(t, arch)}
	}
	var list []contestant
	for _, set := range append(slices.Clone(s.stock), s.judged) {
		found, err := set.Find(arch)
		if errors.Is(err, emulator.ErrMissing) {
			if set == s.judged {
				t.Skip(err)
			}
			continue
		}
		require.NoError(t, err)
		version, _, _ := strings.Cut(found.Version, " ")
		path, err := s.placed(set, found.Path)
		require.NoError(t, err)
		list = append(list, contestant{name: set.Name, version: version, path: path, judged: set == s.judged, patched: isPatched(found.Version)})
	}
	require.Greater(t, len(list), 1, "there is no stock emulator for %s to compare with", arch)
	return list
}

// isPatched says whether a version is of an emulator with our patches.
func isPatched(version string) bool {
	return strings.Contains(version, "go-build ") && !strings.Contains(version, "go-build 0 ")
}

// foreign is the emulator to judge where it is for another host.
func (s *settings) foreign(t *testing.T, arch *elfmagic.Arch) contestant {
	t.Helper()
	dir, err := filepath.Abs(s.judged.Path)
	require.NoError(t, err)
	search := emulator.Search{Dirs: []string{dir}, Native: elfmagic.Archs()}
	found, err := search.Find(arch)
	if errors.Is(err, emulator.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	path, err := s.placed(guests.Set{Name: "foreign"}, found.Path)
	require.NoError(t, err)
	via, err := s.placed(guests.Set{Name: "via"}, s.via)
	require.NoError(t, err)
	version, _, _ := strings.Cut(found.Version, " ")
	return contestant{name: s.judged.Name, version: version, path: path, judged: true, patched: isPatched(found.Version), via: via}
}

// placed returns where an ordinary user finds a copy of an emulator of a set.
func (s *settings) placed(set guests.Set, path string) (string, error) {
	placedLock.Lock()
	defer placedLock.Unlock()
	dir := filepath.Join(s.work, "emulators", strings.ReplaceAll(set.Name, " ", "-"))
	if copied := placedCopies[dir+path]; copied != "" {
		return copied, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	copied := filepath.Join(dir, filepath.Base(path))
	if err := guests.Place(path, copied); err != nil {
		return "", err
	}
	placedCopies[dir+path] = copied
	return copied, nil
}

var (
	placedLock   sync.Mutex
	placedCopies = map[string]string{} // by directory and path: made once in a run
)

// command is one that runs as an ordinary user, in a process group of its own:
// what it leaves behind is ended with it.
func command(ctx context.Context, dir string, env []string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "HOME=" + dir, "TMPDIR=" + os.TempDir()}
	// TEST_TRANSLATIONS: but for the emulators that those are compared with.
	if !slices.ContainsFunc(slices.Concat(argv, env), func(s string) bool { return strings.Contains(s, "/emulators/"+without+"/") }) {
		cmd.Env = append(cmd.Env, kept.Env()...)
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// tables are what is printed at the end.
var tables tableList

type tableList struct {
	sync.Mutex
	rows map[string][]string // of each table, lines of cells with tabs
	head map[string]string
}

func (l *tableList) add(table, head, row string) {
	l.Lock()
	defer l.Unlock()
	if l.rows == nil {
		l.rows, l.head = map[string][]string{}, map[string]string{}
	}
	l.head[table] = head
	l.rows[table] = append(l.rows[table], row)
}

func (l *tableList) print() {
	l.Lock()
	defer l.Unlock()
	var names []string
	for name := range l.rows {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("\n%s:\n", name)
		w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, l.head[name])
		slices.Sort(l.rows[name])
		for _, row := range l.rows[name] {
			fmt.Fprintln(w, row)
		}
		w.Flush()
	}
}
