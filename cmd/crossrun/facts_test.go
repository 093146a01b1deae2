package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A native program is watched if the environment says how another architecture's programs are run.
func TestSettingsOfArchitectures(t *testing.T) {
	assert.False(t, isSet(""))
	t.Setenv("CROSSRUN_TRANSLATIONS", "off")
	t.Setenv("CROSSRUN_CPU_S390", "")
	t.Setenv("CROSSRUN_CPU_"+variableOf(native().Name), "max")
	t.Setenv("CROSSRUN_SYSROOT_"+variableOf(native().Names()[1]), "/")
	assert.False(t, isSet(""), "the host's own")
	assert.False(t, isSet("CPU"))
	t.Setenv("CROSSRUN_SYSROOT_SH4", "/")
	assert.True(t, isSet(""))
	assert.True(t, isSet("SYSROOT"))
	assert.False(t, isSet("CPU"))

	for variable, want := range map[string]string{
		"CROSSRUN_CPU_ARM64=a=b": "CPU ARM64 a=b", "CROSSRUN_EMULATOR_X=": "  ", "CROSSRUN_CPU_=x": "CPU  x", "CROSSRUN_CACHE=/x": "  ", "PATH=x": "  ", "": "  ",
	} {
		what, of, value := settingOf(variable)
		assert.Equal(t, want, strings.Join([]string{what, of, value}, " "), variable)
	}
}
