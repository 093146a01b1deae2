package keep

import (
	"errors"
	"time"

	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
)

// ErrNoInotify says that the kernel tells of no changes. There are limits for each user, of
// how many may be told (EMFILE) and of how much (ENOSPC, inotify(7)); since Linux 4.11 they
// hold for all user namespaces that a user owns together (1cce1eea0aff).
var ErrNoInotify = errors.New("no inotify: changes are looked for once in a second, emulators' files with each check")

// A Kind says what happened.
type Kind string

const (
	Registered Kind = "registered"  // an entry was made, or found as it is wanted, and a program ran by it
	Healed     Kind = "healed"      // programs run again, by an entry under a temporary name
	Upgraded   Kind = "upgraded"    // an entry was replaced, without a gap
	Yielded    Kind = "yielded"     // another owner's entry runs the programs, and is left in place
	Retaken    Kind = "retaken"     // another owner's entry is behind this keeper's again
	Delayed    Kind = "delayed"     // this is undone too often: it is done again later
	Failed     Kind = "failed"      // programs do not run, or something else went wrong
	Warned     Kind = "warned"      // what does not keep it from its work
	Tried      Kind = "tried"       // a program of each architecture, whatever came of it
	Blocked    Kind = "blocked"     // somebody disabled all entries: the keeper waits
	Unblocked  Kind = "unblocked"   // they are enabled again
	Withdrawn  Kind = "withdrawn"   // the keeper removed its entry
	HandedOver Kind = "handed over" // the keeper left its entry to another keeper
)

// An Event is something that a keeper did or saw.
type Event struct {
	Kind  Kind
	Arch  *elfmagic.Arch // nil: it is about none
	Cause Cause
	Entry string        // name
	Other string        // interpreter of another owner's entry
	Took  time.Duration // for Healed: since it was noticed
	Err   error         // for Failed
}

// A Status is what a keeper knows of an architecture.
type Status struct {
	Arch    *elfmagic.Arch
	Native  bool          // the host runs its programs itself
	Runs    bool          // a program ran when that was last tried, and nothing was undone since
	Tried   time.Time     // when that was; zero: never
	Took    time.Duration // how long it ran
	Entry   string        // name of the entry by which it runs
	Other   string        // interpreter, if that is another owner's
	Holds   *install.Held // the emulator that ran it, with its digest
	Foreign int           // entries of other owners that are for its programs
	Err     error         // what is wrong
}

// A Report is what a keeper knows.
type Report struct {
	Settings Settings
	Began    time.Time
	Made     time.Time // when this was last known: at least each half minute, unless programs are being run
	Looked   time.Time // when entries were last looked at
	Blocked  bool      // all entries are disabled
	Polls    bool      // there is no inotify: changes are seen within a second
	Err      error     // why nothing can be done
	Archs    []Status
}

// Ready returns why not all that is wanted runs, in words; none if all does.
func (r *Report) Ready() []string {
	var why []string
	switch {
	case r.Err != nil:
		why = append(why, r.Err.Error())
	case r.Blocked:
		why = append(why, install.ErrAllDisabled.Error())
	case len(r.Archs) == 0:
		why = append(why, "nothing was tried yet")
	}
	for _, s := range r.Archs {
		switch {
		case s.Native || s.Runs:
		case s.Err != nil:
			why = append(why, s.Arch.Platform()+": "+s.Err.Error())
		default:
			why = append(why, s.Arch.Platform()+": does not run now")
		}
	}
	return why
}

// Settings say what is kept, and how.
type Settings struct {
	// Request says which architectures, by which emulators. With Force a keeper comes in front
	// of what is there when it begins, reads its settings again, or mounts the instance again.
	Request install.Request

	// Yield are the owners whose newer entries are left in place: patterns as Yields has
	// them. Without any, this is so for all.
	Yield []string

	// Check is the time between checks in which a program of each architecture is
	// run; without one, five minutes.
	Check time.Duration

	// Withdraw has the keeper remove its entries in the end, unless another keeper has
	// come that keeps the architecture.
	Withdraw bool
}
