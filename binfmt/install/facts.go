package install

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
)

// Facts are what decisions depend on. Architectures have QEMU's names.
type Facts struct {
	Kernel binfmt.KernelVersion `json:"kernel"`

	// Native are the architectures that the kernel runs without an entry, this
	// program's own first.
	Native []string `json:"native"`

	// Emulators has what was found for each architecture that was looked for.
	Emulators map[string]*Emulator `json:"emulators"`
	Searched  []string             `json:"searched"` // directories

	Mount   string  `json:"mount"`   // directory of the instance
	Mounted bool    `json:"mounted"` // binfmt_misc is mounted there
	Entries Entries `json:"entries"` // in the kernel's order: newest first

	// Unreadable has, by name, why an entry cannot be understood.
	Unreadable map[string]string `json:"unreadable,omitempty"`

	// AllDisabled says that the kernel uses none of the entries (the file "status").
	AllDisabled bool `json:"allDisabled,omitempty"`

	// FixBinary says that the kernel has the flag F, PreserveArgv0 that it tells
	// interpreters of the flag P.
	FixBinary     bool `json:"fixBinary"`
	PreserveArgv0 bool `json:"preserveArgv0"`

	// Seen has what came of running a program of each architecture that was
	// tried.
	Seen map[string]*Seen `json:"seen,omitempty"`

	Surroundings host.Surroundings `json:"surroundings"`
}

// Entries are those of an instance. In JSON each is its name, the kernel's
// description of it, and the time of its registration.
type Entries []binfmt.Entry

type entryJSON struct {
	Name       string    `json:"name"`
	Status     string    `json:"status"`
	Registered time.Time `json:"registered,omitzero"`
}

// MarshalJSON implements json.Marshaler.
func (list Entries) MarshalJSON() ([]byte, error) {
	var to []entryJSON
	for _, e := range list {
		to = append(to, entryJSON{e.Name, e.Status(), e.Registered})
	}
	return json.Marshal(to)
}

// UnmarshalJSON implements json.Unmarshaler.
func (list *Entries) UnmarshalJSON(text []byte) error {
	var from []entryJSON
	err := json.Unmarshal(text, &from)
	*list = nil
	for _, f := range from {
		e := binfmt.Entry{Name: f.Name}
		err = errors.Join(err, e.UnmarshalText([]byte(f.Status)))
		e.Registered = f.Registered
		*list = append(*list, e)
	}
	return err
}

// Reasons why a file does not serve as an emulator.
const (
	Missing      = "missing"
	Dynamic      = "dynamic"       // not static
	Useless      = "useless"       // runs no program, by a fault that is known
	OtherProblem = "other problem" // for another host, corrupt, not executable, …
)

// An Emulator is what was found for an architecture.
type Emulator struct {
	Path     string    `json:"path,omitempty"`
	Host     string    `json:"host,omitempty"`    // architecture that it is a program of; empty if it is not here
	Product  string    `json:"product,omitempty"` // what it is, if it is none of QEMU's: "FEX"
	Dynamic  bool      `json:"dynamic,omitempty"` // it needs a loader, and is registered without the flag F
	Version  string    `json:"version,omitempty"`
	Changed  time.Time `json:"changed,omitzero"`   // last change of the file
	Embedded string    `json:"embedded,omitempty"` // digest, if it is part of this program
	FUSE     bool      `json:"fuse,omitempty"`     // a process serves its file

	// Placed is when a directory on the way to the file was made or renamed, or a symbolic link was
	// made, the last of these: a link may lead to another version now, and the files of another
	// container may be old. It is asked for where no program is run, as that shows which file
	// an entry holds.
	Placed time.Time `json:"placed,omitzero"`

	// Problem says why there is none that serves, and Message in words.
	Problem string `json:"problem,omitempty"`
	Message string `json:"message,omitempty"`

	// PassesArgv0: it understands entries with the P flag.
	PassesArgv0 bool `json:"passesArgv0"`

	err   error
	found any // *emulator.Emulator, where it was found here
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
	if digest, ok := strings.CutPrefix(e.Embedded, "sha256:"); ok {
		return "embedded (" + digest[:min(12, len(digest))] + ")"
	}
	return e.Path
}

// Seen is what came of running a program of an architecture.
type Seen struct {
	Runs    bool   `json:"runs"`
	Failure string `json:"failure,omitempty"` // why it did not run
	Holds   *Held  `json:"holds,omitempty"`

	// Took is how long it took, from the program's start to its end.
	Took time.Duration `json:"-"`

	err error
}

// Err returns why the program did not run, or nil: a *host.Error, where it is
// known.
func (s *Seen) Err() error {
	if s.err == nil && !s.Runs {
		return errors.New(s.Failure)
	}
	return s.err
}

// Held is the file that the kernel runs for an entry: with the F flag it is the
// one that was there when the entry was registered.
type Held struct {
	Path    string `json:"path"`
	Deleted bool   `json:"deleted"`
	Version string `json:"version,omitempty"`

	// Current says whether it has the same content as the emulator that would be
	// registered now.
	Current bool `json:"current"`

	// Digest is of the content, as OCI has digests, where it was asked for.
	Digest string `json:"digest,omitempty"`
}

// IsNative reports whether the kernel runs the architecture's programs itself.
func (f *Facts) IsNative(arch *elfmagic.Arch) bool { return slices.Contains(f.Native, arch.Name) }

func (f *Facts) setNative(native []*elfmagic.Arch, r Request) {
	if r.IgnoreFamily {
		native = native[:min(1, len(native))]
	}
	for _, arch := range native {
		f.Native = append(f.Native, arch.Name)
	}
}

// about returns the architectures of the request, or all that an entry is for. Where
// entries cannot be seen, it returns all that one might be for.
func (f *Facts) about(r Request) []*elfmagic.Arch {
	switch {
	case len(r.Archs) > 0:
		return r.about()
	case !f.Mounted:
		return slices.DeleteFunc(elfmagic.Archs(), f.IsNative)
	}
	return slices.DeleteFunc(elfmagic.Archs(), func(arch *elfmagic.Arch) bool {
		return f.own(arch, r.Prefix).Name == "" && len(f.Others(arch, r.Prefix)) == 0
	})
}

// Others returns the entries of others that are for the architecture's programs,
// disabled ones, too, in the kernel's order.
func (f *Facts) Others(arch *elfmagic.Arch, prefix string) []binfmt.Entry {
	return slices.DeleteFunc(slices.Clone(f.Entries), func(e binfmt.Entry) bool { return IsOwn(e, prefix, arch) || !MatchesAny(e, arch) })
}

// EntryName returns the name of an architecture's entry.
func EntryName(prefix string, arch *elfmagic.Arch) string { return prefix + "qemu-" + arch.Name }

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

// own returns the architecture's entry. If there is none it has no name.
func (f *Facts) own(arch *elfmagic.Arch, prefix string) binfmt.Entry {
	return f.Entries.first(func(e binfmt.Entry) bool { return IsOwn(e, prefix, arch) })
}

func (list Entries) named(name string) binfmt.Entry {
	return list.first(func(e binfmt.Entry) bool { return e.Name == name })
}

func (list Entries) first(is func(e binfmt.Entry) bool) (none binfmt.Entry) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return none
}

// An emulator that is part of this program has no path: the kernel is handed a
// file in memory by its descriptor, and with the F flag keeps it. What the entry
// then reads is the name that it was opened by, and says nothing afterwards.
const descriptors = "/proc/self/fd/"

// IsDescriptor reports whether an entry's interpreter was handed over so.
func IsDescriptor(interpreter string) bool { return strings.HasPrefix(interpreter, descriptors) }
