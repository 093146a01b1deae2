package tinyelf

import (
	"debug/elf"
	"encoding/binary"
	"slices"

	"github.com/projectcalico/go-build/elfmagic"
)

// ExitCode is the exit status of a program that ran to its end.
const ExitCode = 42

// A recipe is what is particular to one architecture's program, or to those of
// several that have the same instructions.
type recipe struct {
	archs []string
	flags uint32 // e_flags

	isa        *isa
	read, exit uint32 // numbers of system calls

	code []byte // instead of them, where instructions are of several lengths
}

// An isa has the instructions of an architecture for system calls. Those that load
// a constant have it from bit shift on, and 0 here.
type isa struct {
	first  uint32 // loads a constant into the register of the first argument,
	stack  uint32 // the stack pointer into that of the second,
	third  uint32 // a constant into that of the third,
	number uint32 // and into that of the call's number
	call   uint32
	shift  int
	size   int  // of each, in bytes
	little bool // they are little-endian whatever the data is
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

// recipes are of read(0, stack pointer, 1); exit(ExitCode). System call numbers and
// conventions: syscall(2), and arch/*/kernel/syscalls/syscall.tbl in Linux.
var recipes = [...]recipe{
	{archs: []string{"aarch64", "aarch64_be"}, isa: &aarch64, read: 63, exit: 93},
	{archs: []string{"alpha"}, isa: &alpha, read: 3, exit: 1},
	{archs: []string{"arm", "armeb"}, flags: efARMEABI5, isa: &arm, read: 3, exit: 1},
	{archs: []string{"hexagon"}, flags: efHexagonV67, isa: &hexagon, read: 63, exit: 93},
	{archs: []string{"hppa"}, code: hppa},
	{archs: []string{"i386"}, code: i386},
	{archs: []string{"loongarch64"}, flags: efLoongArchLP64, isa: &loongarch64, read: 63, exit: 93},
	{archs: []string{"m68k"}, isa: &m68k, read: 3, exit: 1},
	{archs: []string{"microblaze", "microblazeel"}, isa: &microblaze, read: 3, exit: 1},
	{archs: []string{"mips", "mipsel"}, flags: efMIPSO32, isa: &mips, read: 4003, exit: 4001},
	{archs: []string{"mips64", "mips64el"}, isa: &mips, read: 5000, exit: 5058},
	{archs: []string{"mipsn32", "mipsn32el"}, flags: efMIPSN32, isa: &mips, read: 6000, exit: 6058},
	{archs: []string{"or1k"}, isa: &or1k, read: 63, exit: 93},
	{archs: []string{"ppc"}, isa: &ppc, read: 3, exit: 1},
	{archs: []string{"ppc64", "ppc64le"}, flags: efPPC64ELFv2, isa: &ppc, read: 3, exit: 1},
	{archs: []string{"riscv32", "riscv64"}, isa: &riscv, read: 63, exit: 93},
	{archs: []string{"s390x"}, isa: &s390x, read: 3, exit: 1},
	{archs: []string{"sh4", "sh4eb"}, flags: efSH4, isa: &sh4, read: 3, exit: 1},
	{archs: []string{"sparc"}, isa: &sparc, read: 3, exit: 1},
	{archs: []string{"sparc32plus"}, flags: efSPARC32PLUS, isa: &sparc, read: 3, exit: 1},
	{archs: []string{"sparc64"}, isa: &sparc64, read: 3, exit: 1},
	{archs: []string{"x86_64"}, code: x86_64},
	{archs: []string{"xtensa"}, isa: &xtensa, read: 12, exit: 118},
	{archs: []string{"xtensaeb"}, isa: &xtensaeb, read: 12, exit: 118},
}

// recipeOf returns an architecture's recipe, or nil.
func recipeOf(arch *elfmagic.Arch) *recipe {
	for i := range recipes {
		if slices.Contains(recipes[i].archs, arch.Name) {
			return &recipes[i]
		}
	}
	return nil
}

// program returns the instructions for an architecture whose data has the order.
func (r *recipe) program(data elf.Data) []byte {
	if r.isa == nil {
		return r.code
	}
	i := *r.isa
	var code []byte
	for _, instruction := range []uint32{
		i.first, i.stack, i.third | 1<<i.shift, i.number | r.read<<i.shift, i.call,
		i.first | ExitCode<<i.shift, i.number | r.exit<<i.shift, i.call,
	} {
		bytes := binary.BigEndian.AppendUint32(nil, instruction)[4-i.size:]
		if i.little || data == elf.ELFDATA2LSB {
			slices.Reverse(bytes)
		}
		code = append(code, bytes...)
	}
	return code
}

// Each instruction was made from the assembly behind it, in which the constant is N,
// by GNU as where that knows the architecture, by llvm-mc for hexagon, and by hand
// from the instruction set's manual for loongarch64 and microblaze.
var (
	//                first       stack       third       number      call        shift, size, little
	aarch64     = isa{0xd2800000, 0x910003e1, 0xd2800002, 0xd2800008, 0xd4000001, 5, 4, true}   // mov x0, #N; mov x1, sp; mov x2, #N; mov x8, #N; svc #0
	alpha       = isa{0x47e01410, 0x47fe0411, 0x47e01412, 0x47e01400, 0x00000083, 13, 4, false} // mov N, a0; mov sp, a1; mov N, a2; mov N, v0; callsys
	arm         = isa{0xe3a00000, 0xe1a0100d, 0xe3a02000, 0xe3a07000, 0xef000000, 0, 4, false}  // mov r0, #N; mov r1, sp; mov r2, #N; mov r7, #N; svc #0
	hexagon     = isa{0x7800c000, 0x707dc001, 0x7800c002, 0x7800c006, 0x5400c004, 5, 4, false}  // { r0 = #N }; { r1 = r29 }; { r2 = #N }; { r6 = #N }; { trap0(#1) }
	loongarch64 = isa{0x03800004, 0x00150065, 0x03800006, 0x0380000b, 0x002b0000, 10, 4, false} // ori $a0, $zero, N; or $a1, $sp, $zero; ori $a2, $zero, N; ori $a7, $zero, N; syscall 0
	m68k        = isa{0x7200, 0x240f, 0x7600, 0x7000, 0x4e40, 0, 2, false}                      // moveq #N, %d1; move.l %sp, %d2; moveq #N, %d3; moveq #N, %d0; trap #0
	microblaze  = isa{0x30a00000, 0x10c10000, 0x30e00000, 0x31800000, 0xb9cc0008, 0, 4, false}  // addik r5, r0, N; addk r6, r1, r0; addik r7, r0, N; addik r12, r0, N; brki r14, 8
	mips        = isa{0x24040000, 0x03a02825, 0x24060000, 0x24020000, 0x0000000c, 0, 4, false}  // li a0, N; move a1, sp; li a2, N; li v0, N; syscall
	or1k        = isa{0x9c600000, 0xe0810804, 0x9ca00000, 0x9d600000, 0x20000001, 0, 4, false}  // l.addi r3, r0, N; l.or r4, r1, r1; l.addi r5, r0, N; l.addi r11, r0, N; l.sys 1
	ppc         = isa{0x38600000, 0x7c240b78, 0x38a00000, 0x38000000, 0x44000002, 0, 4, false}  // li r3, N; mr r4, r1; li r5, N; li r0, N; sc
	riscv       = isa{0x00000513, 0x00010593, 0x00000613, 0x00000893, 0x00000073, 20, 4, false} // li a0, N; mv a1, sp; li a2, N; li a7, N; ecall
	s390x       = isa{0xa7290000, 0xb904003f, 0xa7490000, 0xa7190000, 0x0a000700, 0, 4, false}  // lghi %r2, N; lgr %r3, %r15; lghi %r4, N; lghi %r1, N; svc 0, nopr %r0
	sh4         = isa{0xe400, 0x65f3, 0xe600, 0xe300, 0xc313, 0, 2, false}                      // mov #N, r4; mov r15, r5; mov #N, r6; mov #N, r3; trapa #0x13
	sparc       = isa{0x90102000, 0x9210000e, 0x94102000, 0x82102000, 0x91d02010, 0, 4, false}  // mov N, %o0; mov %sp, %o1; mov N, %o2; mov N, %g1; ta 0x10
	sparc64     = isa{0x90102000, 0x9203a7ff, 0x94102000, 0x82102000, 0x91d0206d, 0, 4, false}  // mov N, %o0; add %sp, 2047, %o1; mov N, %o2; mov N, %g1; ta 0x6d
	xtensa      = isa{0x00a062, 0x203110, 0x00a042, 0x00a022, 0x005000, 16, 3, false}           // movi a6, N; or a3, a1, a1; movi a4, N; movi a2, N; syscall

	// As xtensa, with the fields of each, four bits wide (the eight of an immediate
	// stay together), in the opposite order.
	xtensaeb = isa{0x260a00, 0x011302, 0x240a00, 0x220a00, 0x000500, 0, 3, false}
)

var hppa = []byte{
	0x34, 0x1a, 0x00, 0x00, // ldi 0, %r26
	0x08, 0x1e, 0x02, 0x59, // copy %r30, %r25
	0x34, 0x18, 0x00, 0x02, // ldi 1, %r24
	0xe4, 0x00, 0x82, 0x00, // ble 0x100(%sr2, %r0)
	0x34, 0x14, 0x00, 0x06, // ldi 3, %r20 (executed before the branch is taken)
	0x34, 0x1a, 0x00, 0x54, // ldi 42, %r26
	0xe4, 0x00, 0x82, 0x00, // ble 0x100(%sr2, %r0)
	0x34, 0x14, 0x00, 0x02, // ldi 1, %r20
}

var i386 = []byte{
	0x31, 0xdb, // xor %ebx, %ebx
	0x89, 0xe1, // mov %esp, %ecx
	0xba, 1, 0, 0, 0, // mov $1, %edx
	0xb8, 3, 0, 0, 0, // mov $3, %eax
	0xcd, 0x80, // int $0x80
	0xbb, ExitCode, 0, 0, 0, // mov $42, %ebx
	0xb8, 1, 0, 0, 0, // mov $1, %eax
	0xcd, 0x80, // int $0x80
}

var x86_64 = []byte{
	0x31, 0xc0, // xor %eax, %eax
	0x31, 0xff, // xor %edi, %edi
	0x48, 0x89, 0xe6, // mov %rsp, %rsi
	0xba, 1, 0, 0, 0, // mov $1, %edx
	0x0f, 0x05, // syscall
	0xbf, ExitCode, 0, 0, 0, // mov $42, %edi
	0xb8, 60, 0, 0, 0, // mov $60, %eax
	0x0f, 0x05, // syscall
}
