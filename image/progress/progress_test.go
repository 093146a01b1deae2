package progress

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A step of a quarter of an hour is some lines, whatever it says.
func TestALongStepIsALineAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		d := New(&out, "image parts")
		d.Say("part %d of %d", 1, 5)
		task := Start(With(t.Context(), d), "compiling")
		time.Sleep(16 * time.Second)
		for range 100 {
			task.At("4 of 100")
			time.Sleep(time.Second / 10)
		}
		task.At("5 of 100")
		time.Sleep(5 * time.Second) // 31 s in all
		task.End()
		time.Sleep(time.Minute)
		assert.Equal(t, "image parts: part 1 of 5\nimage parts: compiling, 15s\nimage parts: compiling: 5 of 100, 30s\n", out.String())
	})
}

// What is said meanwhile is a sign of life, too.
func TestLinesInTheMeantimeAreEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		d := New(&out, "x")
		task := Start(With(t.Context(), d), "building")
		for range 10 {
			time.Sleep(10 * time.Second)
			d.Say("one more")
		}
		task.End()
		assert.NotContains(t, out.String(), "building")
	})
}

// On a terminal it is one line, which is replaced, and not wider than that.
func TestATerminalShowsItInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		d := New(&out, "x")
		d.width, d.Interval = func() int { return 20 }, inPlace
		task := Start(With(t.Context(), d), "building")
		time.Sleep(3 * time.Second / 5)
		task.At("something that is too wide")
		time.Sleep(time.Second / 5)
		task.End()
		d.Say("built")
		const clear = "\r\x1b[K"
		assert.Equal(t, clear+"x: building, 0s"+clear+"x: building, 1s"+clear+"x: building: somet…"+clear+clear+"x: built\n", out.String())
	})
}

func TestWithoutADisplayNothingIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := Start(context.Background(), "building")
		task.At("something")
		time.Sleep(time.Hour)
		task.End()
	})
}

func TestOutputIsReadByLines(t *testing.T) {
	var got []string
	l := Lines(func(s string) { got = append(got, s) })
	for _, part := range []string{"a\nb", "c\n", "", "\nd"} {
		n, err := l.Write([]byte(part))
		assert.NoError(t, err)
		assert.Equal(t, len(part), n)
	}
	assert.Equal(t, []string{"a", "bc", ""}, got)
}

// A command that lasts is seen at what it said last, while it runs.
func TestALongCommandIsSeenWhileItRuns(t *testing.T) {
	r, w := io.Pipe()
	d := New(w, "x")
	d.Interval = time.Millisecond
	task := Start(With(t.Context(), d), "compiling")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo 1 of 2; echo 2 of 2; read line")
	cmd.Stdout = Lines(task.At)
	end, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	shown := bufio.NewScanner(r)
	for shown.Scan() && !strings.HasPrefix(shown.Text(), "x: compiling: 2 of 2, ") {
	}
	require.NoError(t, shown.Err())
	go io.Copy(io.Discard, r)
	require.NoError(t, end.Close())
	assert.Error(t, cmd.Wait(), "its input has ended")
	task.End()
}
