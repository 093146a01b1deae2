package binfmt_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
)

func TestKernelReleasesAreRead(t *testing.T) {
	for release, want := range map[string]binfmt.KernelVersion{
		"6.1.0-44-cloud-amd64":               {Major: 6, Minor: 1},
		"6.18":                               {Major: 6, Minor: 18},
		"3.10.0-1160.el7":                    {Major: 3, Minor: 10},
		"5.15.153.1-microsoft-standard-WSL2": {Major: 5, Minor: 15},
	} {
		got, err := binfmt.ParseKernelVersion(release)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, release := range []string{"", "six", "6", "-6.1", "v6.1"} {
		_, err := binfmt.ParseKernelVersion(release)
		assert.Error(t, err, release)
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	v := binfmt.KernelVersion{Major: 5, Minor: 12}
	assert.True(t, v.AtLeast(v))
	assert.True(t, v.AtLeast(binfmt.KernelVersion{Major: 4, Minor: 20}))
	assert.True(t, v.AtLeast(binfmt.KernelVersion{Major: 5, Minor: 2}), "numbers, not decimals")
	assert.False(t, v.AtLeast(binfmt.KernelVersion{Major: 5, Minor: 13}))
	assert.False(t, v.AtLeast(binfmt.KernelVersion{Major: 6, Minor: 0}))
}

func TestAnOldKernelIsNamedWithTheVersionThatIsNeeded(t *testing.T) {
	err := binfmt.FeatureFixBinary.Supported(binfmt.KernelVersion{Major: 4, Minor: 7})
	var unsupported *binfmt.UnsupportedError
	require.ErrorAs(t, err, &unsupported)
	assert.Equal(t, binfmt.KernelVersion{Major: 4, Minor: 8}, unsupported.Feature.Since)
	assert.EqualError(t, err, "Linux 4.7 does not have flag F: it came with 4.8")
	assert.NoError(t, binfmt.FeatureFixBinary.Supported(binfmt.KernelVersion{Major: 4, Minor: 8}))
}

func TestWhatTheKernelDoesNotHaveIsUnsupported(t *testing.T) {
	assert.ErrorIs(t, binfmt.FeatureFixBinary.Supported(binfmt.KernelVersion{Major: 4, Minor: 7}), errors.ErrUnsupported)
	assert.ErrorIs(t, &binfmt.Error{Op: "mount", Path: "/m", Err: syscall.ENODEV}, errors.ErrUnsupported)
	for _, err := range []*binfmt.Error{{Op: "mount", Err: syscall.EPERM}, {Op: "list", Err: syscall.ENODEV}} {
		assert.NotErrorIs(t, err, errors.ErrUnsupported)
	}
}

func TestEntriesRequireFeatures(t *testing.T) {
	e := sample()
	e.Flags = binfmt.PreserveArgv0
	assert.Empty(t, e.Requires())
	e.Flags |= binfmt.FixBinary
	assert.Equal(t, []binfmt.Feature{binfmt.FeatureFixBinary}, e.Requires())
	e.Flags, e.Interpreter = 0, "/"+strings.Repeat("i", 250)
	assert.Equal(t, []binfmt.Feature{binfmt.FeatureLine1920}, e.Requires())
	e = sample()
	e.Flags, e.Pattern.Offset = 0, 128-len(e.Pattern.Magic)
	assert.Empty(t, e.Requires())
	e.Pattern.Offset++
	assert.Equal(t, []binfmt.Feature{binfmt.FeatureWindow256}, e.Requires())
}
