package binfmt_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func names(t *testing.T, fs binfmt.FS) []string {
	t.Helper()
	entries, err := fs.List()
	require.NoError(t, err)
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name)
	}
	return list
}

func TestKernelPrintsWhatWasRegistered(t *testing.T) {
	fs := kerneltest.Instance(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	long := sample()
	line, err := long.MarshalText()
	require.NoError(t, err)
	long.Name, long.Flags = "long", 0
	long.Interpreter += strings.Repeat("x", 1920-len(line)+len("qemu-aarch64")-len("long")+len("PF"))
	entries := []binfmt.Entry{
		{Name: "plain", Pattern: elfmagic.Pattern{Magic: []byte("magic")}, Interpreter: "/bin/true"},
		{Name: "masked", Pattern: elfmagic.Pattern{Offset: 7, Magic: []byte("a:\\\n\x00"), Mask: []byte("\xff\x00\xfe\x01\xff")}, Interpreter: "/no/such:file", Flags: binfmt.PreserveArgv0},
		{Name: "bytes", Pattern: elfmagic.Pattern{Magic: all}, Interpreter: "/bin/true"},
		{Name: "last", Pattern: elfmagic.Pattern{Offset: 255, Magic: []byte("x")}, Interpreter: "/bin/true"},
		{Name: "with:colon, comma", Pattern: elfmagic.Pattern{Magic: []byte("m")}, Interpreter: "/b in/x", Flags: binfmt.OpenBinary},
		{Name: "extension", Extension: "j:ar", Interpreter: "/bin/true", Flags: binfmt.Credentials},
		{Name: strings.Repeat("n", 255), Extension: "x", Interpreter: "/bin/true"},
		long,
	}
	fixed := sample()
	fixed.Interpreter = "/bin/true"
	entries = append(entries, fixed)
	for _, e := range entries {
		require.NoError(t, fs.Register(e), e.Name)
		got, err := fs.Get(e.Name)
		require.NoError(t, err)
		assert.True(t, e.Equal(got), "%+v, %+v", e, got)
		assert.False(t, got.Disabled)
		assert.WithinDuration(t, time.Now(), got.Registered, time.Minute)

		text, err := os.ReadFile(filepath.Join(fs.Dir(), e.Name))
		require.NoError(t, err)
		assert.Equal(t, string(text), e.Status(), "our description is the kernel's")
	}
	var newestFirst []string
	for i := range entries {
		newestFirst = append(newestFirst, entries[len(entries)-1-i].Name)
	}
	assert.Equal(t, newestFirst, names(t, fs))
}

// What Validate refuses, the kernel refuses too, except for the two that
// Validate's documentation names.
func TestKernelRefusesWhatValidateRefuses(t *testing.T) {
	fs := kerneltest.Instance(t)
	for what, e := range invalid() {
		err := fs.Register(e)
		var failed *binfmt.Error
		require.ErrorAs(t, err, &failed, what)
		assert.Equal(t, "register", failed.Op)
		assert.Empty(t, names(t, fs), what)
	}
	register := func(line string) error {
		f, err := os.OpenFile(filepath.Join(fs.Dir(), "register"), os.O_WRONLY, 0)
		require.NoError(t, err)
		defer f.Close()
		_, err = f.WriteString(line)
		return err
	}
	for _, line := range []string{
		"::M::m::/bin/true:",
		":.:M::m::/bin/true:",
		":..:M::m::/bin/true:",
		":a/b:M::m::/bin/true:",
		":n:M::m:::",
		":n:M::::/bin/true:",
		":n:M:-1:m::/bin/true:",
		":n:M::mm:\\xff:/bin/true:",
		":n:M:256:m::/bin/true:",
		":n:M:254:mmm::/bin/true:",
		":n:E::::/bin/true:",
		":n:E::a/b::/bin/true:",
		":n:M::m::/bin/true:" + strings.Repeat("P", 1920),
		":n:M::m::/bin/true:?",
	} {
		assert.ErrorIs(t, register(line), unix.EINVAL, "%q", line)
		var e binfmt.Entry
		if e.UnmarshalText([]byte(line)) == nil && len(line) < 1920 {
			assert.Error(t, e.Validate(), "%q", line)
		}
	}
	for _, name := range []string{"status", "register"} {
		assert.ErrorIs(t, register(":"+name+":M::m::/bin/true:"), unix.EEXIST)
	}
	assert.Empty(t, names(t, fs))
}

func TestErrorsKeepTheErrnoAndWhatTheyAreAbout(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.NoError(t, fs.Register(entry("there", "m", "/bin/true")))
	notExecutable := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(notExecutable, []byte("x"), 0o644))
	unknown := entry("unknown", "m", "/bin/true")
	unknown.Flags |= flag(t, "Z")
	for _, test := range []struct {
		err        error
		errno      error
		registered string // the name of the entry that was to be registered
		hint       string
	}{
		{fs.Register(entry("there", "m", "/bin/true")), unix.EEXIST, "there", "remove it first"},
		{fs.Register(entry("missing", "m", "/no/such/file")), unix.ENOENT, "missing", "/no/such/file is not there"},
		{fs.Register(entry("mode", "m", notExecutable)), unix.EACCES, "mode", notExecutable + " cannot be executed"},
		{fs.Register(unknown), unix.EINVAL, "unknown", "may not know the flags Z"},
		{fs.Remove("absent"), unix.ENOENT, "", ""},
		{fs.Enable("absent"), unix.ENOENT, "", ""},
		{second(fs.Get("absent")), unix.ENOENT, "", ""},
	} {
		var failed *binfmt.Error
		require.ErrorAs(t, test.err, &failed)
		assert.ErrorIs(t, test.err, test.errno)
		assert.NotErrorIs(t, test.err, binfmt.ErrNotMounted)
		assert.Contains(t, test.err.Error(), failed.Name)
		assert.Equal(t, test.registered != "", failed.Entry != nil)
		if failed.Entry != nil {
			assert.Equal(t, test.registered, failed.Entry.Name)
			assert.True(t, failed.Written)
		}
		if test.hint == "" {
			assert.Empty(t, cli.Hint(test.err))
		}
		assert.Contains(t, cli.Hint(test.err), test.hint, "what the commands say of it")
	}
	assert.Equal(t, []string{"there"}, names(t, fs))
}

func second[T any](_ T, err error) error { return err }

func flag(t *testing.T, letters string) binfmt.Flags {
	f, err := binfmt.ParseFlags(letters)
	require.NoError(t, err)
	return f
}

func TestAReadOnlyFileSystemIsTold(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, unix.Mount(kerneltest.Instance(t).Dir(), dir, "", unix.MS_BIND, ""))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, 0)) })
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	err := binfmt.New(dir).Register(sample())
	require.ErrorIs(t, err, unix.EROFS)
	assert.Contains(t, cli.Hint(err), "docker run --privileged")
}

func TestDisabledEntriesAreThereAndNotUsed(t *testing.T) {
	fs := kerneltest.Instance(t)
	file := executable(t, "magic and more")
	require.NoError(t, fs.Register(entry("a", "magic", "/bin/true")))
	assert.NoError(t, exec.Command(file).Run())

	require.NoError(t, fs.Disable("a"))
	got, err := fs.Get("a")
	require.NoError(t, err)
	assert.True(t, got.Disabled)
	assert.ErrorIs(t, exec.Command(file).Run(), unix.ENOEXEC)

	require.NoError(t, fs.Enable("a"))
	assert.NoError(t, exec.Command(file).Run())

	require.NoError(t, fs.Remove("a"))
	assert.ErrorIs(t, exec.Command(file).Run(), unix.ENOEXEC)
}

// executable returns a file with the given content that may be executed.
func executable(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o755))
	return file
}

func TestNothingButEntriesIsEverWrittenTo(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.NoError(t, fs.Register(entry("a", "magic", "/bin/true")))
	for _, name := range []string{"status", "register", "", ".", "..", "a/../status", "/etc/passwd"} {
		assert.ErrorContains(t, fs.Remove(name), "is not the name of an entry")
		assert.ErrorContains(t, fs.Disable(name), "is not the name of an entry")
		_, err := fs.Get(name)
		assert.ErrorContains(t, err, "is not the name of an entry")
	}
	assert.Equal(t, []string{"a"}, names(t, fs))
	assert.Equal(t, []string{"a"}, names(t, binfmt.New(fs.Dir())))
	status, err := os.ReadFile(filepath.Join(fs.Dir(), "status"))
	require.NoError(t, err)
	assert.Equal(t, "enabled\n", string(status))
}

func TestWhetherAllAreDisabledIsRead(t *testing.T) {
	fs := kerneltest.Instance(t)
	status := filepath.Join(fs.Dir(), "status")
	t.Cleanup(func() { require.NoError(t, os.WriteFile(status, []byte("1"), 0)) })
	for text, want := range map[string]bool{"0": false, "1": true} {
		require.NoError(t, os.WriteFile(status, []byte(text), 0))
		got, err := fs.Enabled()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := binfmt.New(t.TempDir()).Enabled()
	assert.ErrorIs(t, err, binfmt.ErrNotMounted)
}

// cover mounts a file with the given content over one of the file system's.
func cover(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, unix.Mount(executable(t, content), path, "", unix.MS_BIND, ""))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(path, 0)) })
}

func TestWhatCannotBeReadDoesNotHideTheRest(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, fs.Register(entry(name, "m", "/bin/true")))
	}
	cover(t, filepath.Join(fs.Dir(), "b"), "something new\n")
	entries, err := fs.List()
	require.Len(t, entries, 2)
	assert.Equal(t, "c", entries[0].Name)
	assert.Equal(t, "a", entries[1].Name)
	var failed *binfmt.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, "b", failed.Name)

	cover(t, filepath.Join(fs.Dir(), "status"), "perhaps\n")
	_, err = fs.Enabled()
	assert.ErrorContains(t, err, `"perhaps\n" is neither enabled nor disabled`)
}

func TestFlagsAreAskedOfTheKernel(t *testing.T) {
	fs := kerneltest.Instance(t)
	for letters, want := range map[string]bool{"F": true, "P": true, "POCF": true, "Z": false, "PZ": false} {
		got, err := fs.Supports(flag(t, letters))
		require.NoError(t, err)
		assert.Equal(t, want, got, letters)
	}
	assert.Empty(t, names(t, fs))
}

// elfmagic.Pattern.Match and Entry.Matches say of any file what the kernel does
// with it.
func TestMatchIsTheKernels(t *testing.T) {
	fs := kerneltest.Instance(t)
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(1 + random.IntN(3)) // few values, so that some do match
		}
		return b
	}
	matched := 0
	for i := range 300 {
		e := binfmt.Entry{Name: fmt.Sprint("e", i), Interpreter: "/bin/true"}
		e.Pattern.Magic = bytes(1 + random.IntN(4))
		if random.IntN(2) == 0 {
			e.Pattern.Mask = bytes(len(e.Pattern.Magic))
		}
		size := 1 + random.IntN(8)
		switch random.IntN(3) {
		case 0:
			e.Pattern.Offset = random.IntN(6)
		case 1:
			e.Pattern.Offset = 256 - len(e.Pattern.Magic) - random.IntN(3)
			size = 250 + random.IntN(12)
		}
		if random.IntN(4) == 0 {
			e.Pattern.Magic[len(e.Pattern.Magic)-1] = 0 // matches past the file's end
		}
		content := bytes(size)
		if random.IntN(3) == 0 && e.Pattern.Offset < len(content) {
			copy(content[e.Pattern.Offset:], e.Pattern.Magic)
		}
		file := filepath.Join(dir, e.Name)
		require.NoError(t, os.WriteFile(file, content, 0o755))

		require.NoError(t, fs.Register(e))
		err := exec.Command(file).Run()
		want := e.Matches(content, file)
		// ELOOP: the kernel takes the file, and its interpreter likewise.
		taken := err == nil || errors.Is(err, unix.ELOOP)
		if !taken {
			require.ErrorIs(t, err, unix.ENOEXEC)
		}
		if want {
			matched++
		}
		assert.Equal(t, want, taken, "%+v and %v", e.Pattern, content)
		require.NoError(t, fs.Remove(e.Name))
	}
	assert.Greater(t, matched, 50)
	assert.Less(t, matched, 250)
}

func TestWhatIsNotMountedIsSaidToBe(t *testing.T) {
	dir := t.TempDir()
	for _, fs := range []binfmt.FS{binfmt.New(dir), binfmt.New(filepath.Join(dir, "absent"))} {
		state, err := fs.State()
		require.NoError(t, err)
		assert.Equal(t, binfmt.NotMounted, state)
		_, listErr := fs.List()
		_, lockErr := fs.Lock(context.Background())
		for _, err := range []error{listErr, lockErr, fs.Register(sample()), fs.Remove("a"), fs.Unmount()} {
			assert.ErrorIs(t, err, binfmt.ErrNotMounted)
			assert.Contains(t, cli.Hint(err), "mount -t binfmt_misc")
		}
	}
}

// A pipe would be waited for.
func TestOtherFilesAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"register", "status", "a"} {
		require.NoError(t, unix.Mkfifo(filepath.Join(dir, name), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "copy"), []byte(entry("copy", "m", "/i").Status()), 0o600))
	fs := binfmt.New(dir)
	_, lockErr := fs.Lock(t.Context())
	_, askErr := fs.Supports(binfmt.FixBinary)
	for what, err := range map[string]error{
		"Register": fs.Register(sample()), "Remove": fs.Remove("a"), "Get": second(fs.Get("a")), "Get of a copy": second(fs.Get("copy")), "Lock": lockErr, "Supports": askErr,
	} {
		assert.ErrorIs(t, err, binfmt.ErrNotMounted, what)
	}
	supports, err := binfmt.New("a\x00b").Supports(binfmt.FixBinary)
	assert.ErrorIs(t, err, unix.EINVAL, "of the path: the kernel was not asked")
	assert.False(t, supports)
}

// Another directory's files are none of an instance's, whatever they are called.
func TestOtherFilesAreNotWrittenTo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"register", "a"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600))
	}
	t.Chdir(dir)
	fs := binfmt.New(dir)
	_, lockErr := fs.Lock(context.Background())
	_, askErr := fs.Supports(binfmt.FixBinary)
	for what, err := range map[string]error{
		"Register": fs.Register(sample()), "Remove": fs.Remove("a"), "Enable": fs.Enable("a"), "Disable": fs.Disable("a"), "Lock": lockErr, "Supports": askErr,
	} {
		assert.ErrorIs(t, err, binfmt.ErrNotMounted, what)
	}
	assert.Equal(t, binfmt.DefaultMount, binfmt.FS{}.Dir(), "nor are those of the working directory")
	assert.Equal(t, binfmt.New(""), binfmt.New(binfmt.FS{}.Dir()))
	for _, name := range []string{"register", "a"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, "content", string(text))
	}
}

func TestMountAndUnmount(t *testing.T) {
	kerneltest.Instance(t)
	fs := binfmt.New(t.TempDir())
	mounted, err := fs.Mount()
	require.NoError(t, err)
	assert.True(t, mounted)
	state, err := fs.State()
	require.NoError(t, err)
	assert.Equal(t, binfmt.Mounted, state)

	mounted, err = fs.Mount()
	require.NoError(t, err)
	assert.False(t, mounted, "it was")
	require.NoError(t, fs.Register(entry("a", "m", "/bin/true")))
	assert.Equal(t, []string{"a"}, names(t, binfmt.New("")), "a namespace has one instance, however often it is mounted")

	require.NoError(t, fs.Unmount())
	state, err = fs.State()
	require.NoError(t, err)
	assert.Equal(t, binfmt.NotMounted, state)
}

// A thread enters the namespace, and not the process: others know that by its first thread.
func TestMountingInAnotherNamespaceLeavesTheProcessInItsOwn(t *testing.T) {
	fs := kerneltest.Instance(t)
	other := exec.Command("cat") // until its input ends
	other.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	stdin, err := other.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	defer func() { assert.NoError(t, errors.Join(stdin.Close(), other.Wait())) }()
	namespace := fmt.Sprintf("/proc/%d/ns/mnt", other.Process.Pid)
	own, err := os.Readlink("/proc/self/ns/mnt")
	require.NoError(t, err)
	for range 50 {
		mounted, err := fs.MountIn(namespace)
		require.NoError(t, err)
		assert.False(t, mounted, "it is there already")
		now, err := os.Readlink("/proc/self/ns/mnt")
		require.NoError(t, err)
		require.Equal(t, own, now)
	}
	require.NoError(t, fs.UnmountIn(namespace))
	mounted, err := fs.MountIn(namespace)
	require.NoError(t, err)
	assert.True(t, mounted)
	state, err := fs.State()
	require.NoError(t, err)
	assert.Equal(t, binfmt.Mounted, state, "here, as before")
}

func TestMountingOnWhatIsNoDirectoryFails(t *testing.T) {
	kerneltest.Need(t)
	file := executable(t, "x")
	for _, dir := range []string{filepath.Dir(file), "/proc", "/proc/sys/fs"} {
		_, err := binfmt.New(dir).Mount()
		assert.ErrorIs(t, err, unix.ENOTEMPTY, dir)
		assert.NotEmpty(t, cli.Hint(err))
	}
	_, err := binfmt.New(file).Mount()
	assert.ErrorIs(t, err, unix.ENOTDIR)
	_, err = binfmt.New(file + ".absent").Mount()
	assert.ErrorIs(t, err, unix.ENOENT)
}

func TestLockKeepsOthersOut(t *testing.T) {
	fs := kerneltest.Instance(t)
	unlock, err := fs.Lock(context.Background())
	require.NoError(t, err)

	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	_, err = fs.Lock(ctx)
	assert.ErrorContains(t, err, "enough")
	assert.ErrorContains(t, err, "another process")

	got := make(chan error, 1)
	go func() {
		unlock, err := fs.Lock(context.Background())
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	assert.NoError(t, <-got)
}

// loop executes a file over and over until stop is called, which returns how
// often, and the first failure.
func loop(file string) (stop func() (int, error)) {
	done, result := make(chan struct{}), make(chan error, 1)
	times := 0
	go func() {
		for {
			select {
			case <-done:
				result <- nil
				return
			default:
			}
			if err := exec.Command(file).Run(); err != nil {
				result <- fmt.Errorf("execution %d: %w", times, err)
				return
			}
			times++
		}
	}()
	return func() (int, error) {
		close(done)
		err := <-result
		return times, err
	}
}

func TestReplacingLeavesNoMomentWithout(t *testing.T) {
	fs := kerneltest.Instance(t)
	file := executable(t, "magic and more")
	versions := []binfmt.Entry{entry("a", "magic", "/bin/true"), entry("a", "magic", "/bin/echo")}
	require.NoError(t, fs.Register(versions[1]))
	stop := loop(file)
	for i := range 300 {
		current, err := fs.List()
		require.NoError(t, err)
		steps := binfmt.Plan(versions[i%2:i%2+1], current, binfmt.PlanOptions{})
		require.Equal(t, binfmt.Replace, steps[0].Action)
		require.NoError(t, fs.Apply(steps))
	}
	times, err := stop()
	require.NoError(t, err)
	assert.Positive(t, times)
	assert.Equal(t, []string{"a"}, names(t, fs))
}

func TestApplyDoesWhatIsPlannedAndASecondPlanHasNothingToDo(t *testing.T) {
	fs := kerneltest.Instance(t)
	for _, e := range []binfmt.Entry{entry("keep", "k", "/bin/true"), entry("replace", "r", "/bin/false"), entry("remove", "x", "/bin/true"), entry("other", "o", "/bin/true"), entry("skip", "zzz", "/bin/true")} {
		require.NoError(t, fs.Register(e))
	}
	current, err := fs.List()
	require.NoError(t, err)
	desired := []binfmt.Entry{entry("keep", "k", "/bin/true"), entry("replace", "r", "/bin/true"), entry("add", "a", "/bin/true"), entry("skip", "s", "/bin/true")}
	steps := binfmt.Plan(desired, current, binfmt.PlanOptions{Remove: []string{"remove"}})
	require.NoError(t, fs.Apply(steps))

	assert.ElementsMatch(t, []string{"keep", "replace", "add", "other", "skip"}, names(t, fs))
	replaced, err := fs.Get("replace")
	require.NoError(t, err)
	assert.Equal(t, "/bin/true", replaced.Interpreter)
	skipped, err := fs.Get("skip")
	require.NoError(t, err)
	assert.Equal(t, "zzz", string(skipped.Pattern.Magic))

	current, err = fs.List()
	require.NoError(t, err)
	for _, step := range binfmt.Plan(desired, current, binfmt.PlanOptions{Remove: []string{"remove"}}) {
		assert.Contains(t, []binfmt.Action{binfmt.Keep, binfmt.Skip}, step.Action, step.Name)
	}
}

// snapshot is everything that the instance says of its entries.
func snapshot(t *testing.T, fs binfmt.FS) []binfmt.Entry {
	t.Helper()
	entries, err := fs.List()
	require.NoError(t, err)
	return entries
}

func TestAFailingStepUndoesThoseBeforeIt(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.NoError(t, fs.Register(entry("b", "b", "/bin/false")))
	before := snapshot(t, fs)
	desired := []binfmt.Entry{entry("a", "a", "/bin/true"), entry("b", "b", "/bin/true"), entry("c", "c", "/no/such/file")}
	err := fs.Apply(binfmt.Plan(desired, before, binfmt.PlanOptions{Remove: []string{"b"}}))
	require.ErrorIs(t, err, unix.ENOENT)
	assert.Equal(t, before, snapshot(t, fs), "not even registered anew")
}

// What stands in for the first of them would stay.
func TestAPlanWithANameTwiceIsRefused(t *testing.T) {
	fs := kerneltest.Instance(t)
	two := []binfmt.Entry{entry("a", "m", "/bin/false"), entry("a", "m", "/bin/sh")}
	require.ErrorIs(t, fs.Apply(binfmt.Plan(two, nil, binfmt.PlanOptions{})), unix.EEXIST)
	assert.Empty(t, names(t, fs))

	there := entry("a", "m", "/bin/true")
	require.NoError(t, fs.Register(there))
	require.ErrorIs(t, fs.Apply(binfmt.Plan(two, []binfmt.Entry{there}, binfmt.PlanOptions{})), unix.EEXIST)
	assert.Equal(t, []string{"a"}, names(t, fs))
	got, err := fs.Get("a")
	require.NoError(t, err)
	assert.Equal(t, "/bin/true", got.Interpreter)
}

func TestStagedEntriesAreInUseAndCanBeTakenBack(t *testing.T) {
	fs := kerneltest.Instance(t)
	file := executable(t, "b")
	require.NoError(t, fs.Register(entry("b", "b", "/bin/false")))
	before := snapshot(t, fs)
	desired := []binfmt.Entry{entry("a", "a", "/bin/true"), entry("b", "b", "/bin/true")}
	staged, err := fs.Stage(binfmt.Plan(desired, before, binfmt.PlanOptions{}))
	require.NoError(t, err)
	assert.NoError(t, exec.Command(file).Run(), "the new one is used")
	require.NoError(t, staged.Rollback())
	assert.Equal(t, before, snapshot(t, fs))
	assert.Error(t, exec.Command(file).Run(), "the old one is used again")
	require.NoError(t, staged.Commit(), "nothing is left to do")
	assert.Equal(t, before, snapshot(t, fs))
}

func TestWhatWasUndoneIsNotCommitted(t *testing.T) {
	fs := kerneltest.Instance(t)
	require.NoError(t, fs.Register(entry("a", "a", "/bin/false")))
	require.NoError(t, fs.Register(entry("b", "b", "/bin/false")))
	desired := []binfmt.Entry{entry("a", "a", "/bin/true"), entry("b", "b", "/bin/true")}
	staged, err := fs.Stage(binfmt.Plan(desired, snapshot(t, fs), binfmt.PlanOptions{}))
	require.NoError(t, err)
	require.NoError(t, staged.Undo([]string{"a", "no such"}))
	require.NoError(t, staged.Commit())
	a, err := fs.Get("a")
	require.NoError(t, err)
	b, err := fs.Get("b")
	require.NoError(t, err)
	assert.Equal(t, "/bin/false", a.Interpreter)
	assert.Equal(t, "/bin/true", b.Interpreter)
	assert.ElementsMatch(t, []string{"a", "b"}, names(t, fs))
}

// Others do not wait for who has the instance locked: systemd-binfmt, or a shell.
func TestWhatSomebodyHasRemovedMeanwhileNeedNotBe(t *testing.T) {
	fs := kerneltest.Elsewhere(t)
	want := []binfmt.Entry{entry("a", "a", "/bin/true"), entry("b", "b", "/bin/true")}
	stage := func() *binfmt.Staged {
		require.NoError(t, fs.Register(entry("a", "a", "/bin/false")))
		require.NoError(t, fs.Register(entry("b.new", "b", "/bin/false")))
		staged, err := fs.Stage(binfmt.Plan(want, snapshot(t, fs), binfmt.PlanOptions{}))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(fs.Dir(), "status"), []byte("-1"), 0))
		return staged
	}
	require.NoError(t, stage().Commit())
	assert.Equal(t, []string{"a"}, names(t, fs), "what was replaced is there again; what was added was removed since")
	require.NoError(t, fs.Remove("a"))
	require.NoError(t, stage().Rollback())
	assert.Empty(t, names(t, fs))

	staged := stage()
	require.NoError(t, os.WriteFile(filepath.Join(fs.Dir(), "status"), []byte("-1"), 0))
	require.NoError(t, fs.Unmount())
	require.ErrorIs(t, staged.Commit(), binfmt.ErrNotMounted)
}

func TestTemporaryEntriesOfKilledRunsAreTidied(t *testing.T) {
	old, want := entry("a", "magic", "/bin/echo"), entry("a", "magic", "/bin/true")
	temporary, another := want, want
	temporary.Name, another.Name = "a.new", "a.new2"
	for name, left := range map[string][]binfmt.Entry{
		"before the removal": {old, temporary},
		"after it":           {temporary},
		"before the tidying": {temporary, want},
		"twice":              {old, temporary, another},
	} {
		t.Run(name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			file := executable(t, "magic and more")
			for _, e := range left {
				require.NoError(t, fs.Register(e))
			}
			stop := loop(file)
			require.NoError(t, fs.Apply(binfmt.Plan([]binfmt.Entry{want}, snapshot(t, fs), binfmt.PlanOptions{})))
			_, err := stop()
			require.NoError(t, err)
			assert.Equal(t, []string{"a"}, names(t, fs))
			got, err := fs.Get("a")
			require.NoError(t, err)
			assert.True(t, got.Equal(want))
		})
	}
}

func TestATemporaryEntryStaysIfWhatItStandsForFails(t *testing.T) {
	fs := kerneltest.Instance(t)
	temporary := entry("a.new", "magic", "/bin/true")
	require.NoError(t, fs.Register(temporary))
	staged, err := fs.Stage(binfmt.Plan([]binfmt.Entry{entry("a", "magic", "/bin/false")}, snapshot(t, fs), binfmt.PlanOptions{}))
	require.NoError(t, err)
	require.NoError(t, staged.Undo([]string{"a"}))
	require.NoError(t, staged.Commit())
	assert.Equal(t, []string{"a.new"}, names(t, fs))
}

// With F the kernel keeps the file, whatever happens to its path.
func TestFixBinaryKeepsTheFile(t *testing.T) {
	fs := kerneltest.Instance(t)
	source, err := os.ReadFile("/bin/true")
	require.NoError(t, err)
	interpreter := filepath.Join(t.TempDir(), "true")
	require.NoError(t, os.WriteFile(interpreter, source, 0o755))
	file := executable(t, "magic and more")
	require.NoError(t, fs.Register(entry("a", "magic", interpreter)))
	require.NoError(t, os.Remove(interpreter))
	assert.NoError(t, exec.Command(file).Run())

	path := entry("b", "magic", interpreter)
	path.Flags = 0
	require.NoError(t, fs.Register(path))
	err = exec.Command(file).Run()
	var errno syscall.Errno
	require.ErrorAs(t, err, &errno)
	assert.Equal(t, unix.ENOENT, errno)
}

// What the kernel accepts, and no program of ours registers, stops nothing: each
// entry is read, or left out with a reason.
func TestOddEntriesOfOthers(t *testing.T) {
	fs := kerneltest.Instance(t)
	raw := func(line string) error { return os.WriteFile(filepath.Join(fs.Dir(), "register"), []byte(line), 0) }
	odd := map[string]bool{ // whether it can be read
		":new\nline:M::magic::/bin/true:":                          true,
		":\xff\x1b[31m:M::magic::/bin/true:":                       true,
		":spaces:M::magic::/bin/a b  c:":                           true,
		":relative:M::magic::bin/true:":                            true,
		":empty:M::magic::/bin/x\n\n:":                             true,
		":unknown line:M::magic::/bin/x\nflag Z:":                  true,
		":flags:M::magic::/bin/x\nflags\\x3a Q:":                   true,
		":offset:M::magic::/bin/x\noffset nine:":                   false,
		":magic:M::magic::/bin/x\nmagic zz:":                       false,
		":twice:M::magic::/bin/x\ninterpreter /y:":                 false,
		":mask:M::magic:\\xff\\xff\\xff\\xff\\xff:/bin/x\nmask 0:": false,
		":dot:E::.::/bin/true:":                                    true,
		":extension:E::a b::/bin/true:":                            true,
		"|pipes|E||x||/bin/tr:ue|":                                 true,
	}
	all, unread := 0, 0
	for line, readable := range odd {
		require.NoError(t, raw(line), "%q", line)
		all++
		if !readable {
			unread++
		}
	}
	// And at random.
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		field := func(most int) string {
			text := make([]byte, 1+rng.IntN(most))
			for i := range text {
				text[i] = "ab \n\t\\x0\xff\x1b.;=\"'"[rng.IntN(15)]
			}
			return string(text)
		}
		line := fmt.Sprintf(":%d%s:M:%d:%s::/%s:%s", i, field(9), rng.IntN(9), field(20), field(30), []string{"", "P", "O", "C", "PC"}[rng.IntN(5)])
		if raw(line) == nil {
			all++
		}
	}
	names, err := os.ReadDir(fs.Dir())
	require.NoError(t, err)
	require.Len(t, names, all+2)
	entries, err := fs.List()
	left, rest := binfmt.Unread(err)
	require.NoError(t, rest)
	assert.Len(t, left, all-len(entries))
	assert.GreaterOrEqual(t, len(left), unread)
	for name := range left {
		assert.ErrorContains(t, err, name)
	}
	for _, name := range []string{"offset", "magic", "twice", "mask"} {
		assert.Contains(t, left, name)
		_, err := fs.Get(name)
		assert.ErrorContains(t, err, "line \"")
	}
	for _, name := range names {
		if name.Name() != "register" && name.Name() != "status" {
			assert.NoError(t, fs.Remove(name.Name()), "%q", name.Name())
		}
	}
}
