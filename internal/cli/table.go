package cli

import (
	"cmp"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// A Table has rows of cells, the last of which is what is to be said of the row.
type Table struct {
	Header []string
	Rows   []Row

	// Path is the column with files' paths, of which the directory is said once if
	// it is the same for all and there is no room; Derived is one that can do
	// without its cells if they follow from the paths. -1: none.
	Path, Derived int
}

// A Row is what is to be said of one thing.
type Row struct {
	Cells  []string
	Colour string // of the last cell
}

const (
	gap   = 2  // spaces between columns
	least = 18 // columns in which the last cell is wrapped
)

// Write writes the table: as it is, or if the screen is narrower, without what is said
// otherwise, or in the end with one row's cells below each other. Nothing is cut off.
func (t *Table) Write(w io.Writer, s Screen) error {
	if len(t.Rows) == 0 {
		return nil
	}
	for _, row := range t.Rows {
		for i, cell := range row.Cells {
			row.Cells[i] = cmp.Or(Visible(cell), "-")
		}
	}
	var b strings.Builder
	shown, note := *t, ""
	if !shown.fits(s) {
		shown, note = t.withoutDirectory()
	}
	if !shown.fits(s) {
		shown = shown.withoutDerived()
	}
	if shown.fits(s) {
		shown.columns(&b, s)
	} else {
		note = ""
		t.stack(&b, s)
	}
	if note != "" {
		b.WriteString(s.Paint(Quiet, note) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lines are the header, if there is one, and the rows.
func (t *Table) lines() []Row {
	if t.Header == nil {
		return t.Rows
	}
	return append([]Row{{t.Header, Title}}, t.Rows...)
}

// widths are those of the columns.
func (t *Table) widths() []int {
	lines := t.lines()
	widths := make([]int, len(lines[0].Cells))
	for _, line := range lines {
		for i, cell := range line.Cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// before is how many columns are in front of the last cell.
func (t *Table) before() int {
	sum, widths := 0, t.widths()
	for _, width := range widths[:len(widths)-1] {
		sum += width + gap
	}
	return sum
}

// fits reports whether the screen has room: the last cell may be wrapped.
func (t *Table) fits(s Screen) bool {
	if s.Columns == 0 {
		return true
	}
	widths := t.widths()
	last := widths[len(widths)-1]
	return t.before()+min(last, least) < s.Columns
}

// withoutDirectory is the table with names instead of paths, and what is to be said
// below it, if all are in one directory.
func (t *Table) withoutDirectory() (Table, string) {
	dir := ""
	for _, row := range t.Rows {
		path := t.path(row)
		if !filepath.IsAbs(path) {
			continue
		}
		if dir == "" {
			dir = filepath.Dir(path)
		}
		if dir != filepath.Dir(path) {
			return *t, ""
		}
	}
	if dir == "" {
		return *t, ""
	}
	shown := *t
	shown.Rows = nil
	for _, row := range t.Rows {
		cells := append([]string(nil), row.Cells...)
		if filepath.IsAbs(t.path(row)) {
			cells[t.Path] = filepath.Base(cells[t.Path])
		}
		shown.Rows = append(shown.Rows, Row{cells, row.Colour})
	}
	return shown, "files are in " + dir
}

func (t *Table) path(row Row) string {
	if t.Path < 0 {
		return ""
	}
	return row.Cells[t.Path]
}

// withoutDerived is the table without the column that follows from others, if it does in
// all rows.
func (t *Table) withoutDerived() Table {
	if t.Derived < 0 {
		return *t
	}
	for _, row := range t.Rows {
		cell := row.Cells[t.Derived]
		if cell != "-" && cell != strings.TrimSuffix(filepath.Base(t.path(row)), "-static") {
			return *t
		}
	}
	drop := func(cells []string) []string {
		if cells == nil {
			return nil
		}
		return append(append([]string(nil), cells[:t.Derived]...), cells[t.Derived+1:]...)
	}
	shown := Table{Header: drop(t.Header), Path: -1, Derived: -1}
	for _, row := range t.Rows {
		shown.Rows = append(shown.Rows, Row{drop(row.Cells), row.Colour})
	}
	return shown
}

// columns writes rows as lines.
func (t *Table) columns(b *strings.Builder, s Screen) {
	widths, before := t.widths(), t.before()
	for i, row := range t.lines() {
		colour := ""
		if i == 0 && t.Header != nil {
			colour = Title
		}
		last := len(row.Cells) - 1
		for i, cell := range row.Cells[:last] {
			b.WriteString(s.Paint(colour, cell) + strings.Repeat(" ", widths[i]+gap-utf8.RuneCountInString(cell)))
		}
		b.WriteString(s.paintLines(row.Colour, s.wrap(row.Cells[last], before)) + "\n")
	}
}

// stack writes of each row the first and last cell, and the others below.
func (t *Table) stack(b *strings.Builder, s Screen) {
	first := t.widths()[0] + gap
	indent := strings.Repeat(" ", gap)
	for i, row := range t.lines() {
		cells := row.Cells
		head := cells[0]
		if i == 0 && t.Header != nil {
			head = s.Paint(Title, head)
		}
		b.WriteString(head + strings.Repeat(" ", first-utf8.RuneCountInString(cells[0])))
		b.WriteString(s.paintLines(row.Colour, s.wrap(cells[len(cells)-1], first)) + "\n")
		var others []string
		for _, cell := range cells[1 : len(cells)-1] {
			if cell != "-" {
				others = append(others, cell)
			}
		}
		if len(others) > 0 {
			b.WriteString(indent + s.paintLines(Quiet, s.wrap(strings.Join(others, " "), gap)) + "\n")
		}
	}
}

// wrap breaks text that begins in a column, if the screen has an end. Else it stays as it
// is, spaces included.
func (s Screen) wrap(text string, first int) string {
	if s.Columns == 0 || first+utf8.RuneCountInString(text) < s.Columns {
		return text
	}
	return Wrap(text, s.Columns, first)
}

// paintLines paints each line by itself: what is between them is not text.
func (s Screen) paintLines(colour, text string) string {
	if colour == "" || !s.Colour {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		lines[i] = indent + s.Paint(colour, line[len(indent):])
	}
	return strings.Join(lines, "\n")
}
