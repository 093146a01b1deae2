package install

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/emulator"
)

// Facts are what decisions depend on. Architectures have QEMU's names.
type Facts struct {
	Kernel binfmt.KernelVersion `json:"kernel"`

	// Native are the architectures that the kernel runs without an entry, this
	// program's own first.
	Native []string `json:"native"`

	// Emulators has what was found for each architecture that was looked for.
	Emulators map[string]*Emulator `json:"emulators"`

	Mount   string   `json:"mount"`   // directory of the instance
	Mounted bool     `json:"mounted"` // binfmt_misc is mounted there
	Entries []Listed `json:"entries"` // in the kernel's order: newest first

	// FixBinary says that the kernel has the flag F, PreserveArgv0 that it tells
	// interpreters of the flag P.
	FixBinary     bool `json:"fixBinary"`
	PreserveArgv0 bool `json:"preserveArgv0"`

	// Seen has what came of running a program of each architecture that was
	// tried.
	Seen map[string]*Seen `json:"seen,omitempty"`

	Surroundings host.Surroundings `json:"surroundings"`
}

// A Listed entry is one that was read from an instance. In JSON it is its name,
// the kernel's description of it, and the time of its registration.
type Listed struct{ binfmt.Entry }

type listedJSON struct {
	Name       string    `json:"name"`
	Status     string    `json:"status"`
	Registered time.Time `json:"registered,omitzero"`
}

// MarshalJSON implements json.Marshaler.
func (l Listed) MarshalJSON() ([]byte, error) {
	return json.Marshal(listedJSON{l.Name, l.Status(), l.Registered})
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Listed) UnmarshalJSON(text []byte) error {
	var from listedJSON
	if err := json.Unmarshal(text, &from); err != nil {
		return err
	}
	l.Entry = binfmt.Entry{Name: from.Name}
	err := l.UnmarshalText([]byte(from.Status))
	l.Registered = from.Registered
	return err
}

// MarshalText keeps encoding/json from using that of the entry, which does not
// have all of it.
func (l Listed) MarshalText() ([]byte, error) { return l.Entry.MarshalText() }

// Reasons why a file does not serve as an emulator.
const (
	Missing      = "missing"
	Dynamic      = "dynamic"       // not static
	OtherProblem = "other problem" // for another host, corrupt, not executable, …
)

// An Emulator is what was found for an architecture.
type Emulator struct {
	Path     string    `json:"path,omitempty"`
	Host     string    `json:"host,omitempty"` // architecture that it is a program of; empty if it is not here
	Version  string    `json:"version,omitempty"`
	Changed  time.Time `json:"changed,omitzero"`   // last change of the file
	Embedded string    `json:"embedded,omitempty"` // digest, if it is part of this program
	FUSE     bool      `json:"fuse,omitempty"`     // a process serves its file

	// Problem says why there is none that serves, and Message in words.
	Problem string `json:"problem,omitempty"`
	Message string `json:"message,omitempty"`

	err   error
	found *emulator.Emulator
}

// Err returns the problem as an error, or nil.
func (e *Emulator) Err() error {
	if e.err == nil && e.Problem != "" {
		return errors.New(e.Message)
	}
	return e.err
}

// Name says which emulator it is: its path, or the beginning of its digest.
func (e *Emulator) Name() string {
	if e.found != nil {
		return e.found.Name()
	}
	return e.Path
}

func newEmulator(found *emulator.Emulator, err error) *Emulator {
	switch {
	case errors.Is(err, emulator.ErrMissing):
		return &Emulator{Problem: Missing, Message: err.Error(), err: err}
	case errors.Is(err, emulator.ErrDynamic):
		return &Emulator{Problem: Dynamic, Message: err.Error(), err: err}
	case err != nil:
		return &Emulator{Problem: OtherProblem, Message: err.Error(), err: err}
	}
	e := &Emulator{Path: found.Path, Host: found.Host.Name, Version: found.Version, Changed: found.Changed, found: found}
	if found.Carried != nil {
		e.Embedded = found.Carried.Digest()
	} else {
		e.FUSE = onFUSE(found.Path)
	}
	return e
}

// IsNative reports whether the kernel runs the architecture's programs itself.
func (f *Facts) IsNative(arch *elfmagic.Arch) bool { return slices.Contains(f.Native, arch.Name) }

// Current returns the entries.
func (f *Facts) Current() []binfmt.Entry {
	var entries []binfmt.Entry
	for _, l := range f.Entries {
		entries = append(entries, l.Entry)
	}
	return entries
}

// search says where the request's emulators are looked for, and which serve.
func (r *Request) search() emulator.Search {
	search := emulator.Search{Dirs: r.Dirs, Prefix: r.Prefix, Suffix: r.Suffix, Static: r.Persistent != No}
	if len(r.Dirs) == 0 {
		search.Dirs = emulator.DefaultDirs()
		if r.Suffix == nil && r.Prefix == "" && search.Static {
			search.Carry = carry.Embedded() // no file is named in any way
		}
	}
	return search
}

// SearchDirs returns the directories that emulators are looked for in.
func (r *Request) SearchDirs() []string { return r.search().Dirs }

// Gather reads the facts that a request depends on, from the machine and from the
// instance, if that is mounted. Nothing is changed, and no privilege is needed.
func Gather(ctx context.Context, fs binfmt.FS, r Request) (*Facts, error) {
	f, err := gatherMachine(ctx, r)
	if err != nil {
		return nil, err
	}
	return f, f.readInstance(ctx, fs, r, false)
}

// Status reads the entries, and what is known of the emulators of the request's
// architectures, or of all that have an entry. Unless Request.NoProbe is set, it
// runs a program of each. Nothing is changed, and no privilege is needed.
func Status(ctx context.Context, fs binfmt.FS, r Request, digests bool) (f *Facts, err error) {
	f = &Facts{Emulators: map[string]*Emulator{}}
	native, err := host.Native(ctx)
	if err != nil {
		return nil, err
	}
	f.setNative(native, r)
	if f.Surroundings, err = host.LookAround("/proc"); err != nil {
		return nil, err
	}
	detach, err := Attach(fs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, detach()) }()
	if err := f.readEntries(fs); err != nil {
		return nil, err
	}
	var try []*elfmagic.Arch
	for _, arch := range f.About(r) {
		e, own := f.Own(arch, r.Prefix)
		if own {
			f.Emulators[arch.Name] = behind(arch, e)
		}
		if !own || !f.Emulators[arch.Name].elsewhere(e) {
			try = append(try, arch)
		}
	}
	if !r.NoProbe {
		f.run(ctx, try, digests)
	}
	return f, nil
}

// About returns the architectures of the request, or all that an entry is for.
func (f *Facts) About(r Request) []*elfmagic.Arch {
	if len(r.Archs) > 0 {
		return r.Archs
	}
	return slices.DeleteFunc(elfmagic.Archs(), func(arch *elfmagic.Arch) bool {
		_, own := f.Own(arch, r.Prefix)
		return !own && len(f.Catching(arch)) == 0
	})
}

// Catching returns the enabled entries that are for the architecture's programs,
// in the kernel's order.
func (f *Facts) Catching(arch *elfmagic.Arch) []binfmt.Entry {
	return binfmt.Catching(f.Current(), arch.Heads())
}

// behind returns the emulator that an entry names.
func behind(arch *elfmagic.Arch, e binfmt.Entry) *Emulator {
	if !IsDescriptor(e.Interpreter) {
		return newEmulator(emulator.Open(arch, e.Interpreter))
	}
	search := emulator.Search{Carry: carry.Embedded()}
	return newEmulator(search.Find(arch))
}

// elsewhere reports whether the emulator of an entry is not here: the kernel looks
// it up in each container.
func (e *Emulator) elsewhere(entry binfmt.Entry) bool {
	return e.Problem == Missing && !entry.Flags.Has(binfmt.FixBinary)
}

// ForHost returns the facts about a host on which nothing but its architecture is
// known: the emulators are those that are here, or the paths where they will be.
func ForHost(native []*elfmagic.Arch, r Request) *Facts {
	f := &Facts{Emulators: map[string]*Emulator{}, FixBinary: true, PreserveArgv0: true}
	f.setNative(native, r)
	search := r.search()
	search.Carry, search.Native = nil, native // a path is needed
	for _, arch := range elfmagic.Archs() {
		found, err := search.Find(arch)
		if f.Emulators[arch.Name] = newEmulator(found, err); err != nil {
			f.Emulators[arch.Name] = elsewhere(r, arch)
		}
	}
	return f
}

// Find looks for an architecture's emulator as Gather does.
func (r Request) Find(arch *elfmagic.Arch) *Emulator {
	search := r.search()
	return newEmulator(search.Find(arch))
}

func (f *Facts) setNative(native []*elfmagic.Arch, r Request) {
	if r.IgnoreFamily {
		native = native[:1]
	}
	for _, arch := range native {
		f.Native = append(f.Native, arch.Name)
	}
}

// gatherMachine reads what does not depend on the instance.
func gatherMachine(ctx context.Context, r Request) (*Facts, error) {
	f := &Facts{}
	var err error
	if f.Surroundings, err = host.LookAround("/proc"); err != nil {
		return nil, err
	}
	archs := r.Archs
	if len(archs) == 0 {
		archs = slices.DeleteFunc(elfmagic.Archs(), func(a *elfmagic.Arch) bool { return a.GOARCH == runtime.GOARCH })
	}
	// Half of the time is that of the host's programs, half that of the search.
	var native []*elfmagic.Arch
	var nativeErr error
	var wait sync.WaitGroup
	wait.Go(func() { native, nativeErr = host.Native(ctx) })
	search := r.search()
	found := make([]*emulator.Emulator, len(archs))
	problems := make([]error, len(archs))
	inParallel(len(archs), func(i int) { found[i], problems[i] = search.Find(archs[i]) })
	wait.Wait()
	if nativeErr != nil {
		return nil, nativeErr
	}
	f.setNative(native, r)
	f.Emulators = make(map[string]*Emulator)
	for i, e := range found {
		if problems[i] == nil && !f.IsNative(e.Host) {
			// There may be a second one, for this host.
			search.Native = native[:len(f.Native)]
			e, problems[i] = search.Find(archs[i])
		}
		f.Emulators[archs[i].Name] = newEmulator(e, problems[i])
	}
	return f, nil
}

// readEntries reads the instance's entries. What is not mounted has none.
func (f *Facts) readEntries(fs binfmt.FS) error {
	var err error
	if f.Kernel, err = binfmt.RunningKernel(); err != nil {
		return err
	}
	f.Mount = fs.Dir()
	f.PreserveArgv0 = binfmt.FeatureArgv0Flag.Supported(f.Kernel) == nil
	f.FixBinary = binfmt.FeatureFixBinary.Supported(f.Kernel) == nil
	f.Entries = nil
	if state, err := fs.State(); err != nil || state != binfmt.Mounted {
		return err
	}
	f.Mounted = true
	entries, err := fs.List()
	for _, e := range entries {
		f.Entries = append(f.Entries, Listed{e})
	}
	return err
}

// readInstance reads what depends on the instance. A kernel that is old enough to
// lack the F flag is asked for it if the instance may be written to: a
// distribution may have brought it there.
func (f *Facts) readInstance(ctx context.Context, fs binfmt.FS, r Request, write bool) error {
	err := f.readEntries(fs)
	if err == nil && write && !f.FixBinary && r.Persistent != No {
		f.FixBinary, err = fs.Supports(binfmt.FixBinary)
	}
	if err != nil || !write || r.NoProbe {
		return err
	}
	// What the kernel holds is seen while a program runs.
	desired, _ := Desired(f, r) // errors are for Decide to report
	var kept []*elfmagic.Arch
	for _, d := range desired {
		if d.Desired.Flags&binfmt.FixBinary != 0 && slices.ContainsFunc(f.Entries, func(l Listed) bool { return l.Equal(asHeld(d.Desired, f.Current())) }) {
			kept = append(kept, d.Arch)
		}
	}
	f.run(ctx, kept, false)
	return nil
}

// run runs a program of each of the architectures and notes what was seen.
func (f *Facts) run(ctx context.Context, archs []*elfmagic.Arch, digests bool) {
	seen := make([]*Seen, len(archs))
	inParallel(len(archs), func(i int) {
		e, own := f.Emulators[archs[i].Name], ""
		if i := f.own(archs[i], ""); i >= 0 {
			own = f.Entries[i].Interpreter
		}
		seen[i] = look(ctx, archs[i], e, own, digests)
	})
	if f.Seen == nil {
		f.Seen = make(map[string]*Seen)
	}
	for i, arch := range archs {
		f.Seen[arch.Name] = seen[i]
	}
}

// EntryName returns the name of an architecture's entry.
func EntryName(prefix string, arch *elfmagic.Arch) string { return prefix + arch.EntryName() }

// IsOwn reports whether an entry is the architecture's: it has the conventional
// name, which other tools use too, and is for its programs. A name alone says
// nothing: a qemu-arm that catches Python files is somebody else's.
func IsOwn(e binfmt.Entry, prefix string, arch *elfmagic.Arch) bool {
	return e.Final() == EntryName(prefix, arch) && MatchesAny(e, arch)
}

// MatchesAny reports whether the entry is for any of the architecture's programs.
func MatchesAny(e binfmt.Entry, arch *elfmagic.Arch) bool {
	return slices.ContainsFunc(arch.Heads(), func(head []byte) bool { return e.Matches(head, "") })
}

// own returns the index of the architecture's entry, or -1.
func (f *Facts) own(arch *elfmagic.Arch, prefix string) int {
	return slices.IndexFunc(f.Entries, func(l Listed) bool { return IsOwn(l.Entry, prefix, arch) })
}

// Own returns the architecture's entry, if there is one.
func (f *Facts) Own(arch *elfmagic.Arch, prefix string) (e binfmt.Entry, ok bool) {
	if i := f.own(arch, prefix); i >= 0 {
		return f.Entries[i].Entry, true
	}
	return e, false
}

// An emulator that is part of this program has no path: the kernel is handed a
// file in memory by its descriptor, and with the F flag keeps it. What the entry
// then reads is the name that it was opened by, and says nothing afterwards.
const descriptors = "/proc/self/fd/"

// IsDescriptor reports whether an entry's interpreter was handed over so.
func IsDescriptor(interpreter string) bool { return strings.HasPrefix(interpreter, descriptors) }
