package host_test

import (
	"testing"

	"github.com/projectcalico/go-build/binfmt/host"
)

func BenchmarkNative(b *testing.B) {
	for b.Loop() {
		if _, err := host.Native(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
