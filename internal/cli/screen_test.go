package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScreensAreWhatTheTerminalAndTheUserSay(t *testing.T) {
	for _, test := range []struct {
		columns     int
		environment map[string]string
		want        Screen
	}{
		{100, map[string]string{"TERM": "xterm"}, Screen{100, true}},
		{100, map[string]string{"TERM": "xterm", "COLUMNS": "60"}, Screen{100, true}},
		{0, map[string]string{"TERM": "xterm", "COLUMNS": "60"}, Screen{60, true}},
		{0, map[string]string{"TERM": "xterm", "COLUMNS": "-1"}, Screen{80, true}},
		{0, map[string]string{"TERM": "xterm"}, Screen{80, true}},
		{100, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, Screen{100, false}},
		{100, map[string]string{"TERM": "xterm", "NO_COLOR": ""}, Screen{100, true}},
		{100, map[string]string{"TERM": "dumb"}, Screen{100, false}},
		{100, nil, Screen{100, false}},
	} {
		assert.Equal(t, test.want, screen(test.columns, func(name string) string { return test.environment[name] }), "%d %v", test.columns, test.environment)
	}
}

func TestWhatIsNoTerminalIsPlain(t *testing.T) {
	assert.Equal(t, Screen{}, ScreenOf(new(strings.Builder)))
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, Screen{}, ScreenOf(f))
	assert.Equal(t, "text", Screen{}.Paint(Good, "text"))
	assert.Equal(t, "\x1b[32mtext\x1b[m", Screen{Colour: true}.Paint(Good, "text"))
	assert.Empty(t, Screen{Colour: true}.Paint(Good, ""))
}

func TestTextIsWrapped(t *testing.T) {
	assert.Equal(t, "one two\n  three", Wrap("one two three", 11, 2))
	assert.Equal(t, "one two three", Wrap("one  two\nthree", 0, 2), "no screen")
	assert.Equal(t, "einzig\n  unteilbares\n  üöä üöä", Wrap("einzig unteilbares üöä üöä", 10, 2))
}
