package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
)

// runner is a page of a command like crossrun, lister one of a command like register.
func runner() *cli.Page {
	p := page("runner")
	p.Program = true
	return p
}

func lister() *cli.Page {
	p := page("lister")
	p.Args = []string{"arm64", "s390x"}
	return p
}

func page(name string) *cli.Page {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.BoolP("verbose", "v", false, "say more; it's all on standard error")
	f.StringP("root", "r", "", "the `directory` of a [system]: all of it")
	f.String("emulator", "", "a `file`")
	f.String("form", "", "of the report: `table|json`")
	f.StringArrayP("set", "E", nil, "a `variable`")
	f.String("install", "", "into a `root`")
	f.Lookup("install").NoOptDefVal = "/"
	return &cli.Page{Name: name, Summary: "do it", Flags: f, Also: []string{"other(1)"}, Usage: `Usage: ` + name + ` [flags] WHAT
       ` + name + ` --version

Does it. Then more.

  one  first
       of all
  two  second

Examples:
  ` + name + ` x      an example
  eval "$(` + name + `)"

Flags that are used most:
  -v, --verbose

Environment, for whoever:
  NAME  a name

.dots are no requests, -dashes are dashes; back\slashes are themselves.

Exit status: 0 or not.
`}
}

func TestTheManualHasWhatHelpHas(t *testing.T) {
	manual := runner().Manual()
	for _, want := range []string{
		".TH RUNNER 1 ", ".SH NAME\nrunner \\- do it\n",
		".SH SYNOPSIS\nrunner [flags] WHAT\n.br\nrunner \\-\\-version\n",
		".SH DESCRIPTION\nDoes it.\nThen more.\n", ".TP\n\\fBone\\fR\nfirst\nof all\n.TP\n\\fBtwo\\fR\nsecond\n",
		".TP\n\\fB\\-v\\fR, \\fB\\-\\-verbose\\fR\nsay more; it's all on standard error\n",
		".TP\n\\fB\\-\\-form\\fR \\fItable|json\\fR\n",
		".TP\n\\fB\\-\\-install\\fR[=\\fIroot\\fR]\ninto a root\n",
		".SH EXAMPLES\n.TP\n\\fBrunner x\\fR\nan example\n.RS 2\n.nf\neval \"$(runner)\"\n.fi\n.RE\n",
		".SH ENVIRONMENT\nEnvironment, for whoever:\n.TP\n\\fBNAME\\fR\na name\n", "\\&.dots are no requests, \\-dashes are dashes; back\\eslashes are themselves.\n",
		".SH EXIT STATUS\n0 or not.\n", ".SH SEE ALSO\nother(1)\n",
	} {
		assert.Contains(t, manual, want)
	}
	assert.Equal(t, manual, runner().Manual(), "the same each time")
	for line := range strings.Lines(manual) {
		assert.LessOrEqual(t, len(line), 81, line)
	}
	lint(t, manual)
}

// lint has mandoc read a manual page, if it is there.
func lint(t *testing.T, manual string) {
	t.Helper()
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("pages are not linted: ", err)
	}
	path := filepath.Join(t.TempDir(), "page.1")
	require.NoError(t, os.WriteFile(path, []byte(manual), 0o644))
	out, err := exec.Command(mandoc, "-T", "lint", path).CombinedOutput()
	// mandoc looks for the pages that are referred to where those of the machine are.
	var said []string
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "referenced manual not found") {
			said = append(said, line)
		}
	}
	assert.Empty(t, said, "%v", err)
}

// completed returns what bash offers for a command line, whose last word is the one
// that is completed.
func completed(t *testing.T, p *cli.Page, line ...string) []string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("completions are bash's: ", err)
	}
	script, err := p.Completion("bash")
	require.NoError(t, err)
	script += "compopt() { :; }\nCOMP_WORDS=(\"$0\" \"$@\"); COMP_CWORD=$#; _" + p.Name + "; printf '%s\\n' \"${COMPREPLY[@]}\"\n"
	cmd := exec.Command(bash, append([]string{"--norc", "-euc", script, p.Name}, line...)...)
	cmd.Dir = t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(cmd.Dir, "dir"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, "file"), nil, 0o755))
	cmd.Env = []string{"PATH=" + cmd.Dir}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.Fields(string(out))
}

func TestBashCompletes(t *testing.T) {
	for _, test := range []struct {
		page *cli.Page
		line []string
		want []string
	}{
		{lister(), []string{"--ro"}, []string{"--root"}},
		{lister(), []string{"-"}, []string{"--verbose", "--root", "--emulator", "--form", "--set", "--install"}},
		{lister(), []string{"--form", ""}, []string{"table", "json"}},
		{lister(), []string{"--root", ""}, []string{"dir"}},
		{lister(), []string{"-r", ""}, []string{"dir"}},
		{lister(), []string{"--emulator", ""}, []string{"dir", "file"}},
		{lister(), []string{"arm64", "s"}, []string{"s390x"}},
		{lister(), []string{"--set", ""}, nil},
		{runner(), []string{"fil"}, []string{"file", "file"}}, // a command in PATH, and a file
		{runner(), []string{"-v", "--ro"}, []string{"--root"}},
		{runner(), []string{"--root", "dir", "--fo"}, []string{"--form"}},
		{runner(), []string{"file", "--ro"}, nil}, // the program's own
		{runner(), []string{"file", "d"}, []string{"dir"}},
		{runner(), []string{"--root", "dir", "file", "--ro"}, nil},
		// Bash has = as a word.
		{lister(), []string{"--form", "=", "t"}, []string{"table"}},
		{lister(), []string{"--form", "="}, []string{"table", "json"}},
		{lister(), []string{"--root", "=", "d"}, []string{"dir"}},
		{runner(), []string{"--root", "=", "dir", "--fo"}, []string{"--form"}},
		{runner(), []string{"--verbose", "=", "true", "--fo"}, []string{"--form"}},
		{runner(), []string{"--root", "=", "dir", "file", "d"}, []string{"dir"}},
	} {
		got := completed(t, test.page, test.line...)
		assert.ElementsMatch(t, test.want, got, "%s %q", test.page.Name, test.line)
	}
}

func TestFishCompletes(t *testing.T) {
	fish, err := exec.LookPath("fish")
	if err != nil {
		t.Skip("completions are fish's: ", err)
	}
	for _, test := range []struct {
		page *cli.Page
		line string
		want []string
	}{
		{lister(), "lister --ro", []string{"--root"}},
		{lister(), "lister --form ", []string{"json", "table"}},
		{lister(), "lister arm64 s", []string{"s390x"}},
		{runner(), "runner -v --ro", []string{"--root"}},
		{runner(), "runner --root /tmp --fo", []string{"--form"}},
		{runner(), "runner /bin/true --ro", nil},
	} {
		script, err := test.page.Completion("fish")
		require.NoError(t, err)
		cmd := exec.Command(fish, "--no-config", "-c", script+"\ncomplete -C '"+test.line+"'")
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := cmd.Output()
		require.NoError(t, err)
		var got []string
		for line := range strings.Lines(string(out)) {
			got = append(got, strings.Fields(line)[0])
		}
		assert.ElementsMatch(t, test.want, got, test.line)
	}
}

// Zsh has no way to be asked without a terminal: that it can be read is seen.
func TestZshReadsItsCompletions(t *testing.T) {
	zsh, err := exec.LookPath("zsh")
	if err != nil {
		t.Skip("completions are zsh's: ", err)
	}
	for _, p := range []*cli.Page{lister(), runner()} {
		script, err := p.Completion("zsh")
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(script, "#compdef "+p.Name+"\n"))
		cmd := exec.Command(zsh, "-fn")
		cmd.Stdin = strings.NewReader(script)
		out, err := cmd.CombinedOutput()
		assert.NoError(t, err, "%s", out)
		// What _arguments is given, as zsh understands it.
		cmd = exec.Command(zsh, "-fc", "_arguments() { printf '%s\\n' \"$@\" }\n"+script)
		out, err = cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		for _, want := range []string{"-v[say more]", "--verbose[say more]", "--root[the directory of a \\[system\\]]:directory:_files -/", "--form[of the report]:table or json:(table json)"} {
			assert.Contains(t, string(out), want)
		}
	}
}

func TestOtherShellsAreErrors(t *testing.T) {
	_, err := lister().GeneratedFor("tcsh")
	assert.EqualError(t, err, `no completions for "tcsh": known are bash, zsh, fish`)
	assert.Equal(t, "lister --generate bash|zsh|fish|man", cli.Hint(err))
	text, err := lister().GeneratedFor("man")
	require.NoError(t, err)
	assert.Equal(t, lister().Manual(), text)
}

// A value that may be left out is behind an equals sign: after a space it would be an argument.
func TestHelpHasAnEqualsSignBeforeValuesThatMayBeLeftOut(t *testing.T) {
	f := pflag.NewFlagSet("x", pflag.ContinueOnError)
	f.SortFlags = false
	f.BoolP("verbose", "v", false, "say more")
	f.String("install", "", "into a `root`")
	f.Lookup("install").NoOptDefVal = "/"
	f.StringP("keep", "k", "", "what is kept: `on|off`; alone: on")
	f.Lookup("keep").NoOptDefVal = "on"
	f.String("plain", "", "of a `file`")
	common, others := cli.FlagUsages(f, "install")
	assert.Equal(t, "  -v, --verbose          say more\n      --install[=root]   into a root\n", common)
	assert.Equal(t, "  -k, --keep[=on|off]   what is kept: on|off; alone: on\n      --plain file      of a file\n", others)
}
