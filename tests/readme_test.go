package tests

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// The README's table of architectures is the one in elfmagic.
func TestReadmeListsEveryArchitecture(t *testing.T) {
	readme := read(t, "../README.md")
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
	makefile := read(t, "../Makefile")
	help := run(t, command("register", "--help")).stdout + run(t, command("crossrun", "--help")).stdout
	for _, path := range []string{"../README.md", "../CONTRIBUTING.md", "../docs/architecture.md"} {
		text := read(t, path)
		for _, m := range regexp.MustCompile("(?:\n    |`|; |=[a-z0-9]+ )make ([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			assert.True(t, strings.Contains(makefile, "\n"+m[1]+":"), "%s says make %s", path, m[1])
		}
		for _, m := range regexp.MustCompile("(?:register|crossrun) (--[a-z][a-z0-9-]*)").FindAllStringSubmatch(text, -1) {
			assert.True(t, strings.Contains(help, m[1]), "%s says %s", path, m[0])
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}
