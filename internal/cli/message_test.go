package cli_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/internal/cli"
)

// A hinter is an error of another package that has a hint, or an empty one.
type hinter struct {
	text, hint string
	err        error
}

func (h *hinter) Error() string { return h.text }
func (h *hinter) Unwrap() error { return h.err }
func (h *hinter) Hint() string  { return h.hint }

var (
	errPlain = errors.New("no luck")
	errB     = cli.WithHint(errors.New("a failed"), "try %s", "b")
	errB2    = cli.WithHint(errors.New("c failed"), "try b")
	errD     = cli.WithHint(errors.New("d failed"), "wait")
)

func TestErrorsAreFollowedByTheirHints(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"without a hint":               {errPlain, "n: error: no luck\n"},
		"with a hint":                  {errB, "n: error: a failed\nn: hint: try b\n"},
		"wrapped":                      {fmt.Errorf("e: %w", errB), "n: error: e: a failed\nn: hint: try b\n"},
		"the outermost hint":           {cli.WithHint(fmt.Errorf("e: %w", errB), "better"), "n: error: e: a failed\nn: hint: better\n"},
		"an empty hint is none":        {&hinter{text: "e", err: errB}, "n: error: e\nn: hint: try b\n"},
		"empty hints all the way":      {&hinter{text: "e", err: &hinter{text: "f"}}, "n: error: e\n"},
		"another package's":            {&hinter{text: "e", hint: "do it"}, "n: error: e\nn: hint: do it\n"},
		"joined":                       {errors.Join(errB, errPlain, errD), "n: error: a failed\nn: error: no luck\nn: error: d failed\nn: hint: try b\nn: hint: wait\n"},
		"joined, one hint twice":       {errors.Join(errB, errB2), "n: error: a failed\nn: error: c failed\nn: hint: try b\n"},
		"joined with nothing":          {errors.Join(nil, errB), "n: error: a failed\nn: hint: try b\n"},
		"joined twice":                 {errors.Join(errors.Join(errPlain, errB), errD), "n: error: no luck\nn: error: a failed\nn: error: d failed\nn: hint: try b\nn: hint: wait\n"},
		"one of several":               {fmt.Errorf("%w: %w", errPlain, errB), "n: error: no luck: a failed\nn: hint: try b\n"},
		"several in one, with a line":  {fmt.Errorf("%w of %w: 1\n2", errPlain, errB), "n: error: no luck of a failed: 1\n\t2\nn: hint: try b\n"},
		"joined, and something said":   {fmt.Errorf("e: %w", errors.Join(errPlain, errB)), "n: error: e: no luck\n\ta failed\nn: hint: try b\n"},
		"what a command said":          {errors.New("no luck" + cli.Quoted("a\n\tb\n")), "n: error: no luck\n\ta\n\t\\tb\n"},
		"a name of several lines":      {errors.New("a\nn: done: forged\r\x1b[2K: no luck"), "n: error: a\n\tn: done: forged\\r\\x1b[2K: no luck\n"},
		"a hint with such a name":      {cli.WithHint(errPlain, "mv a\nn: done\a b"), "n: error: no luck\nn: hint: mv a\n\tn: done\\a b\n"},
		"with a hint of joined errors": {cli.WithHint(errors.Join(errPlain, errB), "both"), "n: error: no luck\n\ta failed\nn: hint: both\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			cli.Error(&out, "n", test.err)
			assert.Equal(t, test.want, out.String())

			out.Reset()
			cli.Warning(&out, "n", test.err)
			assert.Equal(t, strings.ReplaceAll(test.want, "n: error:", "n: warning:"), out.String())
		})
	}
}

func TestALineHasItsHintInBrackets(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{errPlain, "n: error: no luck\n"},
		{errB, "n: error: a failed (try b)\n"},
		{cli.WithHint(errors.New("a\nb"), "c\x1b"), "n: error: a\\nb (c\\x1b)\n"},
		{errors.Join(errB, errPlain, errB2), "n: error: a failed (try b)\nn: error: no luck\nn: error: c failed (try b)\n"},
	} {
		var out strings.Builder
		cli.Line(&out, "n", test.err)
		assert.Equal(t, test.want, out.String())
	}
}

func TestHint(t *testing.T) {
	assert.Empty(t, cli.Hint(nil))
	assert.Empty(t, cli.Hint(errPlain))
	assert.Equal(t, "try b", cli.Hint(errB))
	assert.Equal(t, "try b", cli.Hint(errors.Join(errPlain, errB, errD)), "the first")
}

func TestAHintedErrorIsStillWhatItWas(t *testing.T) {
	err := cli.WithHint(fmt.Errorf("e: %w", os.ErrNotExist), "look again")
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.EqualError(t, err, "e: file does not exist")
}

func TestTheLastLinesOfWhatWasSaidAreQuoted(t *testing.T) {
	assert.Empty(t, cli.Quoted(" \n"))
	assert.Equal(t, "\n\tone\n\ttwo", cli.Quoted("one\ntwo\n"))
	long := strings.Repeat("line\n", 30)
	assert.Equal(t, strings.Repeat("\n\tline", 20), cli.Quoted(long))
}
