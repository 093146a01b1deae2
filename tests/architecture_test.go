package tests

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

const module = "github.com/projectcalico/go-build/"

// imports returns what is shipped: each package, and those of them that it imports.
// It reads the files itself: the go command is not there for every user.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	context := build.Default
	context.GOOS = "linux"
	context.BuildTags = []string{"embedded"}
	packages := make(map[string][]string)
	for _, root := range []string{"elfmagic", "binfmt", "cmd", "internal"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			if d.Name() == "testdata" {
				return filepath.SkipDir
			}
			p, err := context.ImportDir(path, 0)
			if none := (*build.NoGoError)(nil); errors.As(err, &none) {
				return nil
			}
			var of []string
			for _, i := range p.Imports {
				if name, ours := strings.CutPrefix(i, module); ours {
					of = append(of, name)
				}
			}
			packages[strings.TrimPrefix(filepath.ToSlash(path), "../")] = of
			return err
		}))
	}
	return packages
}

// block returns the indented lines that follow a text in docs/architecture.md.
func block(t *testing.T, after string) string {
	t.Helper()
	_, rest, found := strings.Cut(commands.Read(t, "../docs/architecture.md"), after)
	require.True(t, found, after)
	_, rest, _ = strings.Cut(rest, "\n\n")
	text, _, _ := strings.Cut(rest, "\n\n")
	require.True(t, strings.HasPrefix(text, "    "), "%s: %q", after, text)
	return text
}

// Each package that is shipped is in the table of docs/architecture.md, and on
// the line of its picture that it belongs to.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text := commands.Read(t, "../docs/architecture.md")
	lines := make(map[string]int)
	for i, line := range strings.Split(block(t, "Who imports whom"), "\n") {
		for name := range strings.FieldsSeq(line) {
			lines[name] = i
		}
	}
	packages := imports(t)
	require.Contains(t, packages["internal/embedded"], "internal/embedded/codec")
	for name, of := range packages {
		assert.True(t, strings.Contains(text, "\n| `"+name+"/` |"), "%s is not in the table", name)
		assert.Contains(t, lines, name, "the picture")
		for _, other := range of {
			assert.Less(t, lines[name], lines[other], "%s imports %s, which is not below it", name, other)
		}
	}
	for name := range lines {
		assert.Contains(t, packages, name, "the picture has a package that there is not")
	}
}

// The functions that an ARCH goes through are there.
func TestTheWalkThroughRegisterNamesFunctionsThatExist(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{"cmd/register", "binfmt/install", "binfmt/host", "binfmt"} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			if !strings.HasSuffix(file, "_test.go") {
				source.Write(text)
			}
		}
	}
	var names []string
	for line := range strings.SplitSeq(block(t, "Where an ARCH on the command line goes"), "\n") {
		called, _, _ := strings.Cut(strings.TrimLeft(line, " │├└─"), "  ") // two spaces: what follows is a note
		for _, name := range regexp.MustCompile(`[\w.]+`).FindAllString(called, -1) {
			names = append(names, name[strings.LastIndex(name, ".")+1:])
		}
	}
	assert.Greater(t, len(names), 20)
	for _, name := range names {
		assert.True(t, regexp.MustCompile(`(?m)^func (\([^)]*\) )?`+name+`\b`).MatchString(source.String()), "there is no function %s", name)
	}
}
