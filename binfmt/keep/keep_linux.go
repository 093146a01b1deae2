package keep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
)

// Times of a keeper.
const (
	// tick is how often entries are looked at without inotify; and whether the instance is
	// still mounted, where no event tells of mounts.
	tick = time.Second

	// idle is how often a keeper says that it is there, where events tell of everything. A
	// process that wakes once in a second uses more than all else that it does.
	idle = 30 * time.Second

	// quiet is for how long nothing may have changed before what was healed at once is
	// put in order. Whoever removes an entry may be about to register another.
	quiet = 100 * time.Millisecond

	// restless is after which time it is, even if there is no quiet.
	restless = 500 * time.Millisecond

	// claiming is how long another process's change may keep claims from being made: later,
	// then.
	claiming = 5 * time.Second

	// settled is for how long no emulator's file may have changed before they are looked
	// at: packages replace many of them one after another.
	settled = 300 * time.Millisecond
)

// defaultCheck is the time between checks where the settings have none.
const defaultCheck = 5 * time.Minute

// looks bound how often entries are looked at, while somebody changes them without end.
var looks = pace{free: 50, window: time.Second, apart: 50 * time.Millisecond}

// A Keeper keeps what its settings say. Its methods may be called by other goroutines
// while Run runs, which may be called once.
type Keeper struct {
	fs   binfmt.FS
	load func() (Settings, error)
	tell func(Event)

	// watches has changes noticed in directories.
	watches func([]watched) (*notices, error)

	settings Settings
	archs    []*arch
	claims   *claims
	notices  *notices
	polls    bool   // there are none, and that was told
	device   uint64 // of the instance that is watched
	looks    pace

	began   time.Time
	looked  time.Time
	blocked bool
	err     error

	check     time.Time // when all is to be looked at
	because   Cause     // for that
	finish    time.Time // when what was healed at once is put in order; zero: there is nothing
	unsettled time.Time // since when
	retry     pace      // of what failed as a whole

	report atomic.Pointer[Report]
}

// An arch is an architecture, and what is known of it.
type arch struct {
	Kept
	Status
	decision install.Decision
	yielded  binfmt.Entry // another owner's entry, to which it is left
	gone     bool         // it is to be put in order
	waits    bool         // that was said to be later
	takes    bool         // it is to be in front of another owner's entry again
	heals    pace
	retakes  pace
}

// New returns a keeper of an instance. Its settings are read by load, when it begins
// and whenever they may have changed; it tells what happens by calling tell, unless that is
// nil.
func New(fs binfmt.FS, load func() (Settings, error), tell func(Event)) *Keeper {
	if tell == nil {
		tell = func(Event) {}
	}
	k := &Keeper{fs: fs, load: load, tell: tell, watches: watch, began: time.Now(), looks: looks}
	k.retry = pace{free: 3, window: time.Minute, apart: 10 * time.Second}
	k.publish()
	return k
}

// Report returns what the keeper knows now.
func (k *Keeper) Report() *Report { return k.report.Load() }

func (k *Keeper) publish() {
	r := &Report{Settings: k.settings, Began: k.began, Made: time.Now(), Looked: k.looked, Blocked: k.blocked, Polls: k.notices == nil, Err: k.err}
	for _, a := range k.archs {
		s := a.Status
		s.Arch, s.Other, s.Entry = a.Kept.Arch, a.yielded.Interpreter, a.Own.Name
		if a.yielded.Name != "" {
			s.Entry = a.yielded.Name
		}
		r.Archs = append(r.Archs, s)
	}
	k.report.Store(r)
}

// Run registers what the settings say, and keeps it so until ctx is done. The settings
// are read again when reload says so, until that is closed. An error says why it cannot
// begin: nothing is kept then; or what went wrong in the end.
func (k *Keeper) Run(ctx context.Context, reload <-chan struct{}) error {
	defer func() { k.claims.close() }()
	settings, err := k.load()
	if err != nil {
		return err
	}
	k.settings = settings
	k.claimAll(ctx) // where nothing is mounted yet, later
	if err := k.install(ctx, k.all(), Started); err != nil {
		return err
	}
	k.watch()
	defer func() {
		if k.notices != nil {
			k.notices.close()
		}
	}()
	k.look(time.Now()) // what happened before it was watched
	for ctx.Err() == nil {
		k.publish()
		if k.step(ctx, reload) {
			reload = nil
		}
	}
	return k.end()
}

// step waits for something to do, and does it. It reports whether reload was closed.
func (k *Keeper) step(ctx context.Context, reload <-chan struct{}) (closed bool) {
	timer := time.NewTimer(time.Until(k.next()))
	defer timer.Stop()
	var came <-chan struct{}
	if k.notices != nil {
		came = k.notices.came
	}
	select {
	case <-ctx.Done():
		return false
	case _, ok := <-reload:
		if closed = !ok; ok {
			k.reload(ctx)
		}
	case <-came:
		k.noticed()
	case <-timer.C:
	}
	k.due(ctx)
	return closed
}

// next returns when there is something to do whatever happens.
func (k *Keeper) next() time.Time {
	next := time.Now().Add(tick)
	if k.notices != nil && k.notices.mounts != nil {
		next = next.Add(idle - tick)
	}
	due := k.finish
	if due.IsZero() {
		due = k.check
	}
	if due.Before(next) {
		next = due
	}
	return next
}

// noticed looks at what changed.
func (k *Keeper) noticed() {
	now := time.Now()
	if wait := k.looks.wait(now); wait > 0 {
		time.Sleep(wait)
	}
	bits := k.notices.take()
	if bits&emulatorsChanged != 0 {
		k.checkAt(now.Add(settled), Changed)
	}
	switch {
	case bits&watchEnded != 0:
		k.watch()
		k.checkAt(now, Changed)
	case bits&emulatorsMoved != 0:
		k.watch()
		k.checkAt(now.Add(settled), Changed)
	}
	if bits&(instanceChanged|watchEnded) != 0 {
		k.looks.did(now)
		k.look(now)
	}
}

// checkAt has all looked at, at that time or earlier, but not before emulators are
// changed no more.
func (k *Keeper) checkAt(t time.Time, because Cause) {
	if because == Changed || k.because != Changed && t.Before(k.check) {
		k.check, k.because = t, because
	}
}

// due does what is due.
func (k *Keeper) due(ctx context.Context) {
	now := time.Now()
	switch {
	case k.another():
		k.claimAll(ctx)
		k.watch()
		k.look(now)
	case k.notices == nil || !k.mounted():
		k.look(now)
	}
	if !k.finish.IsZero() && !now.Before(k.finish) {
		k.finish = time.Time{}
		k.look(now) // it may be in order since
		k.putInOrder(ctx)
	}
	if k.finish.IsZero() && !now.Before(k.check) && ctx.Err() == nil {
		because := k.because
		k.look(now)
		k.installed(ctx, k.install(ctx, k.all(), because))
		if k.notices == nil {
			k.watch()
		}
	}
}

// mounted reports whether the instance is mounted where it was. It is asked before a path there
// is used: with an autofs there whose daemon does not answer, that would wait for ever. What else is mounted
// since, or nothing, is no event of inotify while another mount keeps the instance: notices
// have the mounts watched for that.
func (k *Keeper) mounted() bool {
	state, err := k.fs.State()
	return err == nil && state == binfmt.Mounted
}

// another reports whether another instance than the one that is watched is mounted: this
// namespace's own over that of a namespace above. Of the one below it, inotify tells still.
func (k *Keeper) another() bool {
	return k.mounted() && file.Device(k.fs.Dir()) != k.device
}

// failed notes what went wrong as a whole, and has it tried again.
func (k *Keeper) failed(err error) {
	if err != nil && (k.err == nil || k.err.Error() != err.Error()) {
		k.tell(Event{Kind: Failed, Err: err})
	}
	if k.err = err; err != nil {
		now := time.Now()
		k.checkAt(now.Add(max(tick, k.retry.wait(now))), Checked)
		k.retry.did(now)
	}
}

// installed notes what went wrong as a whole, unless that is the end of ctx.
func (k *Keeper) installed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		k.failed(err)
	}
}

// all are the architectures that the settings name; none: all that there are
// emulators for.
func (k *Keeper) all() []*elfmagic.Arch { return k.settings.Request.Archs }

// find returns what is known of an architecture, or nil.
func (k *Keeper) find(a *elfmagic.Arch) *arch {
	if i := slices.IndexFunc(k.archs, func(b *arch) bool { return b.Kept.Arch == a }); i >= 0 {
		return k.archs[i]
	}
	return nil
}

// watch has changes noticed, or, without inotify, looked for.
func (k *Keeper) watch() {
	if k.notices != nil {
		k.notices.close()
		k.notices = nil
	}
	if !k.mounted() {
		return // it is watched when it is mounted again
	}
	k.device = file.Device(k.fs.Dir())
	list := []watched{instance(k.fs.Dir())}
	for _, dir := range k.searched() {
		list = append(append(list, emulators(dir, "")), leads(dir)...)
	}
	for _, path := range k.paths() {
		list = append(append(list, emulators(filepath.Dir(path), filepath.Base(path))), leads(path)...)
	}
	n, err := k.watches(list)
	if err != nil && !k.polls {
		k.tell(Event{Kind: Warned, Err: fmt.Errorf("%w: %w", ErrNoInotify, err)})
	}
	k.notices, k.polls = n, err != nil
}

// searched are the directories in which emulators are looked for.
func (k *Keeper) searched() []string { return k.settings.Request.SearchedDirs() }

// paths are the files of emulators: those that the settings name, and those that were
// found behind symbolic links.
func (k *Keeper) paths() []string {
	var paths []string
	for _, path := range k.settings.Request.Emulators {
		paths = append(paths, path, real(path))
	}
	for _, a := range k.archs {
		if e := a.decision.Emulator; e != nil && e.Path != "" && real(e.Path) != e.Path {
			paths = append(paths, e.Path, real(e.Path))
		}
	}
	return paths
}

// look compares the entries that there are with those that are kept, and heals at once
// what nobody's entry does.
func (k *Keeper) look(now time.Time) {
	entries, err := k.read()
	if errors.Is(err, binfmt.ErrNotMounted) {
		if k.because != Unmounted {
			for _, a := range k.archs {
				a.gone, a.Runs = !a.Native, a.Native
			}
			k.checkAt(now, Unmounted)
		}
		return
	}
	if err != nil {
		k.failed(err)
		return
	}
	k.looked = now
	if k.blocked {
		return
	}
	var kept []Kept
	for _, a := range k.archs {
		if !a.Native {
			kept = append(kept, a.Kept)
		}
	}
	var heal []*arch
	for _, f := range Judge(kept, entries) {
		a := k.find(f.Arch)
		a.Foreign = k.foreign(a, entries)
		switch f.Verdict {
		case Intact:
			k.intact(a, f, now)
		case Taken:
			k.taken(a, f, now)
		case Gone:
			if k.lost(a, f, now) {
				heal = append(heal, a)
			}
		}
	}
	k.heal(heal, now)
}

// read reads the entries, and whether the kernel uses them at all.
func (k *Keeper) read() ([]binfmt.Entry, error) {
	if !k.mounted() {
		return nil, &binfmt.Error{Op: "look at", Path: k.fs.Dir(), Err: binfmt.ErrNotMounted}
	}
	enabled, err := k.fs.Enabled()
	if err != nil {
		return nil, err
	}
	if k.blocked == enabled {
		k.blocked = !enabled
		kind := Blocked
		if enabled {
			kind = Unblocked
			k.checkAt(time.Now(), Checked)
		}
		k.tell(Event{Kind: kind})
	}
	entries, err := k.fs.List()
	_, err = binfmt.Unread(err) // what cannot be understood is nobody's here
	return entries, err
}

// foreign counts the entries of others for an architecture's programs.
func (k *Keeper) foreign(a *arch, entries []binfmt.Entry) (n int) {
	for _, e := range entries {
		if !a.isOwn(e) && e.Final() != a.Name && install.MatchesAny(e, a.Kept.Arch) {
			n++
		}
	}
	if a.yielded.Name == a.Name {
		n++
	}
	return n
}

// intact notes that an architecture's own entry is in use. A stand-in that is left is
// removed in the end.
func (k *Keeper) intact(a *arch, f Finding, now time.Time) {
	if a.yielded = (binfmt.Entry{}); len(f.StandIns) > 0 {
		k.finishLater(a, now)
	}
}

// taken leaves an architecture to another owner's entry, or has it retaken.
func (k *Keeper) taken(a *arch, f Finding, now time.Time) {
	if patterns := k.settings.Yield; len(patterns) > 0 && !Yields(patterns, f.Other) {
		wait := a.retakes.wait(now)
		if wait > 0 && !a.waits {
			k.tell(Event{Kind: Delayed, Arch: a.Kept.Arch, Cause: Replaced, Entry: f.Other.Name, Other: f.Other.Interpreter, Took: wait})
		}
		a.waits, a.takes = wait > 0, wait == 0
		k.finishAfter(a, now.Add(max(wait, quiet)))
		return
	}
	a.waits, a.takes = false, false
	if len(f.StandIns) > 0 {
		k.finishLater(a, now) // within a bound, though it is looked again and again
	} else {
		a.gone = false
	}
	if !a.yielded.Same(f.Other) {
		a.yielded = f.Other
		k.tell(Event{Kind: Yielded, Arch: a.Kept.Arch, Cause: f.Cause, Entry: f.Other.Name, Other: f.Other.Interpreter})
		k.checkAt(now.Add(quiet), Checked) // does it run?
	}
}

// lost reports whether an architecture is to be healed now.
func (k *Keeper) lost(a *arch, f Finding, now time.Time) bool {
	a.yielded = binfmt.Entry{}
	if a.decision.Emulator == nil { // there is nothing to register
		a.Runs = false
		return false
	}
	if len(f.StandIns) > 0 {
		k.finishLater(a, now)
		return false
	}
	a.Runs = false
	if wait := a.heals.wait(now); wait > 0 {
		if !a.waits {
			k.tell(Event{Kind: Delayed, Arch: a.Kept.Arch, Cause: f.Cause, Entry: a.Name, Took: wait})
		}
		a.waits = true
		k.finishAfter(a, now.Add(wait))
		return false
	}
	a.waits, a.decision.Reason = false, string(f.Cause)
	return true
}

// heal has architectures' programs run again, at once.
func (k *Keeper) heal(archs []*arch, now time.Time) {
	for _, a := range archs {
		names, err := install.StandIn(k.fs, []install.Decision{a.decision})
		if errors.Is(err, os.ErrPermission) && k.settings.Request.OwnInstance {
			// The instance is that of a namespace above. One of its own is made when this is put in
			// order; or if there can be none, which is said then, at the next check.
			if k.err == nil && a.Err == nil {
				k.finishLater(a, now)
			}
			a.gone = true
			continue
		}
		a.heals.did(now)
		k.finishLater(a, now)
		switch {
		case err != nil:
			a.Err = err
			k.tell(Event{Kind: Failed, Arch: a.Kept.Arch, Entry: a.Name, Cause: Cause(a.decision.Reason), Err: err})
		case len(names) > 0:
			a.Runs = true
			k.tell(Event{Kind: Healed, Arch: a.Kept.Arch, Entry: a.Name, Cause: Cause(a.decision.Reason), Took: time.Since(now)})
		}
	}
}

// finishLater has an architecture put in order when all is quiet.
func (k *Keeper) finishLater(a *arch, now time.Time) {
	if !slices.ContainsFunc(k.archs, func(a *arch) bool { return a.gone }) {
		k.unsettled = now
	}
	a.gone = true
	k.finish = now.Add(quiet)
	if last := k.unsettled.Add(restless); k.finish.After(last) {
		k.finish = last
	}
}

// finishAfter has an architecture put in order at a time, or earlier if another one is.
func (k *Keeper) finishAfter(a *arch, t time.Time) {
	a.gone = true
	if k.finish.IsZero() || t.Before(k.finish) {
		k.finish = t
	}
}

// putInOrder has entries of architectures that were healed registered under their own
// names, and those retaken that are in front no more.
func (k *Keeper) putInOrder(ctx context.Context) {
	if !k.tidy(ctx) {
		k.finish = time.Now().Add(quiet)
		return
	}
	var gone, taken []*elfmagic.Arch
	for _, a := range k.archs {
		switch {
		case !a.gone || a.waits:
		case a.takes:
			taken = append(taken, a.Kept.Arch)
			a.retakes.did(time.Now())
		default:
			gone = append(gone, a.Kept.Arch)
		}
	}
	if len(gone) > 0 {
		k.installed(ctx, k.install(ctx, gone, Removed))
	}
	if len(taken) > 0 {
		k.installed(ctx, k.install(ctx, taken, Replaced))
	}
	if !slices.ContainsFunc(k.archs, func(a *arch) bool { return a.gone }) {
		k.finish = time.Time{}
	}
}

// tidy removes stand-ins where they do nobody's work, and reports whether nobody else is
// changing the instance just now: a keeper does not wait for that, lest it be late
// elsewhere.
func (k *Keeper) tidy(ctx context.Context) bool {
	soon, cancel := context.WithTimeout(ctx, quiet/2)
	defer cancel()
	unlock, err := k.fs.Lock(soon)
	if err != nil {
		return soon.Err() == nil // what else is wrong, Install says
	}
	defer unlock()
	entries, err := k.read()
	if err != nil {
		return true
	}
	for _, a := range k.archs {
		f := a.judge(entries)
		if f.Verdict == Gone || a.Native {
			continue
		}
		for _, e := range f.StandIns {
			_ = k.fs.Remove(e.Name) // who could not is told by what cannot be registered
		}
		a.gone = a.takes || a.waits
	}
	return true
}
