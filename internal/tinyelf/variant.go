package tinyelf

import (
	"debug/elf"
	"fmt"
	"slices"

	"github.com/projectcalico/go-build/elfmagic"
)

// A variant is a level of an architecture's instruction set that OCI platforms
// name, with instructions that CPUs below that level do not have: they end the
// program with SIGILL.
type variant struct {
	name         string
	instructions []byte
}

// variants returns the levels in ascending order: a CPU of one has all before it.
//
//	x86_64  x86-64-v2 to v4 in the psABI: github.com/x86-64-ABI, "Micro-Architecture Levels"
//	arm     Arm Architecture Reference Manual, ARMv6 and ARMv7-A
func variants(arch *elfmagic.Arch) []variant {
	switch arch.Name {
	case "x86_64":
		return []variant{
			{"v2", []byte{
				0x66, 0x0f, 0xd0, 0xc0, // addsubpd %xmm0, %xmm0 (SSE3)
				0x66, 0x0f, 0x38, 0x00, 0xc0, // pshufb %xmm0, %xmm0 (SSSE3)
				0x66, 0x0f, 0x38, 0x40, 0xc0, // pmulld %xmm0, %xmm0 (SSE4.1)
				0x66, 0x0f, 0x38, 0x37, 0xc0, // pcmpgtq %xmm0, %xmm0 (SSE4.2)
				0xf3, 0x0f, 0xb8, 0xc0, // popcnt %eax, %eax
				0x9f,                               // lahf
				0xf0, 0x48, 0x0f, 0xc7, 0x0c, 0x24, // lock cmpxchg16b (%rsp)
			}},
			{"v3", []byte{
				0xc5, 0xfd, 0xef, 0xc0, // vpxor %ymm0, %ymm0, %ymm0 (AVX2)
				0xc4, 0xe2, 0x78, 0xf2, 0xc0, // andn %eax, %eax, %eax (BMI1)
				0xc4, 0xe2, 0x7b, 0xf6, 0xc0, // mulx %eax, %eax, %eax (BMI2)
				0xc4, 0xe2, 0x7d, 0xb8, 0xc0, // vfmadd231ps %ymm0, %ymm0, %ymm0 (FMA)
				0xc4, 0xe2, 0x7d, 0x13, 0xc0, // vcvtph2ps %xmm0, %ymm0 (F16C)
				0x0f, 0x38, 0xf0, 0x04, 0x24, // movbe (%rsp), %eax
			}},
			{"v4", []byte{
				0x62, 0xf1, 0x7d, 0x48, 0xef, 0xc0, // vpxord %zmm0, %zmm0, %zmm0 (AVX512F)
				0x62, 0xf1, 0x7d, 0x48, 0xfc, 0xc0, // vpaddb %zmm0, %zmm0, %zmm0 (AVX512BW)
				0x62, 0xf2, 0x7d, 0x48, 0x44, 0xc0, // vplzcntd %zmm0, %zmm0 (AVX512CD)
				0x62, 0xf2, 0xfd, 0x48, 0x40, 0xc0, // vpmullq %zmm0, %zmm0, %zmm0 (AVX512DQ)
				0x62, 0xf1, 0x7d, 0x08, 0xef, 0xc0, // vpxord %xmm0, %xmm0, %xmm0 (AVX512VL)
			}},
		}
	case "arm":
		return []variant{
			{"v6", []byte{0x30, 0x0f, 0xbf, 0xe6}}, // rev r0, r0
			{"v7", []byte{0x00, 0x00, 0x00, 0xe3}}, // movw r0, #0
		}
	}
	return nil
}

// Variants returns the names of the architecture's levels above the lowest, in
// ascending order, as OCI platforms have them: v2, v3, v4 of amd64.
func Variants(arch *elfmagic.Arch) []string {
	var names []string
	for _, v := range variants(arch) {
		names = append(names, v.name)
	}
	return names
}

// VariantProgram returns an executable that runs as that of Program does, but
// only on a CPU, or an emulator, of the given level or above.
func VariantProgram(arch *elfmagic.Arch, name string) ([]byte, error) {
	levels := variants(arch)
	i := slices.IndexFunc(levels, func(v variant) bool { return v.name == name })
	if i < 0 {
		return nil, fmt.Errorf("%s has no variant %s", arch, name)
	}
	var first []byte
	for _, v := range levels[:i+1] {
		first = append(first, v.instructions...)
	}
	return program(arch, byte(elf.EV_CURRENT), first...)
}
