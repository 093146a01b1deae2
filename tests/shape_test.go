package tests

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// Bounds of functions.
const (
	maxComplexity = 25
	maxMainLines  = 60
)

// functions calls f for each function of the repository.
func functions(t *testing.T, f func(path string, files *token.FileSet, declared *ast.FuncDecl)) {
	t.Helper()
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "../bin" || path == "../dist" || strings.HasPrefix(d.Name(), ".") && path != ".."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		parsed, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range parsed.Decls {
			if declared, ok := declared.(*ast.FuncDecl); ok && declared.Body != nil {
				f(path, files, declared)
			}
		}
		return nil
	}))
}

// complexity is the cyclomatic complexity of a function with those in it: 1, and 1 for
// each branch, as gocyclo counts it.
func complexity(body ast.Node) int {
	n := 1
	ast.Inspect(body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil { // no default
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

func TestComplexityIsCountedByBranches(t *testing.T) {
	for body, want := range map[string]int{
		"":                                   1,
		"if a && b || c { return }":          4,
		"for range a { go func() {}() }":     2,
		"switch a { case 1, 2: default: }":   2,
		"select { case <-a: default: }":      2,
		"f(func() { if a {} else if b {} })": 3,
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() { "+body+" }", 0)
		require.NoError(t, err, body)
		assert.Equal(t, want, complexity(parsed.Decls[0]), body)
	}
}

func TestFunctionsAreNotComplex(t *testing.T) {
	seen := 0
	functions(t, func(path string, files *token.FileSet, f *ast.FuncDecl) {
		seen++
		assert.LessOrEqual(t, complexity(f.Body), maxComplexity, "%s: %s has too many branches", files.Position(f.Pos()), f.Name.Name)
	})
	assert.Greater(t, seen, 1000)
}

func TestMainFunctionsAreShort(t *testing.T) {
	seen := 0
	functions(t, func(path string, files *token.FileSet, f *ast.FuncDecl) {
		if f.Name.Name != "main" || f.Recv != nil || strings.Contains(path, "/testdata/") {
			return
		}
		seen++
		lines := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1
		assert.Less(t, lines, maxMainLines, "%s: main is too long", path)
	})
	assert.GreaterOrEqual(t, seen, 3)
}

// make fuzz has all parsers fuzzed for which there is a test.
func TestMakeFuzzesEveryParser(t *testing.T) {
	_, list, found := strings.Cut(commands.Read(t, "../Makefile"), "\nFUZZ ")
	require.True(t, found)
	list, _, _ = strings.Cut(list, "\n")
	functions(t, func(path string, _ *token.FileSet, f *ast.FuncDecl) {
		if strings.HasPrefix(f.Name.Name, "Fuzz") && strings.HasSuffix(path, "_test.go") {
			assert.Contains(t, strings.Fields(list), strings.TrimPrefix(filepath.Dir(path), "../")+":"+f.Name.Name)
		}
	})
}

// What only image/ and tests/ use is theirs: internal/ has what the commands link, as
// single files or with the watch's server, or not.
func TestInternalHasOnlyWhatTheCommandsLink(t *testing.T) {
	packages := imports(t)
	linked := make(map[string]bool)
	var link func(name string)
	link = func(name string) {
		if !linked[name] {
			linked[name] = true
			for _, other := range packages[name] {
				link(other)
			}
		}
	}
	watch := build.Default
	watch.GOOS, watch.BuildTags = "linux", []string{"watch"}
	served, err := watch.ImportDir("../cmd/register", 0)
	require.NoError(t, err)
	for _, path := range served.Imports {
		if name, ours := strings.CutPrefix(path, module); ours {
			link(name)
		}
	}
	link("cmd/register")
	link("cmd/crossrun")
	for name := range packages {
		if strings.HasPrefix(name, "internal/") {
			assert.True(t, linked[name], "%s is linked into neither command", name)
		}
	}
}
