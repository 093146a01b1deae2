package cli_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// known is the hint of a name that none is near to.
const known = "known are QEMU's, Go's and Debian's names (aarch64, arm64, ppc64el), triplets, and platforms such as linux/arm64"

func TestUnknownNamesComeWithTheNearestKnownOne(t *testing.T) {
	for name, nearest := range map[string]string{
		// a slip of the finger
		"amr64": "arm64", "arm46": "arm64", "amd46": "amd64", "adm64": "amd64", "aarch46": "aarch64", "aarhc64": "aarch64",
		"x86_46": "x86_64", "x8664": "x86-64", "ppc46le": "ppc64le", "mips64l": "mips64el", "s39x": "s390x", "armhff": "armhf", "m86k": "m68k",
		"linux/amr64": "arm64", "linux/amr64/v8": "arm64", "qemu-amr64-static": "arm64", "AMR64": "arm64",
		// half a name: one that Go has a port for comes first
		"riscv": "riscv64", "loong": "loong64", "amd": "amd64", "microb": "microblaze", "loongarch": "loongarch64", "s390": "s390x",
		// a name of the wrong kind
		// a platform of which something else is wrong
		"windows/amd64": "linux/amd64", "darwin/arm64": "linux/arm64", "linux//arm64": "linux/arm64", "linux/arm64/v8/x": "linux/arm64",
		"arm64/": "linux/arm64", "/arm64": "linux/arm64", "linux/mips64le/softfloat": "linux/mips64le",
		// four characters too many are a slip, five are another name
		"powerpc64le-linux-gnu1234": "powerpc64le-linux-gnu", "powerpc64le-linux-gnu12345": "",
		// two architectures, or half of one, must not pass for the first
		"arm64/amd64": "linux/arm64", "linux/arm64/amd64": "linux/arm64", "arm/linux": "linux/arm/v7", "arm64/linux": "linux/arm64",
		"arm/64": "linux/arm/v7", "linux/arm/64": "linux/arm/v7", "x86/64": "linux/386", "i386/amd64": "linux/386",
		"armhf/amd64": "linux/arm/v7", "linux/armel/arm64": "linux/arm/v7",
		// nothing is near
		"": "", " ": "", "/": "", "//": "", "linux": "", "linux/": "", "qemu-": "", "qemu--static": "", "zzzz": "", "vax": "", "linux/vax": "",
		"cris": "", "nios2": "", "wasm": "", "x32": "", "é": "", "\xff": "", "all": "",
		strings.Repeat("a", 1<<20): "", "arm64" + strings.Repeat("4", 1<<20): "",
		strings.Repeat("arm64/", 1<<16): "linux/arm64",
	} {
		_, err := elfmagic.Lookup(name)
		require.Error(t, err, "%.40q", name)
		want := "did you mean " + nearest + "?"
		if nearest == "" {
			want = known
		}
		assert.Equal(t, want, cli.Hint(err), "%.40q", name)
	}
}

// FuzzUnknownNames gives any text: each name that is unknown has a hint, and the
// name in it is known.
func FuzzUnknownNames(f *testing.F) {
	for _, name := range []string{"arm64/amd64", "linux/i386/amd64", "riscv", "amr64", "windows/amd64", "m68\u212a", "", "/", "\xff/\x00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		_, err := elfmagic.Lookup(name)
		if err == nil {
			t.Skip("known")
		}
		hint := cli.Hint(err)
		if near, ok := strings.CutPrefix(hint, "did you mean "); ok {
			_, err := elfmagic.Lookup(strings.TrimSuffix(near, "?"))
			require.NoError(t, err)
		} else {
			require.Equal(t, known, hint)
		}
	})
}
