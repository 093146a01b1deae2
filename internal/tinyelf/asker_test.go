package tinyelf_test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// Nobody answers here: the kernel says that there is no such path, and the Asker ends.
func TestAnAskerThatIsNotAnsweredEnds(t *testing.T) {
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			arch := lookup(t, host)
			program, err := tinyelf.Asker(arch, 0x12345678, 0x7fffffff)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "asker")
			cmd := exec.Command(path)
			if host != runtime.GOARCH {
				search := emulator.Search{Dirs: emulator.DefaultDirs()}
				e, err := search.Find(arch)
				if err != nil {
					t.Skip("the program for another host runs in an emulator: ", err)
				}
				cmd = exec.Command(e.Path, path)
				program[elf.EI_VERSION] = byte(elf.EV_CURRENT) // emulators look at it
			}
			require.NoError(t, os.WriteFile(path, program, 0o755))
			status, stdout, stderr := status(t, cmd)
			assert.Equal(t, tinyelf.ExitFailed, status, stderr)
			assert.Empty(t, stdout)
		})
	}
	_, err := tinyelf.Asker(lookup(t, "arm"), 1, 2)
	assert.Error(t, err)
}

// The instructions are the assembly beside them.
func TestAskersAreTheirAssembly(t *testing.T) {
	for host, source := range map[string]struct{ assembler, text string }{
		"amd64":   {"x86_64-linux-gnu-as", "mov %rsp, %rdi\n mov -512(%rsp), %rdi\n mov -504(%rsp), %rsi\n mov -496(%rsp), %rdx\n mov -488(%rsp), %r10\n mov -480(%rsp), %r8\n"},
		"arm64":   {"aarch64-linux-gnu-as", "mov x0, sp\n sub x9, sp, #512\n ldp x0, x1, [x9]\n ldp x2, x3, [x9, #16]\n ldr x4, [x9, #32]\n"},
		"riscv64": {"riscv64-linux-gnu-as -march=rv64i", "mv a0, sp\n ld a0, -512(sp)\n ld a1, -504(sp)\n ld a2, -496(sp)\n ld a3, -488(sp)\n ld a4, -480(sp)\n"},
		"ppc64le": {"powerpc64le-linux-gnu-as -mregnames", "mr %r3, %r1\n ld %r3, -512(%r1)\n ld %r4, -504(%r1)\n ld %r5, -496(%r1)\n ld %r6, -488(%r1)\n ld %r7, -480(%r1)\n"},
		"s390x":   {"s390x-linux-gnu-as", "lgr %r2, %r15\n lg %r2, -512(%r15)\n lg %r3, -504(%r15)\n lg %r4, -496(%r15)\n lg %r5, -488(%r15)\n lg %r6, -480(%r15)\n"},
	} {
		t.Run(host, func(t *testing.T) {
			program, err := tinyelf.Asker(lookup(t, host), 1, 2)
			require.NoError(t, err)
			code := assemble(t, source.assembler, source.text)
			first := 4 // the stack pointer is asked for first, and what is below it later
			if host == "amd64" {
				first = 3
			}
			code = bytes.TrimRight(code, "\x07") // s390x's padding
			assert.True(t, bytes.Contains(program, code[:first]))
			assert.True(t, bytes.Contains(program, code[first:]), "% x in % x", code[first:], program)
		})
	}
}
