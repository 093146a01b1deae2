package binfmt

import (
	"fmt"
	"slices"
)

// An Action is what a step does with an entry.
type Action int

const (
	Keep    Action = iota // it is there as it is wanted
	Add                   // it is not there
	Replace               // it is there, but differs
	Remove                // it is there, and not wanted
	Skip                  // it would take what is somebody else's
)

var actionNames = []string{"keep", "add", "replace", "remove", "skip"}

func (a Action) String() string {
	if a < 0 || int(a) >= len(actionNames) {
		return fmt.Sprintf("Action(%d)", int(a))
	}
	return actionNames[a]
}

// A Step is what is to be done with one entry, and why.
type Step struct {
	Action  Action
	Name    string
	Desired Entry // what is wanted, but for Remove
	Current Entry // what is there, but for Add
	Reason  string
}

// PlanOptions are what a plan depends on besides the entries.
type PlanOptions struct {
	Force  bool     // replaces an entry of the same name even if it is for other files
	Own    []string // names of entries that are replaced even so without Force
	Remove []string // names of entries that are to be removed unless they are wanted

	// Stale has a reason for each entry, by name, that is to be replaced
	// although it reads as it is wanted: its interpreter's file was, for one.
	Stale map[string]string
}

// Plan returns the steps that lead from the current entries to the desired
// ones: one for each desired entry, in their order, then the removals. Of the
// entries that are not desired it removes only those that the options name, and
// those temporary ones of desired entries that an interrupted run left.
func Plan(desired, current []Entry, o PlanOptions) []Step {
	steps := make([]Step, 0, len(desired))
	for _, d := range desired {
		steps = append(steps, planOne(d, current, o))
	}
	for _, e := range current {
		reason, final := "not wanted", named(desired, e.Final())
		switch {
		case named(desired, e.Name) != nil:
			continue
		case slices.Contains(o.Remove, e.Name):
		case final != nil && e.shares(*final):
			reason = "left by a run that was interrupted"
		default:
			continue
		}
		steps = append(steps, Step{Action: Remove, Name: e.Name, Current: e, Reason: reason})
	}
	return steps
}

// named returns the entry of a name, or nil.
func named(entries []Entry, name string) *Entry {
	if i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name }); i >= 0 {
		return &entries[i]
	}
	return nil
}

func planOne(d Entry, current []Entry, o PlanOptions) Step {
	there := named(current, d.Name)
	if there == nil {
		return Step{Action: Add, Name: d.Name, Desired: d, Reason: "not registered"}
	}
	step := Step{Name: d.Name, Desired: d, Current: *there}
	difference := d.difference(*there)
	switch {
	case !o.Force && d.validate() == nil && !d.shares(*there) && !slices.Contains(o.Own, d.Name): // Stage says what is not valid
		step.Action, step.Reason = Skip, "an entry of this name is for other files"
	case difference != "":
		step.Action, step.Reason = Replace, difference
	case o.Stale[d.Name] != "":
		step.Action, step.Reason = Replace, o.Stale[d.Name]
	case there.Disabled:
		step.Action, step.Reason = Replace, "it is disabled"
	default:
		step.Action, step.Reason = Keep, "registered already"
	}
	return step
}
