package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Visible returns text from files and file names as it may be shown on a terminal,
// on one line: what is not printed as a character, such as the beginning of a
// terminal's command, is there as Go writes it in a string.
func Visible(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		c, size := utf8.DecodeRuneInString(s)
		if hidden(c) || c == utf8.RuneError && size == 1 {
			quoted := strconv.Quote(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

func hidden(c rune) bool { return !strconv.IsPrint(c) }

// QuoteAll returns a command line of words, each quoted as Quote does.
func QuoteAll(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, word := range words {
		quoted = append(quoted, Quote(word))
	}
	return strings.Join(quoted, " ")
}

// Quote returns s as one word, wherever in a command it stands, with nothing of
// it expanded. A word with an equals sign is quoted, too: it would be an
// assignment in front. What could command the terminal that the word is printed on
// is made by printf when a shell reads it.
func Quote(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("+,-./:@_", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	var b strings.Builder
	b.WriteByte('\'')
	for len(s) > 0 {
		c, size := utf8.DecodeRuneInString(s)
		switch {
		case c == '\'':
			b.WriteString(`'\''`)
		case hidden(c) && c != '\n':
			b.WriteString(`'"$(printf '`)
			for _, c := range []byte(s[:size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
			b.WriteString(`')"'`)
		default:
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String() + "'"
}
