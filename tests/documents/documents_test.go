// Package documents tries what the README and docs/ tell people to type, in an
// instance of binfmt_misc of its own, with the commands as they are built.
package documents

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) { os.Exit(commands.Main(m)) }

const root = "../.."

// A block is what a document has in a block of code.
type block struct {
	file  string // below root
	line  int    // of the first one in the file
	kind  string // what a fenced one is said to be
	lines []string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// documents returns the paths of all that is written for people, below root.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range found {
			below, err := filepath.Rel(root, file)
			require.NoError(t, err)
			files = append(files, below)
		}
	}
	return files
}

// blocks returns the blocks of code of a document: those that are indented by four
// spaces after an empty line, and those between fences.
func blocks(file, text string) []block {
	var list []block
	var open *block
	fenced, empty := false, true
	end := func() {
		if open != nil {
			list = append(list, *open)
		}
		open = nil
	}
	for i, line := range strings.Split(text, "\n") {
		indented, isIndented := strings.CutPrefix(line, "    ")
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && fenced:
			end()
			fenced = false
		case isFence:
			end()
			open, fenced = &block{file: file, line: i + 2, kind: fence}, true
		case fenced:
			open.lines = append(open.lines, line)
		case isIndented && (empty || open != nil):
			if open == nil {
				open = &block{file: file, line: i + 1}
			}
			open.lines = append(open.lines, indented)
		default:
			end()
		}
		empty = line == ""
	}
	end()
	return list
}

func TestBlocksAreFound(t *testing.T) {
	text := "a\n    no\n\n    one\n    two\nb\n\n```yaml\nthree: 3\n\nfour: 4\n```\n\n    five\n"
	var found []string
	for _, b := range blocks("f", text) {
		found = append(found, fmt.Sprintf("%s %s %q", b, b.kind, b.lines))
	}
	assert.Equal(t, []string{`f:4  ["one" "two"]`, `f:9 yaml ["three: 3" "" "four: 4"]`, `f:14  ["five"]`}, found)
}

// An exception is a line that is not tried, and why not.
type exception struct {
	file   string         // a pattern of paths
	line   *regexp.Regexp // which it matches from its beginning
	reason string
	used   bool
}

// exceptions reads testdata/untried.txt.
func exceptions(t *testing.T) []*exception {
	t.Helper()
	var list []*exception
	for line := range strings.Lines(commands.Read(t, "testdata/untried.txt")) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := regexp.MustCompile(`\t+`).Split(line, -1)
		require.Len(t, fields, 3, "%q: a file, a line and a reason, with tabs between them", line)
		list = append(list, &exception{file: fields[0], line: regexp.MustCompile("^(?:" + fields[1] + ")"), reason: fields[2]})
	}
	return list
}

// untried returns the first exception for a line.
func untried(list []*exception, b block, line string) *exception {
	i := slices.IndexFunc(list, func(e *exception) bool {
		match, _ := filepath.Match(e.file, b.file)
		return match && e.line.MatchString(line)
	})
	if i < 0 {
		return nil
	}
	list[i].used = true
	return list[i]
}

// script returns what a shell runs for a block, without lines that are not tried, and
// what it is to print then: what follows lines that begin with a prompt.
func script(list []*exception, b block) (text string, prints []string) {
	session := slices.ContainsFunc(b.lines, func(l string) bool { return strings.HasPrefix(l, "$ ") })
	for _, line := range b.lines {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case line == "" || untried(list, b, command) != nil:
		case session && !isCommand:
			prints = append(prints, line)
		default:
			text += command + "\n"
		}
	}
	return text, prints
}

func TestScriptsAreWhatIsTyped(t *testing.T) {
	list := []*exception{{file: "docs/*.md", line: regexp.MustCompile("^make ")}}
	text, prints := script(list, block{file: "docs/a.md", lines: []string{"make it", "a", "", "b # c"}})
	assert.Equal(t, "a\nb # c\n", text)
	assert.Empty(t, prints)
	text, prints = script(list, block{file: "a.md", lines: []string{"$ make it", "made", "$ b"}})
	assert.Equal(t, "make it\nb\n", text)
	assert.Equal(t, []string{"made"}, prints)
	assert.True(t, list[0].used)
}

// Each line that a document has in a block of code does what it says, or there is a
// reason why it is not tried.
func TestEachLineOfTheDocumentsWorks(t *testing.T) {
	kerneltest.Instance(t)
	list := exceptions(t)
	for _, file := range documents(t) {
		for _, b := range blocks(file, commands.Read(t, filepath.Join(root, file))) {
			if b.kind != "" && b.kind != "sh" {
				assert.Contains(t, otherwise, b.kind, "%s: who tries it?", b)
				continue
			}
			text, prints := script(list, b)
			if text == "" {
				continue
			}
			t.Run(b.String(), func(t *testing.T) {
				try(t, text, prints)
			})
		}
	}
	for _, e := range list {
		found, err := filepath.Glob(filepath.Join(root, e.file))
		require.NoError(t, err)
		assert.True(t, e.used || len(found) == 0, "no line of %s needs the exception %s", e.file, e.line)
	}
}

// otherwise are the kinds of blocks that other tests are of.
var otherwise = map[string]string{"yaml": "TestBlocksOfYAMLArePartsOfTemplates", "ini": "crossFile gives it to Meson"}

// needs are tools that need not be here: patterns of scripts that call them.
var needs = map[string]*regexp.Regexp{
	"cmake":                 regexp.MustCompile(`(?m)^cmake `),
	"meson":                 regexp.MustCompile(`(?m)^meson `),
	"automake":              regexp.MustCompile(`(?m)^autoreconf `),
	"aarch64-linux-gnu-gcc": regexp.MustCompile(`aarch64-linux-gnu|(?m)^meson `),
}

// try runs a script in a directory in which there is what the documents speak of.
func try(t *testing.T, text string, prints []string) {
	fs := kerneltest.Instance(t)
	for _, goarch := range []string{"arm64", "s390x"} {
		arch := kerneltest.Lookup(t, goarch)
		if kerneltest.Native(t, arch) {
			t.Skip(goarch, " is native here")
		}
		commands.FindEmulator(t, arch)
	}
	if commands.SingleUser(t) && regexp.MustCompile(`\bgo (build|test|doc) |debian-arm64|image\.tar`).MatchString(text) {
		t.Skip("it takes caches that are root's: the run as root shows it")
	}
	for tool, calls := range needs {
		if _, err := exec.LookPath(tool); err != nil && calls.MatchString(text) {
			t.Skipf("%v: tests/install-tools installs it", err)
		}
	}
	dir := workplace(t, text)
	if strings.Contains(text, "--cross-file ") {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "arm64.ini"), crossFile(t), 0o644))
	}
	if len(prints) > 0 && !strings.Contains(text, "register ") { // as root has it, who has typed what is above
		arch := kerneltest.Lookup(t, "s390x")
		r := commands.Register(t, "--mount", fs.Dir(), arch.Name)
		require.Zero(t, r.Status, r.Stderr)
	}
	cmd := exec.Command("sh", "-euc", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+commands.Dir()+":"+os.Getenv("PATH"), "HOME="+dir, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOPATH="+goPath(t), "GOCACHE="+goEnv(t, "GOCACHE"))
	r := commands.Run(t, cmd)
	assert.Zero(t, r.Status, "%s\n%s%s", text, r.Stdout, r.Stderr)
	for _, line := range prints {
		assert.Regexp(t, `(?m)^`+likeness(line)+`$`, r.Stdout, "%s%s", text, r.Stderr)
	}
}

// crossFile is what docs/toolchains.md has for Meson.
func crossFile(t *testing.T) []byte {
	t.Helper()
	const file = "docs/toolchains.md"
	list := blocks(file, commands.Read(t, filepath.Join(root, file)))
	i := slices.IndexFunc(list, func(b block) bool { return b.kind == "ini" })
	require.GreaterOrEqual(t, i, 0)
	return []byte(strings.Join(list[i].lines, "\n") + "\n")
}

// likeness is a pattern for a line that is printed, whatever the emulator's path and
// version, and however wide columns are.
func likeness(line string) string {
	pattern := regexp.MustCompile(`  +`).ReplaceAllString(regexp.QuoteMeta(line), ` +`)
	pattern = strings.ReplaceAll(pattern, `/usr/bin/`, `\S*/`)
	pattern = strings.ReplaceAll(pattern, `-static`, `(-static)?`) // Debian's backports have both names, or one
	return regexp.MustCompile(`10\\\.0\\\.\d+`).ReplaceAllString(pattern, `[0-9.]+,?`)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(commands.Run(t, exec.Command("go", "env", name)).Stdout)
}

func goPath(t *testing.T) string { return goEnv(t, "GOPATH") }

// workplace returns a directory with what a script needs: a module with the hello
// program, that program for s390x, a makefile that runs it, a system and an image.
func workplace(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/work")))
	here, err := filepath.Abs(root)
	require.NoError(t, err)
	const module = "github.com/projectcalico/go-build"
	gomod := "module example.org/work\n\ngo 1.24\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + here + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(gomod), 0o644))
	commands.CopyFile(t, root+"/go.sum", filepath.Join(dir, "go.sum"))
	if strings.Contains(text, "go doc ") { // it reads the go.mod of modules that nothing here is built of
		list := exec.Command("go", "list", "-mod=mod", "-m", "all")
		list.Dir = dir
		out, err := list.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.CopyFS(filepath.Join(dir, "tests/testdata/hello"), os.DirFS(root+"/tests/testdata/hello")))
	require.NoError(t, os.Symlink(commands.Dir(), filepath.Join(dir, "bin")))
	commands.CopyFile(t, commands.GoHello(t, "s390x"), filepath.Join(dir, "hello"))
	require.NoError(t, os.Chmod(filepath.Join(dir, "hello"), 0o755))
	if strings.Contains(text, "debian-arm64") || strings.Contains(text, "image.tar") {
		system := commands.BusyboxRoot(t, "arm64")
		out, err := exec.Command("tar", "-C", system, "-cf", filepath.Join(dir, "image.tar"), ".").CombinedOutput()
		require.NoError(t, err, "%s", out)
		if !strings.Contains(text, "mkdir debian-arm64") {
			require.NoError(t, os.Rename(system, filepath.Join(dir, "debian-arm64")))
		}
	}
	return dir
}
