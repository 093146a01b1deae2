package emulator_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

func TestFaultsGoWithVersionAndArchitecture(t *testing.T) {
	const threads = "programs with threads crash"
	for _, test := range []struct {
		arch, version string
		own           []string
		all           bool
	}{
		{"i386", "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", []string{threads}, true},
		{"i386", "8.0.0", nil, true},
		{"i386", "10.0.2", nil, false},
		{"s390x", "7.2.22", nil, true},
		{"s390x", "11.1.0", nil, false},
		{"i386", "", nil, false}, // nothing is known of it
		{"i386", "blink 0.9", nil, false},
	} {
		own, all := emulator.Faults(lookup(t, test.arch), test.version)
		assert.Equal(t, test.own, own, "%+v", test)
		assert.Equal(t, test.all, len(all) > 0, "%+v", test)
	}
	own, _ := emulator.Faults(lookup(t, "aarch64"), "9.2.4")
	assert.Len(t, own, 1)
	assert.Contains(t, own[0], "pointer authentication")
}

func TestTheTableOfFaultsGoesWithVersionAndArchitecture(t *testing.T) {
	const (
		ours      = "10.2.2 (Debian 1:10.2.2+ds-1, go-build 24 patches 0123456789), exec-helper 1"
		unpatched = "10.2.2 (Debian 1:10.2.2+ds-1, go-build 0 patches e3b0c44298)"
		bookworm  = "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"
	)
	for _, test := range []struct{ arch, version, want string }{
		{"i386", bookworm, "faults E0, E2, E4 to E9, E11 to E15, E18"},
		{"aarch64", bookworm, "faults E1, E2, E4, E6 to E15, E18"},
		{"aarch64", "10.0.13", "faults E1 to E4, E7 to E9, E11 to E15, E18"},
		{"s390x", "11.1.3", "faults E2 to E4, E6 to E9, E11 to E19"},
		{"s390x", bookworm, "faults E2, E4, E6 to E9, E11 to E15, E17 to E19"},
		{"mips64el", "11.1.3", "faults E2 to E4, E6 to E9, E11 to E15, E18"},
		{"ppc64", "11.1.3", "faults E2 to E4, E6 to E9, E11 to E15, E17 to E19"},
		{"arm", unpatched, "faults E1 to E9, E11 to E15, E18"},
		{"arm", ours, "faults E12, E14, E15, E18"},
		{"arm", strings.Replace(ours, "24", "62", 1), "faults E12, E15"},
		{"arm", strings.Replace(ours, "24", "63", 1), "faults E15"},
	} {
		list := emulator.AddFaults(nil, lookup(t, test.arch), test.version)
		if assert.Len(t, list, 1, "%+v", test) {
			assert.Equal(t, test.want, strings.SplitN(list[0].String(), ": ", 2)[1], "%+v", test)
		}
	}
	list := emulator.AddFaults(nil, lookup(t, "s390x"), ours)
	list = emulator.AddFaults(list, lookup(t, "aarch64"), bookworm)
	list = emulator.AddFaults(list, lookup(t, "i386"), bookworm)
	list = emulator.AddFaults(list, lookup(t, "i386"), "")
	assert.Equal(t, []emulator.VersionFaults{
		{Version: "10.2.2 with 24 patches", Faults: []int{12, 14, 15, 16, 17, 18, 19}},
		{Version: "7.2.22", Faults: []int{0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18}},
	}, list)
	assert.Equal(t, []string{"QEMU 12.0: no known faults"}, emulator.FaultLines([]emulator.VersionFaults{{Version: "12.0"}}))
}

func TestTheYearOfAVersion(t *testing.T) {
	for version, want := range map[string]int{"7.2.22 (Debian 1:7.2+dfsg-7)": 2022, "10.0.2": 2025, "4.0.0": 2019, "3.1.0": 0, "": 0, "next": 0} {
		assert.Equal(t, want, emulator.Year(version), version)
	}
}

func TestEmulatorsThatRunNothing(t *testing.T) {
	for version, useless := range map[string]bool{
		"10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)": true, "10.0.0": true, "10.0.12": true,
		"10.0.13": false, "10.1.0": false, "10.2.2": false, "9.2.4": false, "7.2.22": false, "": false,
	} {
		err := (&emulator.Emulator{Arch: lookup(t, "microblazeel"), Path: "/e", Version: version}).Useless()
		assert.Equal(t, useless, err != nil, version)
		if useless {
			assert.ErrorIs(t, err, emulator.ErrUseless)
			assert.Contains(t, cli.Hint(err), "10.0.13")
		}
		assert.NoError(t, (&emulator.Emulator{Arch: lookup(t, "microblaze"), Version: version}).Useless())
	}
}

func TestFaultsOfWhatASearchFinds(t *testing.T) {
	dir, ours := t.TempDir(), t.TempDir()
	put := func(dir, arch, version string) {
		program := binaryFile{arch: lookup(t, "x86_64"), content: []byte("qemu-" + arch + " version " + version + "\n")}
		write(t, filepath.Join(dir, "qemu-"+arch+"-static"), program.bytes(t))
	}
	put(dir, "s390x", "10.0.13 (Debian 1:10.0.13)")
	put(dir, "i386", "7.2.22 (Debian 1:7.2+dfsg-7)")
	put(ours, "riscv64", "10.2.2 (Debian 1:10.2.2+ds-1, go-build 99 patches 0123456789), exec-helper 1")
	search := emulator.Search{Dirs: []string{dir, ours}}
	lines := emulator.FaultLines(search.Faults())
	require.NotEmpty(t, lines)
	assert.Equal(t, "What these faults are: docs/emulators.md#faults of github.com/projectcalico/go-build", lines[len(lines)-1])
	assert.ElementsMatch(t, []string{
		"QEMU 10.0.13: faults E2 to E4, E6 to E9, E11 to E19",
		"QEMU 7.2.22: faults E0, E2, E4 to E9, E11 to E15, E18",
		"QEMU 10.2.2 with 99 patches: faults E15",
	}, lines[:len(lines)-1])
	search.Dirs = []string{t.TempDir()}
	assert.Empty(t, search.Faults())
}
