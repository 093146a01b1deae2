package tinyelf

import "encoding/binary"

// A machine appends instructions of one architecture. Registers are those that
// its system calls take arguments and number in (syscall(2)).
type machine interface {
	code() *[]byte

	// load puts a constant into the register of an argument.
	load(argument int, value uint32)

	// call makes a system call.
	call(number uint32)

	// branchIfError goes on at the target, an offset into the code, if the call
	// failed.
	branchIfError(target int)

	// keep puts the errno of the call that failed into a register that calls
	// leave alone, and add adds it, times 4, to the register of an address: that
	// of argument 1.
	keep()
	add()

	// exec makes the call that executes argv[1] with argv[2:] and the
	// environment, found on the stack, where the kernel puts argc, argv and envp.
	exec(number uint32)
}

var machines = map[string]func() machine{
	"aarch64": func() machine { return new(onAArch64) },
	"ppc64le": func() machine { return new(onPPC64LE) },
	"riscv64": func() machine { return new(onRISCV64) },
	"s390x":   func() machine { return new(onS390x) },
	"x86_64":  func() machine { return new(onX8664) },
}

// text is the code so far.
type text []byte

func (t *text) code() *[]byte { return (*[]byte)(t) }

func (t *text) bytes(b ...byte) { *t = append(*t, b...) }

func (t *text) little(words ...uint32) {
	for _, w := range words {
		*t = binary.LittleEndian.AppendUint32(*t, w)
	}
}

// distance returns how far the target is from the end of the code.
func (t *text) distance(target int) int { return target - len(*t) }

type onX8664 struct{ text }

func (m *onX8664) load(argument int, value uint32) {
	m.bytes([]byte{0xbf, 0xbe, 0xba}[argument]) // mov $value, %edi, %esi, %edx
	m.little(value)
}

func (m *onX8664) call(number uint32) {
	m.bytes(0xb8) // mov $number, %eax
	m.little(number)
	m.bytes(0x0f, 0x05) // syscall
}

func (m *onX8664) branchIfError(target int) {
	m.bytes(0x48, 0x85, 0xc0) // test %rax, %rax
	m.bytes(0x0f, 0x88)       // js target, from the end of the instruction
	m.little(uint32(m.distance(target) - 4))
}

func (m *onX8664) keep() { m.bytes(0x48, 0x89, 0xc3, 0x48, 0xf7, 0xdb) } // mov %rax, %rbx; neg %rbx
func (m *onX8664) add()  { m.bytes(0x48, 0x8d, 0x34, 0x9e) }             // lea (%rsi, %rbx, 4), %rsi

func (m *onX8664) exec(number uint32) {
	m.bytes(0x48, 0x8b, 0x7c, 0x24, 0x10) // mov 16(%rsp), %rdi
	m.bytes(0x48, 0x8d, 0x74, 0x24, 0x18) // lea 24(%rsp), %rsi
	m.bytes(0x48, 0x8b, 0x04, 0x24)       // mov (%rsp), %rax
	m.bytes(0x48, 0x8d, 0x54, 0xc4, 0x10) // lea 16(%rsp, %rax, 8), %rdx
	m.call(number)
}

type onAArch64 struct{ text }

func (m *onAArch64) set(register, value uint32) {
	m.little(
		0x52800000|value&0xffff<<5|register, // movz wR, #low
		0x72a00000|value>>16<<5|register,    // movk wR, #high, lsl #16
	)
}

func (m *onAArch64) load(argument int, value uint32) { m.set(uint32(argument), value) }

func (m *onAArch64) call(number uint32) {
	m.set(8, number)
	m.little(0xd4000001) // svc #0
}

func (m *onAArch64) branchIfError(target int) {
	m.little(0xb7f80000 | uint32(m.distance(target))>>2&0x3fff<<5) // tbnz x0, #63, target
}

func (m *onAArch64) keep() { m.little(0xcb0003f3) } // neg x19, x0
func (m *onAArch64) add()  { m.little(0x8b130821) } // add x1, x1, x19, lsl #2

func (m *onAArch64) exec(number uint32) {
	m.little(
		0xf9400be0, // ldr x0, [sp, #16]
		0x910063e1, // add x1, sp, #24
		0xf94003e9, // ldr x9, [sp]
		0x8b296fe2, // add x2, sp, x9, uxtx #3
		0x91004042, // add x2, x2, #16
	)
	m.call(number)
}

type onRISCV64 struct{ text }

func (m *onRISCV64) set(register, value uint32) {
	// addiw adds a signed number of 12 bits: lui makes up for it.
	high := (value + 0x800) &^ 0xfff
	m.little(
		0x37|register<<7|high,                                // lui R, high
		0x1b|register<<7|register<<15|(value-high)&0xfff<<20, // addiw R, R, low
	)
}

func (m *onRISCV64) load(argument int, value uint32) { m.set(10+uint32(argument), value) } // a0, a1, a2

func (m *onRISCV64) call(number uint32) {
	m.set(17, number)    // a7
	m.little(0x00000073) // ecall
}

func (m *onRISCV64) branchIfError(target int) {
	// bltz a0, target
	d := uint32(m.distance(target))
	m.little(0x00054063 | d>>12&1<<31 | d>>5&0x3f<<25 | d>>1&0xf<<8 | d>>11&1<<7)
}

func (m *onRISCV64) keep() { m.little(0x40a004b3) }             // neg s1, a0
func (m *onRISCV64) add()  { m.little(0x00249293, 0x005585b3) } // slli t0, s1, 2; add a1, a1, t0

func (m *onRISCV64) exec(number uint32) {
	m.little(
		0x01013503, // ld a0, 16(sp)
		0x01810593, // addi a1, sp, 24
		0x00013283, // ld t0, 0(sp)
		0x00329293, // slli t0, t0, 3
		0x00510633, // add a2, sp, t0
		0x01060613, // addi a2, a2, 16
	)
	m.call(number)
}

type onPPC64LE struct{ text }

func (m *onPPC64LE) set(register, value uint32) {
	m.little(
		0x3c000000|register<<21|value>>16,                 // lis R, high
		0x60000000|register<<21|register<<16|value&0xffff, // ori R, R, low
	)
}

func (m *onPPC64LE) load(argument int, value uint32) { m.set(3+uint32(argument), value) } // r3, r4, r5

func (m *onPPC64LE) call(number uint32) {
	m.set(0, number)
	m.little(0x44000002) // sc
}

func (m *onPPC64LE) branchIfError(target int) {
	m.little(0x41830000 | uint32(m.distance(target))&0xfffc) // bso target: sc sets the summary overflow
}

func (m *onPPC64LE) keep() { m.little(0x7c7f1b78) }             // mr r31, r3: it is positive here
func (m *onPPC64LE) add()  { m.little(0x7be61764, 0x7c843214) } // sldi r6, r31, 2; add r4, r4, r6

func (m *onPPC64LE) exec(number uint32) {
	m.little(
		0xe8610010, // ld r3, 16(r1)
		0x38810018, // addi r4, r1, 24
		0xe8a10000, // ld r5, 0(r1)
		0x78a51f24, // sldi r5, r5, 3
		0x7ca50a14, // add r5, r5, r1
		0x38a50010, // addi r5, r5, 16
	)
	m.call(number)
}

type onS390x struct{ text }

func (m *onS390x) set(register byte, value uint32) {
	m.bytes(0xc0, register<<4|1) // lgfi R, value
	*m.code() = binary.BigEndian.AppendUint32(*m.code(), value)
}

func (m *onS390x) load(argument int, value uint32) { m.set(2+byte(argument), value) } // r2, r3, r4

func (m *onS390x) call(number uint32) {
	m.set(1, number)
	m.bytes(0x0a, 0x00) // svc 0: its number is in r1
}

func (m *onS390x) branchIfError(target int) {
	m.bytes(0xb9, 0x02, 0x00, 0x22) // ltgr %r2, %r2
	d := m.distance(target) / 2     // halfwords, from the instruction itself
	m.bytes(0xc0, 0x44)             // jgl target
	*m.code() = binary.BigEndian.AppendUint32(*m.code(), uint32(d))
}

func (m *onS390x) keep() { m.bytes(0xb9, 0x03, 0x00, 0x72) } // lcgr %r7, %r2

func (m *onS390x) add() {
	m.bytes(0xeb, 0x87, 0x00, 0x02, 0x00, 0x0d) // sllg %r8, %r7, 2
	m.bytes(0xb9, 0x08, 0x00, 0x38)             // agr %r3, %r8
}

func (m *onS390x) exec(number uint32) {
	m.bytes(0xe3, 0x20, 0xf0, 0x10, 0x00, 0x04) // lg %r2, 16(%r15)
	m.bytes(0x41, 0x30, 0xf0, 0x18)             // la %r3, 24(%r15)
	m.bytes(0xe3, 0x40, 0xf0, 0x00, 0x00, 0x04) // lg %r4, 0(%r15)
	m.bytes(0xeb, 0x44, 0x00, 0x03, 0x00, 0x0d) // sllg %r4, %r4, 3
	m.bytes(0x41, 0x44, 0xf0, 0x10)             // la %r4, 16(%r4, %r15)
	m.call(number)
}
