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
	// Force replaces an entry of the same name even if it is for other files.
	Force bool

	// Own names entries that are replaced even so without Force.
	Own []string

	// Stale has a reason for each entry, by name, that is to be replaced
	// although it reads as it is wanted: its interpreter's file was, for one.
	Stale map[string]string

	// Remove names entries that are to be removed unless they are wanted.
	Remove []string
}

// Plan returns the steps that lead from the current entries to the desired
// ones: one for each desired entry, in their order, then the removals. Of the
// entries that are not desired it removes only those that the options name, and
// those temporary ones of desired entries that an interrupted run left.
func Plan(desired, current []Entry, o PlanOptions) []Step {
	var steps []Step
	for _, d := range desired {
		steps = append(steps, planOne(d, current, o))
	}
	removed := make(map[string]bool)
	remove := func(e Entry, reason string) {
		if !removed[e.Name] {
			removed[e.Name] = true
			steps = append(steps, Step{Action: Remove, Name: e.Name, Current: e, Reason: reason})
		}
	}
	for _, e := range current {
		same := func(name string) bool {
			return slices.ContainsFunc(desired, func(d Entry) bool { return d.Name == name })
		}
		switch {
		case same(e.Name):
		case slices.Contains(o.Remove, e.Name):
			remove(e, "not wanted")
		case e.Temporary() && same(e.Final()) && e.shares(desired[slices.IndexFunc(desired, func(d Entry) bool { return d.Name == e.Final() })]):
			remove(e, "left by a run that was interrupted")
		}
	}
	return steps
}

func planOne(d Entry, current []Entry, o PlanOptions) Step {
	step := Step{Name: d.Name, Desired: d}
	i := slices.IndexFunc(current, func(e Entry) bool { return e.Name == d.Name })
	if i < 0 {
		step.Action, step.Reason = Add, "not registered"
		return step
	}
	step.Current = current[i]
	difference := d.difference(step.Current)
	switch {
	case !o.Force && !d.shares(step.Current) && !slices.Contains(o.Own, d.Name):
		step.Action, step.Reason = Skip, "an entry of this name is for other files"
	case difference != "":
		step.Action, step.Reason = Replace, difference
	case o.Stale[d.Name] != "":
		step.Action, step.Reason = Replace, o.Stale[d.Name]
	case step.Current.Disabled:
		step.Action, step.Reason = Replace, "it is disabled"
	default:
		step.Action, step.Reason = Keep, "registered already"
	}
	return step
}
