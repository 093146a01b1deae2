package emulator

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faultRows is the table as docs/emulators.md has it.
func faultRows() string {
	var b strings.Builder
	b.WriteString("| fault | what | whose programs | QEMU | ours |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range faults {
		if f.number == unnumbered {
			continue
		}
		versions := "all"
		switch {
		case f.since > 0:
			versions = fmt.Sprintf("%d and newer", f.since)
		case f.before > 0:
			versions = fmt.Sprintf("before %d", f.before)
		}
		ours := "not mended"
		switch {
		case f.patchesThat != "":
			ours = "mended: " + f.patchesThat
		case f.before > 0:
			ours = "–"
		}
		if f.left != "" {
			ours += "; not for " + f.left
		}
		fmt.Fprintf(&b, "| E%d | %s | %s | %s | %s |\n", f.number, f.what, f.whose, versions, ours)
	}
	return b.String()
}

// The documents have the table that the code has.
func TestTheTableOfFaultsIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/emulators.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "\n## Faults\n")
	require.True(t, found)
	section, _, _ := strings.Cut(rest, "\n## ")
	assert.Contains(t, section, faultRows())
}
