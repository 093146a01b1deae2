package elfmagic_test

import (
	"bytes"
	"debug/elf"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

func TestReadingAHeaderDoesNotAllocate(t *testing.T) {
	for _, a := range elfmagic.Archs() {
		head := a.Heads()[0]
		var h elfmagic.Header
		var err error
		assert.Zero(t, testing.AllocsPerRun(100, func() { h, err = elfmagic.ParseHeader(head) }), a.Name)
		require.NoError(t, err)
		require.Same(t, a, h.Arch)
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	head := row(t, "mipsn32el").Heads()[0]
	for _, a := range elfmagic.Archs() {
		p := a.Pattern()
		own := a.Heads()[0]
		assert.Zero(t, testing.AllocsPerRun(100, func() { p.Match(head); p.Match(own); p.Match(own[:20]) }), a.Name)
	}
}

// Each benchmark has debug/elf doing the same beside it, from bytes to the
// answer.

func BenchmarkParseHeader(b *testing.B) {
	// In the middle of the table.
	head := row(b, "mips64").Heads()[0]
	b.Run("elfmagic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if h, err := elfmagic.ParseHeader(head); err != nil || h.Machine != elf.EM_MIPS {
				b.Fatal(err)
			}
		}
	})
	b.Run("debug/elf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if f, err := elf.NewFile(bytes.NewReader(head)); err != nil || f.Machine != elf.EM_MIPS {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkIdentify reads a real file: this test.
func BenchmarkIdentify(b *testing.B) {
	path, err := os.Executable()
	require.NoError(b, err)
	file, err := os.Open(path)
	require.NoError(b, err)
	defer file.Close()
	b.Run("elfmagic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if h, err := elfmagic.Identify(file); err != nil || h.Type == elf.ET_REL {
				b.Fatal(err)
			}
		}
	})
	b.Run("debug/elf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if f, err := elf.NewFile(file); err != nil || f.Type == elf.ET_REL {
				b.Fatal(err)
			}
		}
	})
}

// is is what a pattern says, in terms of debug/elf.
func is(a *elfmagic.Arch, f *elf.File) bool {
	return f.Class == a.Class && f.Data == a.Data && f.Machine == a.Machine && (f.Type == elf.ET_EXEC || f.Type == elf.ET_DYN)
}

func BenchmarkMatch(b *testing.B) {
	a := row(b, "aarch64")
	head := a.Heads()[0]
	b.Run("elfmagic", func(b *testing.B) {
		p := a.Pattern()
		b.ReportAllocs()
		for b.Loop() {
			if !p.Match(head) {
				b.Fatal("no match")
			}
		}
	})
	b.Run("debug/elf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if f, err := elf.NewFile(bytes.NewReader(head)); err != nil || !is(a, f) {
				b.Fatal("no match")
			}
		}
	})
}

// BenchmarkMatchAll asks which of all patterns takes a program, as the kernel
// does with all entries registered.
func BenchmarkMatchAll(b *testing.B) {
	archs := elfmagic.Archs()
	head := row(b, "x86_64").Heads()[0]
	b.Run("elfmagic", func(b *testing.B) {
		var patterns []elfmagic.Pattern
		for _, a := range archs {
			patterns = append(patterns, a.Pattern())
		}
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, p := range patterns {
				if p.Match(head) {
					n++
				}
			}
			if n != 1 {
				b.Fatal(n, "matches")
			}
		}
	})
	b.Run("debug/elf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f, err := elf.NewFile(bytes.NewReader(head))
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for _, a := range archs {
				if is(a, f) {
					n++
				}
			}
			if n != 1 {
				b.Fatal(n, "matches")
			}
		}
	})
}
