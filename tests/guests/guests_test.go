package guests

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
)

func TestFunctionsAreNoneLikeAnother(t *testing.T) {
	text := Functions(3)
	assert.Equal(t, text, Functions(3))
	assert.Equal(t, 4, strings.Count(text, "\nlong walk(")+strings.Count(text, "\nstatic long walk"))
}

func TestOldEmulatorsOfI386CrashThreads(t *testing.T) {
	for _, test := range []struct {
		arch, version string
		crashes       bool
	}{{"i386", "7.2.22 (Debian 1:7.2+dfsg-7)", true}, {"i386", "8.0.0", false}, {"i386", "10.0.2", false}, {"i386", "", false}, {"arm", "7.2.22", false}} {
		arch, err := elfmagic.Lookup(test.arch)
		require.NoError(t, err)
		assert.Equal(t, test.crashes, CrashesThreads(arch, &emulator.Emulator{Version: test.version}) != "", "%+v", test)
	}
}
