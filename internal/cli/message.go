// Package cli is what the commands of this project have in common: how they print
// errors and hints, quote words for a shell, and say their version.
package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Error prints an error to w and below it, once each, the hints that the
// errors it wraps have. Errors that were joined are printed one by one.
func Error(w io.Writer, name string, err error) {
	print(w, name, "error", err)
}

// Warning prints an error that does not keep the command from its work.
func Warning(w io.Writer, name string, err error) {
	print(w, name, "warning", err)
}

func print(w io.Writer, name, level string, err error) {
	var hints []string
	for _, err := range Split(err) {
		fmt.Fprintf(w, "%s: %s: %s\n", name, level, message(err.Error()))
		if hint := Hint(err); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	for _, hint := range hints {
		fmt.Fprintf(w, "%s: hint: %s\n", name, message(hint))
	}
}

// message returns a text of an error, which may have names of files and entries in
// it, as it is shown: further lines are seen to be no messages of their own.
func message(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = Visible(strings.TrimPrefix(line, "\t"))
	}
	return strings.Join(lines, "\n\t")
}

// Split takes joined errors apart: those that say nothing but what each of
// them says, on lines of their own.
func Split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	var texts []string
	for _, err := range joined.Unwrap() {
		texts = append(texts, err.Error())
		list = append(list, Split(err)...)
	}
	if strings.Join(texts, "\n") != err.Error() {
		return []error{err}
	}
	return list
}

// WithHint adds a hint to an error.
func WithHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }
func (h *hinted) Hint() string  { return h.hint }

// Line prints each error to w as one line, its hint in brackets: for callers
// that show the last line of what a command says.
func Line(w io.Writer, name string, err error) {
	for _, err := range Split(err) {
		text := err.Error()
		if hint := Hint(err); hint != "" {
			text += " (" + hint + ")"
		}
		fmt.Fprintf(w, "%s: error: %s\n", name, Visible(text))
	}
}

// Quoted returns the last lines of what a command said, to follow its error.
func Quoted(said string) string {
	const most = 20
	lines := strings.Split(strings.TrimSpace(said), "\n")
	lines = lines[max(0, len(lines)-most):]
	if text := strings.Join(lines, "\n\t"); text != "" {
		return "\n\t" + text
	}
	return ""
}
