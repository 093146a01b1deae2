package binfmt

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// delimiters are tried in this order. The kernel takes any byte; these occur
// in no other part of a line: not in \xHH, types, numbers or flags.
const delimiters = ":,;|!#%&*+=?@^_~ "

// MarshalText returns the line that registers the entry, as the kernel reads
// it: :name:type:offset:magic:mask:interpreter:flags. It fails where Validate
// does. That the entry is disabled cannot be said in it.
func (e Entry) MarshalText() ([]byte, error) { return e.line(make([]byte, 0, e.longest()), delimiters) }

// longest is at least as many bytes as the line has.
func (e *Entry) longest() int {
	const others = 32 + len(letters) // type, offset, delimiters, flags
	return others + len(e.Name) + len(e.Interpreter) + len(e.Extension) + len(`\x00`)*(len(e.Pattern.Magic)+len(e.Pattern.Mask))
}

// line appends what MarshalText returns, with one of the given delimiters.
func (e *Entry) line(line []byte, delimiters string) ([]byte, error) {
	if err := e.validate(); err != nil {
		return nil, fmt.Errorf("entry %q: %w", e.Name, err)
	}
	i := 0
	for i < len(delimiters) && e.has(delimiters[i]) {
		i++
	}
	if i == len(delimiters) {
		return nil, fmt.Errorf("entry %q: no character is left to separate the parts of its registration: none of %s is free", e.Name, delimiters)
	}
	delimiter := delimiters[i]
	line = append(append(append(line, delimiter), e.Name...), delimiter)
	if e.Extension != "" {
		line = append(line, 'E', delimiter, delimiter)
		line = append(append(line, e.Extension...), delimiter)
	} else {
		line = append(line, 'M', delimiter)
		line = append(strconv.AppendInt(line, int64(e.Pattern.Offset), 10), delimiter)
		line = append(appendEscaped(line, e.Pattern.Magic), delimiter)
		line = appendEscaped(line, e.Pattern.Mask)
	}
	line = append(append(append(line, delimiter), e.Interpreter...), delimiter)
	line = e.Flags.appendTo(line)
	if len(line) > maxLine {
		return nil, fmt.Errorf("entry %q: registration of %d bytes; the kernel takes %d", e.Name, len(line), maxLine)
	}
	return line, nil
}

// has reports whether a character is in one of the entry's texts.
func (e *Entry) has(c byte) bool {
	return strings.IndexByte(e.Name, c) >= 0 || strings.IndexByte(e.Interpreter, c) >= 0 || strings.IndexByte(e.Extension, c) >= 0
}

// appendEscaped appends each byte as \xHH: the kernel needs it for NUL, the delimiter and
// the backslash, and it is readable for all.
func appendEscaped(line, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range b {
		line = append(line, '\\', 'x', digits[c>>4], digits[c&15])
	}
	return line
}

// Status returns the text in which the kernel describes the entry. It does not
// have the entry's name, which is that of the file it is read from.
func (e Entry) Status() string {
	var s strings.Builder
	if e.Disabled {
		s.WriteString("disabled\n")
	} else {
		s.WriteString("enabled\n")
	}
	fmt.Fprintf(&s, "interpreter %s\nflags: %s\n", e.Interpreter, e.Flags.Effective())
	if e.Extension != "" {
		fmt.Fprintf(&s, "extension .%s\n", e.Extension)
	} else {
		fmt.Fprintf(&s, "offset %d\nmagic %x\n", e.Pattern.Offset, e.Pattern.Magic)
		if len(e.Pattern.Mask) != 0 {
			fmt.Fprintf(&s, "mask %x\n", e.Pattern.Mask)
		}
	}
	for _, line := range e.Unknown {
		s.WriteString(line + "\n")
	}
	return s.String()
}

// UnmarshalText reads what the kernel prints for an entry, or else the line
// that registers one. The kernel's text does not have the entry's name: Name
// stays what it is. Lines and flags that are not known are kept.
func (e *Entry) UnmarshalText(text []byte) error {
	var parsed Entry
	var err error
	first, rest, _ := strings.Cut(string(text), "\n")
	switch first {
	case "enabled", "disabled":
		parsed, err = parseStatus(rest)
		parsed.Name, parsed.Disabled = e.Name, first == "disabled"
	default:
		parsed, err = parseLine(string(text))
	}
	if err == nil {
		*e = parsed
	}
	return err
}

// parseStatus reads what follows the first line of the kernel's description
// (entry_status in fs/binfmt_misc.c):
//
//	interpreter /usr/bin/qemu-aarch64-static
//	flags: POCF
//	offset 0
//	magic 7f454c460201010000000000000000000200b700
//	mask ffffffffffffff00fffffffffffffffffeffffff
//
// or, for an extension, after the flags:
//
//	extension .jar
func parseStatus(text string) (Entry, error) {
	var e Entry
	seen := make(map[string]bool)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, " ")
		var err error
		switch {
		case line == "":
			continue
		case seen[key]:
			err = errors.New("a second time")
		case key == "interpreter":
			e.Interpreter = value
		case key == "flags:":
			e.Flags, err = ParseFlags(value)
		case key == "extension" && strings.HasPrefix(value, "."):
			e.Extension = value[1:]
		case key == "offset":
			e.Pattern.Offset, err = strconv.Atoi(value)
		case key == "magic":
			e.Pattern.Magic, err = hex.DecodeString(value)
		case key == "mask":
			e.Pattern.Mask, err = hex.DecodeString(value)
		default:
			e.Unknown = append(e.Unknown, line)
			continue
		}
		if err != nil {
			return Entry{}, fmt.Errorf("line %q: %w", line, err)
		}
		seen[key] = true
	}
	return e, nil
}

// parseLine reads a registration as the kernel does (create_entry in
// fs/binfmt_misc.c). The limits are Validate's to check.
func parseLine(line string) (Entry, error) {
	fail := func(what any) (Entry, error) {
		return Entry{}, fmt.Errorf("registration %q: %v", line, what)
	}
	if len(line) < minLine {
		return fail("too short")
	}
	fields := strings.Split(line[1:], line[:1])
	if len(fields) != 7 {
		return fail(fmt.Sprintf("%d fields instead of 7", len(fields)))
	}
	e := Entry{Name: fields[0], Interpreter: fields[5]}
	var offsetErr, magicErr, maskErr, flagsErr error
	switch fields[1] {
	case "E":
		e.Extension = fields[3]
	case "M":
		if fields[2] != "" {
			e.Pattern.Offset, offsetErr = strconv.Atoi(fields[2])
		}
		e.Pattern.Magic, magicErr = unescape(fields[3])
		e.Pattern.Mask, maskErr = unescape(fields[4])
	default:
		return fail("type is neither M nor E")
	}
	e.Flags, flagsErr = ParseFlags(strings.TrimSuffix(fields[6], "\n"))
	if err := cmp.Or(offsetErr, magicErr, maskErr, flagsErr); err != nil {
		return fail(err)
	}
	return e, nil
}

// unescape decodes \xHH; all else stands for itself.
func unescape(field string) ([]byte, error) {
	var out []byte
	for field != "" {
		digits, escaped := strings.CutPrefix(field, `\x`)
		if !escaped {
			out, field = append(out, field[0]), field[1:]
			continue
		}
		b, err := hex.DecodeString(digits[:min(2, len(digits))])
		if err != nil || len(b) == 0 {
			return nil, fmt.Errorf(`%q has \x without two digits`, field)
		}
		out, field = append(out, b...), digits[2:]
	}
	return out, nil
}
