package tinyelf_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

var lookup = kerneltest.Lookup

func program(t testing.TB, arch *elfmagic.Arch) []byte {
	t.Helper()
	program, err := tinyelf.Program(arch)
	require.NoError(t, err)
	return program
}

// code returns the instructions of a program: what is loaded from its entry
// point on.
func code(t testing.TB, program []byte) []byte {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	require.NoError(t, err)
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && f.Entry >= p.Vaddr && f.Entry < p.Vaddr+p.Filesz {
			return program[f.Entry-p.Vaddr+p.Off : p.Off+p.Filesz]
		}
	}
	require.Fail(t, "the entry point is in no segment")
	return nil
}

func TestEveryArchitectureHasAProgramOfItsOwn(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		t.Run(arch.Name, func(t *testing.T) {
			program := program(t, arch)
			header, err := elfmagic.Identify(bytes.NewReader(program))
			require.NoError(t, err)
			assert.Same(t, arch, header.Arch)
			assert.Equal(t, elf.ET_EXEC, header.Type)
			interp, err := header.Interp(bytes.NewReader(program))
			require.NoError(t, err)
			assert.Empty(t, interp)
			for _, other := range elfmagic.Archs() {
				assert.Equal(t, other == arch, other.Pattern().Match(program), other.Name)
			}

			f, err := elf.NewFile(bytes.NewReader(program))
			require.NoError(t, err)
			assert.Equal(t, arch.Class, f.Class)
			assert.Equal(t, arch.Data, f.Data)
			assert.Equal(t, arch.Machine, f.Machine)
			require.Len(t, f.Progs, 2)
			load, stack := f.Progs[0], f.Progs[1]
			require.Equal(t, elf.PT_LOAD, load.Type)
			assert.Equal(t, elf.PF_R|elf.PF_X, load.Flags)
			assert.Equal(t, uint64(0), load.Off)
			assert.Equal(t, uint64(len(program)), load.Filesz, "the whole file")
			assert.Equal(t, load.Filesz, load.Memsz)
			assert.Equal(t, load.Vaddr%load.Align, load.Off%load.Align)
			assert.GreaterOrEqual(t, load.Vaddr, uint64(64<<10), "vm.mmap_min_addr")
			require.Equal(t, elf.PT_GNU_STACK, stack.Type)
			assert.Equal(t, elf.PF_R|elf.PF_W, stack.Flags, "no executable stack")
			assert.Zero(t, f.Entry%4)
			assert.GreaterOrEqual(t, len(code(t, program)), 16)
			assert.Less(t, len(program), 256)
		})
	}
}

// A 64-bit Arm kernel refuses programs of no EABI version; the others' flags say
// which ABI it is.
func TestProgramsHaveTheFlagsWithoutWhichTheyAreRefused(t *testing.T) {
	want := map[string]uint32{
		"arm": 0x05000000, "armeb": 0x05000000, "hexagon": 0x67, "loongarch64": 0x43, "mips": 0x1000, "mipsel": 0x1000, "mipsn32": 0x20, "mipsn32el": 0x20,
		"ppc64": 2, "ppc64le": 2, "sh4": 9, "sh4eb": 9, "sparc32plus": 0x100,
	}
	for _, arch := range elfmagic.Archs() {
		header, err := elfmagic.Identify(bytes.NewReader(program(t, arch)))
		require.NoError(t, err)
		assert.Equal(t, want[arch.Name], header.Flags, arch.Name)
	}
}

func TestAnArchitectureThatIsNotInTheTableHasNoProgram(t *testing.T) {
	vax := &elfmagic.Arch{Name: "vax", Class: elf.ELFCLASS32, Data: elf.ELFDATA2LSB, Machine: elf.EM_VAX}
	for _, program := range []func(*elfmagic.Arch) ([]byte, error){tinyelf.Program, tinyelf.NativeProgram} {
		_, err := program(vax)
		assert.EqualError(t, err, "no program is known for vax")
	}
}

// Architectures that differ in their byte order only have the same
// instructions, but each in its own.
func TestInstructionsAreInTheArchitecturesByteOrder(t *testing.T) {
	for little, big := range map[string]string{"arm": "armeb", "mipsel": "mips", "mips64el": "mips64", "mipsn32el": "mipsn32", "ppc64le": "ppc64", "microblazeel": "microblaze"} {
		a, b := code(t, program(t, lookup(t, little))), code(t, program(t, lookup(t, big)))
		require.Len(t, a, len(b))
		for i := range a {
			assert.Equal(t, a[i], b[i^3], "%s and %s, byte %d", little, big, i)
		}
	}
	assert.Equal(t, code(t, program(t, lookup(t, "aarch64"))), code(t, program(t, lookup(t, "aarch64_be"))), "64-bit Arm has little-endian instructions always")
}

func TestNativeProgramsDifferInOneByteAndMatchNoPattern(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		ordinary := program(t, arch)
		native, err := tinyelf.NativeProgram(arch)
		require.NoError(t, err)
		require.Len(t, native, len(ordinary))
		var differ []int
		for i := range native {
			if native[i] != ordinary[i] {
				differ = append(differ, i)
			}
		}
		assert.Equal(t, []int{elf.EI_VERSION}, differ, arch.Name)
		for _, other := range elfmagic.Archs() {
			assert.False(t, other.Pattern().Match(native), "%s's pattern, %s's program", other, arch)
		}
	}
}

func TestNativeProgramsMatchNoneOfDebiansPatterns(t *testing.T) {
	const conf = "/usr/lib/binfmt.d/qemu-*.conf"
	paths, err := filepath.Glob(conf)
	require.NoError(t, err)
	read := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // a link to a package that is not installed
		}
		require.NoError(t, err)
		var e binfmt.Entry
		require.NoError(t, e.UnmarshalText(text), path)
		read++
		caught := 0
		for _, arch := range elfmagic.Archs() {
			native, err := tinyelf.NativeProgram(arch)
			require.NoError(t, err)
			assert.False(t, e.Matches(native, ""), "%s: %s", path, arch)
			if e.Matches(program(t, arch), "") {
				caught++
			}
		}
		switch e.Name {
		case "qemu-cris", "qemu-microblaze", "qemu-microblazeel": // QEMU dropped it; a machine number that was given up
		default:
			assert.Equal(t, 1, caught, "%s is for the ordinary program of one architecture", path)
		}
	}
	if read == 0 {
		t.Skip("there is no ", conf)
	}
}

// run executes a program with an emulator, or by itself, and returns its exit
// status as shells have it: 128 and the signal's number if it was killed.
func run(t *testing.T, program []byte, emulator ...string) int {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(path, program, 0o755))
	argv := append(emulator, path)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir    // QEMU may dump the program's core there
	err := cmd.Run() // its standard input is empty
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	if status := cmd.ProcessState.ExitCode(); status >= 0 {
		return status
	}
	return 128
}

func installed(t *testing.T, arch *elfmagic.Arch) string {
	t.Helper()
	search := emulator.Search{Dirs: emulator.DefaultDirs()}
	found, err := search.Find(arch)
	if errors.Is(err, emulator.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	if err := found.Useless(); err != nil {
		t.Skip(err)
	}
	return found.Path
}

func TestEveryProgramRunsInItsEmulator(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		t.Run(arch.Name, func(t *testing.T) {
			assert.Equal(t, tinyelf.ExitCode, run(t, program(t, arch), installed(t, arch)))
		})
	}
}

func TestProgramsReadBeforeTheyExit(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		t.Run(arch.Name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "program")
			require.NoError(t, os.WriteFile(path, program(t, arch), 0o755))
			in, out, err := os.Pipe()
			require.NoError(t, err)
			defer in.Close()
			_, err = out.WriteString("xyz")
			require.NoError(t, err)
			require.NoError(t, out.Close())
			cmd := exec.Command(installed(t, arch), path)
			cmd.Stdin = in
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Run(), &exit)
			assert.Equal(t, tinyelf.ExitCode, exit.ExitCode())
			left := make([]byte, 4)
			n, err := in.Read(left)
			require.NoError(t, err)
			assert.Equal(t, "yz", string(left[:n]), "one byte was read")
		})
	}
}

func TestVariantsAreLevelsOfTheArchitecture(t *testing.T) {
	levels := map[string][]string{"x86_64": {"v2", "v3", "v4"}, "arm": {"v6", "v7"}}
	for _, arch := range elfmagic.Archs() {
		assert.Equal(t, levels[arch.Name], tinyelf.Variants(arch), arch.Name)
		_, err := tinyelf.VariantProgram(arch, "v1")
		assert.EqualError(t, err, arch.Name+" has no variant v1")

		own := code(t, program(t, arch))
		var before []byte
		for _, name := range tinyelf.Variants(arch) {
			variant, err := tinyelf.VariantProgram(arch, name)
			require.NoError(t, err)
			header, err := elfmagic.Identify(bytes.NewReader(variant))
			require.NoError(t, err)
			assert.Same(t, arch, header.Arch)
			first, ok := bytes.CutSuffix(code(t, variant), own)
			require.True(t, ok, "%s %s: it ends as the ordinary program does", arch, name)
			assert.Greater(t, len(first), len(before))
			assert.True(t, bytes.HasPrefix(first, before), "%s %s: a level has all before it", arch, name)
			before = first
		}
		assert.Equal(t, own, code(t, program(t, arch)), "making variants leaves the program as it is")
	}
}

func TestVariantsRunOnCPUsOfTheirLevelAndAbove(t *testing.T) {
	for _, test := range []struct {
		arch, cpu string
		runs      string // the variants
	}{
		{"x86_64", "qemu64", ""},
		{"x86_64", "core2duo", ""}, // has SSSE3, and no SSE4
		{"x86_64", "Nehalem", "v2"},
		{"x86_64", "Haswell", "v2 v3"},
		{"arm", "arm926", ""},
		{"arm", "arm1136", "v6"},
		{"arm", "cortex-a7", "v6 v7"},
	} {
		t.Run(test.arch+" "+test.cpu, func(t *testing.T) {
			arch := lookup(t, test.arch)
			qemu := installed(t, arch)
			for _, name := range tinyelf.Variants(arch) {
				variant, err := tinyelf.VariantProgram(arch, name)
				require.NoError(t, err)
				status := run(t, variant, qemu, "-cpu", test.cpu)
				if strings.Contains(test.runs, name) {
					assert.Equal(t, tinyelf.ExitCode, status, name)
				} else {
					assert.Equal(t, 128, status, "%s: killed by SIGILL", name)
				}
			}
		})
	}
}

// Each instruction is there for a feature, without which it does not run. v3
// has LZCNT, too, whose instruction older CPUs take for another one.
func TestVariantsNeedEachFeatureOfTheirLevel(t *testing.T) {
	arch := lookup(t, "x86_64")
	qemu := installed(t, arch)
	for name, features := range map[string]string{
		"v2": "pni ssse3 sse4.1 sse4.2 popcnt lahf-lm cx16",
		"v3": "avx2 bmi1 bmi2 fma f16c movbe",
	} {
		variant, err := tinyelf.VariantProgram(arch, name)
		require.NoError(t, err)
		require.Equal(t, tinyelf.ExitCode, run(t, variant, qemu, "-cpu", "Haswell"))
		for feature := range strings.FieldsSeq(features) {
			assert.Equal(t, 128, run(t, variant, qemu, "-cpu", "Haswell,-"+feature), "%s without %s", name, feature)
		}
	}
}

// The kernel lists what the CPU has; the names are those of
// arch/x86/include/asm/cpufeatures.h, where pni is SSE3 and abm has LZCNT.
func TestVariantsAgreeWithTheKernelsFlagsOfThisCPU(t *testing.T) {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(cpuinfo), "\nflags\t\t: ")
	if !ok {
		t.Skip("no x86 CPU")
	}
	line, _, _ := strings.Cut(after, "\n")
	has := make(map[string]bool)
	for flag := range strings.FieldsSeq(line) {
		has[flag] = true
	}
	arch := lookup(t, "x86_64")
	runs := true
	for _, level := range []struct{ name, flags string }{
		{"v2", "pni ssse3 sse4_1 sse4_2 popcnt lahf_lm cx16"},
		{"v3", "avx2 bmi1 bmi2 fma f16c movbe"},
		{"v4", "avx512f avx512bw avx512cd avx512dq avx512vl"},
	} {
		for flag := range strings.FieldsSeq(level.flags) {
			runs = runs && has[flag]
		}
		variant, err := tinyelf.VariantProgram(arch, level.name)
		require.NoError(t, err)
		assert.Equal(t, runs, run(t, variant) == tinyelf.ExitCode, level.name)
	}
}
