package main

import (
	"fmt"
	"io"
	"strings"
)

// A fileChange is what is done with one file, by the modes that write files and register nothing.
type fileChange struct {
	Path    string `json:"path"`
	Action  string `json:"action"`            // install, keep, remove, leave
	Reason  string `json:"reason,omitempty"`  // for the action
	Content string `json:"content,omitempty"` // of a dry run, which writes nothing
}

// A teller tells what such a mode does: in lines, or in a report.
type teller struct {
	stdout io.Writer
	report *report // nil: lines
}

// file tells of a file, for people by a line.
func (t teller) file(c fileChange, line string) {
	if t.report != nil {
		c.Action = strings.TrimPrefix(c.Action, would)
		t.report.Files = append(t.report.Files, c)
		return
	}
	fmt.Fprintln(t.stdout, strings.TrimSuffix(line, "\n"))
}

// note tells what is to be known besides.
func (t teller) note(line string) {
	if t.report != nil {
		t.report.Notes = append(t.report.Notes, line)
		return
	}
	fmt.Fprintln(t.stdout, line)
}

// would precedes an action that a dry run does not do.
const would = "would "

// tellFiles does what do does, and returns a report if one is asked for.
func (o *options) tellFiles(stdout io.Writer, do func(t teller) error) (*report, error) {
	t := teller{stdout: stdout}
	if o.json {
		t.report = &report{Mount: o.mount}
	}
	err := do(t)
	return t.report, err
}
