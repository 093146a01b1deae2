package cli

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A Screen is how text is shown to who reads it.
type Screen struct {
	Columns int  // how wide it is; 0: as wide as the text
	Colour  bool // escape sequences are understood
}

// ScreenOf returns what is known of the terminal that w is, if it is one. Elsewhere
// text is as wide as it is, and plain, so that programs read the same everywhere.
func ScreenOf(w io.Writer) Screen {
	if output, ok := w.(*Output); ok {
		w = output.Writer
	}
	f, ok := w.(*os.File)
	if !ok {
		return Screen{}
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return Screen{}
	}
	return screen(int(size.Col), os.Getenv)
}

// screen is that of a terminal: COLUMNS is what bash and zsh say of it if it says
// nothing of itself. NO_COLOR, unless it is empty (no-color.org), and TERM=dumb want no
// colour.
func screen(columns int, getenv func(string) string) Screen {
	if columns == 0 {
		columns, _ = strconv.Atoi(getenv("COLUMNS"))
	}
	if columns <= 0 {
		columns = 80
	}
	term := getenv("TERM")
	return Screen{Columns: columns, Colour: getenv("NO_COLOR") == "" && term != "" && term != "dumb"}
}

// Colours are SGR parameters (ECMA-48, 8.3.117): the eight that every terminal has, so
// that dark and light ones show them as their users chose.
const (
	Good  = "32" // green
	Bad   = "31" // red
	Quiet = "2"  // faint
	Title = "1"  // bold
)

// Paint returns text in a colour, where the screen has any.
func (s Screen) Paint(colour, text string) string {
	if !s.Colour || text == "" || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[m"
}

// Wrap breaks text at its spaces into lines that end before column columns; the first
// begins after what is there already, first columns, and the others are indented
// so far. A word that is longer than a line is not broken: it can be copied.
func Wrap(text string, columns, first int) string {
	var b strings.Builder
	at := first
	for i, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case columns > 0 && at+1+width >= columns:
			b.WriteString("\n" + strings.Repeat(" ", first))
			at = first
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += width
	}
	return b.String()
}
