package binfmt_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// sample is an entry with everything in it.
func sample() binfmt.Entry {
	return binfmt.Entry{
		Name:        "qemu-aarch64",
		Pattern:     elfmagic.Pattern{Offset: 2, Magic: []byte("\x7fE\x00\\"), Mask: []byte{0xff, 0xff, 0, 0xfe}},
		Interpreter: "/usr/bin/qemu-aarch64-static",
		Flags:       binfmt.PreserveArgv0 | binfmt.FixBinary,
	}
}

func TestEntryIsWrittenAsTheKernelReadsIt(t *testing.T) {
	withoutMask := sample()
	withoutMask.Pattern.Mask = nil
	extension := binfmt.Entry{Name: "jar", Extension: "jar", Interpreter: "/usr/bin/java:1", Flags: binfmt.Credentials}
	for _, test := range []struct {
		entry binfmt.Entry
		line  string
	}{
		{sample(), `:qemu-aarch64:M:2:\x7f\x45\x00\x5c:\xff\xff\x00\xfe:/usr/bin/qemu-aarch64-static:PF`},
		{withoutMask, `:qemu-aarch64:M:2:\x7f\x45\x00\x5c::/usr/bin/qemu-aarch64-static:PF`},
		{extension, `,jar,E,,jar,,/usr/bin/java:1,C`},
	} {
		line, err := test.entry.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, test.line, string(line))

		var again binfmt.Entry
		require.NoError(t, again.UnmarshalText(line))
		assert.Equal(t, test.entry, again)
	}
}

func TestEntryIsReadAsTheKernelPrintsIt(t *testing.T) {
	const text = `disabled
interpreter /usr/bin/qemu-aarch64-static
flags: PF
offset 2
magic 7f45005c
mask ffff00fe
`
	e := binfmt.Entry{Name: "qemu-aarch64"}
	require.NoError(t, e.UnmarshalText([]byte(text)))
	want := sample()
	want.Disabled = true
	assert.Equal(t, want, e)
	assert.Equal(t, text, e.Status())

	const extension = "enabled\ninterpreter /usr/bin/java -jar\nflags: OC\nextension .jar\n"
	require.NoError(t, e.UnmarshalText([]byte(extension)))
	assert.Equal(t, binfmt.Entry{
		Name: "qemu-aarch64", Extension: "jar", Interpreter: "/usr/bin/java -jar", Flags: binfmt.OpenBinary | binfmt.Credentials,
	}, e)
	assert.Equal(t, extension, e.Status())
}

func TestWhatNewerKernelsPrintSurvives(t *testing.T) {
	const text = "enabled\ninterpreter /i\nflags: PFDT\nextension .x\nbpf prog 17\nother\n"
	var e binfmt.Entry
	require.NoError(t, e.UnmarshalText([]byte(text)))
	assert.Equal(t, []string{"bpf prog 17", "other"}, e.Unknown)
	assert.Equal(t, "PFDT", e.Flags.String())
	assert.Equal(t, text, e.Status())
}

func TestUnreadableTextIsAnErrorAndChangesNothing(t *testing.T) {
	for _, text := range []string{
		"",
		"perhaps\n",
		"enabled\nflags: 1\n",
		"enabled\noffset x\n",
		"enabled\nmagic 7\n",
		"enabled\nmask zz\n",
		"enabled\nmagic 7f\nmagic 7f\n",
		":a:M::b:/i:",           // a field too few
		":a:M::b:::/i:",         // a field too many
		":a:X::bbbbbb::/i:",     // no such type
		":a:M:x:bbbbbb::/i:",    // no number
		`:a:M::\x7::/interp:`,   // half a byte
		`:a:M::a:\xzz:/interp:`, // no byte
		":a:M::bbbbbb::/i:P,F",
	} {
		e := sample()
		assert.Error(t, e.UnmarshalText([]byte(text)), "%q", text)
		assert.Equal(t, sample(), e, "%q", text)
	}
}

func TestLineFeedAfterARegistrationIsAllowed(t *testing.T) {
	var e binfmt.Entry
	require.NoError(t, e.UnmarshalText([]byte(":a:M::bcd::/interp:F\n")))
	assert.Equal(t, binfmt.FixBinary, e.Flags)
	assert.Equal(t, "bcd", string(e.Pattern.Magic))
}

// invalid are entries that Validate refuses, by a part of what it says.
func invalid() map[string]binfmt.Entry {
	with := func(change func(e *binfmt.Entry)) binfmt.Entry {
		e := sample()
		change(&e)
		return e
	}
	return map[string]binfmt.Entry{
		`name ""`:          with(func(e *binfmt.Entry) { e.Name = "" }),
		`name "."`:         with(func(e *binfmt.Entry) { e.Name = "." }),
		`name ".."`:        with(func(e *binfmt.Entry) { e.Name = ".." }),
		"has a slash":      with(func(e *binfmt.Entry) { e.Name = "a/b" }),
		"255 are allowed":  with(func(e *binfmt.Entry) { e.Name = strings.Repeat("n", 256) }),
		"own files":        with(func(e *binfmt.Entry) { e.Name = "status" }),
		"NUL":              with(func(e *binfmt.Entry) { e.Name = "a\x00" }),
		"line feed":        with(func(e *binfmt.Entry) { e.Interpreter = "/a\nb" }),
		"no interpreter":   with(func(e *binfmt.Entry) { e.Interpreter = "" }),
		"absolute":         with(func(e *binfmt.Entry) { e.Interpreter = "qemu" }),
		"neither a magic":  with(func(e *binfmt.Entry) { e.Pattern = elfmagic.Pattern{} }),
		"negative":         with(func(e *binfmt.Entry) { e.Pattern.Offset = -1 }),
		"but mask of 3":    with(func(e *binfmt.Entry) { e.Pattern.Mask = e.Pattern.Mask[:3] }),
		"first 256 bytes":  with(func(e *binfmt.Entry) { e.Pattern.Offset = 253 }),
		"both a pattern":   with(func(e *binfmt.Entry) { e.Extension = "x" }),
		`extension "a/b"`:  with(func(e *binfmt.Entry) { e.Pattern, e.Extension = elfmagic.Pattern{}, "a/b" }),
		"1920":             with(func(e *binfmt.Entry) { e.Interpreter = "/" + strings.Repeat("i", 1900) }),
		"is left to separ": with(func(e *binfmt.Entry) { e.Interpreter = "/:,;|!#%&*+=?@^_~ " }),
	}
}

func TestValidateSaysWhichLimitIsBroken(t *testing.T) {
	require.NoError(t, sample().Validate())
	for what, e := range invalid() {
		assert.ErrorContains(t, e.Validate(), what)
	}
}

func TestLimitsAreWhereTheKernelHasThem(t *testing.T) {
	e := sample()
	e.Pattern.Offset = 252
	assert.NoError(t, e.Validate())
	e = sample()
	e.Name = strings.Repeat("n", 255)
	assert.NoError(t, e.Validate())
	line, err := sample().MarshalText()
	require.NoError(t, err)
	e = sample()
	e.Interpreter += strings.Repeat("i", 1920-len(line))
	assert.NoError(t, e.Validate())
	e.Interpreter += "i"
	assert.Error(t, e.Validate())
}

// FuzzEntry feeds any text: what can be read is written so that it reads the
// same again, both ways.
func FuzzEntry(f *testing.F) {
	f.Add([]byte(sample().Status()))
	line, err := sample().MarshalText()
	require.NoError(f, err)
	f.Add(line)
	f.Add([]byte("enabled\ninterpreter /i\nflags: PT\nextension .x\nbpf 1\n"))
	f.Add([]byte(`;a;M;3;\x7f\x00a\q;\xff\xff\xff\xff\xff;/i;XP` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e := binfmt.Entry{Name: "n"}
		if e.UnmarshalText(text) != nil || e.Validate() != nil {
			return
		}
		line, err := e.MarshalText()
		require.NoError(t, err)
		var again binfmt.Entry
		require.NoError(t, again.UnmarshalText(line))
		require.True(t, e.Equal(again), "%q: %+v, %+v", line, e, again)

		again = binfmt.Entry{Name: e.Name}
		require.NoError(t, again.UnmarshalText([]byte(e.Status())))
		require.True(t, e.Equal(again), "%q: %+v, %+v", e.Status(), e, again)
		require.Equal(t, e.Unknown, again.Unknown)
		require.Equal(t, e.Disabled, again.Disabled)
	})
}
