package hosts

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	hostpkg "github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// The commands, each of which finds the host as its file has it, but for the second
// register.
const (
	register      = "register"
	again         = "register, again"
	status        = "register --status"
	force         = "register --force"
	uninstall     = "register --uninstall"
	binfmtInstall = "binfmt --install all"
	binfmtRemove  = "binfmt --uninstall '*'"
)

var all = []string{register, again, status, force, uninstall, binfmtInstall, binfmtRemove}

// An outcome is what a command did, as the tables have it.
type outcome struct {
	exit                           string
	added, replaced, removed, kept int
	left                           int    // left alone
	run                            string // architectures that run afterwards
	theirs                         []string
}

func TestHosts(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the tables are those of a machine of amd64")
	}
	kerneltest.Need(t)
	// One run is enough, as whichever user: a minute of it is spent in emulators.
	done := filepath.Join(commands.Dir(), "hosts-done")
	if _, err := os.Stat(done); err == nil && commands.SingleUser(t) {
		t.Skip("the run as root has tried all hosts")
	}
	for _, arch := range emulated(t) {
		commands.FindEmulator(t, arch)
	}
	var text strings.Builder
	text.WriteString(introduction)
	hosts := readHosts(t)
	slices.SortStableFunc(hosts, func(a, b *host) int { return strings.Compare(a.arch, b.arch) })
	whole := true
	for _, h := range hosts {
		whole = t.Run(h.name, func(t *testing.T) {
			outcomes := map[string]*outcome{}
			if h.arch == runtime.GOARCH {
				h.run(t, outcomes)
			} else {
				h.decide(t, outcomes)
			}
			h.table(&text, outcomes)
		}) && whole
		whole = whole && strings.Contains(text.String(), h.name+".conf")
	}
	if !whole {
		t.Skip("docs/hosts.md is compared when all hosts were tried, and none failed")
	}
	kerneltest.Golden(t, "../../../docs/hosts.md", text.String())
	require.NoError(t, os.WriteFile(done, nil, 0o644))
}

// run does the commands on a private instance.
func (h *host) run(t *testing.T, outcomes map[string]*outcome) {
	idle := commands.GoProgram(t, "false", runtime.GOARCH)
	root := t.TempDir()
	entries := h.place(t, root, idle)
	mustNotCapture(t, entries)
	// What changes nothing, and is seen to, is not made anew for the next.
	for _, sequence := range [][]string{{status, register, again}, {force}, {uninstall}, {binfmtInstall}, {binfmtRemove}} {
		fs := kerneltest.Instance(t)
		for _, e := range entries {
			require.NoError(t, fs.Register(e), e.Name)
		}
		for _, command := range sequence {
			before := commands.List(t, fs)
			r := h.command(t, root, command)
			after := commands.List(t, fs)
			o := compare(before, after)
			outcomes[command] = o
			o.exit = fmt.Sprint(r.Status)
			o.theirs = h.present(after)
			reported := o.said(t, command, r)
			if command == register || command == uninstall || command == binfmtInstall || command == binfmtRemove {
				runs := running(t, fs)
				if command == register {
					assert.Equal(t, runs, reported)
				}
				reported = runs
			}
			o.run = strconv.Itoa(len(reported))
			h.mustHold(t, command, before, after, r)
			if slices.Contains([]string{register, again, force, binfmtInstall}, command) {
				assert.Len(t, reported, len(emulated(t)), "%s: %q: %s%s", h.name, command, r.Stdout, r.Stderr)
			}
		}
	}
}

// command runs one with the emulators of the host.
func (h *host) command(t *testing.T, root, command string) commands.Result {
	t.Helper()
	args := strings.Fields(strings.TrimSuffix(command, ", again"))
	cmd := commands.Command("register", args[1:]...)
	if cmd.Args[0] = args[0]; args[0] == register {
		cmd.Args = append(cmd.Args, "--output", "json")
	}
	for i, arg := range cmd.Args {
		cmd.Args[i] = strings.Trim(arg, "'")
	}
	cmd.Env = append(os.Environ(), "QEMU_BIN_DIR="+filepath.Join(root, "usr/bin"))
	return commands.Run(t, cmd)
}

// compare counts what became of the entries.
func compare(before, after []binfmt.Entry) *outcome {
	o := new(outcome)
	for _, e := range after {
		switch i := slices.IndexFunc(before, func(b binfmt.Entry) bool { return b.Name == e.Name }); {
		case i < 0:
			o.added++
		case !same(before[i], e):
			o.replaced++
		}
	}
	for _, e := range before {
		if !slices.ContainsFunc(after, func(a binfmt.Entry) bool { return a.Name == e.Name }) {
			o.removed++
		}
	}
	return o
}

// same reports whether it is the same entry, and not one that reads the same.
func same(a, b binfmt.Entry) bool {
	return a.Equal(b) && a.Disabled == b.Disabled && a.Registered.Equal(b.Registered)
}

// said takes from what a command says how many it kept and left alone, and checks
// that it says the same of the others as was seen. It returns the architectures
// that register says run.
func (o *outcome) said(t *testing.T, command string, r commands.Result) (runs []string) {
	t.Helper()
	if strings.HasPrefix(command, "binfmt") {
		o.kept = strings.Count(r.Stderr, "OK (already registered)\n")
		o.left = strings.Count(r.Stderr, "left alone")
		return nil
	}
	var report struct {
		Architectures []struct {
			Arch, Action, Reason string
			Runs                 bool
		}
		Removed []struct{ Action string }
	}
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &report), "%+v", r)
	said := map[string]int{}
	for _, row := range report.Architectures {
		assert.NotEqual(t, "native", row.Reason, "nobody asked for it")
		said[row.Action]++
		if row.Runs {
			runs = append(runs, row.Arch)
		}
	}
	for _, row := range report.Removed {
		said[row.Action]++
	}
	o.kept, o.left = said["keep"], said["skip"]
	assert.Equal(t, []int{o.added, o.replaced, o.removed}, []int{said["add"], said["replace"], said["remove"]}, "%q: %s", command, r.Stdout)
	return runs
}

// running returns the architectures whose programs run.
func running(t *testing.T, fs binfmt.FS) []string {
	t.Helper()
	archs := emulated(t)
	var group sync.WaitGroup
	runs := make([]bool, len(archs))
	slots := make(chan struct{}, runtime.NumCPU())
	for i, arch := range archs {
		group.Go(func() {
			slots <- struct{}{}
			runs[i] = hostpkg.Check(context.Background(), fs, arch) == nil
			<-slots
		})
	}
	group.Wait()
	var names []string
	for i, arch := range archs {
		if runs[i] {
			names = append(names, arch.Name)
		}
	}
	return names
}

// present returns which of somebody else's entries are there, in the order of
// the host's file.
func (h *host) present(entries []binfmt.Entry) []string {
	var names []string
	for _, e := range h.entries {
		if slices.Contains(h.theirs(), e.Name) && slices.ContainsFunc(entries, func(x binfmt.Entry) bool { return x.Name == e.Name }) {
			names = append(names, e.Name)
		}
	}
	return names
}

// mustHold asserts what holds on every host.
func (h *host) mustHold(t *testing.T, command string, before, after []binfmt.Entry, r commands.Result) {
	t.Helper()
	said := fmt.Sprintf("%s: %q: %s%s", h.name, command, r.Stdout, r.Stderr)
	keeps := h.theirs()
	if command == binfmtRemove {
		keeps = h.others
		for _, e := range after {
			assert.Contains(t, h.others, e.Name, said)
		}
	}
	theirs := func(entries []binfmt.Entry) []binfmt.Entry {
		return slices.DeleteFunc(slices.Clone(entries), func(e binfmt.Entry) bool { return !slices.Contains(keeps, e.Name) })
	}
	assert.Equal(t, theirs(before), theirs(after), said)
	switch command {
	case register, again, force, uninstall, binfmtInstall, binfmtRemove:
		assert.Equal(t, 0, r.Status, said)
	}
	if command == again || command == status {
		assert.Equal(t, before, after, said)
	}
	if command == uninstall {
		for _, e := range after {
			_, err := elfmagic.Lookup(strings.TrimPrefix(e.Name, "qemu-"))
			assert.True(t, err != nil || slices.Contains(keeps, e.Name), "%s is left: %s", e.Name, said)
		}
	}
}

// decide computes what register would do, and does what can be done without
// running anything by the host's entries.
func (h *host) decide(t *testing.T, outcomes map[string]*outcome) {
	requests := map[string]install.Request{
		register: {}, again: {}, force: {Force: true}, binfmtInstall: {Credentials: install.Yes},
	}
	for _, command := range []string{register, again, force, binfmtInstall} {
		f := h.facts(t)
		before := []binfmt.Entry(f.Entries)
		decisions, err := install.Decide(f, requests[command])
		require.NoError(t, err)
		after := simulate(before, decisions)
		if command == again {
			before = after
			f.Entries = before
			decisions, err = install.Decide(f, requests[command])
			require.NoError(t, err)
			after = simulate(before, decisions)
			assert.Equal(t, before, after, h.name)
		}
		o := &outcome{exit: "0", theirs: h.present(after), run: "–"}
		for _, d := range decisions {
			assert.NoError(t, d.Err, "%s: %q", h.name, command)
			switch d.Action {
			case binfmt.Add:
				o.added++
			case binfmt.Replace:
				o.replaced++
			case binfmt.Remove:
				o.removed++
			case binfmt.Keep:
				o.kept++
			case binfmt.Skip:
				o.left++
				assert.NotEmpty(t, d.LeftTo, d.Reason)
			}
		}
		outcomes[command] = o
		assert.Equal(t, len(h.theirs()), len(o.theirs), "%s: %q", h.name, command)
		for _, e := range before {
			if slices.Contains(h.theirs(), e.Name) {
				assert.Contains(t, after, e, "%s: %q", h.name, command)
			}
		}
	}

	// Where all entries are disabled before the first is made, none captures
	// anything. Removing runs nothing by them.
	idle := commands.GoProgram(t, "false", runtime.GOARCH)
	root := t.TempDir()
	entries := h.place(t, root, idle)
	for _, command := range []string{uninstall, binfmtRemove} {
		t.Run(command, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			status := filepath.Join(fs.Dir(), "status")
			t.Cleanup(func() {
				for _, e := range commands.List(t, fs) {
					require.NoError(t, fs.Remove(e.Name))
				}
				require.NoError(t, os.WriteFile(status, []byte("1"), 0o644))
			})
			require.NoError(t, os.WriteFile(status, []byte("0"), 0o644))
			for _, e := range entries {
				require.NoError(t, fs.Register(e), e.Name)
			}
			before := commands.List(t, fs)
			r := h.command(t, root, command)
			after := commands.List(t, fs)
			o := compare(before, after)
			o.exit, o.run, o.theirs = fmt.Sprint(r.Status), "–", h.present(after)
			o.said(t, command, r)
			h.mustHold(t, command, before, after, r)
			outcomes[command] = o
		})
	}
}

// facts are those of a host that is not here: of its architecture and no other,
// with a static emulator of QEMU 11 for every other one.
func (h *host) facts(t *testing.T) *install.Facts {
	t.Helper()
	self := kerneltest.Lookup(t, h.arch)
	f := &install.Facts{
		Kernel: binfmt.KernelVersion{Major: 6, Minor: 12}, Native: []string{self.Name}, Mount: binfmt.DefaultMount, Mounted: true,
		FixBinary: true, PreserveArgv0: true, Emulators: map[string]*install.Emulator{},
	}
	for _, arch := range elfmagic.Archs() {
		if arch != self {
			f.Emulators[arch.Name] = &install.Emulator{Path: "/usr/bin/qemu-" + arch.Name + "-static", Host: self.Name, Version: "11.1.3", PassesArgv0: true}
		}
	}
	for _, e := range slices.Backward(h.entries) {
		e.Disabled = slices.Contains(h.disabled, e.Name)
		f.Entries = append(f.Entries, e)
	}
	return f
}

// simulate returns the entries after decisions, newest first.
func simulate(entries []binfmt.Entry, decisions []install.Decision) []binfmt.Entry {
	entries = slices.Clone(entries)
	for _, d := range decisions {
		if d.Action == binfmt.Replace || d.Action == binfmt.Remove {
			entries = slices.DeleteFunc(entries, func(e binfmt.Entry) bool { return e.Name == d.Name })
		}
		if d.Action == binfmt.Replace || d.Action == binfmt.Add {
			entries = slices.Insert(entries, 0, d.Desired)
		}
	}
	return entries
}
