package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// A Page is what there is to say of a command, and what its manual page and
// completions are made of: there is no second description.
type Page struct {
	Name    string
	Summary string         // a few words
	Usage   string         // what --help prints
	Flags   *pflag.FlagSet // which Usage describes, too
	Program bool           // the arguments are a program and its own
	Args    []string       // else words that arguments may be
	Also    []string       // other pages: crossrun(1)
}

// revised is the date of the pages: that of the last change to what they say, not that
// of the build, so that the same source gives the same bytes.
const revised = "2026-12-01"

// Manual returns the page in the man(7) macros.
func (p *Page) Manual() string {
	var b strings.Builder
	version, _, _ := strings.Cut(Version(), "-")
	fmt.Fprintf(&b, ".TH %s 1 %s %q %q\n", strings.ToUpper(p.Name), revised, p.Name+" "+version, "User Commands")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(p.Name), roff(p.Summary))
	sections := p.sections()
	for _, s := range sections {
		fmt.Fprintf(&b, ".SH %s\n", s.title)
		if s.title == "OPTIONS" {
			p.options(&b)
			continue
		}
		s.write(&b)
	}
	if len(p.Also) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", roff(strings.Join(p.Also, ", ")))
	}
	return b.String()
}

// options writes the flags, in the order of --help.
func (p *Page) options(b *strings.Builder) {
	p.Flags.VisitAll(func(f *pflag.Flag) {
		word, text := pflag.UnquoteUsage(f)
		name := `\fB\-\-` + roff(f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB\-` + f.Shorthand + `\fR, ` + name
		}
		switch {
		case takesValue(f):
			name += ` \fI` + roff(word) + `\fR`
		case mayHaveValue(f):
			name += `[=\fI` + roff(word) + `\fR]`
		}
		fmt.Fprintf(b, ".TP\n%s\n%s\n", name, running(text))
	})
}

// takesValue reports whether a flag has a value.
func takesValue(f *pflag.Flag) bool { return f.NoOptDefVal == "" }

// A section is a part of the page, a list of paragraphs.
type section struct {
	title      string
	paragraphs []string // as they are in the usage: of several lines
}

// titles are the sections that paragraphs of the usage begin, by their first words.
var titles = []struct{ begin, title string }{
	{"Usage:", "SYNOPSIS"},
	{"Examples:", "EXAMPLES"},
	{"Flags that are used most:", "OPTIONS"},
	{"Other flags:", "OPTIONS"},
	{"Environment", "ENVIRONMENT"},
	{"Exit status:", "EXIT STATUS"},
}

// sections sorts the paragraphs of the usage: what has no title of its own is
// description.
func (p *Page) sections() []*section {
	byTitle := make(map[string]*section)
	add := func(title, text string) {
		if byTitle[title] == nil {
			byTitle[title] = &section{title: title}
		}
		byTitle[title].paragraphs = append(byTitle[title].paragraphs, text)
	}
	into := "DESCRIPTION"
	for text := range strings.SplitSeq(strings.Trim(p.Usage, "\n"), "\n\n") {
		if !strings.HasPrefix(text, " ") {
			into = "DESCRIPTION"
		}
		for _, t := range titles {
			if strings.HasPrefix(text, t.begin) {
				into = t.title
			}
		}
		add(into, text)
	}
	var list []*section
	for _, title := range []string{"SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "ENVIRONMENT", "EXIT STATUS"} {
		if byTitle[title] != nil {
			list = append(list, byTitle[title])
		}
	}
	return list
}

// write writes paragraphs, and below them the lists that are indented in the usage.
func (s *section) write(b *strings.Builder) {
	first := true
	for _, text := range s.paragraphs {
		for _, t := range titles {
			if rest, ok := strings.CutPrefix(text, t.begin); ok && strings.HasSuffix(t.begin, ":") {
				text = strings.TrimPrefix(rest, "\n")
				if s.title == "EXIT STATUS" {
					text = sentence(strings.TrimSpace(text))
				}
			}
		}
		var plain, indented []string
		flush := func() {
			if len(plain) > 0 {
				if !first {
					b.WriteString(".PP\n")
				}
				fmt.Fprintln(b, running(strings.Join(plain, " ")))
				first = false
			}
			items(b, indented)
			first = first && len(indented) == 0
			plain, indented = nil, nil
		}
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			switch {
			case s.title == "SYNOPSIS":
				if !first {
					b.WriteString(".br\n")
				}
				fmt.Fprintln(b, roff(strings.TrimSpace(line)))
				first = false
			case strings.HasPrefix(line, "  "):
				indented = append(indented, line)
			default:
				if len(indented) > 0 {
					flush()
				}
				plain = append(plain, strings.TrimSpace(line))
			}
		}
		flush()
	}
}

// sentence has a capital letter in front, where the title was.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// items writes indented lines: those of two columns as terms and what they mean, which
// goes on in lines that are indented further, others as they are.
func items(b *strings.Builder, lines []string) {
	literal := false
	end := func() {
		if literal {
			b.WriteString(".fi\n.RE\n")
		}
		literal = false
	}
	for _, line := range lines {
		term, meaning, isTerm := strings.Cut(strings.TrimPrefix(line, "  "), "  ")
		switch {
		case isTerm && term != "":
			end()
			fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n%s\n", roff(term), roff(strings.TrimSpace(meaning)))
		case strings.HasPrefix(line, "   ") && !literal:
			fmt.Fprintln(b, roff(strings.TrimSpace(line)))
		default:
			if !literal {
				b.WriteString(".RS 2\n.nf\n")
				literal = true
			}
			fmt.Fprintln(b, roff(strings.TrimPrefix(line, "  ")))
		}
	}
	end()
}

// running returns running text in lines of the source: a sentence begins one, and none is
// long.
func running(text string) string {
	var list []string
	for _, line := range sentences(text) {
		for part := range strings.Lines(Wrap(roff(line), columns, 0)) {
			part = strings.TrimRight(part, "\n")
			if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "'") {
				part = `\&` + part
			}
			list = append(list, part)
		}
	}
	return strings.Join(list, "\n")
}

// sentences splits text where a sentence ends and another begins with a capital letter or
// a flag.
func sentences(text string) []string {
	var list []string
	var words []string
	for word := range strings.FieldsSeq(text) {
		if len(words) > 0 && strings.HasSuffix(words[len(words)-1], ".") && (word[0] == '-' || word[0] >= 'A' && word[0] <= 'Z') {
			list = append(list, strings.Join(words, " "))
			words = nil
		}
		words = append(words, word)
	}
	return append(list, strings.Join(words, " "))
}

// roff returns text as it is shown: nothing of it is a request, an escape, or a dash of
// another kind.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "–", `\(en`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
