package library_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is exported on Linux is there on other systems, too, so that a file without a build
// constraint may use it.
func TestOtherSystemsHaveTheSameNames(t *testing.T) {
	for _, dir := range []string{"elfmagic", "binfmt", "binfmt/host", "binfmt/install", "binfmt/keep", "binfmt/private", "binfmt/supported"} {
		linux := exported(t, dir, "linux")
		require.NotEmpty(t, linux, dir)
		for _, system := range []string{"darwin", "freebsd", "windows"} {
			assert.Equal(t, linux, exported(t, dir, system), "%s on %s", dir, system)
		}
	}
}

// exported returns the names that a package exports on a system: functions, methods by
// their receivers, types, variables and constants.
func exported(t *testing.T, dir, system string) (names []string) {
	t.Helper()
	context := build.Default
	context.GOOS, context.CgoEnabled = system, false
	dir = filepath.Join("../..", dir)
	found, err := context.ImportDir(dir, 0)
	require.NoError(t, err)
	for _, name := range found.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declared := range file.Decls {
			names = append(names, declares(declared)...)
		}
	}
	slices.Sort(names)
	return names
}

// declares returns the exported names of a declaration.
func declares(declared ast.Decl) (names []string) {
	add := func(name string) {
		if ast.IsExported(name) {
			names = append(names, name)
		}
	}
	switch d := declared.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() {
			add(receiver(d) + d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				add(s.Name.Name)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					add(id.Name)
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type and a dot; empty for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	return of.(*ast.Ident).Name + "."
}
