package tinyelf_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// echo prints its arguments and a variable of the environment, by a library that reads program headers:
// thread-local storage is found there. It finds them in both ways that programs have.
const echo = `#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
extern const ElfW(Ehdr) __ehdr_start;
static __thread int count = 40;
static int zeros[100000];
static int see(struct dl_phdr_info *info, size_t size, void *data) { *(int *)data = info->dlpi_phnum; return 1; }
int main(int argc, char **argv) {
	int headers = 0;
	for (int i = 0; i < argc; i++) printf("%s|", argv[i]);
	for (int i = 0; i < 100000; i++) count += zeros[i];
	dl_iterate_phdr(see, &headers);
	printf("%s %d %d %d %d\n", getenv("VARIABLE"), count + argc, argv[argc] == NULL, headers == getauxval(AT_PHNUM) && headers == __ehdr_start.e_phnum,
		getauxval(AT_PHDR) == (unsigned long)&__ehdr_start + __ehdr_start.e_phoff);
	return 0;
}
`

// emulated returns the command that runs a program of a host's, with an argv[0].
func emulated(t *testing.T, host, path, argv0 string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Args[0] = argv0
	if host != runtime.GOARCH {
		search := emulator.Search{Dirs: emulator.DefaultDirs()}
		e, err := search.Find(lookup(t, host))
		if err != nil {
			t.Skip("the program for another host runs in an emulator: ", err)
		}
		cmd = exec.Command(e.Path, append([]string{"-0", argv0, path}, args...)...)
	}
	cmd.Env = append(os.Environ(), "VARIABLE=its value")
	return cmd
}

func TestAProgramWithArgumentsHasThem(t *testing.T) {
	for host, triplet := range map[string]string{
		"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "ppc64le": "powerpc64le-linux-gnu", "riscv64": "riscv64-linux-gnu", "s390x": "s390x-linux-gnu",
	} {
		for _, link := range []string{"-static", "-static-pie"} {
			t.Run(host+link, func(t *testing.T) {
				compiler, err := exec.LookPath(triplet + "-gcc")
				if err != nil {
					t.Skip("no cross compiler: ", err)
				}
				path := filepath.Join(t.TempDir(), "echo")
				cmd := exec.Command(compiler, link, "-fPIE", "-D_GNU_SOURCE", "-O1", "-o", path, "-x", "c", "-")
				cmd.Stdin = strings.NewReader(echo)
				out, err := cmd.CombinedOutput()
				if strings.Contains(string(out), "rcrt1.o") {
					t.Skip("Debian's C library has no static position-independent programs for it")
				}
				require.NoError(t, err, "%s", out)
				program, err := os.ReadFile(path)
				require.NoError(t, err)
				before, plain, said := status(t, emulated(t, host, path, "the name", "an argument", ""))
				require.Zero(t, before, said)
				require.Equal(t, "the name|an argument||its value 43 1 1 1\n", plain)

				value := "max,pauth-impdef=on" + strings.Repeat(" ", 300)
				changed, err := tinyelf.WithArguments(program, "-cpu", value)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, changed, 0o755))
				after, stdout, stderr := status(t, emulated(t, host, path, "the name", "an argument", ""))
				assert.Zero(t, after, stderr)
				assert.Equal(t, "the name|-cpu|"+value+"|an argument||its value 45 1 1 1\n", stdout)

				// And so on: arguments come in front of those that are there.
				changed, err = tinyelf.WithArguments(changed, "", "second")
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, changed, 0o755))
				_, stdout, stderr = status(t, emulated(t, host, path, "x"))
				assert.Equal(t, "x|-cpu|"+value+"||second|its value 45 1 1 1\n", stdout, stderr)
			})
		}
	}
}

func TestWhatCannotBeGivenArguments(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	dynamic, err := os.ReadFile("/bin/sh")
	require.NoError(t, err)
	_, err = tinyelf.WithArguments(dynamic, "-a", "b")
	assert.ErrorContains(t, err, "dynamically linked")
	_, err = tinyelf.WithArguments(self, "-longish", "b")
	assert.EqualError(t, err, `"-longish": longer than 7 bytes`)
	_, err = tinyelf.WithArguments([]byte("text"), "-a", "b")
	assert.ErrorIs(t, err, elfmagic.ErrNotELF)
	hppa, err := tinyelf.Program(lookup(t, "hppa"))
	require.NoError(t, err)
	_, err = tinyelf.WithArguments(hppa, "-a", "b")
	assert.EqualError(t, err, "no instructions are known for hppa")
	for _, size := range []int{60, 64, 100} {
		_, err = tinyelf.WithArguments(self[:size], "-a", "b")
		assert.ErrorIs(t, err, elfmagic.ErrTruncated, size)
	}
	for name, at := range map[string]int{"size of a header": 54, "size in memory": 64 + 40, "alignment": 64 + 48} {
		asker, err := tinyelf.Asker(lookup(t, runtime.GOARCH), 1, 2)
		require.NoError(t, err)
		asker[elf.EI_VERSION] = byte(elf.EV_CURRENT)
		asker[at], asker[at+1] = 0xff, 0xff
		if at > 54 {
			copy(asker[at:at+8], "\xff\xff\xff\xff\xff\xff\xff\xff")
		}
		_, err = tinyelf.WithArguments(asker, "-a", "b")
		assert.ErrorIs(t, err, elfmagic.ErrMalformed, name)
	}
}

// The instructions are the assembly beside them.
func TestInsertedArgumentsAreTheirAssembly(t *testing.T) {
	for host, source := range map[string]struct{ assembler, text string }{
		"amd64":   {"x86_64-linux-gnu-as", "mov (%rsp), %rax\n mov 8(%rsp), %rcx\n sub $16, %rsp\n add $2, %rax\n mov %rax, (%rsp)\n mov %rcx, 8(%rsp)\n lea 31(%rip), %rax\n mov %rax, 16(%rsp)\n lea 27(%rip), %rax\n mov %rax, 24(%rsp)\n"},
		"arm64":   {"aarch64-linux-gnu-as", "ldp x9, x10, [sp]\n add x9, x9, #2\n stp x9, x10, [sp, #-16]!\n adr x9, . + 52\n adr x10, . + 56\n stp x9, x10, [sp, #16]\n"},
		"riscv64": {"riscv64-linux-gnu-as -march=rv64i", "ld t0, 0(sp)\n ld t1, 8(sp)\n addi sp, sp, -16\n addi t0, t0, 2\n sd t0, 0(sp)\n sd t1, 8(sp)\n auipc t0, 0\n addi t0, t0, 40\n sd t0, 16(sp)\n addi t0, t0, 8\n sd t0, 24(sp)\n"},
		"ppc64le": {"powerpc64le-linux-gnu-as -mregnames", "ld %r9, 0(%r1)\n ld %r10, 8(%r1)\n addi %r1, %r1, -16\n addi %r9, %r9, 2\n std %r9, 0(%r1)\n std %r10, 8(%r1)\n addi %r9, %r12, 64\n std %r9, 16(%r1)\n addi %r9, %r12, 72\n std %r9, 24(%r1)\n"},
		"s390x":   {"s390x-linux-gnu-as", "lg %r0, 0(%r15)\n lg %r1, 8(%r15)\n aghi %r15, -16\n aghi %r0, 2\n stg %r0, 0(%r15)\n stg %r1, 8(%r15)\n larl %r1, .+32\n stg %r1, 16(%r15)\n la %r1, 8(%r1)\n stg %r1, 24(%r15)\n"},
	} {
		t.Run(host, func(t *testing.T) {
			program, err := tinyelf.Asker(lookup(t, host), 1, 2)
			require.NoError(t, err)
			program[elf.EI_VERSION] = byte(elf.EV_CURRENT)
			changed, err := tinyelf.WithArguments(program, "-a", "b")
			require.NoError(t, err)
			assert.Contains(t, string(changed), strings.TrimRight(string(assemble(t, source.assembler, source.text)), "\x07"))
		})
	}
}
