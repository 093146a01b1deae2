package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a workflow or an image takes from elsewhere is what it was when somebody looked
// at it: tags of actions and of images move.
func TestActionsAndImagesArePinnedByDigest(t *testing.T) {
	uses := regexp.MustCompile(`(?m)^\s*-?\s*uses:\s*(\S+)`)
	pinned := regexp.MustCompile(`^(\./.*|[\w./-]+@[0-9a-f]{40}|docker://\S+@sha256:[0-9a-f]{64})$`)
	workflows, err := filepath.Glob("../.github/workflows/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, workflows)
	for _, path := range workflows {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range uses.FindAllStringSubmatch(string(content), -1) {
			assert.Regexp(t, pinned, match[1], path)
		}
	}
	from := regexp.MustCompile(`(?mi)^\s*from\s+(\S+)`)
	dockerfile, err := os.ReadFile("../image/gobuild/Dockerfile")
	require.NoError(t, err)
	assert.Equal(t, []string{"$BASE_IMAGE"}, from.FindStringSubmatch(string(dockerfile))[1:], "of versions.yaml, or made here")
	assert.Regexp(t, `(?m)^ARG BASE_IMAGE$`, string(dockerfile))
}
