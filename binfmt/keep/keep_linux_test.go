package keep

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// soon is how long what a keeper does at once may take on a machine that is busy.
const soon = 20 * time.Second

// A keeping is a keeper that runs, and what it told.
type keeping struct {
	*Keeper
	t      testing.TB
	dir    string // of its emulators
	reload chan struct{}
	stop   func() error

	mu       sync.Mutex
	settings Settings
	events   []Event
	err      error // of Run, once it has ended
}

// someEmulators makes a directory with emulators of the architectures, which are another
// version than those installed: their number ends in digit.
func someEmulators(t testing.TB, digit byte, archs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range archs {
		placeEmulator(t, dir, digit, name)
	}
	return dir
}

func placeEmulator(t testing.TB, dir string, digit byte, name string) {
	t.Helper()
	arch := kerneltest.Lookup(t, name)
	if kerneltest.Native(t, arch) {
		t.Skip(name, " is native here")
	}
	found := commands.FindEmulator(t, arch)
	number, _, _ := cut(found.Version)
	line := "qemu-" + arch.Name + " version "
	path := filepath.Join(dir, "qemu-"+arch.Name+"-static")
	commands.CopyFile(t, found.Path, path+".partly", line+number, line+number[:len(number)-1]+string(digit))
	require.NoError(t, os.Rename(path+".partly", path))
}

func cut(version string) (number, rest string, ok bool) {
	for i, c := range version {
		if c == ' ' {
			return version[:i], version[i+1:], true
		}
	}
	return version, "", false
}

func lookups(t testing.TB, names ...string) (archs []*elfmagic.Arch) {
	t.Helper()
	for _, name := range names {
		archs = append(archs, kerneltest.Lookup(t, name))
	}
	return archs
}

// keeps starts a keeper, which ends with the test, and waits until all runs.
func keeps(t testing.TB, fs binfmt.FS, dir string, archs ...string) *keeping {
	t.Helper()
	k := &keeping{t: t, dir: dir, reload: make(chan struct{})}
	k.settings = Settings{Request: install.Request{Archs: lookups(t, archs...), Dirs: []string{dir}}, Check: time.Hour}
	k.start(fs)
	return k
}

func (k *keeping) start(fs binfmt.FS) {
	k.t.Helper()
	load := func() (Settings, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.settings, nil
	}
	k.Keeper = New(fs, load, func(e Event) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.events = append(k.events, e)
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := k.Run(ctx, k.reload)
		k.mu.Lock()
		k.err = err
		k.mu.Unlock()
		ended <- err
	}()
	k.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	k.t.Cleanup(func() { _ = k.stop() })
	k.eventually(func() bool { return len(k.Report().Archs) > 0 && k.Report().Looked.After(k.Report().Began) }, "it begins")
}

func (k *keeping) eventually(is func() bool, what string) {
	k.t.Helper()
	if !assert.Eventually(k.t, is, soon, 2*time.Millisecond, "%s; events: %s", what, k) {
		stacks := make([]byte, 1<<20)
		k.t.Fatalf("%s", stacks[:runtime.Stack(stacks, true)])
	}
}

func (k *keeping) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lines []string
	for _, e := range k.events {
		lines = append(lines, fmt.Sprintf("%s %v (%s) %s %s %v", e.Kind, e.Arch, e.Cause, e.Entry, e.Other, e.Err))
	}
	return fmt.Sprintf("%q, error: %v", lines, k.err)
}

// count returns how many events of a kind there were.
func (k *keeping) count(kind Kind) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// entry returns an entry once there is nothing unfinished.
func finished(t testing.TB, fs binfmt.FS, want ...string) {
	t.Helper()
	slices.Sort(want)
	require.Eventually(t, func() bool { return slices.Equal(want, commands.Names(t, fs)) }, soon, 5*time.Millisecond, "want %v", want)
}

// runs runs a program of an architecture.
func runs(t testing.TB, arch *elfmagic.Arch) error {
	t.Helper()
	program, err := tinyelf.Program(arch)
	require.NoError(t, err)
	return tinyelf.Run(t.Context(), program, func(tinyelf.Process) {})
}

func write(t testing.TB, fs binfmt.FS, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(fs.Dir(), name), []byte(text), 0))
}

// A keeper that cannot begin, or end, for another process that changes the instance says so.
func TestWaitingForAnotherToBeginOrEndIsSaid(t *testing.T) {
	fs := kerneltest.Instance(t)
	unlock, err := fs.Lock(t.Context())
	require.NoError(t, err)
	r := install.Request{Archs: lookups(t, "s390x"), Dirs: []string{someEmulators(t, '7', "s390x")}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var kinds []Kind
	k := New(fs, func() (Settings, error) { return Settings{Request: r, Check: time.Hour, Withdraw: true}, nil }, func(e Event) {
		switch kinds = append(kinds, e.Kind); e.Kind {
		case Warned:
			assert.ErrorIs(t, e.Err, install.ErrLocked)
			unlock()
		case Tried:
			unlock, err = fs.Lock(t.Context())
			assert.NoError(t, err)
			cancel()
		}
	})
	require.NoError(t, k.Run(ctx, nil))
	assert.Equal(t, []Kind{Warned, Registered, Tried, Warned, Withdrawn}, kinds)
	require.NotNil(t, k.claims, "which are made then")
}

// What somebody removes while a program is tried is healed, and no failure: see
// TestAnInstanceOfItsOwnIsMadeWhenTheOneAboveLosesItsEntries of tests/register, which is that fast.
func TestWhatIsUndoneMeanwhileIsNoFailure(t *testing.T) {
	outcome := func(action binfmt.Action, cause host.Cause) (o install.Outcome) {
		o.Action = action
		o.Err = fmt.Errorf("%w: %w", install.ErrNotRun, &host.Error{Cause: cause, Err: unix.ENOEXEC})
		return o
	}
	assert.True(t, undone(outcome(binfmt.Add, host.NoEntry)))
	assert.True(t, undone(outcome(binfmt.Keep, host.Disabled)))
	assert.False(t, undone(outcome(binfmt.Skip, host.NoEntry)), "none was made")
	assert.False(t, undone(outcome(binfmt.Add, host.Failed)))
	assert.False(t, undone(install.Outcome{}))

	var told []Event
	k := New(binfmt.New(t.TempDir()), nil, func(e Event) { told = append(told, e) })
	for cause, isFailure := range map[host.Cause]bool{host.NoEntry: false, host.Failed: true} {
		o := outcome(binfmt.Add, cause)
		o.Arch, told = lookups(t, "s390x")[0], nil
		k.note(&install.Facts{}, o, nil, "", Started)
		assert.Equal(t, isFailure, k.find(o.Arch).Err != nil, cause)
		assert.Len(t, told, map[bool]int{true: 1}[isFailure], "%v: %v", cause, told)
	}
}

func TestWhatIsRemovedIsRegisteredAgain(t *testing.T) {
	fs := kerneltest.Instance(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x", "arm64"), "s390x", "arm64")
	finished(t, fs, "qemu-aarch64", "qemu-s390x")
	assert.Empty(t, k.Report().Ready())
	for name, undo := range map[string]func(){
		"one removed":   func() { write(t, fs, "qemu-s390x", "-1") },
		"one disabled":  func() { write(t, fs, "qemu-s390x", "0") },
		"all removed":   func() { write(t, fs, "status", "-1") },
		"both disabled": func() { write(t, fs, "qemu-s390x", "0"); write(t, fs, "qemu-aarch64", "0") },
	} {
		t.Run(name, func(t *testing.T) {
			healed := k.count(Healed)
			undo()
			k.eventually(func() bool { return k.count(Healed) > healed && runs(t, lookups(t, "s390x")[0]) == nil }, "it is healed")
			finished(t, fs, "qemu-aarch64", "qemu-s390x")
			for _, e := range commands.List(t, fs) {
				assert.Equal(t, filepath.Join(k.dir, e.Name+"-static"), e.Interpreter)
				assert.False(t, e.Disabled)
			}
			k.eventually(func() bool { return len(k.Report().Ready()) == 0 }, "it is ready")
		})
	}
	assert.Zero(t, k.count(Failed), k)
	require.NoError(t, k.stop())
	finished(t, fs, "qemu-aarch64", "qemu-s390x") // they stay
}

func TestAllDisabledIsReportedAndLeftSo(t *testing.T) {
	fs := kerneltest.Instance(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x"), "s390x")
	write(t, fs, "status", "0")
	t.Cleanup(func() { write(t, fs, "status", "1") })
	k.eventually(func() bool { return k.Report().Blocked }, "it sees it")
	assert.Equal(t, []string{install.ErrAllDisabled.Error()}, k.Report().Ready())
	enabled, err := fs.Enabled()
	require.NoError(t, err)
	assert.False(t, enabled)
	write(t, fs, "status", "1")
	k.eventually(func() bool { return len(k.Report().Ready()) == 0 }, "it is ready again")
	assert.Equal(t, 1, k.count(Blocked))
	assert.Equal(t, 1, k.count(Unblocked))
}

func TestNewerEntriesOfOthersAreLeftInPlace(t *testing.T) {
	fs := kerneltest.Instance(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x"), "s390x")
	arch := lookups(t, "s390x")[0]
	others := filepath.Join(someEmulators(t, '8', "s390x"), "qemu-s390x-static")
	for _, name := range []string{"rosetta", "qemu-s390x"} { // of another name, and of the same one, as systemd-binfmt and others have it
		yielded := k.count(Yielded)
		if name == "qemu-s390x" {
			require.NoError(t, fs.Remove(name))
		}
		require.NoError(t, fs.Register(binfmt.Entry{Name: name, Pattern: arch.Pattern(), Interpreter: others, Flags: binfmt.FixBinary}))
		k.eventually(func() bool { return k.count(Yielded) > yielded }, "it yields")
		k.eventually(func() bool { return len(k.Report().Ready()) == 0 && k.Report().Archs[0].Other == others }, "it says by whose entry programs run")
		time.Sleep(2 * quiet)
		finished(t, fs, slices.Compact([]string{name, "qemu-s390x"})...)
		e, err := fs.Get(name)
		require.NoError(t, err)
		assert.Equal(t, others, e.Interpreter)
		require.NoError(t, fs.Remove(name))
		finished(t, fs, "qemu-s390x")
		k.eventually(func() bool {
			e, err := fs.Get("qemu-s390x")
			return err == nil && e.Interpreter == filepath.Join(k.dir, "qemu-s390x-static") && k.Report().Archs[0].Other == ""
		}, "it is its own again")
	}
}

func TestOwnersThatAreNotNamedAreNotYieldedToButNotFoughtEither(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := lookups(t, "s390x")[0]
	friends, others := someEmulators(t, '8', "s390x"), someEmulators(t, '9', "s390x")
	k := &keeping{t: t, dir: someEmulators(t, '7', "s390x"), reload: make(chan struct{})}
	k.settings = Settings{Request: install.Request{Archs: lookups(t, "s390x"), Dirs: []string{k.dir}}, Check: time.Hour, Yield: []string{friends + "/*"}}
	k.start(fs)
	interpreter := func() string {
		entries := binfmt.Catching(commands.List(t, fs), arch.Heads())
		if len(entries) == 0 {
			return ""
		}
		return entries[0].Interpreter
	}
	own := filepath.Join(k.dir, "qemu-s390x-static")
	take := func(dir string) {
		require.NoError(t, fs.Register(binfmt.Entry{Name: "other", Pattern: arch.Pattern(), Interpreter: filepath.Join(dir, "qemu-s390x-static"), Flags: binfmt.FixBinary}))
	}
	take(friends)
	k.eventually(func() bool { return k.count(Yielded) == 1 }, "it yields")
	require.NoError(t, fs.Remove("other"))
	for i := range 3 {
		take(others)
		k.eventually(func() bool { return interpreter() == own && k.count(Retaken) == i+1 }, "it is in front again")
		require.NoError(t, fs.Remove("other"))
	}
	take(others)
	k.eventually(func() bool { return k.count(Delayed) == 1 }, "it does not go on for ever")
	time.Sleep(3 * quiet)
	assert.Equal(t, filepath.Join(others, "qemu-s390x-static"), interpreter())
	assert.NoError(t, runs(t, arch))
}

func TestTwoKeepersDoNotFight(t *testing.T) {
	fs := kerneltest.Instance(t)
	first := keeps(t, fs, someEmulators(t, '7', "s390x", "arm64"), "s390x", "arm64")
	second := keeps(t, fs, someEmulators(t, '8', "s390x", "arm64"), "s390x", "arm64")
	first.eventually(func() bool { return first.count(Yielded) == 2 }, "the first one yields")
	writes := func() int {
		return first.count(Registered) + first.count(Upgraded) + first.count(Healed) + second.count(Registered) + second.count(Upgraded) + second.count(Healed)
	}
	before := writes()
	for range 5 {
		write(t, fs, "status", "-1")
		finished(t, fs, "qemu-aarch64", "qemu-s390x")
	}
	time.Sleep(5 * quiet) // in which nothing happens any more
	after := writes()
	assert.LessOrEqual(t, after-before, 5*2*4, "%s\n%s", first, second)
	time.Sleep(5 * quiet)
	assert.Equal(t, after, writes())
	for _, k := range []*keeping{first, second} {
		assert.Zero(t, k.count(Failed), k)
		assert.Empty(t, k.Report().Ready())
	}
}

// With Force they come in front of what is there when they begin.
func TestKeepersThatAreToBeInFrontDoNotFight(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := lookups(t, "s390x")[0]
	others := filepath.Join(someEmulators(t, '9', "s390x"), "qemu-s390x-static")
	other := binfmt.Entry{Name: "other", Pattern: arch.Pattern(), Interpreter: others, Flags: binfmt.FixBinary}
	require.NoError(t, fs.Register(other))
	inFront := func() string { return binfmt.Catching(commands.List(t, fs), arch.Heads())[0].Interpreter }
	var all []*keeping
	writes := func() (n int) {
		for _, k := range all {
			n += k.count(Registered) + k.count(Upgraded) + k.count(Retaken) + k.count(Healed)
		}
		return n
	}
	for _, digit := range []byte{'7', '8'} {
		k := &keeping{t: t, dir: someEmulators(t, digit, "s390x"), reload: make(chan struct{})}
		k.settings = Settings{Request: install.Request{Archs: []*elfmagic.Arch{arch}, Dirs: []string{k.dir}, Force: true}, Check: time.Hour}
		k.start(fs)
		assert.Equal(t, filepath.Join(k.dir, "qemu-s390x-static"), inFront())
		all = append(all, k)
	}
	// Or to the other one before, if it looks when its own is removed and the second's not there yet.
	all[0].eventually(func() bool { return all[0].count(Yielded) > 0 }, "the first one yields to the second")
	time.Sleep(5 * quiet)
	assert.Equal(t, 2, writes(), "%s\n%s", all[0], all[1])

	require.NoError(t, fs.Remove("other"))
	require.NoError(t, fs.Register(other))
	all[1].eventually(func() bool { return all[1].count(Yielded) == 1 }, "and that to what is newer")
	time.Sleep(5 * quiet)
	assert.Equal(t, others, inFront(), "which it has said is left in place")
	assert.Equal(t, 2, writes(), "%s\n%s", all[0], all[1])

	all[1].reload <- struct{}{}
	all[1].eventually(func() bool { return inFront() == filepath.Join(all[1].dir, "qemu-s390x-static") }, "with its settings it begins anew")
}

func TestTwoKeepersWithTheSameEmulatorsDoNotFight(t *testing.T) {
	fs := kerneltest.Instance(t)
	dir := someEmulators(t, '7', "s390x")
	first, second := keeps(t, fs, dir, "s390x"), keeps(t, fs, dir, "s390x")
	for range 3 {
		write(t, fs, "qemu-s390x", "-1")
		finished(t, fs, "qemu-s390x")
		time.Sleep(2 * quiet)
	}
	time.Sleep(5 * quiet)
	assert.LessOrEqual(t, first.count(Healed)+second.count(Healed), 6)
	assert.Zero(t, first.count(Failed)+second.count(Failed), "%s\n%s", first, second)
	finished(t, fs, "qemu-s390x")
}

// What systemd-binfmt does when it is restarted: it removes all entries, then those of
// its files' names, and registers these.
func TestBesideSystemdBinfmt(t *testing.T) {
	fs := kerneltest.Instance(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x", "arm64"), "s390x", "arm64")
	theirs := someEmulators(t, '8', "s390x", "arm64")
	restart := func() (failures []error) {
		write(t, fs, "status", "-1")
		time.Sleep(5 * time.Millisecond)
		for _, arch := range lookups(t, "s390x", "arm64") {
			_ = os.WriteFile(filepath.Join(fs.Dir(), "qemu-"+arch.Name), []byte("-1"), 0)
			e := binfmt.Entry{Name: "qemu-" + arch.Name, Pattern: arch.Pattern(), Interpreter: filepath.Join(theirs, "qemu-"+arch.Name+"-static"), Flags: binfmt.FixBinary}
			if err := fs.Register(e); err != nil {
				failures = append(failures, err)
			}
		}
		return failures
	}
	for i := range 4 {
		yielded := k.count(Yielded)
		assert.Empty(t, restart(), "restart %d", i)
		k.eventually(func() bool { return k.count(Yielded) >= yielded+2 }, "it yields")
		finished(t, fs, "qemu-aarch64", "qemu-s390x")
		for _, e := range commands.List(t, fs) {
			assert.Equal(t, filepath.Join(theirs, e.Name+"-static"), e.Interpreter)
		}
	}
	k.eventually(func() bool { return len(k.Report().Ready()) == 0 }, "it is ready")
	assert.LessOrEqual(t, k.count(Healed), 8)
	assert.Zero(t, k.count(Failed), k)
}

func TestUpgradesOfEmulatorsLeaveNoGap(t *testing.T) {
	fs := kerneltest.Instance(t)
	dir := someEmulators(t, '7', "s390x")
	k := keeps(t, fs, dir, "s390x")
	arch := lookups(t, "s390x")[0]
	version := k.Report().Archs[0].Holds.Version
	digest := k.Report().Archs[0].Holds.Digest
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", digest)
	placeEmulator(t, dir, '8', "s390x")
	deadline, ran := time.Now().Add(soon), 0
	for ; k.count(Upgraded) == 0 && time.Now().Before(deadline); ran++ {
		require.NoError(t, runs(t, arch))
	}
	require.Equal(t, 1, k.count(Upgraded), k)
	assert.Positive(t, ran)
	k.eventually(func() bool { return k.Report().Archs[0].Holds.Version != version }, "it says which one it is")
	k.eventually(func() bool { return k.Report().Archs[0].Holds.Digest != digest }, "and its digest")
	finished(t, fs, "qemu-s390x")
}

func TestAnEmulatorThatDoesNotWorkDoesNotReplaceOneThatDoes(t *testing.T) {
	fs := kerneltest.Instance(t)
	dir := someEmulators(t, '7', "s390x")
	k := keeps(t, fs, dir, "s390x")
	placeEmulator(t, dir, '7', "arm64")
	require.NoError(t, os.Rename(filepath.Join(dir, "qemu-aarch64-static"), filepath.Join(dir, "qemu-s390x-static")))
	k.eventually(func() bool { return k.count(Failed) > 0 }, "it says so")
	finished(t, fs, "qemu-s390x")
	assert.NoError(t, runs(t, lookups(t, "s390x")[0]))
	placeEmulator(t, dir, '8', "s390x")
	k.eventually(func() bool { return k.count(Upgraded) == 1 && len(k.Report().Ready()) == 0 }, "the next one is taken up")
}

func TestAnEmulatorThatComesLaterIsTakenUp(t *testing.T) {
	fs := kerneltest.Instance(t)
	dir := t.TempDir()
	k := keeps(t, fs, dir, "s390x")
	assert.Equal(t, 1, k.count(Failed), k)
	assert.Len(t, k.Report().Ready(), 1)
	placeEmulator(t, dir, '7', "s390x")
	k.eventually(func() bool { return k.count(Registered) == 1 && len(k.Report().Ready()) == 0 }, "it is taken up")
	finished(t, fs, "qemu-s390x")
}

// Upgrades, and ways back, replace no file where they replace a directory, or a link.
func TestEmulatorsInAnotherPlaceAreTakenUp(t *testing.T) {
	fs := kerneltest.Instance(t)
	const file = "qemu-s390x-static"
	versions := map[string]string{"1": someEmulators(t, '7', "s390x"), "2": someEmulators(t, '8', "s390x"), "3": someEmulators(t, '9', "s390x")}
	var top string
	in := func(names ...string) string { return filepath.Join(append([]string{top}, names...)...) }
	link := func(target, path string) {
		require.NoError(t, os.Symlink(target, path+".new"))
		require.NoError(t, os.Rename(path+".new", path))
	}
	move := func(from, to string) { require.NoError(t, os.Rename(from, to)) }
	for name, place := range map[string]func(version string) (dir string){ // another version each time, where the first one was
		"a link to the directory": func(v string) string { link(in(v, "bin"), in("current")); return in("current") },
		"a link on the way to it": func(v string) string {
			if link(v, in("system")); v == "1" {
				link("system/.", in("up"))
			}
			return in("up", "bin")
		},
		"a link to the file, and that one's": func(v string) string {
			if v == "1" {
				require.NoError(t, os.Mkdir(in("alternatives"), 0o755))
				require.NoError(t, os.Mkdir(in("bin"), 0o755))
				link("../alternatives/qemu", in("bin", file))
			}
			link("../"+v+"/bin/"+file, in("alternatives", "qemu"))
			return in("bin")
		},
		"the directory is moved": func(v string) string {
			if v != "1" {
				move(in("bin"), in("not "+v))
			}
			move(in(v, "bin"), in("bin"))
			return in("bin")
		},
		"it is removed, with what is above it": func(v string) string {
			require.NoError(t, os.RemoveAll(in("opt")))
			require.NoError(t, os.Mkdir(in("opt"), 0o755))
			move(in(v, "bin"), in("opt", "bin"))
			return in("opt", "bin")
		},
	} {
		t.Run(name, func(t *testing.T) {
			top = t.TempDir()
			for v, dir := range versions {
				require.NoError(t, os.MkdirAll(in(v, "bin"), 0o755))
				require.NoError(t, os.Link(filepath.Join(dir, file), in(v, "bin", file)))
			}
			k := keeps(t, fs, place("1"), "s390x")
			place("2")
			k.eventually(func() bool { return k.count(Upgraded) == 1 }, "it is taken up")
			place("3")
			k.eventually(func() bool { return k.count(Upgraded) == 2 }, "so is the next")
			require.NoError(t, k.stop())
			require.NoError(t, fs.Remove("qemu-s390x"))
		})
	}
}

func TestAnEmulatorThatIsNamedIsUsedAndWatched(t *testing.T) {
	fs := kerneltest.Instance(t)
	from, dir := someEmulators(t, '7', "s390x"), t.TempDir()
	path := filepath.Join(dir, "mine")
	place := func() {
		require.NoError(t, os.Rename(filepath.Join(from, "qemu-s390x-static"), path))
	}
	place()
	k := &keeping{t: t, reload: make(chan struct{})}
	k.settings = Settings{Request: install.Request{Archs: lookups(t, "s390x"), Emulators: map[string]string{"s390x": path}}, Check: time.Hour}
	k.start(fs)
	e, err := fs.Get("qemu-s390x")
	require.NoError(t, err)
	assert.Equal(t, path, e.Interpreter)
	placeEmulator(t, from, '8', "s390x")
	place()
	k.eventually(func() bool { return k.count(Upgraded) == 1 }, "it is upgraded")
	finished(t, fs, "qemu-s390x")
}

func TestANewKeeperTakesOverFromAnOldOne(t *testing.T) {
	for name, digits := range map[string]string{"with the same emulators": "77", "with others": "78"} {
		t.Run(name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			arch := lookups(t, "s390x")[0]
			keeping := func(digit byte) *keeping {
				k := &keeping{t: t, dir: someEmulators(t, digit, "s390x"), reload: make(chan struct{})}
				k.settings = Settings{Request: install.Request{Archs: lookups(t, "s390x"), Dirs: []string{k.dir}}, Check: time.Hour, Withdraw: true}
				return k
			}
			// Emulators are written before processes are started, which have files that are
			// written open for a moment: the kernel would refuse to use them (ETXTBSY).
			old, next := keeping(digits[0]), keeping(digits[1])
			old.start(fs)
			stop := make(chan struct{})
			var watcher sync.WaitGroup
			failures := 0
			watcher.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if runs(t, arch) != nil {
							failures++
						}
					}
				}
			})
			next.start(fs)
			require.NoError(t, old.stop())
			time.Sleep(2 * quiet)
			close(stop)
			watcher.Wait()
			assert.Zero(t, failures)
			finished(t, fs, "qemu-s390x")
			require.NoError(t, next.stop())
			finished(t, fs) // nobody is left
			assert.Equal(t, 1, next.count(Withdrawn))
		})
	}
}

// Two DaemonSets, say, of which one is uninstalled: it removes nothing that the other one keeps,
// whichever of them came first, and what the other one is alone for it removes.
func TestAKeeperThatEndsRemovesNothingThatAnotherOneKeeps(t *testing.T) {
	arch := lookups(t, "s390x")[0]
	for name, newerEnds := range map[string]bool{"the newer one ends": true, "the older one ends": false} {
		for emulators, digits := range map[string]string{"the same emulators": "77", "others": "78"} {
			t.Run(name+", "+emulators, func(t *testing.T) {
				fs := kerneltest.Instance(t)
				keeping := func(digit byte, archs ...string) *keeping {
					k := &keeping{t: t, dir: someEmulators(t, digit, archs...), reload: make(chan struct{})}
					k.settings = Settings{Request: install.Request{Archs: lookups(t, archs...), Dirs: []string{k.dir}}, Check: time.Hour, Withdraw: true}
					return k
				}
				ends, stays := keeping(digits[0], "s390x", "riscv64"), keeping(digits[1], "s390x")
				if newerEnds {
					stays.start(fs)
					ends.start(fs)
				} else {
					ends.start(fs)
					stays.start(fs)
				}
				require.NoError(t, ends.stop())
				time.Sleep(2 * quiet)
				require.NoError(t, runs(t, arch), "%s\n%s", ends, stays)
				finished(t, fs, "qemu-s390x")
				assert.Equal(t, 1, ends.count(Withdrawn), "of riscv64")

				// It is kept still, by who stays.
				write(t, fs, "qemu-s390x", "-1")
				stays.eventually(func() bool { return runs(t, arch) == nil }, "it heals")
				finished(t, fs, "qemu-s390x")
				require.NoError(t, stays.stop())
				finished(t, fs)
			})
		}
	}
}

func TestReloadedSettingsAreDone(t *testing.T) {
	fs := kerneltest.Instance(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x", "arm64"), "s390x")
	k.mu.Lock()
	k.settings.Request.Archs = lookups(t, "arm64")
	k.mu.Unlock()
	k.reload <- struct{}{}
	finished(t, fs, "qemu-aarch64")
	k.eventually(func() bool { return len(k.Report().Archs) == 1 && len(k.Report().Ready()) == 0 }, "it keeps that")
	write(t, fs, "qemu-aarch64", "-1")
	finished(t, fs, "qemu-aarch64")
}

// Settings without a time between checks, nobody who is told, and a channel that is closed are
// what Go programs have where they want nothing of it.
func TestWithoutMoreAKeeperRests(t *testing.T) {
	fs := kerneltest.Instance(t)
	settings := Settings{Request: install.Request{Archs: lookups(t, "s390x"), Dirs: []string{someEmulators(t, '7', "s390x")}}}
	loads := 0
	k := New(fs, func() (Settings, error) { loads++; return settings, nil }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reload, ended := make(chan struct{}), make(chan error, 1)
	close(reload)
	go func() { ended <- k.Run(ctx, reload) }()
	require.Eventually(t, func() bool { return k.Report().Looked.After(k.began) }, soon, 2*time.Millisecond, "it begins")
	time.Sleep(tick)
	cancel()
	require.NoError(t, <-ended)
	assert.Equal(t, 1, loads)
	assert.True(t, k.check.After(k.began.Add(defaultCheck)), "one check")
	assert.True(t, k.check.Before(time.Now().Add(defaultCheck)))
	assert.Empty(t, k.Report().Ready())
}

// Whoever ends a keeper while it tries programs is not told that these failed.
func TestTheEndOfAKeeperIsNoFailure(t *testing.T) {
	fs := kerneltest.Instance(t)
	ctx, cancel := context.WithCancel(t.Context())
	loads, dir := 0, someEmulators(t, '7', "s390x")
	var failures []error
	reload := make(chan struct{}, 1)
	k := New(fs, func() (Settings, error) {
		if loads++; loads > 1 {
			cancel()
		}
		return Settings{Request: install.Request{Archs: lookups(t, "s390x"), Dirs: []string{dir}}}, nil
	}, func(e Event) {
		switch e.Kind {
		case Registered:
			reload <- struct{}{}
		case Failed:
			failures = append(failures, e.Err)
		}
	})
	require.NoError(t, k.Run(ctx, reload))
	assert.Equal(t, 2, loads)
	assert.Empty(t, failures)
	assert.NoError(t, k.Report().Err)
}

func TestAnInstanceThatIsUnmountedIsMountedAgain(t *testing.T) {
	other, fs := kerneltest.Instance(t), kerneltest.Elsewhere(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x"), "s390x")
	require.ErrorIs(t, fs.Unmount(), unix.EBUSY, "while it is kept")
	require.NoError(t, unix.Unmount(fs.Dir(), unix.MNT_DETACH))
	// In a user namespace programs still run, and nothing is to be done.
	time.Sleep(2 * tick)
	assert.Empty(t, k.Report().Ready())
	require.NoError(t, other.Remove("qemu-s390x"))
	k.eventually(func() bool {
		state, err := fs.State()
		return err == nil && state == binfmt.Mounted
	}, "it is mounted")
	finished(t, fs, "qemu-s390x")
	k.eventually(func() bool { return k.count(Registered) == 2 && len(k.Report().Ready()) == 0 }, "all runs")
	require.NoError(t, fs.Remove("qemu-s390x"))
	finished(t, fs, "qemu-s390x")
	assert.Zero(t, k.count(Failed), k)
}

// Another owner registers just after it was healed, as systemd-binfmt does: what stands in is
// removed, and all is checked again, though without inotify entries are looked at meanwhile.
func TestAStandInIsRemovedBehindAnothersEntryWithoutInotify(t *testing.T) {
	fs := kerneltest.Instance(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x"), "s390x")
	require.NoError(t, k.stop())
	k.watches = func([]watched) (*notices, error) { return nil, os.ErrInvalid }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, nil) }()
	k.eventually(func() bool { return k.Report().Polls && len(k.Report().Ready()) == 0 }, "it polls")
	others := filepath.Join(someEmulators(t, '8', "s390x"), "qemu-s390x-static")
	tried := k.count(Tried)
	require.NoError(t, fs.Remove("qemu-s390x"))
	k.eventually(func() bool { return k.count(Healed) == 1 }, "it heals")
	require.NoError(t, fs.Register(binfmt.Entry{Name: "qemu-s390x", Pattern: lookups(t, "s390x")[0].Pattern(), Interpreter: others, Flags: binfmt.FixBinary}))
	finished(t, fs, "qemu-s390x")
	e, err := fs.Get("qemu-s390x")
	require.NoError(t, err)
	assert.Equal(t, others, e.Interpreter)
	k.eventually(func() bool { return k.count(Tried) > tried && len(k.Report().Ready()) == 0 }, "it is checked")
	cancel()
	require.NoError(t, <-ended)
}

// A keeper that has nothing to do sleeps, and still sees at once that its instance is
// unmounted.
func TestChangesOfMountsAreNoticed(t *testing.T) {
	fs := kerneltest.Instance(t)
	n, err := watch([]watched{instance(fs.Dir())})
	require.NoError(t, err)
	defer n.close()
	require.NotNil(t, n.mounts)
	came := func(within time.Duration) bool {
		select {
		case <-n.came:
			return n.take()&mountsChanged != 0
		case <-time.After(within):
			return false
		}
	}
	for came(10 * between) { // the first one is for what was before
	}
	dir := t.TempDir()
	for range 3 {
		require.NoError(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		assert.True(t, came(soon))
		require.NoError(t, unix.Unmount(dir, 0))
		for came(10 * between) {
		}
	}
	without := &notices{}
	without.watchMounts(filepath.Join(dir, "none"))
	assert.Nil(t, without.mounts)
	without.watchMounts(os.Args[0])
	assert.Nil(t, without.mounts, "of other files nothing tells")
}

func TestAnInstanceWithoutInotifyIsPolled(t *testing.T) {
	fs := kerneltest.Instance(t)
	k := keeps(t, fs, someEmulators(t, '7', "s390x"), "s390x")
	require.NoError(t, k.stop())
	// inotify_add_watch fails for a descriptor that is closed, as inotify_init1 does
	// where a user has as many as there may be.
	k.watches = func([]watched) (*notices, error) { return nil, os.ErrInvalid }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx, nil) }()
	k.eventually(func() bool { return k.Report().Polls && len(k.Report().Ready()) == 0 }, "it says so")
	require.NoError(t, fs.Remove("qemu-s390x"))
	finished(t, fs, "qemu-s390x")
	cancel()
	require.NoError(t, <-ended)
}
