// Package guests makes programs of other architectures for emulators to run:
// built by Go and by Debian's cross compilers, and from Debian's packages, which
// are unpacked, not installed. They are for timing emulators and for comparing
// what emulators make of them, so each prints what follows from its work.
package guests

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
)

// A Guest is a program of some architecture, with what it is given.
type Guest struct {
	Name string

	// Trained says that emulators may be optimised with programs of its kind
	// (not with its input): what is said of the others is worth more.
	Trained bool

	// Root is the directory that has its loader and libraries; empty if it is
	// static.
	Root string

	Args []string // the program, and its arguments
	Env  []string

	// Output is the file that it writes, if that is what follows from its work.
	Output string

	// Native does the same on this machine, if it can be had; it is static.
	Native []string
}

// Argv returns the command line that has an emulator run the guest.
func (g *Guest) Argv(emulator string) []string {
	argv := []string{emulator}
	if g.Root != "" {
		argv = append(argv, "-L", g.Root)
	}
	return append(argv, g.Args...)
}

// A Missing guest is one that cannot be had here, and why.
type Missing struct {
	Name string
	Err  error
}

//go:embed testdata
var testdata embed.FS

// suites are those that have a port, of which the first that is whole on the
// mirror is used; others are in bookworm.
var suites = map[string][]string{"riscv64": {"trixie", "sid"}, "loong64": {"sid"}}

// packages are those that the guests come from. Python's, perl's and the
// compiler's names in the path have versions.
var packages = []string{"cpp", "gawk", "lua5.4", "perl-base", "python3", "sqlite3"}

// Make makes the guests of an architecture in a directory, where those that
// take long are kept for the next time.
func Make(ctx context.Context, arch *elfmagic.Arch, dir string) ([]Guest, []Missing, error) {
	dir, err := filepath.Abs(filepath.Join(dir, arch.Name))
	if err != nil {
		return nil, nil, err
	}
	m := maker{arch: arch, dir: dir}
	if err := m.inputs(); err != nil {
		return nil, nil, err
	}
	if err := m.golang(ctx); err != nil {
		return nil, nil, err
	}
	m.c(ctx)
	m.debian(ctx)
	return m.guests, m.missing, ctx.Err()
}

type maker struct {
	arch    *elfmagic.Arch
	dir     string
	guests  []Guest
	missing []Missing
}

func (m *maker) path(name string) string { return filepath.Join(m.dir, name) }

func (m *maker) lacks(err error, names ...string) {
	for _, name := range names {
		m.missing = append(m.missing, Missing{name, err})
	}
}

func (m *maker) inputs() error {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	sub, err := fs.Sub(testdata, "testdata")
	if err != nil {
		return err
	}
	names, err := fs.Glob(sub, "*")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(sub, name)
		if err == nil {
			err = os.WriteFile(m.path(name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return os.WriteFile(m.path("functions.c"), []byte(Functions(15)), 0o644)
}

// goPrograms are those that Go builds. GOROOT in an argument is Go's own.
var goPrograms = []struct {
	name, pkg string
	trained   bool
	args      []string
}{
	{"go hello", "github.com/projectcalico/go-build/tests/testdata/hello", true, nil},
	{"go workload", "github.com/projectcalico/go-build/tests/guests/workload", true, nil},
	{"gofmt", "cmd/gofmt", false, []string{"-s", "GOROOT/src/net/http/server.go", "GOROOT/src/net/http/transport.go", "GOROOT/src/reflect"}},
}

func (m *maker) golang(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	for _, p := range goPrograms {
		var args []string
		for _, arg := range p.args {
			args = append(args, strings.ReplaceAll(arg, "GOROOT", strings.TrimSpace(string(out))))
		}
		if m.arch.GOARCH == "" {
			m.lacks(errors.New("no port of Go for it"), p.name)
			continue
		}
		guest := Guest{Name: p.name, Trained: p.trained}
		for _, goarch := range []string{m.arch.GOARCH, runtime.GOARCH} {
			file := m.path(strings.ReplaceAll(p.name, " ", "-") + "." + goarch)
			cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", file, p.pkg)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
			if out, err := cmd.CombinedOutput(); err != nil {
				m.lacks(fmt.Errorf("go build: %w: %s", err, out), p.name)
				break
			}
			if goarch == m.arch.GOARCH {
				guest.Args = append([]string{file}, args...)
			}
			guest.Native = append([]string{file}, args...)
		}
		if guest.Args != nil {
			m.guests = append(m.guests, guest)
		}
	}
	return nil
}

// c builds static C programs for the architecture and, for comparison, for this
// machine.
func (m *maker) c(ctx context.Context) {
	for _, p := range []struct {
		name, source string
		trained      bool
	}{
		{"C hello", "hello.c", true},
		{"C threads", "threads.c", false},
	} {
		if len(m.arch.Debian) == 0 {
			m.lacks(errors.New("no cross compiler of Debian for it"), p.name)
			continue
		}
		file := m.path("c-" + strings.TrimSuffix(p.source, ".c"))
		argv, err := m.compile(ctx, m.arch.Debian[0].Triplet+"-gcc", p.source, file)
		if err != nil {
			m.lacks(err, p.name)
			continue
		}
		native, err := m.compile(ctx, "gcc", p.source, file+".native")
		if err != nil {
			native = nil // there is no compiler for this machine
		}
		m.guests = append(m.guests, Guest{Name: p.name, Trained: p.trained, Args: argv, Native: native})
	}
}

func (m *maker) compile(ctx context.Context, compiler, source, file string) (argv []string, err error) {
	cmd := exec.CommandContext(ctx, compiler, "-O2", "-static", "-pthread", "-o", file, m.path(source))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return []string{file}, nil
}

// unpack returns a directory with the packages' files.
func (m *maker) unpack(ctx context.Context) (string, error) {
	if len(m.arch.Debian) == 0 {
		return "", errors.New("no port of Debian for it")
	}
	list := suites[m.arch.Debian[0].Name]
	if list == nil {
		list = []string{"bookworm"}
	}
	var failed error
	for _, suite := range list {
		root, err := m.unpackFrom(ctx, suite)
		if err == nil {
			return root, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", suite, err))
	}
	return "", failed
}

func (m *maker) unpackFrom(ctx context.Context, suite string) (string, error) {
	root, done := m.path("root-"+suite), m.path("root-"+suite+"/.whole")
	want := "links below the root, merged, no list of libraries: " + strings.Join(packages, " ")
	if have, err := os.ReadFile(done); err == nil && string(have) == want {
		return root, nil
	}
	cache, err := workdir.Cache("apt")
	if err != nil {
		return "", err
	}
	apt, err := debian.Open(cache, m.arch.Debian[0].Name, suite)
	if err != nil {
		return "", err
	}
	if err := apt.Update(ctx); err != nil {
		return "", err
	}
	files, err := apt.Closure(ctx, packages...)
	if err != nil {
		return "", err
	}
	debs, err := apt.Get(ctx, files)
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(root); err != nil {
		return "", err
	}
	if err := debian.UnpackTree(ctx, root, debs...); err != nil {
		return "", err
	}
	return root, os.WriteFile(done, []byte(want), 0o644)
}

// debian adds the programs of Debian's packages.
func (m *maker) debian(ctx context.Context) {
	programs := []struct {
		name    string
		trained bool
		file    string // a pattern below the root; the first match of the first that has one
		args    []string
		output  string
	}{
		{"cc1", true, "usr/lib*/gcc*/*/*/cc1", []string{"-quiet", "-O1", m.path("functions.c"), "-o", m.path("functions.s")}, m.path("functions.s")},
		{"python", true, "usr/bin/python3.*[0-9]", []string{m.path("script.py")}, ""},
		{"perl", true, "usr/bin/perl", []string{m.path("script.pl")}, ""},
		{"lua", false, "usr/bin/lua5.4", []string{m.path("script.lua")}, ""},
		{"sqlite3", false, "usr/bin/sqlite3", []string{"-batch", ":memory:", ".read " + m.path("script.sql")}, ""},
		{"gawk", false, "usr/bin/gawk", []string{"-f", m.path("script.awk")}, ""},
	}
	root, err := m.unpack(ctx)
	for _, p := range programs {
		if err != nil {
			m.lacks(err, p.name)
			continue
		}
		file, err := first(root, p.file)
		if err != nil {
			m.lacks(err, p.name)
			continue
		}
		m.guests = append(m.guests, Guest{
			Name: p.name, Trained: p.trained, Root: root,
			Args:   append([]string{file}, p.args...),
			Env:    []string{"PYTHONHASHSEED=0", "PYTHONHOME=" + filepath.Join(root, "usr"), "PERL_HASH_SEED=0"},
			Output: p.output,
		})
	}
}

func first(root, pattern string) (string, error) {
	matches, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		return "", err
	}
	if len(matches) == 0 {
		return "", fmt.Errorf("no %s in Debian's packages", pattern)
	}
	return slices.Min(matches), nil
}

// Functions returns n C functions to compile, each with some loops, a switch,
// structures, floating point and calls, and none quite like another. They need
// no headers.
func Functions(n int) string {
	var s strings.Builder
	s.WriteString(`extern int printf(const char *, ...);
extern void *memcpy(void *, const void *, unsigned long);
struct node { struct node *left, *right; double weight; int key, uses; char label[16]; };
`)
	for i := range n {
		fmt.Fprintf(&s, `
static long walk%[1]d(struct node *n, int depth, double scale)
{
	long sum = %[2]d;
	for (int i = depth; n && i >= 0; i -= %[3]d) {
		switch ((n->key + i * %[4]d) %% 8) {
		case 0: sum += n->uses * i; n = n->left; break;
		case 1: sum ^= (long)(n->weight * scale) << %[3]d; break;
		case 2: n->weight = n->weight / (scale + %[4]d.5) - sum; break;
		case 3: memcpy(n->label, "label %[1]d", %[5]d); n = n->right; break;
		case 4: for (int j = 0; j < %[5]d; j++) sum += n->label[j] * (j ^ %[4]d); break;
		case 5: if (n->left && n->left->key > n->key) sum -= walk%[1]d(n->left, i / 2, scale * 1.%[3]d); break;
		case 6: printf("%%d %%ld %%s\n", n->key, sum, n->label); n->uses++; break;
		default: sum = (sum >> %[3]d) | (sum << (63 - %[3]d)); n->key = (int)(sum %% %[6]d);
		}
	}
	return sum;
}
`, i, i*7919%1009, i%3+1, i*13%29+1, i%8+1, i*31%97+3)
	}
	s.WriteString("\nlong walk(struct node *n, int depth)\n{\n\tlong sum = 0;\n")
	for i := range n {
		fmt.Fprintf(&s, "\tsum += walk%d(n, depth + %d, %d.25);\n", i, i%5, i)
	}
	s.WriteString("\treturn sum;\n}\n")
	return s.String()
}
