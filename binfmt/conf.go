package binfmt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// confDelimiters are those that separate the parts of a line in binfmt.d: # and
// ; would begin a comment, and space in front of a line is dropped.
const confDelimiters = ":,|!%&*+=?@^_~"

// ParseConf reads a file of binfmt.d, of what systemd-binfmt(8) registers at boot:
// one registration on each line, as Entry.UnmarshalText has it. Empty lines and
// those that begin with # or ; are no registrations. A line that the kernel would
// refuse does not stop it, as it does not stop systemd-binfmt: the entries of the
// others are returned with an error that names each line by its number.
func ParseConf(r io.Reader) ([]Entry, error) {
	var entries []Entry
	var errs []error
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // LONG_LINE_MAX of systemd
	for number := 1; lines.Scan(); number++ {
		line := strings.Trim(lines.Text(), " \t\r")
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		e, err := parseLine(line)
		if err == nil {
			err = e.validate()
		}
		if err == nil && len(line) > maxLine {
			err = fmt.Errorf("registration of %d bytes; the kernel takes %d", len(line), maxLine)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		entries = append(entries, e)
	}
	return entries, errors.Join(append(errs, lines.Err())...)
}

// WriteConf writes entries as ParseConf reads them. It fails, and writes
// nothing, if one of them is disabled, which no line can say, or not valid.
func WriteConf(w io.Writer, entries []Entry) error {
	var text []byte
	for _, e := range entries {
		if e.Disabled {
			return fmt.Errorf("entry %q is disabled, which binfmt.d cannot express", e.Name)
		}
		line, err := e.line(make([]byte, 0, e.longest()), confDelimiters)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	_, err := w.Write(text)
	return err
}
