// Package plan is what the tests and the first process of their virtual
// machines say to each other.
package plan

// A Step is one thing to do: to run Argv, unless another field says so.
type Step struct {
	Name string
	Argv []string
	Root string // directory to change the root to

	LoadModule string // path of a kernel module
	Entries    bool   // list the entries of binfmt_misc
	Write      string // into Path
	Path       string
}

// An Outcome is what came of a step.
type Outcome struct {
	Step           string
	Status         int // exit status; -1: it did not come to that
	Stdout, Stderr string
	Seconds        float64
}

// Marker begins the line of an outcome, as JSON, on the console.
const Marker = "@@outcome "

// End is the step of the last outcome. Its output is the kernel's release.
const End = "end"
