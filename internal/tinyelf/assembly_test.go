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

// assemblies returns the comments beside each list of instructions, by the
// name of the variable, or function, that has it: one instruction a line,
// without remarks in brackets.
func assemblies(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "instructions.go", nil, parser.ParseComments)
	require.NoError(t, err)
	remark := regexp.MustCompile(` \([a-z ]+\)$`)
	lists := make(map[string]string)
	add := func(name string, list ast.Node) {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				if comment.Pos() > list.Pos() && comment.End() < list.End() {
					line := strings.TrimSpace(strings.TrimPrefix(comment.Text, "//"))
					lists[name] += remark.ReplaceAllString(line, "") + "\n"
				}
			}
		}
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.VAR {
					add(value.Names[0].Name, value.Values[0])
				}
			}
		case *ast.FuncDecl:
			if decl.Recv == nil {
				add(decl.Name.Name, decl.Body)
			}
		}
	}
	return lists
}

// Registers, in comments without the sign that the assembler wants.
var (
	alphaRegisters = strings.NewReplacer("a0", "$16", "a1", "$17", "a2", "$18", "v0", "$0", "sp", "$30")
	mipsRegisters  = []string{"a0", "$a0", "a1", "$a1", "a2", "$a2", "v0", "$v0", "sp", "$sp"}
)

func mipsAssembly(read, exit string) *strings.Replacer {
	return strings.NewReplacer(append(mipsRegisters, ", read", ", "+read, ", exit", ", "+exit)...)
}

func TestInstructionsAreTheAssemblyBesideThem(t *testing.T) {
	lists := assemblies(t)
	llvm := func(triple string) string { return "llvm-mc -filetype=obj -triple=" + triple }
	for _, test := range []struct {
		arch, list, assembler string
		replace               *strings.Replacer
	}{
		{"aarch64", "aarch64", "aarch64-linux-gnu-as", nil},
		{"alpha", "alpha", "alpha-linux-gnu-as", alphaRegisters},
		{"arm", "arm", "arm-linux-gnueabi-as", nil},
		{"armeb", "arm", "arm-linux-gnueabi-as -mbig-endian", nil},
		{"hexagon", "hexagon", llvm("hexagon"), nil},
		{"hppa", "hppa", "hppa-linux-gnu-as", nil},
		{"i386", "i386", "i686-linux-gnu-as", nil},
		{"m68k", "m68k", "m68k-linux-gnu-as", nil},
		{"mips", "mips", "mips-linux-gnu-as", mipsAssembly("4003", "4001")},
		{"mips64", "mips", "mips64-linux-gnuabi64-as", mipsAssembly("5000", "5058")},
		{"mips64el", "mips", "mips64el-linux-gnuabi64-as", mipsAssembly("5000", "5058")},
		{"mipsel", "mips", "mipsel-linux-gnu-as", mipsAssembly("4003", "4001")},
		{"mipsn32", "mips", "mips64-linux-gnuabi64-as -n32", mipsAssembly("6000", "6058")},
		{"mipsn32el", "mips", "mips64el-linux-gnuabi64-as -n32", mipsAssembly("6000", "6058")},
		{"or1k", "or1k", "or1k-elf-as", nil},
		{"ppc", "ppc", "powerpc-linux-gnu-as -mregnames", nil},
		{"ppc64", "ppc", "powerpc64-linux-gnu-as -mregnames", nil},
		{"ppc64le", "ppc", "powerpc64le-linux-gnu-as -mregnames", nil},
		{"riscv32", "riscv", "riscv64-linux-gnu-as -march=rv32i -mabi=ilp32", nil},
		{"riscv64", "riscv", "riscv64-linux-gnu-as -march=rv64i", nil},
		{"s390x", "s390x", "s390x-linux-gnu-as", nil},
		{"sh4", "sh4", "sh4-linux-gnu-as --little", nil},
		{"sh4eb", "sh4", "sh4-linux-gnu-as --big", nil},
		{"sparc", "sparc", "sparc64-linux-gnu-as -32", nil},
		{"sparc32plus", "sparc", "sparc64-linux-gnu-as -32", nil},
		{"sparc64", "sparc64", "sparc64-linux-gnu-as", nil},
		{"x86_64", "x86_64", "x86_64-linux-gnu-as", nil},
		{"xtensa", "xtensa", "xtensa-lx106-elf-as --no-transform", nil},
	} {
		t.Run(test.arch, func(t *testing.T) {
			source := lists[test.list]
			require.NotEmpty(t, source)
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
