package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// installed calls Install, and fails the test if anything is wrong.
func installed(t *testing.T, fs binfmt.FS, r Request) (*Facts, []Outcome) {
	t.Helper()
	f, outcomes, err := Install(t.Context(), fs, r, func(err error) { t.Error(err) })
	require.NoError(t, err)
	return f, outcomes
}

func TestInstallRegistersAndSeesProgramsRun(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := request(t, "s390x")
	if e := r.Find(r.Archs[0]); e.Problem != "" {
		t.Skip(e.Err())
	}
	want := []string{"add qemu-s390x: not registered", "keep qemu-s390x: registered already"}
	for _, line := range want {
		f, outcomes := installed(t, fs, r)
		require.Len(t, outcomes, 1)
		assert.Equal(t, []string{line}, lines([]Decision{outcomes[0].Decision}))
		require.NotNil(t, outcomes[0].Seen)
		assert.True(t, outcomes[0].Seen.Runs)
		assert.True(t, outcomes[0].Seen.Holds.Current)
		assert.Equal(t, fs.Dir(), f.Mount)
	}

	_, outcomes, err := Status(t.Context(), fs, Request{}, true)
	require.NoError(t, err)
	require.Len(t, outcomes, 1)
	assert.Equal(t, r.Archs[0], outcomes[0].Arch)
	assert.Equal(t, "qemu-s390x", outcomes[0].Current.Name)
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", outcomes[0].Seen.Holds.Digest)

	f, outcomes, err := Uninstall(t.Context(), fs, r, func(err error) { t.Error(err) })
	require.NoError(t, err)
	assert.Len(t, f.Entries, 1, "what was there")
	assert.Equal(t, binfmt.Remove, outcomes[0].Action)
	entries, err := fs.List()
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestInstallTakesBackWhatDoesNotRun(t *testing.T) {
	fs := kerneltest.Instance(t)
	dir := t.TempDir()
	program, err := os.ReadFile("/bin/false") // of the host, and no emulator
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "qemu-s390x-static"), program, 0o755))
	r := request(t, "s390x")
	r.Dirs, r.Persistent = []string{dir}, No
	_, outcomes := installed(t, fs, r)
	require.Len(t, outcomes, 1)
	assert.True(t, outcomes[0].Undone)
	assert.ErrorIs(t, outcomes[0].Err, ErrNotRun)
	entries, err := fs.List()
	require.NoError(t, err)
	assert.Empty(t, entries)

	r.NoProbe = true
	_, outcomes = installed(t, fs, r)
	assert.NoError(t, outcomes[0].Err, "nobody looked")
	assert.Nil(t, outcomes[0].Seen)
}

// The way back to an older emulator changes no file: a link, or a container of another image.
func TestAnOlderEmulatorIsRegisteredWithoutProbes(t *testing.T) {
	fs := kerneltest.Instance(t)
	top, arch := t.TempDir(), request(t, "s390x").Archs
	found := Request{}.Find(arch[0])
	if found.Problem != "" {
		t.Skip(found.Err())
	}
	program, err := os.ReadFile(found.Path)
	require.NoError(t, err)
	for version, more := range map[string]string{"1": "", "2": "more"} {
		require.NoError(t, os.Mkdir(filepath.Join(top, version), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(top, version, "qemu-s390x"), append(program, more...), 0o755))
	}
	current := filepath.Join(top, "current")
	r := Request{Archs: arch, Dirs: []string{current}, NoProbe: true}
	for _, version := range []string{"2", "1"} {
		time.Sleep(clockTick) // times are as coarse as it
		_ = os.Remove(current)
		require.NoError(t, os.Symlink(version, current))
		installed(t, fs, r)
		_, outcomes, err := Status(t.Context(), fs, Request{Archs: arch}, false)
		require.NoError(t, err)
		require.NotNil(t, outcomes[0].Seen)
		require.NotNil(t, outcomes[0].Seen.Holds)
		assert.Equal(t, filepath.Join(top, version, "qemu-s390x"), outcomes[0].Seen.Holds.Path)

		time.Sleep(clockTick)
		require.NoError(t, os.WriteFile(filepath.Join(top, "another "+version), nil, 0o600))
		_, outcomes = installed(t, fs, r)
		assert.Equal(t, binfmt.Keep, outcomes[0].Action, "what else is there does not matter")
	}
}

func TestWhatIsOnTheWayIsAsOldAsItsPlace(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "dir")
	require.NoError(t, os.Mkdir(dir, 0o755))
	before := lastChange(file.Way(dir))
	for what, change := range map[string]struct {
		do    func() error
		newer bool
	}{
		"a file in it":          {func() error { return os.WriteFile(filepath.Join(dir, "file"), nil, 0o600) }, false},
		"a directory beside it": {func() error { return os.Mkdir(filepath.Join(top, "other"), 0o755) }, false},
		"another in its place":  {func() error { return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o755)) }, true},
		"that is moved there": {func() error {
			return errors.Join(os.Mkdir(dir+".new", 0o755), os.Rename(dir, dir+".older"), os.Rename(dir+".new", dir))
		}, true},
		"a link that leads there": {func() error { return errors.Join(os.Rename(dir, dir+".real"), os.Symlink("dir.real", dir)) }, true},
	} {
		time.Sleep(clockTick)
		require.NoError(t, change.do(), what)
		now := lastChange(file.Way(dir))
		assert.Equal(t, change.newer, now.After(before), what)
		before = now
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := request(t, "s390x")
	r.DryRun, r.Persistent = true, No
	_, outcomes := installed(t, fs, r)
	assert.Equal(t, binfmt.Add, outcomes[0].Action)
	entries, err := fs.List()
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestADryRunMountsNothing(t *testing.T) {
	kerneltest.Need(t)
	dir := t.TempDir()
	_, _, err := Install(t.Context(), binfmt.New(dir), Request{DryRun: true, Persistent: No}, func(error) {})
	require.NoError(t, err)
	state, err := binfmt.New(dir).State()
	require.NoError(t, err)
	assert.Equal(t, binfmt.NotMounted, state)
}

// Where the run would fail to mount, a dry run fails, too, but for want of privilege.
func TestADryRunSaysThatTheRunWouldNotMount(t *testing.T) {
	kerneltest.Need(t)
	empty, full := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "file"), nil, 0o600))
	inUser := host.Surroundings{InitialPID: true}
	onHost := host.Surroundings{InitialUser: true, InitialPID: true}
	rootless := host.Surroundings{}
	for name, test := range map[string]struct {
		dir string
		s   host.Surroundings
		own bool
		err error
	}{
		"a user namespace":                 {empty, inUser, false, nil},
		"a directory that is not empty":    {full, inUser, false, unix.ENOTEMPTY},
		"no directory":                     {full + "/absent", inUser, false, unix.ENOENT},
		"the host":                         {empty, onHost, false, nil},
		"the host, and not empty":          {full, onHost, false, unix.ENOTEMPTY},
		"a rootless container":             {empty, rootless, false, ErrContainer},
		"a rootless container, on purpose": {empty, rootless, true, nil},
	} {
		fs := binfmt.New(test.dir)
		would := func(r Request) error {
			f := &Facts{Mount: test.dir, Surroundings: test.s, Emulators: map[string]*Emulator{"s390x": {Problem: Missing}}}
			if !test.s.InitialUser {
				_, _, err := f.beforeHiding(t.Context(), fs, r, func(error) {})
				return err
			}
			undo, err := f.mount(fs, r, func(error) {})
			return errors.Join(err, undo())
		}
		r := request(t, "s390x")
		r.DryRun, r.OwnInstance, r.Persistent = true, test.own, No
		assert.ErrorIs(t, would(r), test.err, name)
		state, err := fs.State()
		require.NoError(t, err)
		assert.Equal(t, binfmt.NotMounted, state, name)
		kerneltest.Unprivileged(t, func() {
			assert.ErrorIs(t, would(r), test.err, name)
		})
	}
}

// A dry run says what the run would do of what is there, whatever tells them: times, which
// is without probes, or programs.
func TestADryRunSaysWhatTheRunWouldDo(t *testing.T) {
	fs := kerneltest.Instance(t)
	arch := request(t, "s390x").Archs
	found := Request{}.Find(arch[0])
	if found.Problem != "" {
		t.Skip(found.Err())
	}
	program, err := os.ReadFile(found.Path)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		prepare func(t *testing.T, top string, r Request) // the emulator is top/current/qemu-s390x
		want    map[bool]string                           // by NoProbe
		runs    string                                    // what came of the programs
	}{
		"nothing": {func(*testing.T, string, Request) {}, map[bool]string{
			false: "add qemu-s390x: not registered", true: "add qemu-s390x: not registered",
		}, "not tried"},
		"the same": {func(t *testing.T, _ string, r Request) { installed(t, fs, r) }, map[bool]string{
			false: "keep qemu-s390x: registered already", true: "keep qemu-s390x: registered already",
		}, "runs"},
		// By a link, or in a container of another image, which changes no file.
		"an older emulator": {func(t *testing.T, top string, r Request) {
			installed(t, fs, r)
			time.Sleep(clockTick)
			require.NoError(t, os.Remove(filepath.Join(top, "current")))
			require.NoError(t, os.Symlink("1", filepath.Join(top, "current")))
		}, map[bool]string{
			false: "replace qemu-s390x: it holds another file than TOP/current/qemu-s390x: version unknown",
			true:  "replace qemu-s390x: another file may have been in the place of the emulator's when it was registered",
		}, "not tried"},
		"the same, of a newer time": {func(t *testing.T, top string, r Request) {
			installed(t, fs, r)
			time.Sleep(clockTick)
			require.NoError(t, os.Chmod(filepath.Join(top, "2", "qemu-s390x"), 0o700))
		}, map[bool]string{
			false: "keep qemu-s390x: registered already",
			true:  "replace qemu-s390x: the emulator's file changed after it was registered",
		}, "runs"},
		"another owner's that runs": {func(t *testing.T, top string, _ Request) {
			require.NoError(t, fs.Register(binfmt.Entry{Name: "another", Pattern: arch[0].Pattern(), Interpreter: filepath.Join(top, "1", "qemu-s390x")}))
		}, map[bool]string{
			false: "skip qemu-s390x: another (TOP/1/qemu-s390x) is for the same programs",
			true:  "skip qemu-s390x: another (TOP/1/qemu-s390x) is for the same programs",
		}, "runs"},
		"another owner's that does not": {func(t *testing.T, _ string, _ Request) {
			require.NoError(t, fs.Register(binfmt.Entry{Name: "another", Pattern: arch[0].Pattern(), Interpreter: "/bin/false"}))
		}, map[bool]string{
			false: "skip qemu-s390x: another (/bin/false) is for the same programs ! another (/bin/false) is for the same programs, and does not run them",
			true:  "skip qemu-s390x: another (/bin/false) is for the same programs",
		}, "does not run"},
	} {
		for _, noProbe := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, without probes: %t", name, noProbe), func(t *testing.T) {
				defer func() {
					for _, name := range []string{"qemu-s390x", "another"} {
						_ = fs.Remove(name)
					}
				}()
				top := t.TempDir()
				for version, more := range map[string]string{"1": "", "2": "more"} {
					require.NoError(t, os.Mkdir(filepath.Join(top, version), 0o755))
					require.NoError(t, os.WriteFile(filepath.Join(top, version, "qemu-s390x"), append(program, more...), 0o755))
				}
				current := filepath.Join(top, "current")
				require.NoError(t, os.Symlink("2", current))
				r := Request{Archs: arch, Dirs: []string{current}}
				time.Sleep(clockTick)
				test.prepare(t, top, r)
				before, err := fs.List()
				require.NoError(t, err)

				r.NoProbe, r.DryRun = noProbe, true
				_, dry := installed(t, fs, r)
				after, err := fs.List()
				require.NoError(t, err)
				assert.Equal(t, before, after)
				r.DryRun = false
				_, real := installed(t, fs, r)

				require.Len(t, dry, 1)
				require.Len(t, real, 1)
				line := lines([]Decision{dry[0].Decision})
				assert.Equal(t, lines([]Decision{real[0].Decision}), line, "what is done")
				assert.Regexp(t, "^"+strings.NewReplacer("TOP", top, "(", `\(`, ")", `\)`, "version unknown", ".*").Replace(test.want[noProbe])+"$", line[0])
				saw := func(s *Seen) string {
					switch {
					case s == nil:
						return "not tried"
					case s.Runs:
						return "runs"
					}
					return "does not run"
				}
				runs := test.runs
				if noProbe {
					runs = "not tried"
				}
				assert.Equal(t, runs, saw(dry[0].Seen))
				if runs != "not tried" {
					assert.Equal(t, runs, saw(real[0].Seen))
				}
			})
		}
	}
}

// Programs that were ended because the context was done do not seem not to run.
func TestWhatIsInterruptedIsNotReported(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := request(t, "s390x")
	endless, err := exec.LookPath("yes")
	require.NoError(t, err)
	require.NoError(t, fs.Register(binfmt.Entry{Name: "qemu-s390x", Pattern: r.Archs[0].Pattern(), Interpreter: endless}))
	for name, look := range map[string]func(ctx context.Context) (*Facts, error){
		"Gather": func(ctx context.Context) (*Facts, error) { return Gather(ctx, fs, r) },
		"Status": func(ctx context.Context) (*Facts, error) {
			f, outcomes, err := Status(ctx, fs, r, false)
			assert.Nil(t, outcomes)
			return f, err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		f, err := look(ctx)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		if f != nil {
			assert.Empty(t, f.Seen, name)
		}
	}
}

// A process that has too few descriptors left, say, has not seen that nothing runs.
func TestWhatCouldNotBeTriedIsUndone(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := request(t, "s390x")
	f, _, err := Status(t.Context(), fs, r, false) // what is opened once is open
	require.NoError(t, err)
	add := Decision{Arch: r.Archs[0], Step: binfmt.Step{Action: binfmt.Add, Name: "qemu-s390x",
		Desired: binfmt.Entry{Name: "qemu-s390x", Pattern: r.Archs[0].Pattern(), Interpreter: "/bin/false"}}}
	var free [3]*os.File // enough to register and to remove
	for i := range free {
		free[i], err = os.Open(os.DevNull)
		require.NoError(t, err)
	}
	end := uint64(free[2].Fd()) + 1
	for _, f := range free {
		f.Close()
	}
	var outcomes, seen []Outcome
	var statusErr error
	kerneltest.WithDescriptors(t, end, func() {
		outcomes, err = Apply(t.Context(), fs, f, []Decision{add}, false)
		_, seen, statusErr = Status(t.Context(), fs, r, false)
	})
	assert.ErrorIs(t, err, unix.EMFILE)
	assert.Nil(t, outcomes)
	assert.ErrorIs(t, statusErr, unix.EMFILE)
	assert.Nil(t, seen)
	entries, err := fs.List()
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// Without CAP_SYS_ADMIN nothing is seen that is not mounted here: looking goes without, and
// removing does not succeed.
func TestWhatCannotBeSeenIsNotRemoved(t *testing.T) {
	kerneltest.Need(t)
	fs := binfmt.New(t.TempDir())
	kerneltest.Unprivileged(t, func() {
		onHost := host.Surroundings{InitialUser: true}
		_, err := attach(fs, onHost, false)
		assert.NoError(t, err)
		_, err = attach(fs, onHost, true)
		assert.ErrorIs(t, err, os.ErrPermission)

		// Nor what is no place for it: a wrong --mount.
		other := binfmt.New("/proc/self")
		_, err = attach(other, onHost, false)
		assert.NoError(t, err)
		_, err = attach(other, onHost, true)
		assert.ErrorIs(t, err, unix.ENOTEMPTY)

		// A dry run needs no privilege, but a place.
		_, err = attachToRemove(fs, onHost, true)
		assert.NoError(t, err)
		_, err = attachToRemove(fs, onHost, false)
		assert.ErrorIs(t, err, os.ErrPermission)
		_, err = attachToRemove(other, onHost, true)
		assert.ErrorIs(t, err, unix.ENOTEMPTY)
	})
	assert.True(t, absent(fs, unix.ENODEV))
	assert.True(t, absent(binfmt.New(""), unix.ENOENT))
	assert.False(t, absent(fs, unix.ENOENT))
}

// Who waits for another process that hangs, or was stopped, is told what for.
func TestWaitingForAnotherIsSaid(t *testing.T) {
	fs := kerneltest.Instance(t)
	r := request(t, "s390x")
	r.Persistent, r.NoProbe = No, true // the emulator need not be here
	for name, do := range map[string]func(context.Context, binfmt.FS, Request, func(error)) (*Facts, []Outcome, error){"Install": Install, "Uninstall": Uninstall} {
		unlock, err := fs.Lock(t.Context())
		require.NoError(t, err)
		waited := make(chan error) // of another caller, who does not listen
		go func() {
			unlock, err := Lock(t.Context(), fs, nil)
			if err == nil {
				unlock()
			}
			waited <- err
		}()
		var warned []error
		_, outcomes, err := do(t.Context(), fs, r, func(err error) {
			warned = append(warned, err)
			unlock()
		})
		require.NoError(t, err, name)
		assert.Len(t, outcomes, 1, name)
		assert.Equal(t, []error{ErrLocked}, warned, name)
		require.NoError(t, <-waited, name)
	}

	_, _, err := Install(t.Context(), fs, r, nil)
	require.NoError(t, err, "and nobody need listen")
	_, _, err = Uninstall(t.Context(), fs, r, nil)
	require.NoError(t, err)
}
