package binfmt_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

func TestConfIsReadAsSystemdReadsIt(t *testing.T) {
	entries, err := binfmt.ParseConf(strings.NewReader("\n# a comment\n ; another\n\t\r\n" +
		":a:M::m::/bin/a:F\r\n" +
		"  :b:E::jar::/bin/b:\t\n" +
		",c:1,M,2,\\x7f;#,,/bin/c,"))
	require.NoError(t, err)
	assert.Equal(t, []binfmt.Entry{
		{Name: "a", Pattern: elfmagic.Pattern{Magic: []byte("m")}, Interpreter: "/bin/a", Flags: binfmt.FixBinary},
		{Name: "b", Extension: "jar", Interpreter: "/bin/b"},
		{Name: "c:1", Pattern: elfmagic.Pattern{Offset: 2, Magic: []byte("\x7f;#")}, Interpreter: "/bin/c"},
	}, entries)
	entries, err = binfmt.ParseConf(strings.NewReader(strings.Repeat("#", 1<<17) + "\n:a:E::x::/bin/a:"))
	require.NoError(t, err, "a long comment")
	assert.Len(t, entries, 1)
}

func TestABadLineOfConfIsNamedAndTheOthersAreRead(t *testing.T) {
	entries, err := binfmt.ParseConf(strings.NewReader("# 1\nnonsense of a line\n:a:E::x::/bin/a:\n:register:E::x::/bin/a:\n:b:E::x::/bin/b:\n:c:E::x::/" + strings.Repeat("i", 1920) + ":"))
	require.Len(t, entries, 2)
	assert.Equal(t, "b", entries[1].Name)
	for _, part := range []string{"line 2: ", "line 4: name \"register\"", "line 6: registration of 1"} {
		assert.ErrorContains(t, err, part)
	}
	assert.NotContains(t, err.Error(), "line 3")

	broken := errors.New("no luck")
	entries, err = binfmt.ParseConf(&brokenReader{":a:E::x::/bin/a:\n", broken})
	assert.ErrorIs(t, err, broken)
	assert.Len(t, entries, 1)
}

// brokenReader gives a text and then an error.
type brokenReader struct {
	text string
	err  error
}

func (b *brokenReader) Read(p []byte) (int, error) {
	n := copy(p, b.text)
	if b.text = b.text[n:]; n > 0 {
		return n, nil
	}
	return 0, b.err
}

func TestConfIsWrittenWithoutWhatWouldBeAComment(t *testing.T) {
	taken := binfmt.Entry{Name: "a:,|", Extension: "x", Interpreter: "/i"}
	var out bytes.Buffer
	require.NoError(t, binfmt.WriteConf(&out, []binfmt.Entry{sample(), taken}))
	assert.Equal(t, `:qemu-aarch64:M:2:\x7f\x45\x00\x5c:\xff\xff\x00\xfe:/usr/bin/qemu-aarch64-static:PF`+"\n!a:,|!E!!x!!/i!\n", out.String())

	out.Reset()
	taken.Name = ":,|!%&*+=?@^_~"
	require.NoError(t, taken.Validate(), "the kernel could be told, with a ;")
	disabled := sample()
	disabled.Disabled = true
	for _, e := range []binfmt.Entry{taken, disabled, {}} {
		assert.Error(t, binfmt.WriteConf(&out, []binfmt.Entry{sample(), e}))
		assert.Zero(t, out.Len(), "all or nothing")
	}
}

// FuzzConf reads any text: what was read is written so that it reads the same.
func FuzzConf(f *testing.F) {
	for _, text := range []string{":a:E::x::/bin/a:\n#\n;\n\n,b,M,3,\\x7f\\x00,,/i,POCF", " \t:a:M::m::/i:\r\n", ":\r:M::m::/\xff:Z"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, _ := binfmt.ParseConf(bytes.NewReader(text))
		var out bytes.Buffer
		if binfmt.WriteConf(&out, entries) != nil {
			return // escaped, it may be longer than a line can be
		}
		again, err := binfmt.ParseConf(&out)
		require.NoError(t, err)
		require.Len(t, again, len(entries))
		for i, e := range entries {
			require.True(t, e.Equal(again[i]), "%+v, %+v", e, again[i])
		}
	})
}

// What distributions ship is read without an error.
func TestInstalledConfIsRead(t *testing.T) {
	const pattern = "/usr/lib/binfmt.d/*.conf"
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("there is no " + pattern)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = binfmt.ParseConf(bytes.NewReader(text))
		assert.NoError(t, err, path)
	}
}
