package install

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/product"
)

// A Choice is yes, no, or left to what kernel and emulator can do.
type Choice int

const (
	Auto Choice = iota
	Yes
	No
)

// A Request is what is asked for.
type Request struct {
	// Archs are the architectures that were named; empty: every one that is
	// foreign and has an emulator. One that is there twice, as linux/arm/v6 and
	// linux/arm/v7 are the same, counts once.
	Archs []*elfmagic.Arch

	// Dirs are looked through for emulators instead of the usual directories.
	// Prefix and Suffix surround the names of their files, Prefix those of
	// entries, too. Without a Suffix "-static" and none are tried.
	Dirs   []string
	Prefix string
	Suffix *string

	// Emulators are the paths of some architectures' emulators, by QEMU's names of
	// the architectures: nothing is looked for, and what is wrong with one is an error,
	// as if the architecture had been named. They need not be QEMU's. Without Own, it is
	// an error, too, if programs are left to an entry with another emulator.
	Emulators map[string]string

	// Own, unless it is nil, are the registrations that were made for the request
	// before: programs are left to any other one that is tried first, even if it has the
	// name that this package gives entries, and even with Force.
	Own []binfmt.Entry

	// OwnInstance: where the user namespace of a container has no instance, one of its
	// own will do, which is gone with the container. It is mounted over one of a user
	// namespace above that is there.
	OwnInstance bool

	Persistent    Choice // flag F, Linux 4.8
	PreserveArgv0 Choice // flag P, Linux 5.12 and QEMU 6.0
	Credentials   Choice // flag C; Auto: as the architecture's entry has it that is there

	// IgnoreFamily counts nothing as native but this program's own architecture.
	IgnoreFamily bool

	Reset   bool // remove every entry named qemu-*, and register anew
	Force   bool // register native architectures, and in front of others' entries
	NoProbe bool // do not run a program of each architecture
	DryRun  bool // change nothing; programs are run of what would stay as it is
}

// A Decision is what is to be done with an architecture's entry, or, without an
// architecture, with another one.
type Decision struct {
	binfmt.Step
	Arch     *elfmagic.Arch
	Emulator *Emulator

	// LeftTo is the name of somebody else's entry that is for the same programs.
	LeftTo string

	// Err says why something that was asked for is not done.
	Err error
}

// settled reports whether nothing is to be done, whatever is registered.
func (d *Decision) settled() bool { return d.Action == binfmt.Skip }

func (d *Decision) skip(reason string) { d.Action, d.Reason = binfmt.Skip, reason }

// Elsewhere reports whether the emulator is not here: without the F flag the
// kernel looks it up in the container, or chroot, of each program.
func (d *Decision) Elsewhere() bool {
	return d.Emulator != nil && d.Emulator.Host == "" && d.Emulator.Problem == ""
}

// Errors of decisions.
var (
	// ErrLeftToOthers: somebody else's entry is for the same programs.
	ErrLeftToOthers = errors.New("left to others")
	// ErrNameTaken: an entry of this name is for other files.
	ErrNameTaken = errors.New("name taken")
	// ErrAllDisabled: somebody wrote 0 to the file "status" of binfmt_misc.
	ErrAllDisabled = errors.New("all entries of binfmt_misc are disabled: the kernel would not use what is registered")
	// ErrItself: the emulator is a program of the architecture that it emulates.
	ErrItself = errors.New("is itself a program for")
	// ErrNoEntry: the architecture has none.
	ErrNoEntry = errors.New("no entry")
	// ErrNoEmulator: none was found for any architecture.
	ErrNoEmulator = errors.New("no emulator found")
	// ErrNeedsFixBinary: embedded emulators cannot be registered without F.
	ErrNeedsFixBinary = errors.New("embedded emulators require the flag F: Linux 4.8")
)

// worded is an error with words of its own.
type worded struct {
	text string
	is   error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.is }

// Decide returns a decision for each architecture that the request is about, in
// the order of the request or of elfmagic.Archs, then the removals of other
// entries. An error says why nothing can be done at all.
func Decide(f *Facts, r Request) ([]Decision, error) {
	decisions, err := Desired(f, r)
	if err != nil {
		return nil, err
	}
	if f.AllDisabled && !r.NoProbe {
		return nil, ErrAllDisabled
	}
	plan := binfmt.PlanOptions{Force: r.Force || r.Reset, Stale: map[string]string{}}
	wanted := make([]binfmt.Entry, 0, len(decisions))
	for i := range decisions {
		d := &decisions[i]
		if d.leaveAlone(f, r); d.settled() {
			continue
		}
		d.Desired = f.Entries.asHeld(d.Desired)
		wanted = append(wanted, d.Desired)
		if why := stale(f, r, d); why != "" {
			plan.Stale[d.Name] = why
		}
		if isQEMUs(f.Entries.named(d.Name), d.Arch) {
			plan.Own = append(plan.Own, d.Name)
		}
	}
	if r.Reset {
		for _, e := range f.Entries {
			plan.Stale[e.Name] = "--reset"
			left := slices.ContainsFunc(decisions, func(d Decision) bool { return d.settled() && d.Name == e.Name })
			if isPeerName(e) && !left {
				plan.Remove = append(plan.Remove, e.Name)
			}
		}
	}
	steps := binfmt.Plan(wanted, f.Entries, plan) // one for each that is wanted, then removals
	for i := range decisions {
		if d := &decisions[i]; !d.settled() {
			d.Step, steps = steps[0], steps[1:]
		}
	}
	// Where nobody named an architecture, a name that is taken matters only if all
	// are.
	others := slices.ContainsFunc(decisions, func(d Decision) bool { return !d.nameTaken() && d.Err == nil })
	for i := range decisions {
		if d := &decisions[i]; d.nameTaken() && (len(r.Archs) > 0 || !others) {
			d.Err = &worded{"not registered: " + d.Reason, ErrNameTaken}
		}
	}
	for _, step := range steps {
		decisions = append(decisions, Decision{Step: step})
	}
	return decisions, nil
}

// nameTaken reports whether nothing is done because somebody else's entry has the
// name.
func (d *Decision) nameTaken() bool {
	return d.settled() && d.Emulator != nil && d.LeftTo == "" && d.Reason != runs && d.Err == nil
}

// about returns the architectures of the request, each once: those that were named, or
// all. The list is the caller's to change.
func (r *Request) about() []*elfmagic.Arch {
	if len(r.Archs) == 0 {
		return elfmagic.Archs()
	}
	archs := make([]*elfmagic.Arch, 0, len(r.Archs))
	for _, arch := range r.Archs {
		if !slices.Contains(archs, arch) {
			archs = append(archs, arch)
		}
	}
	return archs
}

// Desired returns the entries that shall be there, whatever is there now, in the
// order of the request. An architecture that was named and is native, or has no
// emulator that serves, has a decision to skip it; one that nobody named has none.
func Desired(f *Facts, r Request) ([]Decision, error) {
	if r.Persistent == Yes && !f.FixBinary {
		return nil, binfmt.FeatureFixBinary.Supported(f.Kernel)
	}
	archs := r.about()
	list := make([]Decision, 0, len(archs))
	for _, arch := range archs {
		named := r.names(arch)
		d := Decision{Arch: arch, Step: binfmt.Step{Name: EntryName(r.Prefix, arch)}}
		e, err := f.serving(r, arch)
		switch {
		case errors.Is(err, ErrNeedsFixBinary):
			return nil, err
		case e != nil:
			d.Emulator, d.Desired = e, entry(f, r, arch, e)
			err = d.Desired.Validate()
		case err == nil && f.IsNative(arch) && named:
			d.skip(native)
		case err == nil, !named && slices.Contains([]string{Missing, Dynamic}, f.Emulators[arch.Name].Problem):
			continue
		case !named && f.Emulators[arch.Name].Problem == Useless:
			d.skip(f.Emulators[arch.Name].Message)
			err = nil
		}
		if err != nil {
			d.Action, d.Err = binfmt.Skip, err
		}
		list = append(list, d)
	}
	if len(list) > 0 {
		return list, nil
	}
	if unfit := f.passedOver(r, Dynamic); len(unfit) > 0 {
		return nil, errors.Join(unfit...)
	}
	missing := append([]error{ErrNoEmulator}, f.passedOver(r, Missing)...)
	return nil, &worded{fmt.Sprintf("%v in %s", ErrNoEmulator, strings.Join(f.Searched, ":")), errors.Join(missing...)}
}

// names reports whether the request is about an architecture by its name, not only as
// one of all.
func (r *Request) names(arch *elfmagic.Arch) bool {
	_, emulator := r.Emulators[arch.Name]
	return emulator || len(r.Archs) > 0
}

// native is the reason why an architecture that was named has no entry.
const native = "native"

// runs is the reason where no entry is seen.
const runs = "it runs, by an entry that cannot be seen from here"

// serving returns the emulator that serves an architecture; nil if it is native, or
// nobody asked for it by name and it has none.
func (f *Facts) serving(r Request, arch *elfmagic.Arch) (*Emulator, error) {
	e, named := f.Emulators[arch.Name], r.names(arch)
	switch {
	case f.IsNative(arch) && !(named && r.Force), e == nil:
		return nil, nil
	case e.Problem == Missing && r.Persistent == No:
		return elsewhere(r, arch), nil
	case e.Problem != "":
		return nil, e.Err()
	case e.Host == arch.Name:
		return nil, &worded{fmt.Sprintf("%s: %s %v %s", arch, e.Path, ErrItself, arch), ErrItself}
	case e.Embedded != "" && (!f.FixBinary || r.Persistent == No):
		return nil, ErrNeedsFixBinary
	}
	return e, nil
}

// passedOver returns why emulators that nobody named are not registered: those with
// the given problem.
func (f *Facts) passedOver(r Request, problem string) []error {
	var errs []error
	for _, arch := range elfmagic.Archs() {
		if e := f.Emulators[arch.Name]; len(r.Archs) == 0 && e != nil && e.Problem == problem && !f.IsNative(arch) {
			errs = append(errs, e.Err())
		}
	}
	return errs
}

// entry returns an architecture's entry.
//
// The flag O has the kernel open the program and hand it to the emulator, which
// then runs what it could not open itself: programs that may be executed and not
// read, and those that fexecve(3) is given. QEMU has used that descriptor
// (AT_EXECFD) since before it could be registered with the flag F; of another
// interpreter it is not known, but for those that product.TakesDescriptor knows.
//
// The flag F is for what is static. An emulator that is not has got here because it is
// meant to be found in each root file system.
func entry(f *Facts, r Request, arch *elfmagic.Arch, e *Emulator) binfmt.Entry {
	var flags binfmt.Flags
	if r.PreserveArgv0 == Yes || r.PreserveArgv0 == Auto && f.PreserveArgv0 && e.PassesArgv0 {
		flags |= binfmt.PreserveArgv0
	}
	if product.TakesDescriptor(e.Product, e.Version) {
		flags |= binfmt.OpenBinary
	}
	if r.Credentials == Yes || r.Credentials == Auto && !r.Reset && f.own(arch, r.Prefix).Flags.Has(binfmt.Credentials) {
		flags |= binfmt.OpenBinary | binfmt.Credentials
	}
	if f.FixBinary && r.Persistent != No && !e.Dynamic {
		flags |= binfmt.FixBinary
	}
	interpreter := e.Path
	if e.Embedded != "" {
		interpreter = descriptors + "3" // or another, which is known once it is open
	}
	return binfmt.Entry{Name: EntryName(r.Prefix, arch), Pattern: arch.Pattern(), Interpreter: interpreter, Flags: flags}
}

// elsewhere stands for an emulator that is not here.
func elsewhere(r Request, arch *elfmagic.Arch) *Emulator {
	dir, suffix := "/usr/bin", "-static"
	if len(r.Dirs) > 0 {
		dir = r.Dirs[0]
	}
	if r.Suffix != nil {
		suffix = *r.Suffix
	}
	if path := r.Emulators[arch.Name]; path != "" {
		return &Emulator{Path: path, Dynamic: product.FoundInRoot(path)}
	}
	return &Emulator{Path: filepath.Join(dir, r.Prefix+"qemu-"+arch.Name+suffix)}
}

// asHeld returns an entry with the descriptor by which the current one of its
// name was registered, if that was: whether it holds the embedded emulator is seen
// when a program runs.
func (list Entries) asHeld(desired binfmt.Entry) binfmt.Entry {
	if current := list.named(desired.Name).Interpreter; IsDescriptor(desired.Interpreter) && IsDescriptor(current) {
		desired.Interpreter = current
	}
	return desired
}

// leaveAlone settles a decision if somebody else's entry is for the programs
// already, or none is seen from here and the programs run.
func (d *Decision) leaveAlone(f *Facts, r Request) {
	current := f.Entries
	if r.Reset {
		current = slices.DeleteFunc(slices.Clone(current), isPeerName)
	}
	seen := f.Seen[d.Arch.Name]
	others, _ := inFront(current, d)
	if r.Own != nil {
		others = slices.DeleteFunc(binfmt.Catching(current, d.Arch.Heads()), func(e binfmt.Entry) bool { return e.Temporary() || isAnothers(e, d.Arch) })
		if len(others) > 0 && slices.ContainsFunc(r.Own, others[0].Same) {
			others = nil
		}
	}
	switch unreadable, ok := f.Unreadable[d.Name]; {
	case d.settled():
	case !f.Mounted && seen != nil && seen.Runs:
		d.skip(runs)
	case r.Force && r.Own == nil:
	case ok:
		d.skip("the entry of this name cannot be read: " + unreadable)
	case len(others) > 0:
		d.LeftTo = others[0].Name
		if path, named := r.Emulators[d.Arch.Name]; named && r.Own == nil && others[0].Interpreter != path {
			d.Err = &worded{fmt.Sprintf("not registered: %s (%s) is for the same programs", others[0].Name, others[0].Interpreter), ErrLeftToOthers}
		}
		d.skip(fmt.Sprintf("%s (%s) is for the same programs", others[0].Name, others[0].Interpreter))
	}
}

// inFront returns the entries that the kernel tries for the programs before the
// decision's: those of somebody else's, and those of other architectures.
func inFront(current []binfmt.Entry, d *Decision) (others, another []binfmt.Entry) {
	if len(current) == 0 {
		return nil, nil
	}
	for _, e := range binfmt.Catching(current, d.Arch.Heads()) {
		switch {
		case e.Final() == d.Name:
			return others, another
		case isAnothers(e, d.Arch):
			another = append(another, e)
		default:
			others = append(others, e)
		}
	}
	return others, another
}

// isAnothers reports whether an entry is that of another architecture, with its
// emulator, which cannot run this one's programs, whatever the pattern is for. QEMU's
// script had the same pattern for mips and mipsn32, so that the one of them that was
// registered last took both, until "Extend magic to distinguish mips o32 and n32
// ABI" (qemu-devel, March 2022): what was made with it before is registered still.
func isAnothers(e binfmt.Entry, arch *elfmagic.Arch) bool {
	return slices.ContainsFunc(elfmagic.Archs(), func(another *elfmagic.Arch) bool {
		return another != arch && e.Final() == EntryName("", another) && isQEMUs(e, another)
	})
}

// isQEMUs reports whether an entry's interpreter is QEMU's emulator for the
// architecture, by its name, or a wrapper of Debian's for it: the entry is the
// architecture's then, whatever files its pattern is for. Those of Debian and of
// QEMU's own script for microblaze have a machine number that is out of use.
func isQEMUs(e binfmt.Entry, arch *elfmagic.Arch) bool {
	switch filepath.Base(e.Interpreter) {
	case "qemu-" + arch.Name, "qemu-" + arch.Name + "-static", arch.Name + "-binfmt-P":
		return true
	}
	return false
}

// stale says why an entry is to be replaced although it reads as it is wanted: it
// holds another file than the one that is on disk now.
func stale(f *Facts, r Request, d *Decision) string {
	others, another := inFront(f.Entries, d)
	current, seen := f.Entries.named(d.Name), f.Seen[d.Arch.Name]
	switch {
	case len(others) > 0 && r.Force:
		return others[0].Name + " is tried before it"
	case len(another) > 0:
		return another[0].Name + " is tried before it, and takes its programs"
	case !current.Equal(d.Desired), !current.Flags.Has(binfmt.FixBinary): // without F the path is looked up at each exec
	case r.NoProbe:
		if d.Emulator.Changed.After(current.Registered) {
			return "the emulator's file changed after it was registered"
		}
		if d.Emulator.Placed.After(current.Registered) {
			return "another file may have been in the place of the emulator's when it was registered"
		}
	case seen != nil && seen.Holds != nil && !seen.Holds.Current:
		return fmt.Sprintf("it holds another file than %s: version %s", d.Emulator.Name(), cmp.Or(seen.Holds.Version, "unknown"))
	}
	return ""
}

// isPeerName reports whether --reset removes entries of this name: what the
// multiarch image's --reset does.
func isPeerName(e binfmt.Entry) bool { return strings.HasPrefix(e.Name, "qemu-") }

// DecideRemoval returns what is to be done to remove the entries of the request's
// architectures, or of all. An entry that only has the name of one, and is for
// other files, stays.
func DecideRemoval(f *Facts, r Request) []Decision {
	var decisions, temporary []Decision
	for _, arch := range r.about() {
		left := len(temporary)
		for _, e := range f.Entries {
			if e.Temporary() && IsOwn(e, r.Prefix, arch) {
				temporary = append(temporary, Decision{Step: binfmt.Step{Action: binfmt.Remove, Name: e.Name, Current: e, Reason: "left by a run that was interrupted"}})
			}
		}
		name := EntryName(r.Prefix, arch)
		current := f.Entries.named(name)
		d := Decision{Arch: arch, Step: binfmt.Step{Action: binfmt.Remove, Name: name, Current: current}}
		switch {
		case current.Name == "" && (len(r.Archs) == 0 || len(temporary) > left):
			continue
		case current.Name == "":
			d.Action, d.Err = binfmt.Skip, &worded{"no entry " + name, ErrNoEntry}
		case !IsOwn(current, r.Prefix, arch) && !isQEMUs(current, arch):
			d.skip("it is not for " + arch.Name + " programs")
			if len(r.Archs) > 0 {
				d.Err = &worded{"not removed: " + d.Reason, ErrNameTaken}
			}
		}
		decisions = append(decisions, d)
	}
	return append(decisions, temporary...)
}

// An Outcome is what came of a decision. Its Err is the decision's, or says why
// programs do not run.
type Outcome struct {
	Decision
	Seen   *Seen // nil: no program was run
	Undone bool  // the entry was taken back: its programs do not run
}

// untried reports whether no program is run for it: it is about no architecture,
// failed already, or was left without an entry of anybody's that would run programs.
func (o *Outcome) untried() bool {
	return o.Arch == nil || o.Err != nil || o.Action == binfmt.Skip && o.LeftTo == ""
}

// saw notes what was seen of the architecture's programs, if any was run.
func (o *Outcome) saw(s *Seen) {
	if o.Seen = s; s != nil && !s.Runs {
		o.Err = fmt.Errorf("%w: %w", ErrNotRun, s.Err())
	}
}

// blameOthers has the error say that the entry which the programs are left to does not
// run them, unless they do not run for a reason that is not that entry's.
func (o *Outcome) blameOthers() {
	if why, ok := errors.AsType[*host.Error](o.Err); ok {
		switch why.Cause {
		case host.NoEntry, host.AllDisabled, host.OtherInstance, host.Unseen:
			return
		}
	}
	o.Err = &worded{o.Reason + ", and does not run them", ErrLeftToOthers}
}

// ErrNotRun says that programs of an architecture do not run. Errors that wrap it
// wrap what Seen.Err returned, too.
var ErrNotRun = errors.New("does not run")

// outcomesOf returns the outcomes of decisions of which none is carried out.
func outcomesOf(decisions []Decision) []Outcome {
	outcomes := make([]Outcome, len(decisions))
	for i, d := range decisions {
		outcomes[i].Decision = d
	}
	return outcomes
}
