package crossenv

import (
	"io"
	"strings"

	"github.com/projectcalico/go-build/internal/cli"
)

// A Variable is one line for a POSIX shell.
type Variable struct {
	Name  string // empty for a comment
	Value string

	// Comment is the line's text where Name is empty.
	Comment string

	// Unset says that the variable must not be there: what it holds would be
	// for another architecture.
	Unset bool

	// Prepend says that Value comes before what the variable holds, with a
	// colon between the two.
	Prepend bool
}

// String returns the line, without a line feed.
func (v Variable) String() string {
	switch {
	case v.Name == "":
		return strings.TrimRight("# "+strings.ReplaceAll(v.Comment, "\n", " "), " ")
	case v.Unset:
		return "unset " + v.Name
	case v.Prepend:
		return "export " + v.Name + "=" + cli.Quote(v.Value) + `"${` + v.Name + ":+:$" + v.Name + `}"`
	}
	return "export " + v.Name + "=" + cli.Quote(v.Value)
}

// Print writes the variables as a POSIX shell reads them, one a line.
func Print(w io.Writer, variables []Variable) error {
	var s strings.Builder
	for _, v := range variables {
		s.WriteString(v.String())
		s.WriteByte('\n')
	}
	_, err := io.WriteString(w, s.String())
	return err
}
