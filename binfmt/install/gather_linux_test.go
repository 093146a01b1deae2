package install

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/internal/emulator"
)

func TestEmulatorsAreSearchedForAsTheRequestSays(t *testing.T) {
	search := (&Request{}).search()
	assert.Equal(t, emulator.DefaultDirs(), search.Dirs)
	assert.Nil(t, search.Suffix)
	assert.Empty(t, search.Prefix)
	for _, persistent := range []Choice{Auto, Yes} {
		r := Request{Persistent: persistent}
		assert.True(t, r.search().Static)
	}
	odd, none := "-odd", ""
	r := Request{Persistent: No, Dirs: []string{"/opt/qemu"}, Suffix: &odd, Prefix: "my-"}
	search = r.search()
	assert.Equal(t, []string{"/opt/qemu"}, search.Dirs)
	assert.False(t, search.Static, "it need not bring its libraries with it")
	assert.Equal(t, "-odd", *search.Suffix)
	assert.Equal(t, "my-", search.Prefix)
	arm64 := lookup(t, "arm64")
	assert.Equal(t, "/opt/qemu/my-qemu-aarch64-odd", elsewhere(r, arm64).Path)
	assert.Equal(t, "/usr/bin/qemu-aarch64-static", elsewhere(Request{}, arm64).Path)
	assert.Equal(t, "/usr/bin/qemu-aarch64", elsewhere(Request{Suffix: &none}, arm64).Path)
}

func TestUnfitEmulatorsAreThoseThatNobodyNamed(t *testing.T) {
	f := newFacts(nil, "aarch64", "s390x")
	f.Emulators["s390x"] = newEmulator(nil, &emulator.Error{Arch: lookup(t, "s390x"), Err: emulator.ErrDynamic})
	f.Emulators["i386"] = newEmulator(nil, &emulator.Error{Arch: lookup(t, "i386"), Err: emulator.ErrDynamic})
	assert.Len(t, f.passedOver(Request{}, Dynamic), 1)
	assert.ErrorIs(t, errors.Join(f.passedOver(Request{}, Dynamic)...), emulator.ErrDynamic)
	assert.Empty(t, f.passedOver(request(t, "s390x"), Dynamic))
}

func TestInParallelCallsForEachOnce(t *testing.T) {
	for _, n := range []int{0, 1, 100} {
		calls := make([]int, n)
		inParallel(n, func(i int) { calls[i]++ })
		for i := range calls {
			assert.Equal(t, 1, calls[i])
		}
	}
}

func TestWhyNoEmulatorWasFoundIsSaid(t *testing.T) {
	f := newFacts(nil)
	f.Emulators["aarch64"] = newEmulator(nil, &emulator.Error{Arch: lookup(t, "arm64"), Err: emulator.ErrMissing})
	_, err := Decide(f, request(t))
	assert.ErrorIs(t, err, ErrNoEmulator)
	assert.ErrorIs(t, err, emulator.ErrMissing)
}

func TestStatusSaysWhatIsThereAndWhy(t *testing.T) {
	disabled, absent := own(t, "arm64"), own(t, "riscv64")
	disabled.Disabled = true
	absent.Interpreter, absent.Flags = "/no/such/emulator", 0
	f := newFacts([]binfmt.Entry{disabled, absent, own(t, "s390x")})
	status := func(r Request) []Outcome {
		outcomes, err := f.status(t.Context(), r, false)
		require.NoError(t, err)
		return outcomes
	}
	reasons := func(r Request) []string {
		list := []string{}
		for _, o := range status(r) {
			line := o.Arch.Name + " " + o.Current.Name + ": " + o.Reason
			if o.Elsewhere() {
				line += "elsewhere"
			}
			list = append(list, line)
		}
		return list
	}
	r := request(t, "386", "arm64", "riscv64", "s390x", "arm")
	r.NoProbe = true
	assert.Equal(t, []string{"i386 : native", "aarch64 qemu-aarch64: disabled", "riscv64 qemu-riscv64: elsewhere", "s390x qemu-s390x: ", "arm : "}, reasons(r))
	assert.Equal(t, []string{"aarch64 qemu-aarch64: disabled", "riscv64 qemu-riscv64: elsewhere", "s390x qemu-s390x: "}, reasons(Request{NoProbe: true}), "those that have an entry")

	f.Mounted, f.Entries, f.Seen = false, nil, map[string]*Seen{"s390x": {Runs: true}, "arm": {Failure: "no"}}
	assert.Equal(t, []string{"s390x : its entry cannot be seen from here"}, reasons(Request{NoProbe: true}))
	assert.Equal(t, []string{"i386 : native", "aarch64 : ", "riscv64 : ", "s390x : its entry cannot be seen from here", "arm : "}, reasons(r))
	last := status(r)[4]
	assert.ErrorIs(t, last.Err, ErrNotRun)
}
