package packages

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

func TestNotesAreTheNewestSection(t *testing.T) {
	notes, err := Notes("# Changes\n\n## 2.0\n\n### New\n\n- a\n\n## 1.0\n\n- b\n")
	require.NoError(t, err)
	assert.Equal(t, "### New\n\n- a\n", notes)
	notes, err = Notes("# Changes\n\n## 1.0\n\n- b\n")
	require.NoError(t, err)
	assert.Equal(t, "- b\n", notes)
	for _, empty := range []string{"", "# Changes\n", "# Changes\n\n## 2.0\n\n## 1.0\n\n- b\n"} {
		_, err = Notes(empty)
		assert.Error(t, err, "%q", empty)
	}
	_, err = Notes(commands.Read(t, "../../CHANGELOG.md"))
	assert.NoError(t, err)
}
