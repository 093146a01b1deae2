package binfmt

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
)

// An Entry is one registration: which files it is for, and which interpreter
// executes them.
type Entry struct {
	Name     string
	Disabled bool

	// Pattern says by their first bytes which files the entry is for, or
	// Extension by the end of their names (without the dot). One of them is
	// set.
	Pattern   elfmagic.Pattern
	Extension string

	// Interpreter is the path of the program that is executed. With FixBinary
	// it is opened when the entry is registered, without at each execution, in
	// the root directory and mount namespace of whoever executes.
	Interpreter string

	Flags Flags

	// Unknown are the lines of the kernel's description that this package does
	// not understand.
	Unknown []string

	// Registered is when the entry was made, as coarse as the kernel's clock
	// tick. Only entries that were read from a file system have it.
	Registered time.Time
}

// Limits of the kernel. Before Linux 3.19 a registration had at most 255 bytes
// (bbaecc088247).
const (
	minLine = 11   // bytes
	maxLine = 1920 // bytes
	maxName = 255  // bytes: NAME_MAX
)

// Validate says whether the kernel would accept the entry, in words that the
// kernel, which has only EINVAL, does not have. It refuses two things that the
// kernel does not: a line feed, which would make the kernel's description of
// the entry ambiguous, and an interpreter without an absolute path, which would
// be looked up in the directory of whoever executes.
func (e Entry) Validate() error {
	_, err := e.line(make([]byte, 0, 512), delimiters)
	return err
}

func (e Entry) validate() error {
	for _, s := range []string{e.Name, e.Interpreter, e.Extension} {
		if strings.ContainsAny(s, "\x00\n") {
			return fmt.Errorf("%q has a NUL byte or a line feed", s)
		}
	}
	p := e.Pattern
	switch {
	case e.Name == "" || e.Name == "." || e.Name == "..":
		return fmt.Errorf("name %q cannot be a file's", e.Name)
	case strings.Contains(e.Name, "/"):
		return fmt.Errorf("name %q has a slash", e.Name)
	case len(e.Name) > maxName:
		return fmt.Errorf("name of %d bytes; %d are allowed", len(e.Name), maxName)
	case reserved(e.Name):
		return fmt.Errorf("name %q is that of one of binfmt_misc's own files", e.Name)
	case e.Interpreter == "":
		return errors.New("no interpreter")
	case !filepath.IsAbs(e.Interpreter):
		return fmt.Errorf("interpreter %q is not an absolute path", e.Interpreter)
	case strings.Contains(e.Extension, "/"):
		return fmt.Errorf("extension %q has a slash", e.Extension)
	case e.Extension != "" && (len(p.Magic) != 0 || len(p.Mask) != 0 || p.Offset != 0):
		return errors.New("both a pattern and an extension")
	case e.Extension != "":
		return nil
	case len(p.Magic) == 0:
		return errors.New("neither a magic nor an extension")
	}
	return p.Validate()
}

// reserved reports whether a name is that of a file that binfmt_misc itself
// has.
func reserved(name string) bool { return name == "register" || name == "status" }

// Requires returns the features of the kernel without which it refuses the
// entry with EINVAL.
func (e Entry) Requires() []Feature {
	var features []Feature
	if e.Flags.Has(FixBinary) {
		features = append(features, FeatureFixBinary)
	}
	if line, _ := e.MarshalText(); len(line) > 255 {
		features = append(features, FeatureLine1920)
	}
	if e.Pattern.Offset+len(e.Pattern.Magic) > 128 {
		features = append(features, FeatureWindow256)
	}
	return features
}

// Equal reports whether two entries would read the same in the kernel: all but
// when they were registered, and whether they are disabled.
func (e Entry) Equal(f Entry) bool {
	return e.Name == f.Name && e.difference(f) == ""
}

// Same reports whether two entries that were read are the same registration: one that
// was made later may read the same.
func (e Entry) Same(f Entry) bool { return e.Equal(f) && e.Registered.Equal(f.Registered) }

// difference says in what two entries differ, apart from their names; it is
// empty if in nothing.
func (e Entry) difference(f Entry) string {
	switch {
	case e.Interpreter != f.Interpreter:
		return fmt.Sprintf("interpreter %s instead of %s", e.Interpreter, f.Interpreter)
	case e.Flags.Effective() != f.Flags.Effective():
		return fmt.Sprintf("flags %q instead of %q", e.Flags.Effective(), f.Flags.Effective())
	case !e.Pattern.Equal(f.Pattern):
		return "another pattern"
	case e.Extension != f.Extension:
		return fmt.Sprintf("extension %q instead of %q", e.Extension, f.Extension)
	}
	return ""
}

// Matches reports whether the entry, if it were enabled, would be for the file
// that begins with head and is executed by the given path.
func (e Entry) Matches(head []byte, path string) bool {
	if e.Extension != "" {
		dot := strings.LastIndexByte(path, '.')
		return dot >= 0 && path[dot+1:] == e.Extension
	}
	return e.Pattern.Match(head)
}

// Catching returns those of the entries that are enabled and would be for a
// file that begins with one of heads.
func Catching(entries []Entry, heads [][]byte) []Entry {
	var catching []Entry
	for _, e := range entries {
		if !e.Disabled && slices.ContainsFunc(heads, func(head []byte) bool { return e.Matches(head, "") }) {
			catching = append(catching, e)
		}
	}
	return catching
}

// temporarySuffix, and a number if that name is taken, ends the name of an
// entry that stands in for another while that is being replaced.
const temporarySuffix = ".new"

// Final returns the name of the entry that this one stands in for, if its name
// is a temporary one as FS.Stage makes them, and the entry's own name if not.
func (e Entry) Final() string {
	base := strings.TrimRight(e.Name, "0123456789")
	if final, ok := strings.CutSuffix(base, temporarySuffix); ok && final != "" {
		return final
	}
	return e.Name
}

// Temporary reports whether the entry's name is a temporary one.
func (e Entry) Temporary() bool { return e.Final() != e.Name }

// shares reports whether there can be a file that both entries are for.
func (e Entry) shares(f Entry) bool {
	if e.Extension != "" || f.Extension != "" {
		return e.Extension == f.Extension
	}
	return e.Pattern.Overlaps(f.Pattern)
}
