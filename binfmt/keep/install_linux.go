package keep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
)

// install registers what is missing, and runs a program of each architecture.
func (k *Keeper) install(ctx context.Context, archs []*elfmagic.Arch, because Cause) error {
	r := k.settings.Request
	r.Archs = archs
	switch {
	case because == Started, because == Reloaded:
	case because == Replaced:
		r.Force = len(archs) > 0
	case because == Unmounted && r.Force: // it begins anew, in front of what is there by now
	default:
		r.Own = []binfmt.Entry{}
		for _, a := range k.archs {
			r.Own = append(r.Own, a.Own)
		}
	}
	check := k.settings.Check
	if check <= 0 {
		check = defaultCheck
	}
	k.check, k.because = time.Now().Add(check), Checked
	f, outcomes, err := install.Install(ctx, k.fs, r, k.warn)
	if outcomes == nil {
		return errors.Join(err, ctx.Err())
	}
	k.claimAll(ctx)
	entries, readErr := k.read()
	if errors.Is(readErr, binfmt.ErrNotMounted) {
		readErr = nil // in a user namespace programs run even so
	}
	digests := k.digests(ctx, outcomes)
	for _, o := range outcomes {
		if o.Arch != nil {
			k.note(f, o, entries, digests[o.Arch], because)
		}
	}
	err = errors.Join(err, readErr, k.orphans(ctx, f, outcomes, archs))
	k.publish()
	k.tell(Event{Kind: Tried, Cause: because})
	return err
}

func (k *Keeper) warn(err error) { k.tell(Event{Kind: Warned, Err: err}) }

// note notes what came of an architecture's decision.
func (k *Keeper) note(f *install.Facts, o install.Outcome, entries install.Entries, digest string, because Cause) {
	a := k.find(o.Arch)
	if a == nil {
		a = &arch{Kept: Kept{Arch: o.Arch}, heals: pace{free: 20, window: time.Minute, apart: time.Second}, retakes: pace{free: 3, window: 10 * time.Minute, apart: 5 * time.Minute}}
		k.archs = append(k.archs, a)
	}
	failed := a.Err
	a.Native, a.gone, a.takes, a.waits = f.IsNative(o.Arch) && o.Action == binfmt.Skip, false, false, false
	a.Kept.Name, a.decision, a.Err = install.EntryName(k.settings.Request.Prefix, o.Arch), o.Decision, o.Err
	a.saw(cmp.Or(o.Seen, f.Seen[o.Arch.Name]), digest)
	switch {
	case a.Native:
	case o.Err != nil && o.LeftTo != "" && !named(f.Entries, o.LeftTo).Same(named(entries, o.LeftTo)):
		// Somebody was changing it meanwhile.
		a.Err = nil
		k.checkAt(time.Now().Add(quiet), Checked)
	case undone(o):
		a.Err = nil // its removal is an event, and is healed
	case o.Err != nil:
		if failed == nil || failed.Error() != o.Err.Error() {
			k.tell(Event{Kind: Failed, Arch: o.Arch, Entry: a.Name, Cause: because, Err: o.Err})
		}
	case o.LeftTo != "":
		a.leave(k, entries, o.LeftTo, because)
	case o.Action != binfmt.Skip:
		a.yielded = binfmt.Entry{}
		k.registered(a, o, entries, because)
	}
	a.Foreign = k.foreign(a, entries)
}

// undone reports whether somebody removed or disabled the entry while a program was tried.
func undone(o install.Outcome) bool {
	why, ok := errors.AsType[*host.Error](o.Err)
	return ok && o.Action != binfmt.Skip && (why.Cause == host.NoEntry || why.Cause == host.Disabled)
}

// named returns the entry of a name. If there is none it has no name.
func named(list install.Entries, name string) (none binfmt.Entry) {
	if i := slices.IndexFunc(list, func(e binfmt.Entry) bool { return e.Name == name }); i >= 0 {
		return list[i]
	}
	return none
}

// saw notes what was seen of an architecture's programs.
func (a *arch) saw(s *install.Seen, digest string) {
	if s == nil {
		return
	}
	held := a.Holds
	a.Runs, a.Took, a.Tried, a.Holds = s.Runs, s.Took, time.Now(), s.Holds
	if a.Holds != nil && a.Holds.Digest == "" {
		with := *a.Holds
		if with.Digest = digest; digest == "" && held != nil && held.Version == with.Version && held.Path == with.Path {
			with.Digest = held.Digest
		}
		a.Holds = &with
	}
}

// leave notes that an architecture is left to the entry of that name.
func (a *arch) leave(k *Keeper, entries install.Entries, name string, because Cause) {
	e := named(entries, name)
	if e.Name == "" {
		return // removed since: that was noticed
	}
	if !a.isOwn(e) && !a.yielded.Same(e) {
		a.yielded = e
		k.tell(Event{Kind: Yielded, Arch: a.Kept.Arch, Cause: because, Entry: e.Name, Other: e.Interpreter})
	}
}

// registered notes which entry is this keeper's now.
func (k *Keeper) registered(a *arch, o install.Outcome, entries install.Entries, because Cause) {
	i := slices.IndexFunc(entries, o.Desired.Equal)
	if i < 0 {
		return // removed or replaced since: that was noticed
	}
	before := a.Own
	a.Own = entries[i]
	kind := Registered
	switch {
	case before.Name != "" && because == Replaced && o.Action != binfmt.Keep:
		kind = Retaken
	case before.Name != "" && o.Action == binfmt.Replace && because != Removed:
		kind = Upgraded
	case before.Name != "" && o.Action == binfmt.Keep:
		return
	}
	k.tell(Event{Kind: kind, Arch: a.Kept.Arch, Cause: because, Entry: a.Name})
}

// digests reads the digests of the emulators that are new.
func (k *Keeper) digests(ctx context.Context, outcomes []install.Outcome) map[*elfmagic.Arch]string {
	r := k.settings.Request
	r.Archs = nil
	for _, o := range outcomes {
		if o.Arch == nil || o.Seen == nil || o.Seen.Holds == nil {
			continue
		}
		if a := k.find(o.Arch); a == nil || a.Holds == nil || a.Holds.Digest == "" || o.Action == binfmt.Replace || o.LeftTo != "" {
			r.Archs = append(r.Archs, o.Arch)
		}
	}
	digests := map[*elfmagic.Arch]string{}
	if len(r.Archs) == 0 {
		return digests
	}
	_, seen, _ := install.Status(ctx, k.fs, r, true) // what is not seen has no digest
	for _, o := range seen {
		if o.Seen != nil && o.Seen.Holds != nil {
			digests[o.Arch] = o.Seen.Holds.Digest
		}
	}
	return digests
}

// orphans looks at architectures whose emulator is not found any more, if all were to
// be: the kernel holds it still.
func (k *Keeper) orphans(ctx context.Context, f *install.Facts, outcomes []install.Outcome, archs []*elfmagic.Arch) error {
	if len(archs) > 0 {
		return nil
	}
	r := k.settings.Request
	for _, a := range k.archs {
		if !slices.ContainsFunc(outcomes, func(o install.Outcome) bool { return o.Arch == a.Kept.Arch }) {
			r.Archs = append(r.Archs, a.Kept.Arch)
		}
	}
	if len(r.Archs) == 0 {
		return nil
	}
	_, seen, err := install.Status(ctx, k.fs, r, false)
	for _, o := range seen {
		a := k.find(o.Arch)
		a.saw(o.Seen, "")
		if problem := f.Emulators[o.Arch.Name]; a.Err == nil && problem != nil && problem.Err() != nil {
			k.tell(Event{Kind: Failed, Arch: o.Arch, Entry: a.Name, Cause: Changed, Err: problem.Err()})
			a.Err = problem.Err()
		}
	}
	return err
}

// claimAll claims all that is kept.
func (k *Keeper) claimAll(ctx context.Context) {
	mounted := k.mounted()
	if k.claims != nil && mounted && !k.claims.of(k.fs) { // it is this namespace's own since, and was the one above
		k.claims.close()
		k.claims = nil
	}
	if k.claims == nil {
		if !mounted {
			return
		}
		soon, cancel := context.WithTimeout(ctx, claiming)
		defer cancel()
		c, err := claim(soon, k.fs)
		if err != nil {
			return // there is nothing yet that could be claimed, or who waits longer is told by Install
		}
		k.claims = c
	}
	archs := k.all()
	if len(archs) == 0 {
		archs = elfmagic.Archs()
	}
	for _, a := range archs {
		_ = k.claims.add(a) // another keeper's, by a chance of one in billions
	}
}

// reload reads the settings again, and does what they say.
func (k *Keeper) reload(ctx context.Context) {
	settings, err := k.load()
	if err != nil {
		k.tell(Event{Kind: Failed, Cause: Reloaded, Err: fmt.Errorf("the settings stay as they were: %w", err)})
		return
	}
	k.settings = settings
	var dropped []*arch
	if len(k.all()) > 0 {
		dropped = slices.DeleteFunc(slices.Clone(k.archs), func(a *arch) bool { return slices.Contains(k.all(), a.Kept.Arch) })
	}
	err = k.withdraw(ctx, dropped)
	k.archs = slices.DeleteFunc(k.archs, func(a *arch) bool { return slices.Contains(dropped, a) })
	for _, a := range k.archs {
		a.yielded, a.Own = binfmt.Entry{}, binfmt.Entry{}
	}
	k.installed(ctx, errors.Join(err, k.install(ctx, k.all(), Reloaded)))
	k.watch()
	k.look(time.Now())
}

// withdraw removes this keeper's entries, unless another keeper has come for them.
func (k *Keeper) withdraw(ctx context.Context, archs []*arch) error {
	if len(archs) == 0 || k.claims == nil {
		return nil
	}
	unlock, err := install.Lock(ctx, k.fs, k.warn)
	if err != nil {
		return err
	}
	defer unlock()
	var errs []error
	for _, a := range archs {
		errs = append(errs, k.claims.drop(a.Kept.Arch))
		e, err := k.fs.Get(cmp.Or(a.Own.Name, a.Name))
		if err != nil || !a.isOwn(e) {
			continue
		}
		kind := HandedOver
		if !k.claims.others(a.Kept.Arch) {
			kind, err = Withdrawn, k.fs.Remove(e.Name)
		}
		if errs = append(errs, err); err == nil {
			k.tell(Event{Kind: kind, Arch: a.Kept.Arch, Entry: e.Name})
		}
	}
	return errors.Join(errs...)
}

// end does what is to be done in the end.
func (k *Keeper) end() error {
	defer k.publish()
	if !k.settings.Withdraw {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return k.withdraw(ctx, k.archs)
}
