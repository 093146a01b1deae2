package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// A report is what register did and saw, or what kept it from that. Its JSON form is
// for programs, and described in docs/report.md: fields may be added, and keep their
// meaning.
type report struct {
	Version int       `json:"version"` // of this form: docs/report.md
	OK      bool      `json:"ok"`      // the exit status is 0
	Errors  []string  `json:"errors"`  // those that are about no architecture below
	Kernel  string    `json:"kernel"`  // version: 6.18
	Mount   string    `json:"mount"`   // directory of the instance
	Mounted bool      `json:"mounted"` // it is there; else no entry is seen
	Private bool      `json:"private"` // the instance is that of a user namespace, not the host's
	Native  []string  `json:"native"`  // platforms that the host runs itself
	Rows    []*row    `json:"architectures"`
	Removed []removal `json:"removed"` // entries other than the architectures' own
	Others  []other   `json:"others"`  // entries of other owners for the same programs
	Old     []old     `json:"old,omitempty"`

	Files []fileChange `json:"files,omitempty"` // where files are written, and nothing is registered
	Notes []string     `json:"notes,omitempty"` // what is to be known then

	Versions []emulator.VersionFaults `json:"versions,omitempty"` // of QEMU that are in use

	dryRun, noProbe bool
}

// A row is one architecture of the report.
type row struct {
	Arch     string        `json:"arch"`               // QEMU's name
	Platform string        `json:"platform"`           // linux/arm64
	Entry    string        `json:"entry,omitempty"`    // name of the entry
	Flags    string        `json:"flags,omitempty"`    // as the kernel prints them
	Emulator string        `json:"emulator,omitempty"` // the entry's interpreter
	Version  string        `json:"version,omitempty"`  // of the file at that path, or of what is embedded
	Embedded string        `json:"embedded,omitempty"` // digest of the emulator that register has for it
	Holds    *install.Held `json:"holds,omitempty"`    // the file that the kernel runs
	Action   string        `json:"action,omitempty"`   // keep, add, replace, remove, skip
	Reason   string        `json:"reason,omitempty"`   // for the action
	Runs     *bool         `json:"runs,omitempty"`     // a program of it ran; absent where none was tried
	Error    string        `json:"error,omitempty"`    // why it did not, or why it is not registered
	Faults   []string      `json:"faults,omitempty"`   // what its emulator is known to do wrong

	arch      *elfmagic.Arch
	emulator  string // as the table has it
	elsewhere bool   // the emulator is not here, but in the containers
	err       error
}

// An old emulator does some things wrong that newer ones do right, whatever the
// architecture.
type old struct {
	Version string   `json:"version"`
	Faults  []string `json:"faults"`
}

// year is that of the release that the version has fixes for.
func (o old) year() string {
	if year := emulator.Year(o.Version); year > 0 {
		return strconv.Itoa(year)
	}
	return "before 2019"
}

// A removal is an entry that was removed besides those of the architectures.
type removal struct {
	Entry  string `json:"entry"`
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// An other is an entry of somebody else's, and what it catches.
type other struct {
	Entry       string   `json:"entry"`
	Interpreter string   `json:"interpreter"`
	Flags       string   `json:"flags"`
	Enabled     bool     `json:"enabled"`
	Missing     bool     `json:"missing,omitempty"` // there is no such interpreter here
	Catches     []string `json:"catches"`           // platforms
	Error       string   `json:"error,omitempty"`   // why the entry cannot be understood
}

// row adds a row for an architecture.
func (r *report) row(arch *elfmagic.Arch) *row {
	row := &row{Arch: arch.Name, Platform: arch.Platform(), arch: arch}
	r.Rows = append(r.Rows, row)
	return row
}

// reportOutcomes shows what came of decisions, or with --status what is there.
func reportOutcomes(f *install.Facts, outcomes []install.Outcome, o *options) *report {
	rep := &report{Kernel: f.Kernel.String(), Mount: f.Mount, Mounted: f.Mounted, Private: !f.Surroundings.InitialUser, dryRun: o.DryRun, noProbe: o.NoProbe || o.uninstall}
	for _, name := range f.Native {
		if arch, err := elfmagic.Lookup(name); err == nil {
			rep.Native = append(rep.Native, arch.Platform())
		}
	}
	for _, out := range outcomes {
		if out.Arch == nil {
			rep.Removed = append(rep.Removed, removal{out.Name, out.Action.String(), out.Reason})
			continue
		}
		rep.row(out.Arch).fill(out, o)
	}
	if o.status {
		rep.others(f, o.Prefix)
	}
	return rep
}

// fill shows what came of the row's decision.
func (r *row) fill(out install.Outcome, o *options) {
	e := out.Current
	if out.Desired.Name != "" {
		e = out.Desired
	}
	r.Entry = e.Name
	if out.Action != binfmt.Skip || out.Desired.Name != "" { // else it is not the architecture's
		r.Flags, r.Emulator = e.Flags.Effective().String(), e.Interpreter
	}
	if emulator := out.Emulator; emulator != nil {
		r.Version, r.Embedded = emulator.Version, emulator.Embedded
		if r.Embedded != "" {
			r.emulator = emulator.Name()
			if o.DryRun && out.Action != binfmt.Keep {
				r.Emulator = "" // there is no path yet
			}
		}
	}
	r.elsewhere = out.Elsewhere()
	if r.Reason = out.Reason; !o.status && (out.Action != binfmt.Skip || out.Reason != "") {
		r.Action = out.Action.String()
	}
	if out.Undone {
		r.Reason = undone
	}
	if out.Seen != nil {
		r.Runs, r.Holds = &out.Seen.Runs, out.Seen.Holds
	}
	if out.Err != nil {
		r.fail(o.worded(out.Err))
	}
}

// fail notes what went wrong.
func (r *row) fail(err error) {
	// Errors about an emulator begin with the architecture, as the row does.
	r.Error = strings.TrimPrefix(err.Error(), r.Arch+": ")
	r.err = &rowError{r.Platform + ": " + r.Error, err}
}

// A rowError is what went wrong, with the row's name before it.
type rowError struct {
	text string
	error
}

func (e *rowError) Error() string { return e.text }

func (e *rowError) Unwrap() error { return e.error }

// others notes the entries of others for the rows' programs, and those that nobody
// understands.
func (r *report) others(f *install.Facts, prefix string) {
	for _, row := range r.Rows {
		for _, e := range f.Others(row.arch, prefix) {
			i := slices.IndexFunc(r.Others, func(o other) bool { return o.Entry == e.Name })
			if i < 0 {
				i = len(r.Others)
				_, err := os.Stat(e.Interpreter)
				missing := errors.Is(err, os.ErrNotExist) && !install.IsDescriptor(e.Interpreter)
				r.Others = append(r.Others, other{Entry: e.Name, Interpreter: e.Interpreter, Flags: e.Flags.String(), Enabled: !e.Disabled, Missing: missing})
			}
			r.Others[i].Catches = append(r.Others[i].Catches, row.Platform)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Unreadable)) {
		r.Others = append(r.Others, other{Entry: name, Catches: []string{}, Error: f.Unreadable[name]})
	}
}

// reportVersion changes when a field is removed or changes its meaning.
const reportVersion = 1

// finish fills what follows from the rest, and notes errors that are about no row.
func (r *report) finish(err error) {
	r.Version = reportVersion
	// JSON arrays are never null.
	r.Native, r.Rows = append([]string{}, r.Native...), append([]*row{}, r.Rows...)
	r.Removed, r.Others = append([]removal{}, r.Removed...), append([]other{}, r.Others...)
	r.Errors = []string{}
	for _, err := range cli.Split(err) {
		r.Errors = append(r.Errors, err.Error())
	}
	r.OK = err == nil && r.failures() == nil
	for _, row := range r.Rows {
		if row.Error != "" || row.Action == binfmt.Remove.String() || row.Entry == "" {
			continue
		}
		r.Versions = emulator.AddFaults(r.Versions, row.arch, row.version())
		version := emulator.ShortVersion(row.version())
		own, all := emulator.Faults(row.arch, version)
		row.Faults = own
		known := slices.ContainsFunc(r.Old, func(o old) bool { return o.Version == version })
		if len(all) > 0 && !known {
			r.Old = append(r.Old, old{version, all})
		}
	}
}

// failures returns what went wrong with single architectures.
func (r *report) failures() error {
	var errs []error
	for _, row := range r.Rows {
		errs = append(errs, row.err)
	}
	return errors.Join(errs...)
}

// write prints the report in the form that was asked for.
func (r *report) write(w io.Writer, asJSON bool, screen cli.Screen) error {
	if asJSON {
		return printJSON(w, r)
	}
	if len(r.Rows) == 0 && len(r.Removed) == 0 && len(r.Others) == 0 {
		what := "no entries for other architectures"
		switch {
		case !r.Mounted && r.noProbe:
			what = "no entries can be seen"
		case !r.Mounted:
			what = "no entries can be seen, and no other architecture's programs run"
		}
		_, err := fmt.Fprintln(w, what)
		return err
	}
	table := cli.Table{Header: []string{"PLATFORM", "ENTRY", "FLAGS", "EMULATOR", "VERSION", "RESULT"}, Path: 3, Derived: 1}
	line := func(colour string, cells ...string) {
		table.Rows = append(table.Rows, cli.Row{Cells: cells, Colour: colour})
	}
	for _, row := range r.Rows {
		line(row.colour(), row.Platform, row.Entry, row.Flags, row.file(), emulator.ShortVersion(row.version()), row.result(r))
	}
	for _, x := range r.Removed {
		line("", "", x.Entry, "", "", "", r.done(x.Action)+": "+x.Reason)
	}
	for _, x := range r.Others {
		line(cli.Quiet, strings.Join(x.Catches, ","), x.Entry, x.Flags, x.Interpreter, "", x.state(r.Mount))
	}
	if len(r.Rows) == 0 {
		table.Header = nil
	}
	if err := table.Write(w, screen); err != nil {
		return err
	}
	for _, o := range r.Old {
		text := fmt.Sprintf("QEMU %s is old (%s). Mended in %d: %s.", o.Version, o.year(), emulator.Old, strings.Join(o.Faults, "; "))
		fmt.Fprintln(w, cli.Wrap(text, screen.Columns, 0))
	}
	for _, line := range emulator.FaultLines(r.Versions) {
		fmt.Fprintln(w, cli.Wrap(line, screen.Columns, 0))
	}
	return nil
}

// state is what the table says in its last column.
func (x *other) state(mount string) string {
	remove := "echo -1 > " + cli.Quote(mount+"/"+x.Entry) + " removes it"
	switch {
	case x.Error != "":
		return "cannot be understood: " + x.Error
	case x.Missing && strings.Contains(x.Flags, "F"):
		return "made by others; its interpreter is gone from disk: " + remove
	case x.Missing:
		return "made by others; its interpreter is missing: " + remove
	case !x.Enabled:
		return "disabled, made by others"
	}
	return "enabled, made by others"
}

// colour is that of the row's result.
func (r *row) colour() string {
	switch {
	case r.err != nil || r.Error != "" || r.Runs != nil && !*r.Runs:
		return cli.Bad
	case r.Runs != nil:
		return cli.Good
	}
	return ""
}

// file says in the table which emulator it is: the entry's interpreter if that is
// a path.
func (r *row) file() string {
	switch {
	case r.emulator != "" && (r.Holds == nil || r.Holds.Current):
		return r.emulator
	case install.IsDescriptor(r.Emulator):
		return "in memory"
	}
	return r.Emulator
}

// version is the version of the emulator that runs, as far as it is known.
func (r *row) version() string {
	if r.Holds == nil {
		return r.Version
	}
	return cmp.Or(r.Holds.Version, r.Version)
}

// undone is the reason of rows whose entry was taken back: its programs did not
// run.
const undone = "undone"

// result is what the table says in its last column.
func (r *row) result(rep *report) string {
	parts := []string{r.outcome(rep)}
	if r.elsewhere && r.Action != binfmt.Skip.String() {
		parts = append(parts, "not tried: its emulator is to be in each container")
	}
	if r.Runs != nil && *r.Runs {
		parts = append(parts, "runs")
	}
	parts = append(parts, r.held(), r.Error)
	if len(r.Faults) > 0 {
		parts = append(parts, "QEMU "+emulator.ShortVersion(r.version())+": "+strings.Join(r.Faults, "; "))
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}

// outcome says what was done, and why if that is not said elsewhere.
func (r *row) outcome(rep *report) string {
	done := rep.done(r.Action)
	switch {
	case r.leftNative():
		return "native, nothing to do"
	case r.Reason == "", r.Error != "" && strings.Contains(r.Error, r.Reason):
		return done
	case r.Action == "":
		return r.Reason
	case r.Reason != undone && (r.Action == binfmt.Keep.String() || r.Action == binfmt.Add.String()):
		return done // the reason is that it was there, or was not
	}
	return done + " (" + r.Reason + ")"
}

// held says what is odd about the file that the kernel runs.
func (r *row) held() string {
	switch {
	case r.Holds == nil, r.Holds.Current:
	case r.Embedded != "":
		return "not by the emulator that is embedded now"
	case install.IsDescriptor(r.Emulator):
	case r.Holds.Path != r.Emulator && !r.Holds.Deleted && filepath.Base(r.Holds.Path) != filepath.Base(r.Emulator):
		return "run by " + r.Holds.Path
	case r.Version != "":
		return "not by the file that is there now"
	case r.Holds.Deleted:
		return "emulator deleted from disk"
	}
	return ""
}

// leftNative reports whether nothing was to be done, as the host runs the programs.
func (r *row) leftNative() bool { return r.Action == binfmt.Skip.String() && r.Reason == "native" }

// done words an action as what happened, or on a dry run as what would.
func (r *report) done(action string) string {
	if r.dryRun && action != "" {
		return "would " + action
	}
	past := map[string]string{"keep": "kept", "add": "added", "replace": "replaced", "remove": "removed", "skip": "left alone"}
	return cmp.Or(past[action], action)
}
