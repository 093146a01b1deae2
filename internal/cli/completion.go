package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/projectcalico/go-build/elfmagic"
)

// Shells are those that completions are made for.
var Shells = []string{"bash", "zsh", "fish"}

// ArchNames returns one name of each architecture: Go's if it has one, which most
// people know, else QEMU's.
func ArchNames() []string {
	var names []string
	for _, arch := range elfmagic.Archs() {
		names = append(names, cmp.Or(arch.GOARCH, arch.Name))
	}
	return names
}

// A kind says what a flag's value is, for shells that complete it.
type kind int

const (
	anything kind = iota
	files
	directories
	words // of a list
)

// kindOf returns what a flag's value is. The word in backquotes, or the value's own,
// says it.
func (p *Page) kindOf(f *pflag.Flag) (kind, []string) {
	word, _ := pflag.UnquoteUsage(f)
	switch {
	case strings.Contains(word, "|"):
		return words, strings.Split(word, "|")
	case word == "directory" && f.Name == "rootfs":
		return files, nil // or an archive
	case word == "directory":
		return directories, nil
	case word == "file":
		return files, nil
	case word == "architecture":
		return words, p.Args
	case word == "list":
		return words, []string{"go", "qemu", "buildkit"}
	}
	return anything, nil
}

// flags returns the page's flags in their order.
func (p *Page) flags() []*pflag.Flag {
	var list []*pflag.Flag
	p.Flags.VisitAll(func(f *pflag.Flag) { list = append(list, f) })
	return list
}

// Completion returns what a shell reads to complete the command's arguments, or an
// error for another shell.
func (p *Page) Completion(shell string) (string, error) {
	switch shell {
	case "bash":
		return p.bash(), nil
	case "zsh":
		return p.zsh(), nil
	case "fish":
		return p.fish(), nil
	}
	return "", fmt.Errorf("no completions for %q: known are %s", shell, strings.Join(Shells, ", "))
}

// bash needs nothing of the package bash-completion, and uses its _command_offset for
// a program's own arguments if that is there. For it, a flag with its value (--root=dir) is
// three words (COMP_WORDBREAKS).
func (p *Page) bash() string {
	var b strings.Builder
	var names, valued []string
	fmt.Fprintf(&b, "# bash completion for %s\n\n_%s() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i\n\tCOMPREPLY=()\n", p.Name, p.Name)
	b.WriteString("\tif [[ $cur == = ]]; then\n\t\tcur=\n\telif [[ $prev == = ]]; then\n\t\tprev=${COMP_WORDS[COMP_CWORD-2]}\n\tfi\n")
	var cases strings.Builder
	for _, f := range p.flags() {
		names = append(names, "--"+f.Name)
		if !takesValue(f) {
			continue
		}
		pattern := "--" + f.Name
		if f.Shorthand != "" {
			pattern = "-" + f.Shorthand + " | " + pattern
		}
		valued = append(valued, pattern)
		action := ":"
		switch kind, list := p.kindOf(f); kind {
		case files:
			action = `compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")`
		case directories:
			action = `compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur")`
		case words:
			action = fmt.Sprintf(`mapfile -t COMPREPLY < <(compgen -W '%s' -- "$cur")`, strings.Join(list, " "))
		case anything:
		}
		fmt.Fprintf(&cases, "\t%s)\n\t\t%s\n\t\treturn\n\t\t;;\n", pattern, action)
	}
	if p.Program {
		fmt.Fprintf(&b, "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t%s)\n\t\t\ti=$((i + 1))\n\t\t\t[[ ${COMP_WORDS[i]} != = ]] || i=$((i + 1))\n\t\t\t;;\n\t\t=) i=$((i + 1)) ;;\n\t\t-*) ;;\n\t\t*)\n\t\t\tif declare -F _command_offset >/dev/null; then\n\t\t\t\t_command_offset \"$i\"\n\t\t\telse\n\t\t\t\tcompopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\t\t\tfi\n\t\t\treturn\n\t\t\t;;\n\t\tesac\n\tdone\n", strings.Join(valued, " | "))
	}
	fmt.Fprintf(&b, "\tcase $prev in\n%s\tesac\n\tif [[ $cur == -* ]]; then\n\t\tmapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n\t\treturn\n\tfi\n", cases.String(), strings.Join(names, " "))
	if p.Program {
		b.WriteString("\tcompopt -o filenames; mapfile -t COMPREPLY < <(compgen -c -f -- \"$cur\")\n")
	} else {
		fmt.Fprintf(&b, "\tmapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n", strings.Join(p.Args, " "))
	}
	fmt.Fprintf(&b, "}\ncomplete -F _%s %s\n", p.Name, p.Name)
	return b.String()
}

func (p *Page) zsh() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# zsh completion for %s\n\n_arguments -S -s \\\n", p.Name, p.Name)
	for _, f := range p.flags() {
		word, text := pflag.UnquoteUsage(f)
		about := "[" + strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(brief(text)) + "]"
		value := ""
		if takesValue(f) {
			value = ":" + strings.ReplaceAll(word, "|", " or ") + ":" + p.zshAction(f)
		}
		again := ""
		if f.Value.Type() == "stringArray" {
			again = "*"
		}
		if f.Shorthand == "" {
			fmt.Fprintf(&b, "  '%s--%s%s%s' \\\n", again, f.Name, about, value)
			continue
		}
		exclude := fmt.Sprintf("'(-%s --%s)'", f.Shorthand, f.Name)
		if again != "" {
			exclude = "'*'"
		}
		fmt.Fprintf(&b, "  %s{-%s,--%s}'%s%s' \\\n", exclude, f.Shorthand, f.Name, about, value)
	}
	if p.Program {
		b.WriteString("  '(-)1:program: _alternative \"commands:command:_command_names -e\" \"files:file:_files\"' \\\n  '*::argument:_normal'\n")
	} else {
		fmt.Fprintf(&b, "  '*:architecture:(%s)'\n", strings.Join(p.Args, " "))
	}
	return b.String()
}

func (p *Page) zshAction(f *pflag.Flag) string {
	switch kind, list := p.kindOf(f); kind {
	case files:
		return "_files"
	case directories:
		return "_files -/"
	case words:
		return "(" + strings.Join(list, " ") + ")"
	case anything:
	}
	return " "
}

func (p *Page) fish() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion for %s\n", p.Name)
	own := ""
	if p.Program { // flags behind the program are its own
		var valued []string
		for _, f := range p.flags() {
			if takesValue(f) {
				valued = append(valued, "--"+f.Name)
				if f.Shorthand != "" {
					valued = append(valued, "-"+f.Shorthand)
				}
			}
		}
		fmt.Fprintf(&b, `
function __fish_%[1]s_no_program
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word %[2]s
            set skip 1
        else if not string match -q -- '-*' $word
            return 1
        end
    end
    return 0
end

complete -c %[1]s -x -a '(__fish_complete_subcommand)'
`, p.Name, strings.Join(valued, " "))
		own = fmt.Sprintf(" -n __fish_%s_no_program", p.Name)
	} else {
		fmt.Fprintf(&b, "complete -c %s -f -a '%s'\n", p.Name, strings.Join(p.Args, " "))
	}
	for _, f := range p.flags() {
		_, text := pflag.UnquoteUsage(f)
		line := fmt.Sprintf("complete -c %s%s -l %s", p.Name, own, f.Name)
		if f.Shorthand != "" {
			line += " -s " + f.Shorthand
		}
		if takesValue(f) {
			switch kind, list := p.kindOf(f); kind {
			case files:
				line += " -r -F"
			case directories:
				line += " -x -a '(__fish_complete_directories)'"
			case words:
				line += " -x -a '" + strings.Join(list, " ") + "'"
			case anything:
				line += " -x"
			}
		}
		fmt.Fprintf(&b, "%s -d '%s'\n", line, strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(brief(text)))
	}
	return b.String()
}

// brief returns what a flag is about, without what follows: a line in a list.
func brief(text string) string {
	ends := []string{"; ", " (", ": "}
	for _, end := range ends {
		if i := strings.Index(text, end); i > 0 {
			text = text[:i]
		}
	}
	return text
}

// GeneratedFor returns what the flag --generate asks for: the manual page for
// "man", else completions for a shell.
func (p *Page) GeneratedFor(what string) (string, error) {
	if what == "man" {
		return p.Manual(), nil
	}
	text, err := p.Completion(what)
	if err != nil {
		return "", WithHint(err, "%s --generate %s", p.Name, strings.Join(append(slices.Clone(Shells), "man"), "|"))
	}
	return text, nil
}
