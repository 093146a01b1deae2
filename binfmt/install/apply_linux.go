package install

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/emulator"
)

// Install mounts binfmt_misc where it is not, locks it, and gathers facts,
// decides and applies. Without facts in the result, nothing was changed. With
// Request.DryRun nothing is changed in any case. What does not keep it from its
// work is reported to warn.
func Install(ctx context.Context, fs binfmt.FS, r Request, warn func(error)) (f *Facts, outcomes []Outcome, err error) {
	if warn == nil {
		warn = func(error) {}
	}
	f, err = gatherMachine(ctx, fs, r)
	if err != nil {
		return nil, nil, err
	}
	// What is wrong with the request whatever the instance holds.
	early := *f
	early.FixBinary = true
	decisions, err := Desired(&early, r)
	if err != nil {
		return nil, nil, err
	}
	for _, err := range f.passedOver(r, Dynamic) { // they are there, and not static
		warn(err)
	}
	if allSettled(decisions) {
		// The entries do not matter, but that they are there is said.
		state, err := fs.State()
		f.Mounted = err == nil && state == binfmt.Mounted
		return f, outcomesOf(decisions), nil
	}
	if !f.Surroundings.InitialUser {
		switch r, decisions, err = f.beforeHiding(ctx, fs, r, warn); {
		case err != nil:
			return f, nil, err
		case decisions != nil:
			return f, outcomesOf(decisions), nil
		}
	}
	unmount, err := f.mount(fs, r, warn)
	if err != nil {
		return f, nil, err
	}
	outcomes, err = f.change(ctx, fs, r, warn, func() ([]Decision, error) { return Decide(f, r) })
	if outcomes == nil || r.DryRun {
		// Nothing was changed, and so nothing is left behind.
		err = errors.Join(err, unmount())
	}
	return f, outcomes, err
}

func allSettled(decisions []Decision) bool {
	return !slices.ContainsFunc(decisions, func(d Decision) bool { return !d.settled() })
}

// beforeHiding looks at what runs before a user namespace gets an instance of its
// own, which hides the entries of its parent. If nothing is left to do, it returns
// the decisions. Else the request that it returns has the architectures whose
// programs run now, too.
func (f *Facts) beforeHiding(ctx context.Context, fs binfmt.FS, r Request, warn func(error)) (Request, []Decision, error) {
	state, err := fs.State()
	hides := state != binfmt.Mounted
	if err == nil && r.OwnInstance && !hides {
		hides, err = isOfAbove(fs)
	}
	if err != nil || !hides {
		return r, nil, err
	}
	all := slices.DeleteFunc(elfmagic.Archs(), f.IsNative)
	if err := f.run(ctx, all, false); err != nil {
		return r, nil, err
	}
	decisions, err := Decide(f, r)
	if err != nil || allSettled(decisions) {
		return r, decisions, err
	}
	var lost []string
	for _, arch := range all {
		if !f.Seen[arch.Name].Runs {
			continue
		}
		e, asked := f.Emulators[arch.Name]
		if !asked {
			e = r.Find(arch)
			f.Emulators[arch.Name] = e
		}
		if e.Problem != "" {
			lost = append(lost, arch.Platform())
		} else if !asked {
			r.Archs = append(r.Archs, arch)
		}
	}
	refused := f.inContainer(fs, r)
	if refused == nil && r.DryRun {
		refused = fs.Mountable()
	}
	if len(lost) > 0 && refused == nil { // or nothing is hidden
		warn(&worded{"programs of " + strings.Join(lost, ", ") + " " + ErrHidden.Error(), ErrHidden})
	}
	f.Seen = nil
	if !r.DryRun || refused != nil {
		return r, nil, refused
	}
	decisions, err = Decide(f, r) // of an instance that is empty
	return r, decisions, err
}

// change reads the instance, decides and applies, while nobody else changes what is
// read. Where nothing is mounted nothing is registered, and nothing to be locked.
func (f *Facts) change(ctx context.Context, fs binfmt.FS, r Request, warn func(error), decide func() ([]Decision, error)) ([]Outcome, error) {
	if state, err := fs.State(); err == nil && state == binfmt.Mounted && !r.DryRun {
		unlock, err := Lock(ctx, fs, warn)
		if err != nil {
			return nil, err
		}
		defer unlock()
	}
	change := func() ([]Outcome, error) {
		if err := f.readInstance(ctx, fs, r); err != nil {
			return nil, err
		}
		decisions, err := decide()
		if err != nil {
			return nil, err
		}
		if r.DryRun {
			return f.wouldApply(ctx, decisions, r.NoProbe)
		}
		return Apply(ctx, fs, f, decisions, r.NoProbe)
	}
	served := f.served()
	if len(served) == 0 || r.Persistent == No {
		return change()
	}
	if err := enoughMemory(served, "/sys/fs/cgroup"); err != nil {
		return nil, err
	}
	if r.DryRun {
		return change()
	}
	return inMemory(served, warn, change)
}

// Lock keeps others from changing the instance, as binfmt.FS.Lock does, and reports
// ErrLocked to warn, unless that is nil, if it has to wait long for one.
func Lock(ctx context.Context, fs binfmt.FS, warn func(error)) (unlock func(), err error) {
	if warn == nil {
		return fs.Lock(ctx)
	}
	told := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		warn(ErrLocked)
		close(told)
	})
	unlock, err = fs.Lock(ctx)
	if !timer.Stop() {
		<-told
	}
	return unlock, err
}

// Apply carries decisions out: new entries are registered, programs are run
// unless noProbe is set, and what does not run is undone. Without outcomes
// nothing was changed. The caller has the instance locked.
func Apply(ctx context.Context, fs binfmt.FS, f *Facts, decisions []Decision, noProbe bool) ([]Outcome, error) {
	outcomes := outcomesOf(decisions)
	images, err := unpack(outcomes)
	for _, image := range images {
		defer image.Close()
	}
	if err != nil {
		return nil, err
	}
	steps := make([]binfmt.Step, 0, len(outcomes))
	for _, o := range outcomes {
		steps = append(steps, o.Step)
	}
	if !noProbe && !allSettled(decisions) {
		_ = ctx.Done() // a context that waits for signals does from here on
	}
	staged, err := fs.Stage(steps)
	if err != nil {
		return nil, err
	}
	var undo []string
	if !noProbe {
		if undo, err = f.tryAll(ctx, outcomes, true); err != nil {
			return nil, errors.Join(err, staged.Rollback())
		}
	}
	if err := interrupted(ctx); err != nil {
		return nil, errors.Join(err, staged.Rollback())
	}
	return outcomes, errors.Join(staged.Undo(undo), staged.Commit())
}

// wouldApply is Apply for a dry run: programs are run of what stays as it is.
func (f *Facts) wouldApply(ctx context.Context, decisions []Decision, noProbe bool) ([]Outcome, error) {
	outcomes := outcomesOf(decisions)
	if noProbe {
		return outcomes, nil
	}
	if _, err := f.tryAll(ctx, outcomes, false); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// StandIn registers the entries of decisions that were carried out and that somebody
// has undone since, under temporary names: nothing is locked, asked or tried. Install
// then finishes it. Emulators that are to be copied into memory are left to that.
func StandIn(fs binfmt.FS, decisions []Decision) ([]string, error) {
	outcomes := outcomesOf(decisions)
	for i := range outcomes {
		outcomes[i].Action = binfmt.Add
	}
	images, err := unpack(outcomes)
	for _, image := range images {
		defer image.Close()
	}
	errs := []error{err}
	var names []string
	for _, o := range outcomes {
		if err != nil || o.Emulator == nil || o.Emulator.FUSE {
			continue
		}
		name, err := fs.StandIn(o.Desired)
		if errs = append(errs, err); err == nil {
			names = append(names, name)
		}
	}
	return names, errors.Join(errs...)
}

// tryAll runs a program of each architecture that has not been seen running with
// its entry as it is, and returns the names of new entries whose programs do not. After an
// error all is to be undone. Unless they are registered, new entries are left out.
func (f *Facts) tryAll(ctx context.Context, outcomes []Outcome, registered bool) (undo []string, err error) {
	tried := make([]*Outcome, 0, len(outcomes))
	var archs []*elfmagic.Arch
	for i := range outcomes {
		o := &outcomes[i]
		if o.untried() || !registered && (o.Action == binfmt.Add || o.Action == binfmt.Replace) {
			continue
		}
		tried = append(tried, o)
		if !o.Elsewhere() && (o.Action != binfmt.Keep || f.Seen[o.Arch.Name] == nil) {
			archs = append(archs, o.Arch)
		}
	}
	if err := f.run(ctx, archs, false); err != nil {
		return nil, err
	}
	for _, o := range tried {
		o.saw(f.Seen[o.Arch.Name])
		switch {
		case o.Err == nil, o.Action == binfmt.Keep:
		case o.LeftTo != "":
			o.blameOthers()
		default:
			o.Undone = true
			undo = append(undo, o.Name)
		}
	}
	return undo, nil
}

// unpack puts the embedded emulators of new entries into memory that will be
// registered. They are to be open until then.
func unpack(outcomes []Outcome) ([]*embedded.Image, error) {
	var packed []*Outcome
	for i := range outcomes {
		o := &outcomes[i]
		if o.Emulator != nil && o.Emulator.Embedded != "" && (o.Action == binfmt.Add || o.Action == binfmt.Replace) {
			packed = append(packed, o)
		}
	}
	images := make([]*embedded.Image, len(packed))
	errs := make([]error, len(packed))
	inParallel(len(packed), func(i int) {
		if images[i], errs[i] = packed[i].Emulator.found.(*emulator.Emulator).Embedded.Open(""); errs[i] == nil {
			packed[i].Desired.Interpreter = descriptors + strconv.Itoa(int(images[i].File.Fd()))
		}
	})
	return slices.DeleteFunc(images, func(image *embedded.Image) bool { return image == nil }), errors.Join(errs...)
}

// Uninstall removes the entries of the request's architectures, or of all. What does not
// keep it from its work is reported to warn.
func Uninstall(ctx context.Context, fs binfmt.FS, r Request, warn func(error)) (f *Facts, outcomes []Outcome, err error) {
	if warn == nil {
		warn = func(error) {}
	}
	if f, err = kernelFacts(fs); err != nil {
		return nil, nil, err
	}
	detach, err := attachToRemove(fs, f.Surroundings, r.DryRun)
	if err != nil {
		return nil, nil, err
	}
	r.NoProbe, r.Persistent = true, No // no emulator is looked at, and no flag asked for
	outcomes, err = f.change(ctx, fs, r, warn, func() ([]Decision, error) { return DecideRemoval(f, r), nil })
	return f, outcomes, errors.Join(err, detach())
}

// served returns the paths of the emulators whose files a process serves.
func (f *Facts) served() []string {
	var paths []string
	for arch, e := range f.Emulators {
		if e.FUSE && !e.Dynamic && e.Problem == "" && !slices.Contains(f.Native, arch) {
			paths = append(paths, e.Path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
