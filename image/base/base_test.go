package base

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMmdebstrapsStagesAreShown(t *testing.T) {
	for line, want := range map[string]string{"I: extracting archives...": "extracting archives", "I: done": "done", "W: no": "W: no"} {
		assert.Equal(t, want, stage(line))
	}
}
