package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// The README's table of architectures is the one in elfmagic.
func TestReadmeListsEveryArchitecture(t *testing.T) {
	readme := commands.Read(t, "../README.md")
	for _, arch := range elfmagic.Archs() {
		var ports []string
		for _, port := range arch.Debian {
			ports = append(ports, port.Name)
		}
		columns := []string{arch.Name, arch.Platform(), arch.GOARCH, strings.Join(ports, ", "), strings.Join(arch.Uname, ", ")}
		for i, column := range columns {
			if column == "" {
				columns[i] = "–"
			}
		}
		row := "\n| " + strings.Join(columns, " | ") + " |\n"
		assert.True(t, strings.Contains(readme, row), "no row %q", row)
	}
}

// What the documents tell people to type is there.
func TestDocumentsNameTargetsAndFlagsThatExist(t *testing.T) {
	makefile := commands.Read(t, "../Makefile")
	help := commands.Run(t, commands.Command("register", "--help")).Stdout + commands.Run(t, commands.Command("crossrun", "--help")).Stdout
	for _, path := range []string{"../README.md", "../CONTRIBUTING.md", "../docs/architecture.md"} {
		text := commands.Read(t, path)
		for _, m := range regexp.MustCompile("(?:\n    |`|; |=[a-z0-9]+ )make ([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			assert.True(t, strings.Contains(makefile, "\n"+m[1]+":"), "%s says make %s", path, m[1])
		}
		for _, m := range regexp.MustCompile("(?:register|crossrun) (--[a-z][a-z0-9-]*)").FindAllStringSubmatch(text, -1) {
			assert.True(t, strings.Contains(help, m[1]), "%s says %s", path, m[0])
		}
	}
}

// Each environment variable that tests read is in the table, and no other.
func TestSwitchesAreListed(t *testing.T) {
	name := regexp.MustCompile(`\bTEST_[A-Z_]+\b`)
	used := make(map[string]bool)
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`"(TEST_[A-Z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
		}
		return err
	}))
	listed := make(map[string]bool)
	for line := range strings.Lines(commands.Read(t, "../CONTRIBUTING.md")) {
		if row, ok := strings.CutPrefix(line, "| `"); ok {
			names, _, _ := strings.Cut(row, "|")
			for _, m := range name.FindAllString(names, -1) {
				listed[m] = true
			}
		}
	}
	assert.Equal(t, used, listed)
	for _, m := range name.FindAllString(commands.Read(t, "../Makefile"), -1) {
		assert.True(t, used[m], "the Makefile sets %s, which no test reads", m)
	}
}
