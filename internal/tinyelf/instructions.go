package tinyelf

import (
	"encoding/binary"
	"sync"
)

// ExitCode is the exit status of a program that ran to its end.
const ExitCode = 42

// A recipe is what is particular to one architecture's program.
type recipe struct {
	flags uint32 // e_flags

	// The instructions are units of this many bytes, in the architecture's
	// byte order unless littleCode says that they are little-endian always.
	unit         int
	littleCode   bool
	instructions []uint32
}

func (r recipe) code(order binary.AppendByteOrder) []byte {
	if r.littleCode {
		order = binary.LittleEndian
	}
	var code []byte
	for _, i := range r.instructions {
		switch r.unit {
		case 1:
			code = append(code, byte(i))
		case 2:
			code = order.AppendUint16(code, uint16(i))
		case 4:
			code = order.AppendUint32(code, i)
		}
	}
	return code
}

// Flags without which a kernel or an emulator refuses a program, or takes it
// for one of another ABI.
const (
	efARMEABI5      = 0x05000000 // EF_ARM_EABI_VER5: arm64 kernels want an EABI
	efHexagonV67    = 0x67       // EF_HEXAGON_MACH_V67: QEMU picks the CPU by it
	efLoongArchLP64 = 0x43       // EF_LOONGARCH_ABI_DOUBLE_FLOAT, object ABI 1
	efMIPSO32       = 0x1000     // EF_MIPS_ABI_O32
	efMIPSN32       = 0x20       // EF_MIPS_ABI2
	efPPC64ELFv2    = 2          // EF_PPC64_ABI: the entry is code, not a descriptor
	efSH4           = 9          // EF_SH4
	efSPARC32PLUS   = 0x100      // EF_SPARC_32PLUS
)

// recipes has the instructions of read(0, stack pointer, 1); exit(ExitCode).
// Each was made from the assembly beside it, by GNU as where that knows the
// architecture, by llvm-mc for hexagon, and by hand from the instruction set's
// manual for loongarch64 and microblaze. System call numbers and conventions:
// syscall(2), and arch/*/kernel/syscalls/syscall.tbl in Linux.
var recipes = sync.OnceValue(func() map[string]recipe {
	return map[string]recipe{
		"aarch64":      {unit: 4, littleCode: true, instructions: aarch64},
		"aarch64_be":   {unit: 4, littleCode: true, instructions: aarch64},
		"alpha":        {unit: 4, instructions: alpha},
		"arm":          {unit: 4, flags: efARMEABI5, instructions: arm},
		"armeb":        {unit: 4, flags: efARMEABI5, instructions: arm},
		"hexagon":      {unit: 4, flags: efHexagonV67, instructions: hexagon},
		"hppa":         {unit: 4, instructions: hppa},
		"i386":         {unit: 1, instructions: i386},
		"loongarch64":  {unit: 4, flags: efLoongArchLP64, instructions: loongarch64},
		"m68k":         {unit: 2, instructions: m68k},
		"microblaze":   {unit: 4, instructions: microblaze},
		"microblazeel": {unit: 4, instructions: microblaze},
		"mips":         {unit: 4, flags: efMIPSO32, instructions: mips(4003, 4001)},
		"mips64":       {unit: 4, instructions: mips(5000, 5058)},
		"mips64el":     {unit: 4, instructions: mips(5000, 5058)},
		"mipsel":       {unit: 4, flags: efMIPSO32, instructions: mips(4003, 4001)},
		"mipsn32":      {unit: 4, flags: efMIPSN32, instructions: mips(6000, 6058)},
		"mipsn32el":    {unit: 4, flags: efMIPSN32, instructions: mips(6000, 6058)},
		"or1k":         {unit: 4, instructions: or1k},
		"ppc":          {unit: 4, instructions: ppc},
		"ppc64":        {unit: 4, flags: efPPC64ELFv2, instructions: ppc},
		"ppc64le":      {unit: 4, flags: efPPC64ELFv2, instructions: ppc},
		"riscv32":      {unit: 4, instructions: riscv},
		"riscv64":      {unit: 4, instructions: riscv},
		"s390x":        {unit: 2, instructions: s390x},
		"sh4":          {unit: 2, flags: efSH4, instructions: sh4},
		"sh4eb":        {unit: 2, flags: efSH4, instructions: sh4},
		"sparc":        {unit: 4, instructions: sparc},
		"sparc32plus":  {unit: 4, flags: efSPARC32PLUS, instructions: sparc},
		"sparc64":      {unit: 4, instructions: sparc64},
		"x86_64":       {unit: 1, instructions: x86_64},
		"xtensa":       {unit: 1, instructions: xtensa},
		"xtensaeb":     {unit: 1, instructions: xtensaeb},
	}
})

var aarch64 = []uint32{
	0xd2800000, // mov x0, #0
	0x910003e1, // mov x1, sp
	0xd2800022, // mov x2, #1
	0xd28007e8, // mov x8, #63
	0xd4000001, // svc #0
	0xd2800540, // mov x0, #42
	0xd2800ba8, // mov x8, #93
	0xd4000001, // svc #0
}

var alpha = []uint32{
	0x47e01410, // mov 0, a0
	0x47fe0411, // mov sp, a1
	0x47e03412, // mov 1, a2
	0x47e07400, // mov 3, v0
	0x00000083, // callsys
	0x47e55410, // mov 42, a0
	0x47e03400, // mov 1, v0
	0x00000083, // callsys
}

var arm = []uint32{
	0xe3a00000, // mov r0, #0
	0xe1a0100d, // mov r1, sp
	0xe3a02001, // mov r2, #1
	0xe3a07003, // mov r7, #3
	0xef000000, // svc #0
	0xe3a0002a, // mov r0, #42
	0xe3a07001, // mov r7, #1
	0xef000000, // svc #0
}

var hexagon = []uint32{
	0x7800c000, // { r0 = #0 }
	0x707dc001, // { r1 = r29 }
	0x7800c022, // { r2 = #1 }
	0x7800c7e6, // { r6 = #63 }
	0x5400c004, // { trap0(#1) }
	0x7800c540, // { r0 = #42 }
	0x7800cba6, // { r6 = #93 }
	0x5400c004, // { trap0(#1) }
}

var hppa = []uint32{
	0x341a0000, // ldi 0, %r26
	0x081e0259, // copy %r30, %r25
	0x34180002, // ldi 1, %r24
	0xe4008200, // ble 0x100(%sr2, %r0)
	0x34140006, // ldi 3, %r20 (executed before the branch is taken)
	0x341a0054, // ldi 42, %r26
	0xe4008200, // ble 0x100(%sr2, %r0)
	0x34140002, // ldi 1, %r20
}

var i386 = []uint32{
	0x31, 0xdb, // xor %ebx, %ebx
	0x89, 0xe1, // mov %esp, %ecx
	0xba, 1, 0, 0, 0, // mov $1, %edx
	0xb8, 3, 0, 0, 0, // mov $3, %eax
	0xcd, 0x80, // int $0x80
	0xbb, ExitCode, 0, 0, 0, // mov $42, %ebx
	0xb8, 1, 0, 0, 0, // mov $1, %eax
	0xcd, 0x80, // int $0x80
}

var loongarch64 = []uint32{
	0x03800004, // ori $a0, $zero, 0
	0x00150065, // or $a1, $sp, $zero
	0x03800406, // ori $a2, $zero, 1
	0x0380fc0b, // ori $a7, $zero, 63
	0x002b0000, // syscall 0
	0x0380a804, // ori $a0, $zero, 42
	0x0381740b, // ori $a7, $zero, 93
	0x002b0000, // syscall 0
}

var m68k = []uint32{
	0x7200, // moveq #0, %d1
	0x240f, // move.l %sp, %d2
	0x7601, // moveq #1, %d3
	0x7003, // moveq #3, %d0
	0x4e40, // trap #0
	0x722a, // moveq #42, %d1
	0x7001, // moveq #1, %d0
	0x4e40, // trap #0
}

var microblaze = []uint32{
	0x30a00000, // addik r5, r0, 0
	0x10c10000, // addk r6, r1, r0
	0x30e00001, // addik r7, r0, 1
	0x31800003, // addik r12, r0, 3
	0xb9cc0008, // brki r14, 8
	0x30a0002a, // addik r5, r0, 42
	0x31800001, // addik r12, r0, 1
	0xb9cc0008, // brki r14, 8
}

// mips returns the program of one of the MIPS ABIs, whose system calls have
// other numbers.
func mips(read, exit uint32) []uint32 {
	return []uint32{
		0x24040000,        // li a0, 0
		0x03a02825,        // move a1, sp
		0x24060001,        // li a2, 1
		0x24020000 | read, // li v0, read
		0x0000000c,        // syscall
		0x2404002a,        // li a0, 42
		0x24020000 | exit, // li v0, exit
		0x0000000c,        // syscall
	}
}

var or1k = []uint32{
	0x9c600000, // l.addi r3, r0, 0
	0xe0810804, // l.or r4, r1, r1
	0x9ca00001, // l.addi r5, r0, 1
	0x9d60003f, // l.addi r11, r0, 63
	0x20000001, // l.sys 1
	0x9c60002a, // l.addi r3, r0, 42
	0x9d60005d, // l.addi r11, r0, 93
	0x20000001, // l.sys 1
}

var ppc = []uint32{
	0x38600000, // li r3, 0
	0x7c240b78, // mr r4, r1
	0x38a00001, // li r5, 1
	0x38000003, // li r0, 3
	0x44000002, // sc
	0x3860002a, // li r3, 42
	0x38000001, // li r0, 1
	0x44000002, // sc
}

var riscv = []uint32{
	0x00000513, // li a0, 0
	0x00010593, // mv a1, sp
	0x00100613, // li a2, 1
	0x03f00893, // li a7, 63
	0x00000073, // ecall
	0x02a00513, // li a0, 42
	0x05d00893, // li a7, 93
	0x00000073, // ecall
}

var s390x = []uint32{
	0xa729, 0x0000, // lghi %r2, 0
	0xb904, 0x003f, // lgr %r3, %r15
	0xa749, 0x0001, // lghi %r4, 1
	0x0a03,           // svc 3
	0xa729, ExitCode, // lghi %r2, 42
	0x0a01, // svc 1
}

var sh4 = []uint32{
	0xe400, // mov #0, r4
	0x65f3, // mov r15, r5
	0xe601, // mov #1, r6
	0xe303, // mov #3, r3
	0xc313, // trapa #0x13
	0xe42a, // mov #42, r4
	0xe301, // mov #1, r3
	0xc311, // trapa #0x11
}

var sparc = []uint32{
	0x90102000, // mov 0, %o0
	0x9210000e, // mov %sp, %o1
	0x94102001, // mov 1, %o2
	0x82102003, // mov 3, %g1
	0x91d02010, // ta 0x10
	0x9010202a, // mov 42, %o0
	0x82102001, // mov 1, %g1
	0x91d02010, // ta 0x10
}

var sparc64 = []uint32{
	0x90102000, // mov 0, %o0
	0x9203a7ff, // add %sp, 2047, %o1 (the stack pointer is biased)
	0x94102001, // mov 1, %o2
	0x82102003, // mov 3, %g1
	0x91d0206d, // ta 0x6d
	0x9010202a, // mov 42, %o0
	0x82102001, // mov 1, %g1
	0x91d0206d, // ta 0x6d
}

var x86_64 = []uint32{
	0x31, 0xc0, // xor %eax, %eax
	0x31, 0xff, // xor %edi, %edi
	0x48, 0x89, 0xe6, // mov %rsp, %rsi
	0xba, 1, 0, 0, 0, // mov $1, %edx
	0x0f, 0x05, // syscall
	0xbf, ExitCode, 0, 0, 0, // mov $42, %edi
	0xb8, 60, 0, 0, 0, // mov $60, %eax
	0x0f, 0x05, // syscall
}

var xtensa = []uint32{
	0x62, 0xa0, 0, // movi a6, 0
	0x10, 0x31, 0x20, // or a3, a1, a1
	0x42, 0xa0, 1, // movi a4, 1
	0x22, 0xa0, 12, // movi a2, 12
	0x00, 0x50, 0x00, // syscall
	0x62, 0xa0, ExitCode, // movi a6, 42
	0x22, 0xa0, 118, // movi a2, 118
	0x00, 0x50, 0x00, // syscall
}

// xtensaeb has the same instructions as xtensa, with the fields of each, four
// bits wide (the eight of an immediate stay together), in the opposite order.
var xtensaeb = []uint32{
	0x26, 0x0a, 0, // movi a6, 0
	0x01, 0x13, 0x02, // or a3, a1, a1
	0x24, 0x0a, 1, // movi a4, 1
	0x22, 0x0a, 12, // movi a2, 12
	0x00, 0x05, 0x00, // syscall
	0x26, 0x0a, ExitCode, // movi a6, 42
	0x22, 0x0a, 118, // movi a2, 118
	0x00, 0x05, 0x00, // syscall
}
