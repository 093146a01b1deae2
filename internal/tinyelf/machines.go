package tinyelf

import (
	"encoding/binary"

	"github.com/projectcalico/go-build/elfmagic"
)

// A machine has what stubs are made of for one architecture. The branch and the
// registers are functions of numbers, the rest is instructions.
type machine struct {
	// set puts a constant into a register. Those of a system call are for its
	// three arguments and its number (syscall(2)).
	set       func(register, value uint32) []byte
	registers [4]uint32
	call      []byte

	// branch goes on at a distance from its own first byte, if the call failed.
	branch func(distance int) []byte

	// keep puts the errno of the call that failed into a register that calls
	// leave alone, and add adds it, times 4, to the register of an address: that
	// of the second argument.
	keep, add []byte

	// exec puts argv[1], argv[2:] and the environment into the registers of
	// arguments. They are on the stack, where the kernel puts argc, argv and envp.
	exec []byte

	// stack puts the stack pointer into the register of the first argument, and
	// below loads those of five from the words that are Below it.
	stack, below []byte

	// insert puts two more arguments behind argv[0], when a program begins: their texts are at
	// textsAt from insert's first byte, and textSize further. jump, which follows it, goes
	// on at a distance from that byte. The registers that the kernel sets stay as they are.
	insert []byte
	jump   func(distance int64) []byte
}

// machineOf returns the machine of an architecture that both commands are built
// for, or nil.
func machineOf(arch *elfmagic.Arch) *machine {
	switch arch.Name {
	case "aarch64":
		return onAArch64()
	case "ppc64le":
		return onPPC64LE()
	case "riscv64":
		return onRISCV64()
	case "s390x":
		return onS390x()
	case "x86_64":
		return onX8664()
	}
	return nil
}

// little returns the bytes of little-endian words.
func little(words ...uint32) (code []byte) {
	for _, w := range words {
		code = binary.LittleEndian.AppendUint32(code, w)
	}
	return code
}

func onX8664() *machine {
	return &machine{
		set: func(register, value uint32) []byte {
			return append([]byte{0xb8 | byte(register)}, little(value)...) // mov $value, %register
		},
		registers: [4]uint32{7, 6, 2, 0}, // %edi, %esi, %edx, %eax
		call:      []byte{0x0f, 0x05},    // syscall
		branch: func(distance int) []byte {
			return append([]byte{
				0x48, 0x85, 0xc0, // test %rax, %rax
				0x0f, 0x88, // js, from the end of the instruction
			}, little(uint32(distance-9))...)
		},
		keep: []byte{0x48, 0x89, 0xc3, 0x48, 0xf7, 0xdb}, // mov %rax, %rbx; neg %rbx
		add:  []byte{0x48, 0x8d, 0x34, 0x9e},             // lea (%rsi, %rbx, 4), %rsi
		exec: []byte{
			0x48, 0x8b, 0x7c, 0x24, 0x10, // mov 16(%rsp), %rdi
			0x48, 0x8d, 0x74, 0x24, 0x18, // lea 24(%rsp), %rsi
			0x48, 0x8b, 0x04, 0x24, // mov (%rsp), %rax
			0x48, 0x8d, 0x54, 0xc4, 0x10, // lea 16(%rsp, %rax, 8), %rdx
		},
		stack: []byte{0x48, 0x89, 0xe7}, // mov %rsp, %rdi
		below: []byte{
			0x48, 0x8b, 0xbc, 0x24, 0x00, 0xfe, 0xff, 0xff, // mov -512(%rsp), %rdi
			0x48, 0x8b, 0xb4, 0x24, 0x08, 0xfe, 0xff, 0xff, // mov -504(%rsp), %rsi
			0x48, 0x8b, 0x94, 0x24, 0x10, 0xfe, 0xff, 0xff, // mov -496(%rsp), %rdx
			0x4c, 0x8b, 0x94, 0x24, 0x18, 0xfe, 0xff, 0xff, // mov -488(%rsp), %r10
			0x4c, 0x8b, 0x84, 0x24, 0x20, 0xfe, 0xff, 0xff, // mov -480(%rsp), %r8
		},
		insert: []byte{
			0x48, 0x8b, 0x04, 0x24, // mov (%rsp), %rax
			0x48, 0x8b, 0x4c, 0x24, 0x08, // mov 8(%rsp), %rcx
			0x48, 0x83, 0xec, 0x10, // sub $16, %rsp
			0x48, 0x83, 0xc0, 0x02, // add $2, %rax
			0x48, 0x89, 0x04, 0x24, // mov %rax, (%rsp)
			0x48, 0x89, 0x4c, 0x24, 0x08, // mov %rcx, 8(%rsp)
			0x48, 0x8d, 0x05, 0x1f, 0x00, 0x00, 0x00, // lea 31(%rip), %rax
			0x48, 0x89, 0x44, 0x24, 0x10, // mov %rax, 16(%rsp)
			0x48, 0x8d, 0x05, 0x1b, 0x00, 0x00, 0x00, // lea 27(%rip), %rax
			0x48, 0x89, 0x44, 0x24, 0x18, // mov %rax, 24(%rsp)
		},
		jump: func(distance int64) []byte {
			return append([]byte{0xe9}, little(uint32(distance-55))...) // jmp, from the end of the instruction
		},
	}
}

func onAArch64() *machine {
	return &machine{
		set: func(register, value uint32) []byte {
			return little(
				0x52800000|value&0xffff<<5|register, // movz wR, #low
				0x72a00000|value>>16<<5|register,    // movk wR, #high, lsl #16
			)
		},
		registers: [4]uint32{0, 1, 2, 8},
		call:      little(0xd4000001), // svc #0
		branch: func(distance int) []byte {
			return little(0xb7f80000 | uint32(distance)>>2&0x3fff<<5) // tbnz x0, #63
		},
		keep: little(0xcb0003f3), // neg x19, x0
		add:  little(0x8b130821), // add x1, x1, x19, lsl #2
		exec: little(
			0xf9400be0, // ldr x0, [sp, #16]
			0x910063e1, // add x1, sp, #24
			0xf94003e9, // ldr x9, [sp]
			0x8b296fe2, // add x2, sp, x9, uxtx #3
			0x91004042, // add x2, x2, #16
		),
		stack: little(0x910003e0), // mov x0, sp
		below: little(
			0xd10803e9, // sub x9, sp, #512
			0xa9400520, // ldp x0, x1, [x9]
			0xa9410d22, // ldp x2, x3, [x9, #16]
			0xf9401124, // ldr x4, [x9, #32]
		),
		insert: little(
			0xa9402be9, // ldp x9, x10, [sp]
			0x91000929, // add x9, x9, #2
			0xa9bf2be9, // stp x9, x10, [sp, #-16]!
			0x100001a9, // adr x9, . + 52
			0x100001ca, // adr x10, . + 56
			0xa9012be9, // stp x9, x10, [sp, #16]
		),
		jump: func(distance int64) []byte {
			return little(0x14000000 | uint32((distance-24)>>2)&0x3ffffff) // b, by instructions, from itself
		},
	}
}

func onRISCV64() *machine {
	return &machine{
		set: func(register, value uint32) []byte {
			// addiw adds a signed number of 12 bits: lui makes up for it.
			high := (value + 0x800) &^ 0xfff
			return little(
				0x37|register<<7|high,                                // lui R, high
				0x1b|register<<7|register<<15|(value-high)&0xfff<<20, // addiw R, R, low
			)
		},
		registers: [4]uint32{10, 11, 12, 17}, // a0, a1, a2, a7
		call:      little(0x00000073),        // ecall
		branch: func(distance int) []byte {
			d := uint32(distance)
			return little(0x00054063 | d>>12&1<<31 | d>>5&0x3f<<25 | d>>1&0xf<<8 | d>>11&1<<7) // bltz a0
		},
		keep: little(0x40a004b3),             // neg s1, a0
		add:  little(0x00249293, 0x005585b3), // slli t0, s1, 2; add a1, a1, t0
		exec: little(
			0x01013503, // ld a0, 16(sp)
			0x01810593, // addi a1, sp, 24
			0x00013283, // ld t0, 0(sp)
			0x00329293, // slli t0, t0, 3
			0x00510633, // add a2, sp, t0
			0x01060613, // addi a2, a2, 16
		),
		stack: little(0x00010513), // mv a0, sp
		below: little(
			0xe0013503, // ld a0, -512(sp)
			0xe0813583, // ld a1, -504(sp)
			0xe1013603, // ld a2, -496(sp)
			0xe1813683, // ld a3, -488(sp)
			0xe2013703, // ld a4, -480(sp)
		),
		insert: little(
			0x00013283, // ld t0, 0(sp)
			0x00813303, // ld t1, 8(sp)
			0xff010113, // addi sp, sp, -16
			0x00228293, // addi t0, t0, 2
			0x00513023, // sd t0, 0(sp)
			0x00613423, // sd t1, 8(sp)
			0x00000297, // auipc t0, 0
			0x02828293, // addi t0, t0, 40
			0x00513823, // sd t0, 16(sp)
			0x00828293, // addi t0, t0, 8
			0x00513c23, // sd t0, 24(sp)
		),
		jump: func(distance int64) []byte {
			d := uint32(distance - 44)
			high := (d + 0x800) &^ 0xfff
			return little(
				0x00000297|high,               // auipc t0, high
				0x00028067|(d-high)&0xfff<<20, // jalr x0, low(t0)
			)
		},
	}
}

func onPPC64LE() *machine {
	return &machine{
		set: func(register, value uint32) []byte {
			return little(
				0x3c000000|register<<21|value>>16,                 // lis R, high
				0x60000000|register<<21|register<<16|value&0xffff, // ori R, R, low
			)
		},
		registers: [4]uint32{3, 4, 5, 0},
		call:      little(0x44000002), // sc
		branch: func(distance int) []byte {
			return little(0x41830000 | uint32(distance)&0xfffc) // bso: sc sets the summary overflow
		},
		keep: little(0x7c7f1b78),             // mr r31, r3: it is positive here
		add:  little(0x7be61764, 0x7c843214), // sldi r6, r31, 2; add r4, r4, r6
		exec: little(
			0xe8610010, // ld r3, 16(r1)
			0x38810018, // addi r4, r1, 24
			0xe8a10000, // ld r5, 0(r1)
			0x78a51f24, // sldi r5, r5, 3
			0x7ca50a14, // add r5, r5, r1
			0x38a50010, // addi r5, r5, 16
		),
		stack: little(0x7c230b78), // mr r3, r1
		below: little(
			0xe861fe00, // ld r3, -512(r1)
			0xe881fe08, // ld r4, -504(r1)
			0xe8a1fe10, // ld r5, -496(r1)
			0xe8c1fe18, // ld r6, -488(r1)
			0xe8e1fe20, // ld r7, -480(r1)
		),
		insert: little( // r12 is the entry's address, as ELFv2 has it of functions
			0xe9210000, // ld r9, 0(r1)
			0xe9410008, // ld r10, 8(r1)
			0x3821fff0, // addi r1, r1, -16
			0x39290002, // addi r9, r9, 2
			0xf9210000, // std r9, 0(r1)
			0xf9410008, // std r10, 8(r1)
			0x392c0040, // addi r9, r12, 64
			0xf9210010, // std r9, 16(r1)
			0x392c0048, // addi r9, r12, 72
			0xf9210018, // std r9, 24(r1)
		),
		jump: func(distance int64) []byte {
			d := uint32(distance)
			return little(
				0x3d8c0000|(d+0x8000)>>16, // addis r12, r12, high: the low half has a sign
				0x398c0000|d&0xffff,       // addi r12, r12, low
				0x7d8903a6,                // mtctr r12
				0x4e800420,                // bctr
			)
		},
	}
}

func onS390x() *machine {
	return &machine{
		set: func(register, value uint32) []byte {
			return binary.BigEndian.AppendUint32([]byte{0xc0, byte(register)<<4 | 1}, value) // lgfi R, value
		},
		registers: [4]uint32{2, 3, 4, 1},
		call:      []byte{0x0a, 0x00}, // svc 0: its number is in r1
		branch: func(distance int) []byte {
			return binary.BigEndian.AppendUint32([]byte{
				0xb9, 0x02, 0x00, 0x22, // ltgr %r2, %r2
				0xc0, 0x44, // jgl, by halfwords, from the instruction itself
			}, uint32((distance-4)/2))
		},
		keep: []byte{0xb9, 0x03, 0x00, 0x72}, // lcgr %r7, %r2
		add: []byte{
			0xeb, 0x87, 0x00, 0x02, 0x00, 0x0d, // sllg %r8, %r7, 2
			0xb9, 0x08, 0x00, 0x38, // agr %r3, %r8
		},
		exec: []byte{
			0xe3, 0x20, 0xf0, 0x10, 0x00, 0x04, // lg %r2, 16(%r15)
			0x41, 0x30, 0xf0, 0x18, // la %r3, 24(%r15)
			0xe3, 0x40, 0xf0, 0x00, 0x00, 0x04, // lg %r4, 0(%r15)
			0xeb, 0x44, 0x00, 0x03, 0x00, 0x0d, // sllg %r4, %r4, 3
			0x41, 0x44, 0xf0, 0x10, // la %r4, 16(%r4, %r15)
		},
		stack: []byte{0xb9, 0x04, 0x00, 0x2f}, // lgr %r2, %r15
		below: []byte{
			0xe3, 0x20, 0xfe, 0x00, 0xff, 0x04, // lg %r2, -512(%r15)
			0xe3, 0x30, 0xfe, 0x08, 0xff, 0x04, // lg %r3, -504(%r15)
			0xe3, 0x40, 0xfe, 0x10, 0xff, 0x04, // lg %r4, -496(%r15)
			0xe3, 0x50, 0xfe, 0x18, 0xff, 0x04, // lg %r5, -488(%r15)
			0xe3, 0x60, 0xfe, 0x20, 0xff, 0x04, // lg %r6, -480(%r15)
		},
		insert: []byte{
			0xe3, 0x00, 0xf0, 0x00, 0x00, 0x04, // lg %r0, 0(%r15)
			0xe3, 0x10, 0xf0, 0x08, 0x00, 0x04, // lg %r1, 8(%r15)
			0xa7, 0xfb, 0xff, 0xf0, // aghi %r15, -16
			0xa7, 0x0b, 0x00, 0x02, // aghi %r0, 2
			0xe3, 0x00, 0xf0, 0x00, 0x00, 0x24, // stg %r0, 0(%r15)
			0xe3, 0x10, 0xf0, 0x08, 0x00, 0x24, // stg %r1, 8(%r15)
			0xc0, 0x10, 0x00, 0x00, 0x00, 0x10, // larl %r1, .+32
			0xe3, 0x10, 0xf0, 0x10, 0x00, 0x24, // stg %r1, 16(%r15)
			0x41, 0x10, 0x10, 0x08, // la %r1, 8(%r1)
			0xe3, 0x10, 0xf0, 0x18, 0x00, 0x24, // stg %r1, 24(%r15)
		},
		jump: func(distance int64) []byte {
			return binary.BigEndian.AppendUint32([]byte{0xc0, 0xf4}, uint32((distance-54)/2)) // jg, by halfwords, from itself
		},
	}
}
