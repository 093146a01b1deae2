package elfmagic

import "debug/elf"

const (
	c32 = elf.ELFCLASS32
	c64 = elf.ELFCLASS64
	le  = elf.ELFDATA2LSB
	be  = elf.ELFDATA2MSB
)

// efMIPSABI2 is EF_MIPS_ABI2 of e_flags: set in a program of the N32 ABI,
// clear in one of the O32 ABI. Nothing else in the header tells them apart.
const efMIPSABI2 = 0x20

// emMicroBlazeOld is EM_MICROBLAZE_OLD, which binutils wrote until EM_MICROBLAZE
// was assigned. QEMU runs both.
const emMicroBlazeOld elf.Machine = 0xbaab

// rows is the table, sorted by name. Sources of the columns:
//
//	Name             QEMU 11's linux-user targets: configs/targets/*-linux-user.mak
//	Class … Flags    elf_check_arch and ELF_CLASS in QEMU's linux-user/elfload.c
//	                 and in the kernel's arch/*/include/asm/elf.h
//	GOARCH           go tool dist list
//	Platforms        OCI image specification; containerd/platforms
//	Uname            UTS_MACHINE and COMPAT_UTS_MACHINE in the kernel's arch/*
//	Debian           dpkg's cputable and tupletable
var rows = []*Arch{
	{Name: "aarch64", Class: c64, Data: le, Machine: elf.EM_AARCH64, GOARCH: "arm64", Platforms: []string{"linux/arm64"}, Uname: []string{"aarch64"}, Debian: []Port{{"arm64", "aarch64-linux-gnu"}}, Aliases: []string{"arm64v8"}, loose: []override{appImage}},
	{Name: "aarch64_be", Class: c64, Data: be, Machine: elf.EM_AARCH64, Uname: []string{"aarch64_be"}, Aliases: []string{"arm64be", "arm64_be"}},
	{Name: "alpha", Class: c64, Data: le, Machine: elf.EM_ALPHA, Uname: []string{"alpha"}, Debian: []Port{{"alpha", "alpha-linux-gnu"}}},
	{Name: "arm", Class: c32, Data: le, Machine: elf.EM_ARM, GOARCH: "arm", Platforms: []string{"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}, Uname: []string{"armv7l", "armv6l", "armv5tel", "armv5tejl", "armv8l"}, Debian: []Port{{"armhf", "arm-linux-gnueabihf"}, {"armel", "arm-linux-gnueabi"}}, Aliases: []string{"armv7", "armv6", "armv5", "arm32v7", "arm32v6", "arm32v5"}, loose: []override{appImage}},
	{Name: "armeb", Class: c32, Data: be, Machine: elf.EM_ARM, Uname: []string{"armv7b", "armv5teb"}, Debian: []Port{{"armeb", "armeb-linux-gnu"}}, Aliases: []string{"armbe", "armeb-linux-gnueabi"}},
	{Name: "hexagon", Class: c32, Data: le, Machine: elf.EM_QDSP6, Uname: []string{"hexagon"}, Aliases: []string{"qdsp6"}},
	{Name: "hppa", Class: c32, Data: be, Machine: elf.EM_PARISC, Uname: []string{"parisc", "parisc64"}, Debian: []Port{{"hppa", "hppa-linux-gnu"}}},
	{Name: "i386", Class: c32, Data: le, Machine: elf.EM_386, Also: []elf.Machine{elf.EM_486}, GOARCH: "386", Platforms: []string{"linux/386"}, Uname: []string{"i686", "i586", "i486", "i386"}, Debian: []Port{{"i386", "i686-linux-gnu"}}, Aliases: []string{"x86", "ia32", "i386-linux-gnu"}, loose: []override{appImage, x86Ident}},
	{Name: "loongarch64", Class: c64, Data: le, Machine: elf.EM_LOONGARCH, GOARCH: "loong64", Platforms: []string{"linux/loong64"}, Uname: []string{"loongarch64"}, Debian: []Port{{"loong64", "loongarch64-linux-gnu"}}},
	{Name: "m68k", Class: c32, Data: be, Machine: elf.EM_68K, Uname: []string{"m68k"}, Debian: []Port{{"m68k", "m68k-linux-gnu"}}},
	{Name: "microblaze", Class: c32, Data: be, Machine: elf.EM_MICROBLAZE, Also: []elf.Machine{emMicroBlazeOld}, Uname: []string{"microblaze"}},
	{Name: "microblazeel", Class: c32, Data: le, Machine: elf.EM_MICROBLAZE, Also: []elf.Machine{emMicroBlazeOld}},
	{Name: "mips", Class: c32, Data: be, Machine: elf.EM_MIPS, Flags: 0, FlagsMask: efMIPSABI2, GOARCH: "mips", Platforms: []string{"linux/mips"}, Uname: []string{"mips"}, Debian: []Port{{"mips", "mips-linux-gnu"}}},
	{Name: "mips64", Class: c64, Data: be, Machine: elf.EM_MIPS, GOARCH: "mips64", Platforms: []string{"linux/mips64"}, Uname: []string{"mips64"}, Debian: []Port{{"mips64", "mips64-linux-gnuabi64"}}},
	{Name: "mips64el", Class: c64, Data: le, Machine: elf.EM_MIPS, GOARCH: "mips64le", Platforms: []string{"linux/mips64le"}, Debian: []Port{{"mips64el", "mips64el-linux-gnuabi64"}}},
	{Name: "mipsel", Class: c32, Data: le, Machine: elf.EM_MIPS, Flags: 0, FlagsMask: efMIPSABI2, GOARCH: "mipsle", Platforms: []string{"linux/mipsle"}, Debian: []Port{{"mipsel", "mipsel-linux-gnu"}}},
	{Name: "mipsn32", Class: c32, Data: be, Machine: elf.EM_MIPS, Flags: efMIPSABI2, FlagsMask: efMIPSABI2, Debian: []Port{{"mipsn32", "mips64-linux-gnuabin32"}}},
	{Name: "mipsn32el", Class: c32, Data: le, Machine: elf.EM_MIPS, Flags: efMIPSABI2, FlagsMask: efMIPSABI2, Debian: []Port{{"mipsn32el", "mips64el-linux-gnuabin32"}}},
	{Name: "or1k", Class: c32, Data: be, Machine: elf.EM_OPENRISC, Uname: []string{"openrisc"}, Debian: []Port{{"or1k", "or1k-linux-gnu"}}},
	{Name: "ppc", Class: c32, Data: be, Machine: elf.EM_PPC, Uname: []string{"ppc"}, Debian: []Port{{"powerpc", "powerpc-linux-gnu"}}, Aliases: []string{"ppc32"}},
	{Name: "ppc64", Class: c64, Data: be, Machine: elf.EM_PPC64, GOARCH: "ppc64", Platforms: []string{"linux/ppc64"}, Uname: []string{"ppc64"}, Debian: []Port{{"ppc64", "powerpc64-linux-gnu"}}, Aliases: []string{"powerpc64"}},
	{Name: "ppc64le", Class: c64, Data: le, Machine: elf.EM_PPC64, GOARCH: "ppc64le", Platforms: []string{"linux/ppc64le"}, Uname: []string{"ppc64le"}, Debian: []Port{{"ppc64el", "powerpc64le-linux-gnu"}}, Aliases: []string{"powerpc64le"}},
	{Name: "riscv32", Class: c32, Data: le, Machine: elf.EM_RISCV, Uname: []string{"riscv32"}, Aliases: []string{"riscv32-linux-gnu"}},
	{Name: "riscv64", Class: c64, Data: le, Machine: elf.EM_RISCV, GOARCH: "riscv64", Platforms: []string{"linux/riscv64"}, Uname: []string{"riscv64"}, Debian: []Port{{"riscv64", "riscv64-linux-gnu"}}},
	{Name: "s390x", Class: c64, Data: be, Machine: elf.EM_S390, GOARCH: "s390x", Platforms: []string{"linux/s390x"}, Uname: []string{"s390x"}, Debian: []Port{{"s390x", "s390x-linux-gnu"}}},
	{Name: "sh4", Class: c32, Data: le, Machine: elf.EM_SH, Uname: []string{"sh4", "sh4a"}, Debian: []Port{{"sh4", "sh4-linux-gnu"}}},
	{Name: "sh4eb", Class: c32, Data: be, Machine: elf.EM_SH, Uname: []string{"sh4eb", "sh4aeb"}, Debian: []Port{{"sh4eb", "sh4eb-linux-gnu"}}},
	{Name: "sparc", Class: c32, Data: be, Machine: elf.EM_SPARC, Uname: []string{"sparc"}, Debian: []Port{{"sparc", "sparc-linux-gnu"}}},
	{Name: "sparc32plus", Class: c32, Data: be, Machine: elf.EM_SPARC32PLUS, Aliases: []string{"sparcv8plus"}},
	{Name: "sparc64", Class: c64, Data: be, Machine: elf.EM_SPARCV9, Uname: []string{"sparc64"}, Debian: []Port{{"sparc64", "sparc64-linux-gnu"}}, Aliases: []string{"sparcv9"}},
	{Name: "x86_64", Class: c64, Data: le, Machine: elf.EM_X86_64, GOARCH: "amd64", Platforms: []string{"linux/amd64"}, Uname: []string{"x86_64"}, Debian: []Port{{"amd64", "x86_64-linux-gnu"}}, Aliases: []string{"x86-64", "x64"}, loose: []override{appImage, x86Ident}},
	{Name: "xtensa", Class: c32, Data: le, Machine: elf.EM_XTENSA, Uname: []string{"xtensa"}},
	{Name: "xtensaeb", Class: c32, Data: be, Machine: elf.EM_XTENSA},
}
