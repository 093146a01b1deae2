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
	} {
		assert.Equal(t, want, cli.Quote(s))
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+cli.Quote(s)).Output()
		require.NoError(t, err)
		assert.Equal(t, s, string(out), "what a shell makes of it")
	}
}
