package emulators

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A kind is what an instruction does to memory, as far as others see it.
type kind string

const (
	load      kind = "load"
	store     kind = "store"
	acquire   kind = "load that acquires"
	acquirePC kind = "load that acquires, and may be before a store that releases" // RCpc
	release   kind = "store that releases"
	fence     kind = "barrier"
	atomic    kind = "atomic operation"
)

func (k kind) loads() bool  { return k == load || k == acquire || k == acquirePC }
func (k kind) stores() bool { return k == store || k == release }

// accesses are instructions of a program, in their order.
type accesses struct {
	triplet string
	ordered bool // by the architecture, but for a load before an earlier store
	flags   []string
	returns string
	rows    []struct {
		kind kind
		text string
	}
}

type rows = []struct {
	kind kind
	text string
}

// programs are in the targets' assembly, with the addresses of two cells where their
// calling conventions have the first two arguments.
var barrierPrograms = map[string]accesses{
	"x86_64": {"x86_64-linux-gnu", true, []string{"-no-pie"}, "ret", rows{
		{load, "mov (%rdi), %eax"},
		{load, "mov (%rsi), %ecx"},
		{store, "mov %eax, (%rdi)"},
		{store, "mov %rcx, (%rsi)"},
		{load, "movzbl (%rdi), %eax"},
		{store, "movaps %xmm0, (%rsi)"},
		{load, "movaps (%rdi), %xmm1"},
		{store, "movb %al, (%rsi)"},
		{fence, "mfence"},
		{load, "mov (%rdi), %eax"},
		{atomic, "lock cmpxchg %ecx, (%rsi)"},
		{load, "mov (%rdi), %eax"},
		{store, "movups %xmm0, (%rdi)"},
		{atomic, "lock cmpxchg8b (%rsi)"},
		{store, "mov %eax, (%rsi)"},
		{atomic, "lock cmpxchg16b (%rsi)"},
	}},
	"s390x": {"s390x-linux-gnu", true, []string{"-march=z13"}, "br %r14", rows{
		{load, "l %r4, 0(%r2)"},
		{load, "lg %r5, 0(%r3)"},
		{store, "st %r4, 0(%r2)"},
		{store, "stg %r5, 0(%r3)"},
		{load, "llc %r4, 0(%r2)"},
		{store, "vst %v0, 0(%r3)"},
		{load, "vl %v1, 0(%r2)"},
		{store, "stc %r4, 0(%r3)"},
		{fence, "bcr 15, 0"},
		{load, "l %r4, 0(%r2)"},
		{atomic, "cs %r4, %r5, 0(%r3)"},
		{load, "l %r4, 0(%r2)"},
		{store, "st %r4, 0(%r2)"},
		{atomic, "csg %r4, %r5, 0(%r3)"},
		{store, "st %r5, 0(%r3)"},
	}},
	"aarch64": {"aarch64-linux-gnu", false, []string{"-march=armv8.3-a"}, "ret", rows{
		{load, "ldr w2, [x0]"},
		{release, "stlr w2, [x1]"},
		{acquire, "ldar w3, [x0]"},
		{store, "str w3, [x0]"},
		{release, "stlrb w2, [x1]"},
		{acquirePC, "ldapr x3, [x0]"},
		{load, "ldr w2, [x1]"},
		{store, "str q0, [x1]"},
		{fence, "dmb ish"},
		{load, "ldr q1, [x0]"},
		{release, "stlr x2, [x0]"},
		{acquire, "ldaxr w3, [x1]"},
		{load, "ldr w2, [x0]"},
	}},
}

// write writes the program's assembly, with a label at each row.
func (a accesses) write(t *testing.T, path string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(".text\n.globl accesses\naccesses:\n")
	for i, row := range a.rows {
		fmt.Fprintf(&b, "row_%d: %s\n", i, row.text)
	}
	fmt.Fprintf(&b, "row_%d: %s\n.section .note.GNU-stack,\"\",@progbits\n", len(a.rows), a.returns)
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
}

// addresses are of a program's rows, and of what follows the last.
func (a accesses) addresses(t *testing.T, program string) []uint64 {
	t.Helper()
	f, err := elf.Open(program)
	require.NoError(t, err)
	defer f.Close()
	symbols, err := f.Symbols()
	require.NoError(t, err)
	at := make([]uint64, len(a.rows)+1)
	for _, s := range symbols {
		if number, ok := strings.CutPrefix(s.Name, "row_"); ok {
			i, err := strconv.Atoi(number)
			require.NoError(t, err)
			at[i] = s.Value
		}
	}
	return at
}

// hostAccesses are what an instruction's code does, a letter each: L loads what is
// the program's, S stores there, C calls a helper; l, s and b are barriers of loads to all,
// of stores to stores, of all to all.
func hostAccesses(code []uint32) string {
	var b strings.Builder
	for _, word := range code {
		b.WriteString(a64Access(word))
	}
	return b.String()
}

// a64Access decodes as much of A64 as that takes (Arm ARM, C4.1). TCG's environment is in X19
// (tcg/aarch64/tcg-target.h).
func a64Access(word uint32) string {
	const dmb, environment, sp = 0xd50330bf, 19, 31
	switch base := word >> 5 & 31; {
	case word&^0xf00 == dmb:
		return map[uint32]string{0x9: "l", 0xa: "s", 0xb: "b"}[word>>8&15] // CRm: ISHLD, ISHST, ISH
	case word&0xfffffc1f == 0xd63f0000 || word&0xfc000000 == 0x94000000: // BLR, BL
		return "C"
	case word&0x0a000000 != 0x08000000: // not among loads and stores
		return ""
	case word&0x3b000000 == 0x18000000: // literal
		return ""
	case base == environment || base == sp:
		return ""
	case word&0x3b000000 == 0x38000000 || word&0x3b000000 == 0x39000000: // a register
		if vector, opc := word>>26&1, word>>22&3; opc == 0 || vector == 1 && opc == 2 {
			return "S"
		}
		return "L"
	case word>>22&1 == 0: // a pair, exclusive, or ordered
		return "S"
	}
	return "L"
}

func TestA64Access(t *testing.T) {
	for word, want := range map[uint32]string{
		0xd50339bf: "l", 0xd5033abf: "s", 0xd5033bbf: "b", // dmb ishld, ishst, ish
		0xb87f6a95: "L", 0xb83f6a95: "S", // ldr, str w21, [x20, xzr]
		0xa90062d5: "S", 0xa9406295: "L", // stp x21, x24, [x22]; ldp x21, x24, [x20]
		0xf9401a74: "", 0xa9bf7bfd: "", 0x58000040: "", // ldr x20, [x19, #48]; stp x29, x30, [sp, #-16]!; ldr x0, literal
		0x3dc00280: "L", 0x3d800280: "S", // ldr, str q0, [x20]
		0x397f0280: "L", 0x793f0280: "S", // ldrb, strh
		0xc87f5a94: "L", 0xd63f0200: "C", // ldxp x20, x22, [x20]; blr x16
		0xeb15033f: "", 0x54000781: "", 0x9a9902f7: "", // cmp, b.ne, csel
	} {
		assert.Equal(t, want, a64Access(word), "%#x", word)
	}
}

var (
	guestAddress = regexp.MustCompile(`^  -- guest addr 0x([0-9a-f]+)`)
	hostCode     = regexp.MustCompile(`^(?:0x[0-9a-f]+:  |OBJD-H: )([0-9a-f]+)`)
)

// readCode returns what -d out_asm shows of each guest instruction. Without a disassembler it
// shows bytes in the order of memory, with one words.
func readCode(log string) map[uint64][]uint32 {
	code := make(map[uint64][]uint32)
	var at uint64
	for line := range strings.Lines(log) {
		if m := guestAddress.FindStringSubmatch(line); m != nil {
			at, _ = strconv.ParseUint(m[1], 16, 64)
		} else if strings.HasPrefix(line, "  -- ") || strings.HasPrefix(line, "OUT:") || strings.HasPrefix(line, "PROLOGUE:") {
			at = 0 // slow paths, which are functions with barriers of their own
		} else if m := hostCode.FindStringSubmatch(line); m != nil && at != 0 {
			bytes := strings.HasPrefix(line, "OBJD-H")
			for text := m[1]; len(text) >= 8; text = text[8:] {
				word, _ := strconv.ParseUint(text[:8], 16, 32)
				if bytes {
					word = word>>24 | word>>8&0xff00 | word<<8&0xff0000 | word<<24&0xff000000
				}
				code[at] = append(code[at], uint32(word))
			}
		}
	}
	return code
}

func TestReadCode(t *testing.T) {
	code := readCode("PROLOGUE: [size=8]\n0x7f00:  \nOBJD-H: 5f2403d5\n\nOUT: [size=20]\n" +
		"  -- guest addr 0x0000000000401010 + tb prologue\n0x7f10:  d503249f  bti      j\n0x7f14:  b87f6a95  ldr      w21, [x20, xzr]\n" +
		"  -- guest addr 0x0000000000401012\n0x7f18:  \nOBJD-H: bf3903d5761a40f9\nOBJD-H: d76a7fb8\n" +
		"  -- tb slow paths + alignment\n0x7f24:  d63f0200  blr      x16\n")
	assert.Equal(t, map[uint64][]uint32{0x401010: {0xd503249f, 0xb87f6a95}, 0x401012: {0xd50339bf, 0xf9401a76, 0xb87f6ad7}}, code)
}

// An event is an access of the program, or a barrier in the code for it.
type event struct {
	row  int
	kind kind
	bars string // of barriers
}

// events puts together what rows are and what their code does. A row whose code lacks what
// the row does is an error.
func (a accesses) events(code func(row int) string) ([]event, error) {
	var list []event
	for i, row := range a.rows {
		found := false
		for _, c := range code(i) {
			switch {
			case strings.ContainsRune("lsb", c):
				list = append(list, event{bars: string(c)})
			case c == 'L' && row.kind.loads(), c == 'S' && row.kind.stores(), c == 'C' && row.kind == atomic:
				list = append(list, event{row: i, kind: row.kind})
				found = true
			}
		}
		if !found && row.kind != fence { // it may be one with another's
			return nil, fmt.Errorf("%s: its code does %q, which is no %s", row.text, code(i), row.kind)
		}
		if row.kind == fence {
			list = append(list, event{row: i, kind: fence})
		}
	}
	return list, nil
}

// order returns what a barrier between two accesses must be, or nothing.
func (a accesses) order(first, second kind) string {
	full := first == fence || second == fence // has to be there itself
	switch {
	case full, first == atomic: // the helper has one at its end
		return ""
	case second == atomic && a.ordered, first == release && second == acquire:
		return "b"
	case second == atomic:
		return ""
	case first.loads() && (a.ordered || first == acquire || first == acquirePC || second == release):
		return "lb"
	case first.stores() && second.stores() && (a.ordered || second == release):
		return "sb"
	}
	return ""
}

// disorder returns the pairs of accesses that may be seen in another order than the program's.
func (a accesses) disorder(list []event) (wrong []string) {
	for i, first := range list {
		if first.kind == "" {
			continue
		}
		bars, fenced := "", false
		for _, second := range list[i+1:] {
			bars += second.bars
			if second.kind == "" {
				continue
			}
			fenced = fenced || second.kind == fence
			need := a.order(first.kind, second.kind)
			if fenced && first.kind != fence && second.kind != fence && first.kind != atomic {
				need = "b"
			}
			if need != "" && !strings.ContainsAny(bars, need) {
				wrong = append(wrong, fmt.Sprintf("%s, then %s", a.rows[first.row].text, a.rows[second.row].text))
			}
		}
	}
	return wrong
}

func TestDisorder(t *testing.T) {
	a := accesses{ordered: true, rows: rows{{load, "l"}, {store, "s"}, {load, "m"}, {fence, "f"}, {load, "n"}, {atomic, "a"}}}
	code := []string{"L", "bS", "lL", "b", "lL", "bC"}
	judged := func(ordered bool) []string {
		a.ordered = ordered
		list, err := a.events(func(row int) string { return code[row] })
		require.NoError(t, err)
		return a.disorder(list)
	}
	assert.Empty(t, judged(true))
	code[1] = "sS"
	assert.Equal(t, []string{"l, then s"}, judged(true))
	assert.Empty(t, judged(false))
	code[1] = "bS"
	code[5] = "lC"
	assert.Equal(t, []string{"n, then a"}, judged(true))
	code[3] = ""
	assert.Contains(t, judged(true), "s, then n")
	code[0] = "S"
	_, err := a.events(func(row int) string { return code[row] })
	assert.ErrorContains(t, err, `l: its code does "S", which is no load`)
	a = accesses{rows: rows{{release, "r"}, {acquire, "q"}, {load, "l"}}}
	code = []string{"bS", "L", "L"}
	assert.Equal(t, []string{"r, then q", "q, then l"}, judged(false))
	code = []string{"bSb", "Ll", "L"}
	assert.Empty(t, judged(false))
}

// machine is the one that a program is for.
func machine(t *testing.T, program string) elf.Machine {
	t.Helper()
	f, err := elf.Open(program)
	require.NoError(t, err)
	defer f.Close()
	return f.Machine
}

// hostOf is the GOARCH of the hosts that an emulator is for.
func hostOf(t *testing.T, program string) string {
	t.Helper()
	for _, arch := range elfmagic.Archs() {
		if arch.Machine == machine(t, program) && arch.GOARCH != "" {
			return arch.GOARCH
		}
	}
	return machine(t, program).String()
}

// What programs see in order is kept in order by the code for hosts that promise less: arm64.
// It is read, not run: most machines keep more order than they promise.
func TestBarriers(t *testing.T) {
	s := setupForeign(t)
	for target, a := range barrierPrograms {
		t.Run(target, func(t *testing.T) {
			contestants := s.contestants(t, kerneltest.Lookup(t, target))
			c := contestants[len(contestants)-1]
			if host := machine(t, c.path); host != elf.EM_AARCH64 {
				t.Skipf("%s is for hosts of %v: the code for those of arm64 is read", c.path, host)
			}
			dir := filepath.Join(s.work, "barriers", target)
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.MkdirAll(dir, 0o755))
			assembly := filepath.Join(dir, "accesses.S")
			a.write(t, assembly)
			program := compile(t, a.triplet, filepath.Join(dir, "barriers"), append([]string{"-static", "-pthread", "testdata/barriers.c", assembly}, a.flags...)...)
			at := a.addresses(t, program)
			log := filepath.Join(dir, "log")
			argv := append(c.argv(), "-d", "out_asm", "-D", log, "-dfilter", fmt.Sprintf("%#x..%#x", at[0], at[len(a.rows)]), program)
			require.NoError(t, own(dir))
			o := execute(t.Context(), time.Minute, dir, nil, argv...)
			require.Equal(t, "exit status 0", o.end, o)
			code := readCode(commands.Read(t, log))
			list, err := a.events(func(row int) string { return hostAccesses(code[at[row]]) })
			require.NoError(t, err)
			assert.Empty(t, a.disorder(list))
		})
	}
}
