package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/file"
)

func TestWay(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(top, "1/bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(top, "1/bin/file"), nil, 0o644))
	for name, target := range map[string]string{
		"current": "1", "absolute": filepath.Join(top, "current"), "1/bin/up": "../bin/./file", "dangling": "no/such", "loop": "loop",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(top, name)))
	}
	for path, want := range map[string]string{
		"1/bin/file":           "1 1/bin 1/bin/file",
		"1//bin/./../bin/file": "1 1/bin 1/bin 1/bin/file",
		"current/bin/file":     "current@ 1 1/bin 1/bin/file",
		"absolute/bin":         "absolute@ current@ 1 1/bin",
		"current/bin/up":       "current@ 1 1/bin 1/bin/up@ 1/bin 1/bin/file",
		"none/bin/file":        "none?",
		"1/bin/file/more":      "1 1/bin 1/bin/file 1/bin/file/more?",
		"dangling/more":        "dangling@ no?",
		"loop":                 strings.TrimSpace(strings.Repeat("loop@ ", 41)),
	} {
		var got []string
		for _, step := range file.Way(top + "/" + path) {
			name, below := strings.CutPrefix(step.Path(), top+"/")
			if !below {
				continue
			}
			switch {
			case step.IsLink():
				name += "@"
			case step.Info == nil:
				name += "?"
			}
			got = append(got, name)
		}
		assert.Equal(t, want, strings.Join(got, " "), path)
	}
	root := file.Way("/")
	require.Len(t, root, 1)
	assert.Equal(t, "/", root[0].Path())
	assert.True(t, root[0].Info.IsDir())
}
