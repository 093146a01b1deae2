package keep

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// A Kept is an architecture whose programs are to run, and the entry by which they
// do.
type Kept struct {
	Arch *elfmagic.Arch
	Name string // of the entry that this keeper registers

	// Own is this keeper's, as it was read after it was registered. It has no name
	// where there is none, as another owner's runs the programs.
	Own binfmt.Entry
}

// isOwn reports whether an entry is the very registration that is kept: another one that
// reads the same was made at another time.
func (k *Kept) isOwn(e binfmt.Entry) bool {
	return k.Own.Name != "" && e.Same(k.Own)
}

// A Verdict says what became of an architecture's entry.
type Verdict int

const (
	Intact Verdict = iota // the kernel tries it first
	Taken                 // another owner's entry, that is newer, is tried first
	Gone                  // no entry runs the programs
)

var verdictNames = []string{"intact", "taken", "gone"}

func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdictNames) {
		return fmt.Sprintf("Verdict(%d)", int(v))
	}
	return verdictNames[v]
}

// A Cause says why something is done.
type Cause string

const (
	Removed   Cause = "removed"   // somebody removed the entry
	Disabled  Cause = "disabled"  // somebody disabled it
	Unmounted Cause = "unmounted" // somebody unmounted all of binfmt_misc
	Replaced  Cause = "replaced"  // somebody registered another one since
	Started   Cause = "started"   // the keeper began
	Reloaded  Cause = "reloaded"  // its settings were read again
	Changed   Cause = "changed"   // files of emulators did
	Checked   Cause = "checked"   // nothing happened: all is looked at now and then
)

// A Finding is what was found of one architecture.
type Finding struct {
	Arch    *elfmagic.Arch
	Verdict Verdict
	Cause   Cause        // unless it is intact
	Other   binfmt.Entry // by which the programs run, if the entry was taken

	// StandIns are entries under temporary names, which are of a change that is not
	// finished. They do the work of one that is gone.
	StandIns []binfmt.Entry
}

// Judge says for each architecture what became of its entry, given the entries that
// there are now, in the kernel's order.
func Judge(kept []Kept, entries []binfmt.Entry) []Finding {
	var findings []Finding
	for i := range kept {
		findings = append(findings, kept[i].judge(entries))
	}
	return findings
}

func (k *Kept) judge(entries []binfmt.Entry) Finding {
	f := Finding{Arch: k.Arch, Verdict: Gone, Cause: Removed}
	for _, e := range binfmt.Catching(entries, k.Arch.Heads()) {
		if e.Temporary() && e.Final() == k.Name {
			f.StandIns = append(f.StandIns, e)
			continue
		}
		if f.Verdict != Gone {
			continue // it is behind the one that is tried first
		}
		if f.Verdict, f.Other, f.Cause = Taken, e, Replaced; k.isOwn(e) {
			f.Verdict, f.Other, f.Cause = Intact, binfmt.Entry{}, ""
		}
	}
	if f.Verdict == Gone && slices.ContainsFunc(entries, func(e binfmt.Entry) bool { return e.Disabled && k.isOwn(e) }) {
		f.Cause = Disabled
	}
	return f
}

// Yields reports whether an owner's entry is left in place, by patterns of
// filepath.Match for its name or its interpreter; * is for all.
func Yields(patterns []string, e binfmt.Entry) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		name, _ := filepath.Match(pattern, e.Name)
		interpreter, _ := filepath.Match(pattern, e.Interpreter)
		return pattern == "*" || name || interpreter
	})
}

// A pace bounds how often something is done: as often as it is to be done at first, then
// with time between.
type pace struct {
	free   int           // so often within window there is no waiting
	window time.Duration // is looked back at
	apart  time.Duration // at least, after that

	done []time.Time
}

// wait returns how long it is until it may be done.
func (p *pace) wait(now time.Time) time.Duration {
	p.done = slices.DeleteFunc(p.done, func(t time.Time) bool { return now.Sub(t) >= p.window })
	if len(p.done) < p.free {
		return 0
	}
	return max(0, p.apart-now.Sub(p.done[len(p.done)-1]))
}

// did notes that it is done now.
func (p *pace) did(now time.Time) { p.done = append(p.done, now) }
