package binfmt_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
)

func TestFlagsAreWrittenInTheKernelsOrder(t *testing.T) {
	for _, test := range []struct{ in, out string }{
		{"", ""},
		{"FCOP", "POCF"},
		{"FP", "PF"},
		{"TLFDP", "PFDLT"}, // unknown ones follow, in order
		{"aZ", "Za"},
		{"PP", "P"},
	} {
		f, err := binfmt.ParseFlags(test.in)
		require.NoError(t, err, test.in)
		assert.Equal(t, test.out, f.String(), test.in)
	}
}

func TestFlagsThatAreNoLettersAreRefused(t *testing.T) {
	for _, s := range []string{" ", "P,F", "P\n", "1", "é"} {
		_, err := binfmt.ParseFlags(s)
		assert.Error(t, err, "%q", s)
		f := binfmt.FixBinary
		assert.Error(t, f.UnmarshalText([]byte(s)))
		assert.Equal(t, binfmt.FixBinary, f, "a failed parse changes nothing")
	}
}

func TestCredentialsIncludeOpenBinary(t *testing.T) {
	assert.Equal(t, "OCF", (binfmt.Credentials | binfmt.FixBinary).Effective().String())
	assert.Equal(t, "CF", (binfmt.Credentials | binfmt.FixBinary).String())
	assert.Equal(t, "PF", (binfmt.PreserveArgv0 | binfmt.FixBinary).Effective().String())
}

func TestHasAsksForAllFlags(t *testing.T) {
	f := binfmt.PreserveArgv0 | binfmt.FixBinary
	assert.True(t, f.Has(binfmt.FixBinary))
	assert.True(t, f.Has(f))
	assert.False(t, f.Has(binfmt.FixBinary|binfmt.Credentials))
}

func TestUnknownFlagsAreThoseWithoutAName(t *testing.T) {
	f, err := binfmt.ParseFlags("POCFZa")
	require.NoError(t, err)
	assert.Equal(t, "Za", f.Unknown().String())
}

func FuzzFlags(f *testing.F) {
	f.Add("POCF")
	f.Add("xyzXYZ")
	f.Fuzz(func(t *testing.T, s string) {
		flags, err := binfmt.ParseFlags(s)
		if err != nil {
			return
		}
		text, err := flags.MarshalText()
		require.NoError(t, err)
		var again binfmt.Flags
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, flags, again)
		for i := range len(s) {
			require.Contains(t, string(text), s[i:i+1], "no letter is lost")
		}
	})
}
