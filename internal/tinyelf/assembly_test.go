package tinyelf_test

import (
	"debug/elf"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// assemblies returns the comments beside the instructions, by the name of the
// variable that has them: one instruction a line, without remarks in brackets.
func assemblies(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "instructions.go", nil, parser.ParseComments)
	require.NoError(t, err)
	remark := regexp.MustCompile(` \([a-z ]+\)$`)
	lists := make(map[string]string)
	for _, decl := range file.Decls {
		variables, ok := decl.(*ast.GenDecl)
		if !ok || variables.Tok != token.VAR {
			continue
		}
		for _, spec := range variables.Specs {
			value := spec.(*ast.ValueSpec)
			text := value.Comment.Text()
			for _, group := range file.Comments {
				if group.Pos() > value.Pos() && group.End() < value.End() {
					text += group.Text()
				}
			}
			for line := range strings.Lines(text) {
				lists[value.Names[0].Name] += remark.ReplaceAllString(strings.TrimSpace(line), "") + "\n"
			}
		}
	}
	return lists
}

// calls returns the assembly of a whole program, made from that of an isa.
func calls(text, read, exit string) string {
	parts := strings.Split(strings.TrimSpace(text), "; ")
	with := func(part int, n string) string { return strings.ReplaceAll(parts[part], "N", n) + "\n" }
	return with(0, "0") + with(1, "") + with(2, "1") + with(3, read) + with(4, "") + with(0, "42") + with(3, exit) + with(4, "")
}

// Registers, in comments without the sign that the assembler wants.
var (
	alphaRegisters = strings.NewReplacer("a0", "$16", "a1", "$17", "a2", "$18", "v0", "$0", "sp", "$30")
	mipsRegisters  = strings.NewReplacer("a0", "$a0", "a1", "$a1", "a2", "$a2", "v0", "$v0", "sp", "$sp")
	s390xPadding   = strings.NewReplacer(", nopr", "\nnopr")
)

func TestInstructionsAreTheAssemblyBesideThem(t *testing.T) {
	lists := assemblies(t)
	llvm := func(triple string) string { return "llvm-mc -filetype=obj -triple=" + triple }
	for _, test := range []struct {
		arch, list, read, exit, assembler string
		replace                           *strings.Replacer
	}{
		{"aarch64", "aarch64", "63", "93", "aarch64-linux-gnu-as", nil},
		{"alpha", "alpha", "3", "1", "alpha-linux-gnu-as", alphaRegisters},
		{"arm", "arm", "3", "1", "arm-linux-gnueabi-as", nil},
		{"armeb", "arm", "3", "1", "arm-linux-gnueabi-as -mbig-endian", nil},
		{"hexagon", "hexagon", "63", "93", llvm("hexagon"), nil},
		{"hppa", "hppa", "", "", "hppa-linux-gnu-as", nil},
		{"i386", "i386", "", "", "i686-linux-gnu-as", nil},
		{"m68k", "m68k", "3", "1", "m68k-linux-gnu-as", nil},
		{"mips", "mips", "4003", "4001", "mips-linux-gnu-as", mipsRegisters},
		{"mips64", "mips", "5000", "5058", "mips64-linux-gnuabi64-as", mipsRegisters},
		{"mips64el", "mips", "5000", "5058", "mips64el-linux-gnuabi64-as", mipsRegisters},
		{"mipsel", "mips", "4003", "4001", "mipsel-linux-gnu-as", mipsRegisters},
		{"mipsn32", "mips", "6000", "6058", "mips64-linux-gnuabi64-as -n32", mipsRegisters},
		{"mipsn32el", "mips", "6000", "6058", "mips64el-linux-gnuabi64-as -n32", mipsRegisters},
		{"or1k", "or1k", "63", "93", "or1k-elf-as", nil},
		{"ppc", "ppc", "3", "1", "powerpc-linux-gnu-as -mregnames", nil},
		{"ppc64", "ppc", "3", "1", "powerpc64-linux-gnu-as -mregnames", nil},
		{"ppc64le", "ppc", "3", "1", "powerpc64le-linux-gnu-as -mregnames", nil},
		{"riscv32", "riscv", "63", "93", "riscv64-linux-gnu-as -march=rv32i -mabi=ilp32", nil},
		{"riscv64", "riscv", "63", "93", "riscv64-linux-gnu-as -march=rv64i", nil},
		{"s390x", "s390x", "3", "1", "s390x-linux-gnu-as", s390xPadding},
		{"sh4", "sh4", "3", "1", "sh4-linux-gnu-as --little", nil},
		{"sh4eb", "sh4", "3", "1", "sh4-linux-gnu-as --big", nil},
		{"sparc", "sparc", "3", "1", "sparc64-linux-gnu-as -32", nil},
		{"sparc32plus", "sparc", "3", "1", "sparc64-linux-gnu-as -32", nil},
		{"sparc64", "sparc64", "3", "1", "sparc64-linux-gnu-as", nil},
		{"x86_64", "x86_64", "", "", "x86_64-linux-gnu-as", nil},
		{"xtensa", "xtensa", "12", "118", "xtensa-lx106-elf-as --no-transform", nil},
	} {
		t.Run(test.arch, func(t *testing.T) {
			source := lists[test.list]
			require.NotEmpty(t, source)
			if test.read != "" {
				source = calls(source, test.read, test.exit)
			}
			if test.replace != nil {
				source = test.replace.Replace(source)
			}
			assert.Equal(t, assemble(t, test.assembler, source), code(t, program(t, lookup(t, test.arch))), source)
		})
	}
}

// assemble returns the machine code of a program, or skips.
func assemble(t *testing.T, command, source string) []byte {
	t.Helper()
	argv := strings.Fields(command)
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Skip("no assembler: ", err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "program.s"), filepath.Join(dir, "program.o")
	require.NoError(t, os.WriteFile(in, []byte(source), 0o644))
	text, err := exec.Command(path, append(argv[1:], "-o", out, in)...).CombinedOutput()
	require.NoError(t, err, "%s", text)
	f, err := elf.Open(out)
	require.NoError(t, err)
	defer f.Close()
	code, err := f.Section(".text").Data()
	require.NoError(t, err)
	return code
}
