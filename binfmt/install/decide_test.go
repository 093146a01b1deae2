package install

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
)

func lookup(t testing.TB, name string) *elfmagic.Arch {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch
}

// entryOf is one that others made.
func entryOf(name string, pattern elfmagic.Pattern) binfmt.Entry {
	return binfmt.Entry{Name: name, Pattern: pattern, Interpreter: "/other"}
}

// own is an entry as it is desired of newFacts' emulators.
func own(t testing.TB, name string) binfmt.Entry {
	arch := lookup(t, name)
	return binfmt.Entry{
		Name: "qemu-" + arch.Name, Pattern: arch.Pattern(), Interpreter: "/usr/bin/qemu-" + arch.Name,
		Flags: binfmt.FixBinary | binfmt.PreserveArgv0 | binfmt.OpenBinary, Registered: time.Unix(1000, 0),
	}
}

// newFacts are those of an amd64 host with an emulator for each of the
// architectures.
func newFacts(entries []binfmt.Entry, archs ...string) *Facts {
	f := &Facts{
		Kernel: binfmt.KernelVersion{Major: 6, Minor: 18}, FixBinary: true, PreserveArgv0: true,
		Searched: []string{"/a", "/b"}, Native: []string{"x86_64", "i386"}, Mounted: true, Emulators: map[string]*Emulator{},
		Surroundings: host.Surroundings{SysAdmin: true, InitialUser: true, InitialPID: true, OfInit: true}, Entries: entries,
	}
	for _, name := range archs {
		f.Emulators[name] = &Emulator{Path: "/usr/bin/qemu-" + name, Host: "x86_64", Version: "10.0.2", PassesArgv0: true, Changed: time.Unix(500, 0)}
	}
	return f
}

func request(t testing.TB, archs ...string) Request {
	var r Request
	for _, name := range archs {
		r.Archs = append(r.Archs, lookup(t, name))
	}
	return r
}

// recorded are facts as a bug report has them.
func recorded(t testing.TB, f *Facts) *Facts {
	t.Helper()
	text, err := json.Marshal(f)
	require.NoError(t, err)
	again := new(Facts)
	require.NoError(t, json.Unmarshal(text, again))
	twice, err := json.Marshal(again)
	require.NoError(t, err)
	require.JSONEq(t, string(text), string(twice))
	return again
}

// lines are decisions for a reader: action, name, reason, error.
func lines(decisions []Decision) []string {
	list := []string{}
	for _, d := range decisions {
		line := fmt.Sprintf("%s %s: %s", d.Action, d.Name, d.Reason)
		if d.Err != nil {
			line += " ! " + d.Err.Error()
		}
		list = append(list, line)
	}
	return list
}

func TestDecide(t *testing.T) {
	disabled := own(t, "arm64")
	disabled.Disabled = true
	python := binfmt.Entry{Name: "qemu-aarch64", Extension: "py", Interpreter: "/python"}
	other := own(t, "arm64")
	other.Interpreter = "/old/qemu-aarch64"
	left := own(t, "arm64")
	left.Name += ".new2"
	rosetta := entryOf("rosetta", lookup(t, "arm64").Pattern())
	microblaze := entryOf("qemu-microblaze", elfmagic.Pattern{Magic: []byte("\x7fELF\x01\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xba\xab")})
	microblaze.Interpreter = "/usr/libexec/qemu-binfmt/microblaze-binfmt-P"
	credentials := own(t, "arm64")
	credentials.Flags |= binfmt.Credentials
	cris := entryOf("qemu-cris", elfmagic.Pattern{Magic: []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x4c\x00")})
	// QEMU's pattern for mips until 2022, and mipsn32's.
	loose := func(name string) binfmt.Entry {
		e := own(t, name)
		e.Pattern = elfmagic.Pattern{Magic: []byte("\x7fELF\x01\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x08")}
		return e
	}
	sim := loose("mipsn32")
	sim.Interpreter = "/opt/sim"
	mips := func(entries ...binfmt.Entry) *Facts { return newFacts(entries, "mips", "mipsn32") }
	both := func(entries ...binfmt.Entry) *Facts { return newFacts(entries, "aarch64", "s390x") }
	seen := func(facts *Facts, name string, s Seen) *Facts {
		facts.Seen = map[string]*Seen{name: &s}
		return facts
	}
	change := func(facts *Facts, f func(*Facts)) *Facts { f(facts); return facts }
	for _, test := range []struct {
		name  string
		facts *Facts
		archs string
		opts  func(r *Request)
		want  []string
		err   string
	}{
		{name: "nothing is there", facts: both(), want: []string{"add qemu-aarch64: not registered", "add qemu-s390x: not registered"}},
		{name: "in the order of the request", facts: both(), archs: "s390x arm64", want: []string{"add qemu-s390x: not registered", "add qemu-aarch64: not registered"}},
		{name: "kept", facts: both(own(t, "arm64")), want: []string{"keep qemu-aarch64: registered already", "add qemu-s390x: not registered"}},
		{name: "disabled", facts: both(disabled), archs: "arm64", want: []string{"replace qemu-aarch64: it is disabled"}},
		{name: "another emulator", facts: both(other), archs: "arm64", want: []string{"replace qemu-aarch64: interpreter /usr/bin/qemu-aarch64 instead of /old/qemu-aarch64"}},
		{name: "a name taken", facts: both(python), archs: "arm64", want: []string{"skip qemu-aarch64: an entry of this name is for other files ! not registered: an entry of this name is for other files"}},
		{name: "a name taken, forced", facts: both(python), archs: "arm64", opts: func(r *Request) { r.Force = true }, want: []string{"replace qemu-aarch64: interpreter /usr/bin/qemu-aarch64 instead of /python"}},
		{name: "others' entry, not named", facts: both(rosetta), want: []string{"skip qemu-aarch64: rosetta (/other) is for the same programs", "add qemu-s390x: not registered"}},
		{name: "others' entry, named", facts: both(rosetta), archs: "arm64", want: []string{"skip qemu-aarch64: rosetta (/other) is for the same programs"}},
		{name: "others' entry, forced", facts: both(rosetta), archs: "arm64", opts: func(r *Request) { r.Force = true }, want: []string{"add qemu-aarch64: not registered"}},
		{name: "left by a run that was killed", facts: both(left, own(t, "arm64")), archs: "arm64", want: []string{"keep qemu-aarch64: registered already", "remove qemu-aarch64.new2: left by a run that was interrupted"}},
		{name: "kept, and nobody else's", facts: both(other), archs: "arm64", opts: func(r *Request) { r.Own = []binfmt.Entry{other} }, want: []string{"replace qemu-aarch64: interpreter /usr/bin/qemu-aarch64 instead of /old/qemu-aarch64"}},
		{name: "kept, and replaced by others since", facts: both(other), archs: "arm64", opts: func(r *Request) { r.Own = []binfmt.Entry{own(t, "arm64")} }, want: []string{"skip qemu-aarch64: qemu-aarch64 (/old/qemu-aarch64) is for the same programs"}},
		{name: "kept, to be in front, and replaced by others since", facts: both(other), archs: "arm64", opts: func(r *Request) { r.Force, r.Own = true, []binfmt.Entry{own(t, "arm64")} }, want: []string{"skip qemu-aarch64: qemu-aarch64 (/old/qemu-aarch64) is for the same programs"}},
		{name: "kept, and registered again by others since", facts: both(own(t, "arm64")), archs: "arm64", opts: func(r *Request) { r.Own = []binfmt.Entry{} }, want: []string{"skip qemu-aarch64: qemu-aarch64 (/usr/bin/qemu-aarch64) is for the same programs"}},
		{name: "kept, and removed since", facts: both(left), archs: "arm64", opts: func(r *Request) { r.Own = []binfmt.Entry{own(t, "arm64")} }, want: []string{"add qemu-aarch64: not registered", "remove qemu-aarch64.new2: left by a run that was interrupted"}},
		{name: "reset", facts: both(own(t, "arm64"), cris, rosetta), opts: func(r *Request) { r.Reset = true }, want: []string{"skip qemu-aarch64: rosetta (/other) is for the same programs", "add qemu-s390x: not registered", "remove qemu-cris: not wanted"}},
		{name: "reset, ours only", facts: both(own(t, "arm64")), archs: "arm64", opts: func(r *Request) { r.Reset = true }, want: []string{"replace qemu-aarch64: --reset"}},
		{name: "it holds another file", facts: seen(both(own(t, "arm64")), "aarch64", Seen{Runs: true, Holds: &Held{Path: "/usr/bin/qemu-aarch64", Version: "7.2.22", Deleted: true}}), archs: "arm64", want: []string{"replace qemu-aarch64: it holds another file than /usr/bin/qemu-aarch64: version 7.2.22"}},
		{name: "it holds another file, of an unknown version", facts: seen(both(own(t, "arm64")), "aarch64", Seen{Runs: true, Holds: &Held{}}), archs: "arm64", want: []string{"replace qemu-aarch64: it holds another file than /usr/bin/qemu-aarch64: version unknown"}},
		{name: "it holds the file", facts: seen(both(own(t, "arm64")), "aarch64", Seen{Runs: true, Holds: &Held{Current: true}}), archs: "arm64", want: []string{"keep qemu-aarch64: registered already"}},
		{name: "others' entry, forced, and ours is behind it", facts: both(rosetta, own(t, "arm64")), archs: "arm64", opts: func(r *Request) { r.Force = true }, want: []string{"replace qemu-aarch64: rosetta is tried before it"}},
		{name: "others' entry behind ours", facts: both(own(t, "arm64"), rosetta), archs: "arm64", want: []string{"keep qemu-aarch64: registered already"}},
		{name: "others' entry behind ours, forced", facts: both(own(t, "arm64"), rosetta), archs: "arm64", opts: func(r *Request) { r.Force = true }, want: []string{"keep qemu-aarch64: registered already"}},
		{name: "others' entry before ours", facts: both(rosetta, own(t, "arm64")), archs: "arm64", want: []string{"skip qemu-aarch64: rosetta (/other) is for the same programs"}},
		{name: "a name taken, not named", facts: both(python), want: []string{"skip qemu-aarch64: an entry of this name is for other files", "add qemu-s390x: not registered"}},
		{name: "Debian's microblaze has an old machine number", facts: newFacts([]binfmt.Entry{microblaze}, "microblaze"), want: []string{"replace qemu-microblaze: interpreter /usr/bin/qemu-microblaze instead of /usr/libexec/qemu-binfmt/microblaze-binfmt-P"}},
		{name: "another architecture's takes its programs", facts: mips(loose("mips")), want: []string{"replace qemu-mips: another pattern", "add qemu-mipsn32: not registered"}},
		{name: "each takes the other's", facts: mips(loose("mipsn32"), loose("mips")), want: []string{"replace qemu-mips: another pattern", "replace qemu-mipsn32: another pattern"}},
		{name: "another architecture's takes its programs, and is not asked for", facts: mips(loose("mips")), archs: "mipsn32", want: []string{"add qemu-mipsn32: not registered"}},
		{name: "another architecture's in front of ours", facts: mips(loose("mips"), own(t, "mipsn32")), archs: "mipsn32", want: []string{"replace qemu-mipsn32: qemu-mips is tried before it, and takes its programs"}},
		{name: "another architecture's behind ours", facts: mips(own(t, "mipsn32"), loose("mips")), archs: "mipsn32", want: []string{"keep qemu-mipsn32: registered already"}},
		{name: "another architecture's by its name only", facts: mips(sim), archs: "mips", want: []string{"skip qemu-mips: qemu-mipsn32 (/opt/sim) is for the same programs"}},
		{name: "native", facts: both(), archs: "386 arm64", want: []string{"skip qemu-i386: native", "add qemu-aarch64: not registered"}},
		{name: "native only", facts: both(), archs: "amd64", want: []string{"skip qemu-x86_64: native"}},
		{name: "an entry that cannot be understood", facts: change(both(), func(f *Facts) { f.Unreadable = map[string]string{"qemu-aarch64": "new kernel"} }), archs: "arm64 s390x", want: []string{"skip qemu-aarch64: the entry of this name cannot be read: new kernel ! not registered: the entry of this name cannot be read: new kernel", "add qemu-s390x: not registered"}},
		{name: "others' entry that cannot be understood", facts: change(both(), func(f *Facts) { f.Unreadable = map[string]string{"new": "new kernel"} }), archs: "s390x", want: []string{"add qemu-s390x: not registered"}},
		{name: "all entries are disabled", facts: change(both(), func(f *Facts) { f.AllDisabled = true }), err: ErrAllDisabled.Error()},
		{name: "all entries are disabled, and nothing is run", facts: change(both(), func(f *Facts) { f.AllDisabled = true }), archs: "s390x", opts: func(r *Request) { r.NoProbe = true }, want: []string{"add qemu-s390x: not registered"}},
		{name: "entries cannot be seen, and it runs", facts: seen(change(both(), func(f *Facts) { f.Mounted = false }), "aarch64", Seen{Runs: true}), want: []string{"skip qemu-aarch64: it runs, by an entry that cannot be seen from here", "add qemu-s390x: not registered"}},
		{name: "credentials are kept", facts: both(credentials), archs: "arm64", want: []string{"keep qemu-aarch64: registered already"}},
		{name: "credentials are not kept with --reset", facts: both(credentials), archs: "arm64", opts: func(r *Request) { r.Reset = true }, want: []string{"replace qemu-aarch64: flags \"POF\" instead of \"POCF\""}},
		{name: "credentials are taken away when it is asked for", facts: both(credentials), archs: "arm64", opts: func(r *Request) { r.Credentials = No }, want: []string{"replace qemu-aarch64: flags \"POF\" instead of \"POCF\""}},
		{name: "reset keeps an entry that nothing replaces", facts: change(both(own(t, "arm64")), func(f *Facts) {
			f.Emulators["aarch64"] = &Emulator{Problem: OtherProblem, Message: "corrupt"}
		}), archs: "arm64 s390x", opts: func(r *Request) { r.Reset = true }, want: []string{"skip qemu-aarch64:  ! corrupt", "add qemu-s390x: not registered"}},
		{name: "native, forced", facts: newFacts(nil, "i386"), archs: "386", opts: func(r *Request) { r.Force = true }, want: []string{"add qemu-i386: not registered"}},
		{name: "native, not named", facts: newFacts(nil, "i386", "s390x"), want: []string{"add qemu-s390x: not registered"}},
		{name: "itself", facts: change(both(), func(f *Facts) { f.Emulators["aarch64"].Host = "aarch64" }), archs: "arm64 s390x", want: []string{"skip qemu-aarch64:  ! aarch64: /usr/bin/qemu-aarch64 is itself a program for aarch64", "add qemu-s390x: not registered"}},
		{name: "no emulator, named", facts: change(both(), func(f *Facts) {
			f.Emulators["aarch64"] = &Emulator{Problem: Missing, Message: "aarch64: no emulator found"}
		}), archs: "arm64 s390x", want: []string{"skip qemu-aarch64:  ! aarch64: no emulator found", "add qemu-s390x: not registered"}},
		{name: "no emulator, not named", facts: change(both(), func(f *Facts) { f.Emulators["aarch64"] = &Emulator{Problem: Missing, Message: "no"} }), want: []string{"add qemu-s390x: not registered"}},
		{name: "no emulator, without F", facts: change(both(), func(f *Facts) { f.Emulators["aarch64"] = &Emulator{Problem: Missing, Message: "no"} }), archs: "arm64", opts: func(r *Request) { r.Persistent = No }, want: []string{"add qemu-aarch64: not registered"}},
		{name: "dynamic, not named", facts: change(both(), func(f *Facts) { f.Emulators["aarch64"] = &Emulator{Problem: Dynamic, Message: "not static"} }), want: []string{"add qemu-s390x: not registered"}},
		{name: "useless, not named", facts: change(both(), func(f *Facts) { f.Emulators["aarch64"] = &Emulator{Problem: Useless, Message: "runs none"} }), want: []string{"skip qemu-aarch64: runs none", "add qemu-s390x: not registered"}},
		{name: "useless, named", facts: change(both(), func(f *Facts) { f.Emulators["aarch64"] = &Emulator{Problem: Useless, Message: "runs none"} }), archs: "arm64 s390x", want: []string{"skip qemu-aarch64:  ! runs none", "add qemu-s390x: not registered"}},
		{name: "dynamic only", facts: change(newFacts(nil), func(f *Facts) { f.Emulators["aarch64"] = &Emulator{Problem: Dynamic, Message: "not static"} }), err: "not static"},
		{name: "corrupt, not named", facts: change(both(), func(f *Facts) { f.Emulators["aarch64"] = &Emulator{Problem: OtherProblem, Message: "corrupt"} }), want: []string{"skip qemu-aarch64:  ! corrupt", "add qemu-s390x: not registered"}},
		{name: "none at all", facts: newFacts(nil), err: "no emulator found in /a:/b"},
		{name: "an old kernel, F asked for", facts: change(both(), func(f *Facts) { f.Kernel, f.FixBinary = binfmt.KernelVersion{Major: 4, Minor: 4}, false }), opts: func(r *Request) { r.Persistent = Yes }, err: "Linux 4.4 does not have flag F: it came with 4.8"},
		{name: "an old kernel, embedded emulators", facts: change(both(), func(f *Facts) { f.FixBinary = false; f.Emulators["s390x"].Embedded = "sha256:0" }), err: ErrNeedsFixBinary.Error()},
		{name: "a relative interpreter", facts: change(both(), func(f *Facts) { f.Emulators["s390x"].Path = "relative" }), want: []string{"add qemu-aarch64: not registered", `skip qemu-s390x:  ! entry "qemu-s390x": interpreter "relative" is not an absolute path`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := request(t, strings.Fields(test.archs)...)
			if test.opts != nil {
				test.opts(&r)
			}
			for _, facts := range []*Facts{test.facts, recorded(t, test.facts)} {
				decisions, err := Decide(facts, r)
				if test.err != "" {
					assert.EqualError(t, err, test.err)
					assert.Nil(t, decisions)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, test.want, lines(decisions))
			}
		})
	}
}

func TestErrorsOfDecisionsSayWhatKindTheyAre(t *testing.T) {
	_, err := Decide(newFacts(nil), request(t))
	assert.ErrorIs(t, err, ErrNoEmulator)
	var unsupported *binfmt.UnsupportedError
	f := newFacts(nil)
	f.FixBinary, f.Kernel = false, binfmt.KernelVersion{Major: 3, Minor: 10}
	_, err = Decide(f, Request{Persistent: Yes})
	assert.ErrorAs(t, err, &unsupported)
	decisions, err := Decide(newFacts([]binfmt.Entry{entryOf("FEX", lookup(t, "arm64").Pattern())}, "aarch64"), request(t, "arm64"))
	require.NoError(t, err)
	assert.NoError(t, decisions[0].Err, "it may run by that")
	assert.Equal(t, "FEX", decisions[0].LeftTo)
}

func TestFlagsOfEntriesFollowFromOptionsKernelAndEmulator(t *testing.T) {
	const old, new = false, true // emulators
	for _, test := range []struct {
		r          Request
		fix, argv0 bool
		passes     bool
		flags      string
	}{
		{Request{}, true, true, new, "POF"},
		{Request{}, true, true, old, "OF"},
		{Request{}, true, true, old, "OF"},
		{Request{}, true, false, new, "OF"},
		{Request{}, false, true, new, "PO"},
		{Request{}, false, false, new, "O"},
		{Request{PreserveArgv0: Yes}, false, false, old, "PO"},
		{Request{PreserveArgv0: Yes}, true, true, old, "POF"},
		{Request{PreserveArgv0: No}, true, true, new, "OF"},
		{Request{Credentials: Yes}, true, true, new, "POCF"},
		{Request{Credentials: Yes, PreserveArgv0: No}, true, true, new, "OCF"},
		{Request{Credentials: Yes}, false, false, old, "OC"},
		{Request{Persistent: Yes}, true, true, new, "POF"},
		{Request{Persistent: No}, true, true, new, "PO"},
	} {
		f := newFacts(nil, "aarch64")
		f.FixBinary, f.PreserveArgv0, f.Emulators["aarch64"].PassesArgv0 = test.fix, test.argv0, test.passes
		for _, prefix := range []string{"", "my-"} {
			test.r.Prefix = prefix
			d, err := Desired(f, test.r)
			require.NoError(t, err)
			require.Len(t, d, 1)
			assert.Equal(t, test.flags, d[0].Desired.Flags.String(), "%+v", test)
			assert.Equal(t, prefix+"qemu-aarch64", d[0].Name)
			assert.Equal(t, "/usr/bin/qemu-aarch64", d[0].Desired.Interpreter)
			assert.True(t, lookup(t, "arm64").Pattern().Equal(d[0].Desired.Pattern))
		}
	}
}

func TestAnEntryIsTheArchitecturesByItsNameAndByItsPattern(t *testing.T) {
	arch := lookup(t, "arm64")
	own := arch.Pattern()
	debian := arch.Pattern()
	debian.Mask[7] = 0xff // stricter; /usr/lib/binfmt.d has the like
	exact := arch.Pattern()
	exact.Mask[16] = 0xff // for executables, not for shared objects
	for _, test := range []struct {
		entry binfmt.Entry
		own   bool
	}{
		{entryOf("qemu-aarch64", own), true},
		{entryOf("qemu-aarch64", debian), true},
		{entryOf("qemu-aarch64", exact), true},
		{entryOf("qemu-aarch64", elfmagic.Pattern{Magic: []byte("\x7fELF")}), true},
		{entryOf("qemu-aarch64.new", own), true},
		{entryOf("qemu-aarch64.new2", own), true},
		{entryOf("qemu-aarch64.old", own), false},
		{entryOf("qemu-aarch64_be", own), false},
		{entryOf("FEX-aarch64", own), false},
		{entryOf("my-qemu-aarch64", own), false},
		{entryOf("qemu-aarch64", lookup(t, "arm").Pattern()), false},
		{entryOf("qemu-aarch64", elfmagic.Pattern{Magic: []byte("MZ")}), false},
		{binfmt.Entry{Name: "qemu-aarch64", Extension: "py", Interpreter: "/python"}, false},
	} {
		assert.Equal(t, test.own, IsOwn(test.entry, "", arch), "%+v", test.entry)
		disabled := test.entry
		disabled.Disabled = true
		assert.Equal(t, test.own, IsOwn(disabled, "", arch), "whether it is enabled does not matter")
		prefixed := test.entry
		prefixed.Name = "my-" + prefixed.Name
		assert.Equal(t, test.own, IsOwn(prefixed, "my-", arch), "%+v", prefixed)
	}
	for name, peer := range map[string]bool{"qemu-aarch64": true, "qemu-": true, "qemu": false, "my-qemu-arm": false, "python3": false} {
		assert.Equal(t, peer, isPeerName(binfmt.Entry{Name: name}), name)
	}
}

// While programs are tried somebody may disable all entries, or mount another instance.
func TestOthersEntriesAreBlamedForTheirOwnFailuresOnly(t *testing.T) {
	for cause, blamed := range map[host.Cause]bool{
		host.Failed: true, host.NoInterpreter: true, host.BadInterpreter: true, host.Loop: true, host.Disabled: true, host.Unknown: true,
		host.NoEntry: false, host.AllDisabled: false, host.OtherInstance: false, host.Unseen: false,
	} {
		o := Outcome{Decision: Decision{LeftTo: "other"}}
		o.skip("other (/other) is for the same programs")
		o.saw(&Seen{err: &host.Error{Cause: cause, Err: syscall.ENOEXEC}})
		o.blameOthers()
		if blamed {
			assert.EqualError(t, o.Err, "other (/other) is for the same programs, and does not run them", cause)
			assert.ErrorIs(t, o.Err, ErrLeftToOthers, cause)
			continue
		}
		assert.ErrorIs(t, o.Err, ErrNotRun, cause)
		assert.ErrorContains(t, o.Err, string(cause), cause)
		assert.NotErrorIs(t, o.Err, ErrLeftToOthers, cause)
	}
}

func TestWhatOthersEntriesAreForIsLeftToThem(t *testing.T) {
	arm64, s390x := lookup(t, "arm64"), lookup(t, "s390x")
	disabled := entryOf("FEX", arm64.Pattern())
	disabled.Disabled = true
	all := entryOf("all", elfmagic.Pattern{Magic: []byte("\x7fELF")})
	for name, test := range map[string]struct {
		current []binfmt.Entry
		left    map[string]string // architecture: why
	}{
		"nothing is there":          {},
		"our own":                   {current: []binfmt.Entry{entryOf("qemu-aarch64", arm64.Pattern())}},
		"our own, temporary":        {current: []binfmt.Entry{entryOf("qemu-aarch64.new3", arm64.Pattern())}},
		"for other programs":        {current: []binfmt.Entry{entryOf("FEX", lookup(t, "amd64").Pattern()), {Name: "py", Extension: "py", Interpreter: "/python"}}},
		"disabled":                  {current: []binfmt.Entry{disabled}},
		"for the same programs":     {current: []binfmt.Entry{entryOf("FEX", arm64.Pattern())}, left: map[string]string{"aarch64": "FEX (/other) is for the same programs"}},
		"behind our own":            {current: []binfmt.Entry{entryOf("qemu-aarch64", arm64.Pattern()), entryOf("FEX", arm64.Pattern())}},
		"in front of our own":       {current: []binfmt.Entry{entryOf("FEX", arm64.Pattern()), entryOf("qemu-aarch64", arm64.Pattern())}, left: map[string]string{"aarch64": "FEX (/other) is for the same programs"}},
		"for all programs":          {current: []binfmt.Entry{all}, left: map[string]string{"aarch64": "all (/other) is for the same programs", "s390x": "all (/other) is for the same programs"}},
		"several: the newest is it": {current: []binfmt.Entry{entryOf("new", s390x.Pattern()), entryOf("old", s390x.Pattern())}, left: map[string]string{"s390x": "new (/other) is for the same programs"}},
	} {
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, named=%t", name, named), func(t *testing.T) {
				var r Request
				if named {
					r = request(t, "arm64", "s390x")
				}
				decisions, err := Decide(newFacts(test.current, "aarch64", "s390x"), r)
				require.NoError(t, err)
				for _, d := range decisions {
					if d.Arch == nil {
						assert.Equal(t, binfmt.Remove, d.Action, "a temporary entry of ours")
						continue
					}
					reason, left := test.left[d.Arch.Name]
					assert.Equal(t, left, d.LeftTo != "", d.Arch.Name)
					if !left {
						assert.NotEqual(t, binfmt.Skip, d.Action)
						assert.NoError(t, d.Err)
						continue
					}
					assert.Equal(t, binfmt.Skip, d.Action)
					assert.Equal(t, reason, d.Reason)
					assert.Equal(t, strings.Fields(reason)[0], d.LeftTo)
					assert.NoError(t, d.Err, "it may run by that")
				}
			})
		}
	}
}

// Without probes, the times tell whether the kernel holds the file that is there.
func TestEntriesThatAreOlderThanTheirEmulatorAreStale(t *testing.T) {
	registered := own(t, "arm64").Registered
	for name, test := range map[string]struct {
		changed time.Time
		fixed   bool
		stale   bool
	}{
		"the file is older":  {registered.Add(-time.Second), true, false},
		"of the same moment": {registered, true, false},
		"the file is newer":  {registered.Add(time.Nanosecond), true, true},
		"without F":          {registered.Add(time.Second), false, false},
	} {
		for _, r := range []Request{{NoProbe: true}, {DryRun: true}, {}} {
			e := own(t, "arm64")
			if !test.fixed {
				e.Flags, r.Persistent = binfmt.PreserveArgv0|binfmt.OpenBinary, No
			}
			f := newFacts([]binfmt.Entry{entryOf("z", elfmagic.Pattern{Magic: []byte("z")}), e}, "aarch64")
			f.Emulators["aarch64"].Changed = test.changed
			decisions, err := Decide(f, r)
			require.NoError(t, err)
			want := []string{"keep qemu-aarch64: registered already"}
			if test.stale && r.NoProbe {
				want = []string{"replace qemu-aarch64: the emulator's file changed after it was registered"}
			}
			assert.Equal(t, want, lines(decisions), "%s %+v", name, r)
		}
	}

	// An old file may be new in its place.
	f := newFacts([]binfmt.Entry{own(t, "arm64")}, "aarch64")
	for placed, want := range map[time.Time]string{
		registered:                  "keep qemu-aarch64: registered already",
		registered.Add(time.Second): "replace qemu-aarch64: another file may have been in the place of the emulator's when it was registered",
	} {
		f.Emulators["aarch64"].Placed = placed
		decisions, err := Decide(f, Request{NoProbe: true})
		require.NoError(t, err)
		assert.Equal(t, []string{want}, lines(decisions))
	}
}

func TestDecideRemoval(t *testing.T) {
	temporary := own(t, "arm64")
	temporary.Name += ".new"
	python := binfmt.Entry{Name: "qemu-s390x", Extension: "py", Interpreter: "/python"}
	f := newFacts([]binfmt.Entry{temporary, own(t, "arm64"), python, entryOf("FEX", lookup(t, "arm").Pattern())})
	for archs, want := range map[string][]string{
		"":      {"remove qemu-aarch64: ", "skip qemu-s390x: it is not for s390x programs", "remove qemu-aarch64.new: left by a run that was interrupted"},
		"arm64": {"remove qemu-aarch64: ", "remove qemu-aarch64.new: left by a run that was interrupted"},
		"s390x": {"skip qemu-s390x: it is not for s390x programs ! not removed: it is not for s390x programs"},
		"arm":   {"skip qemu-arm:  ! no entry qemu-arm"},
	} {
		assert.Equal(t, want, lines(DecideRemoval(f, request(t, strings.Fields(archs)...))), archs)
	}
	assert.ErrorIs(t, DecideRemoval(f, request(t, "arm"))[0].Err, ErrNoEntry)
	assert.ErrorIs(t, DecideRemoval(f, request(t, "s390x"))[0].Err, ErrNameTaken)
}

// A dry run without a mount takes the native ones out of it, and panicked at what
// was left of the request.
func TestTheListOfARequestIsTheCallersToChange(t *testing.T) {
	r := request(t, "amd64", "s390x")
	clear(r.about())
	assert.Equal(t, request(t, "amd64", "s390x"), r)
}

func TestAnArchitectureThatIsNamedTwiceCountsOnce(t *testing.T) {
	f := newFacts(nil, "arm", "s390x")
	r := request(t, "linux/arm/v6", "s390x", "linux/arm/v7")
	decisions, err := Decide(f, r)
	require.NoError(t, err)
	assert.Equal(t, []string{"add qemu-arm: not registered", "add qemu-s390x: not registered"}, lines(decisions))

	f.Entries, f.Mounted = Entries{own(t, "arm"), own(t, "s390x")}, true
	assert.Len(t, DecideRemoval(f, r), 2)
	assert.Len(t, f.about(r), 2)
}

func TestEntriesAreReadBack(t *testing.T) {
	entries := Entries{own(t, "arm64"), {Name: "py", Extension: "py", Interpreter: "/python", Disabled: true}}
	text, err := json.Marshal(entries)
	require.NoError(t, err)
	var again Entries
	require.NoError(t, json.Unmarshal(text, &again))
	require.Len(t, again, len(entries))
	for i, e := range entries {
		assert.Equal(t, e.Name, again[i].Name)
		assert.True(t, e.Equal(again[i]))
		assert.Equal(t, e.Disabled, again[i].Disabled)
		assert.True(t, e.Registered.Equal(again[i].Registered))
	}
	assert.Error(t, json.Unmarshal([]byte(`[{"name": "x", "status": "offset 0"}]`), &again))
	assert.Error(t, json.Unmarshal([]byte(`{}`), &again))
}
