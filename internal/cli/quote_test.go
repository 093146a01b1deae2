package cli_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
)

func TestWordsAreQuotedIfTheyMustBe(t *testing.T) {
	for s, want := range map[string]string{
		"":                          "''",
		"plain":                     "plain",
		"/usr/bin/qemu-arm_eb":      "/usr/bin/qemu-arm_eb",
		"-test.run":                 "-test.run",
		"user@host:/a,b+c":          "user@host:/a,b+c",
		"two words":                 "'two words'",
		"a=b":                       "'a=b'",
		"~":                         "'~'",
		"#":                         "'#'",
		"%1":                        "'%1'",
		"it's":                      `'it'\''s'`,
		"$HOME `ls` \"x\" \\ !* &;": "'$HOME `ls` \"x\" \\ !* &;'",
		"line\nfeed":                "'line\nfeed'",
		"ü":                         "'ü'",
		"\xff":                      "'\xff'",
		"a\x1b[2K\tb":               `'a'"$(printf '\033')"'[2K'"$(printf '\011')"'b'`,
		"\u009b2J":                  `''"$(printf '\302\233')"'2J'`,
	} {
		assert.Equal(t, want, cli.Quote(s))
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+cli.Quote(s)).Output()
		require.NoError(t, err)
		assert.Equal(t, s, string(out), "what a shell makes of it")
	}
}

func TestVisibleTextCommandsNoTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"/usr/bin/qemu-arm -x é": "/usr/bin/qemu-arm -x é",
		"a\nb\tc\r":              `a\nb\tc\r`,
		"\x1b]0;title\a":         `\x1b]0;title\a`,
		"\u009b2J":               `\u009b2J`,         // the same as ESC [ in one character
		"evil\u202egnp.sh":       `evil\u202egnp.sh`, // written from right to left
		"\xff\xc3":               `\xff\xc3`,
		`c:\n`:                   `c:\n`,
	} {
		assert.Equal(t, want, cli.Visible(text))
	}
}

func TestWordsOfACommandLineAreQuotedEach(t *testing.T) {
	words := []string{"sh", "-c", "echo a  b"}
	assert.Equal(t, "sh -c 'echo a  b'", cli.QuoteAll(words))
	assert.Equal(t, []string{"sh", "-c", "echo a  b"}, words)
	assert.Empty(t, cli.QuoteAll(nil))
}
