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

// The reference's table of architectures is the one in elfmagic.
func TestTheReferenceListsEveryArchitecture(t *testing.T) {
	reference := commands.Read(t, "../docs/reference.md")
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
		assert.True(t, strings.Contains(reference, row), "no row %q", row)
	}
}

// What the documents tell people to type is there.
func TestDocumentsNameTargetsAndFlagsThatExist(t *testing.T) {
	makefile := commands.Read(t, "../Makefile")
	help := commands.Run(t, commands.Command("register", "--help")).Stdout + commands.Run(t, commands.Command("crossrun", "--help")).Stdout
	paths, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	for _, path := range append(paths, "../README.md", "../CONTRIBUTING.md") {
		if path == "../docs/anywhere.md" {
			continue // its "make check" is zlib's
		}
		text := commands.Read(t, path)
		for _, m := range regexp.MustCompile("(?:\n    |`|; |=[a-z0-9]+ )make ([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			automakes := path == "../docs/toolchains.md" && m[1] == "check"
			assert.True(t, automakes || strings.Contains(makefile, "\n"+m[1]+":"), "%s says make %s", path, m[1])
		}
		for _, m := range regexp.MustCompile("(?:register|crossrun) (--[a-z][a-z0-9-]*)").FindAllStringSubmatch(text, -1) {
			assert.True(t, strings.Contains(help, m[1]), "%s says %s", path, m[0])
		}
	}
}

// The README is short, and begins with the two commands for a fresh machine.
func TestTheReadmeIsShort(t *testing.T) {
	lines := strings.Split(strings.TrimRight(commands.Read(t, "../README.md"), "\n"), "\n")
	assert.LessOrEqual(t, len(lines), 60)
	var typed []string
	for _, line := range lines {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			command, _, _ = strings.Cut(command, " #")
			typed = append(typed, strings.TrimSpace(command))
		}
	}
	require.Greater(t, len(typed), 2)
	assert.Equal(t, []string{"make register", "make test"}, typed[:2])
	assert.Contains(t, commands.Read(t, "../.ci/run"), "\nmake test\n", "CI calls what the README says")
}

// Links between documents lead to files, and to headings that are in them.
func TestLinksLeadSomewhere(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	for _, file := range files {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(commands.Read(t, file), -1) {
			path, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			to := file
			if path != "" {
				to = filepath.Join(filepath.Dir(file), path)
			}
			_, err := os.Stat(to)
			if !assert.NoError(t, err, "%s links to %s", file, m[1]) || heading == "" {
				continue
			}
			assert.Contains(t, anchors(commands.Read(t, to)), heading, "%s links to %s", file, m[1])
		}
	}
}

// anchors returns the names by which headings of a document are linked to.
func anchors(text string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(name, " ", "-"))
	}
	return list
}

// Each environment variable that tests read is in the table, and no other.
func TestSwitchesAreListed(t *testing.T) {
	name := regexp.MustCompile(`\bTEST_[A-Z_]+\b`)
	used := make(map[string]bool)
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch path {
		case "../bin", "../dist": // what was built is no source, and some of it is root's
			return fs.SkipDir
		}
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
