package emulators

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// jitPackages are of runtimes that write machine code, by the name of their part.
var jitPackages = map[string]string{
	"node": "nodejs base-files base-passwd",
	"java": "openjdk-17-jre-headless dash base-files base-passwd",
}

// A smallProgram is of a part of a suite of such. DIR in its words is a directory that is its
// own, PORT Debian's name of the architecture.
type smallProgram struct {
	part, name string
	argv       []string
	want       string            // among what it prints
	files      map[string]string // in its directory
	fails      bool              // as it should
}

// ended reports whether it did as it should: what fails does so by itself, not by a signal or in the end by the limit.
func (p smallProgram) ended(o outcome) bool {
	status := -1
	if _, err := fmt.Sscanf(o.end, "exit status %d", &status); err != nil || status >= 128 {
		return false
	}
	return (status != 0) == p.fails && strings.Contains(o.stdout+o.stderr, p.want)
}

const java = "/usr/lib/jvm/java-17-openjdk-PORT/bin/"

var jitPrograms = []smallProgram{
	{part: "node", name: "calls", argv: []string{"node", "-e", "const f = n => n < 2 ? n : f(n-1) + f(n-2); let s = 0; for (let i = 0; i < 3; i++) s += f(20); console.log(s)"}, want: "20295\n"},
	{part: "node", name: "floating point", argv: []string{"node", "-e", "let s = 0; for (let i = 1; i < 200000; i++) s += Math.sqrt(i) / i; console.log(s.toFixed(6))"}, want: "892.965718\n"},
	{part: "node", name: "arrays", argv: []string{"node", "-e", "const a = new Int32Array(5000); for (let k = 0; k < 30; k++) for (let i = 0; i < a.length; i++) a[i] = (a[i] * 31 + i) | 0; let h = 0; for (const x of a) h = (h ^ x) | 0; console.log(h)"}, want: "-548094208\n"},
	{part: "node", name: "expressions", argv: []string{"node", "-e", "let n = 0; for (let i = 0; i < 20000; i++) n += /(\\d+)-\\1$/.test('x' + i + '-' + i) ? 1 : 0; console.log(n)"}, want: "20000\n"},
	{part: "node", name: "WebAssembly", argv: []string{"node", "-e", "const m = new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11])); const { add } = new WebAssembly.Instance(m).exports; let s = 0; for (let i = 0; i < 100000; i++) s = add(s, i); console.log(s)"}, want: "704982704\n"},
	{part: "node", name: "threads", argv: []string{"node", "-e", "const { Worker } = require('worker_threads'); let n = 0; for (let i = 0; i < 3; i++) new Worker('let s = 0; for (let i = 0; i < 1e5; i++) s += i; require(\"worker_threads\").parentPort.postMessage(s)', { eval: true }).on('message', s => { n += s; if (n == 3 * 4999950000) console.log('all') })"}, want: "all\n"},
	{part: "java", name: "starts", argv: []string{java + "java", "-version"}, want: "OpenJDK"},
	{part: "java", name: "all compiled", argv: []string{java + "java", "-Xcomp", "-version"}, want: "OpenJDK"},
	{part: "java", name: "keys", argv: []string{java + "keytool", "-genkeypair", "-alias", "a", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=a", "-keystore", "DIR/keys", "-storepass", "secret99"}, want: ""},
}

// jitPorts are Debian's names of the targets for which V8 and HotSpot compile.
var jitPorts = []string{"arm64", "armhf", "s390x", "ppc64el"}

// TestJustInTimeSuite runs small programs of runtimes that write their machine code.
func TestJustInTimeSuite(t *testing.T) {
	testSmallPrograms(t, "Just-in-time compilers", jitPorts, jitPackages, jitPrograms)
}

// testSmallPrograms runs programs of Debian's packages, by the name of their part.
func testSmallPrograms(t *testing.T, suite string, ports []string, packages map[string]string, programs []smallProgram) {
	s := setupSuites(t)
	cross := crossrun(t, s)
	for _, port := range ports {
		t.Run(port, func(t *testing.T) {
			contestants := s.suiteContestants(t, port)
			for _, name := range chosen(slices.Sorted(maps.Keys(packages))) {
				t.Run(name, func(t *testing.T) {
					roots := unpackedRoots(t, s, name, port, packages[name]) // one after another: apt has a lock
					t.Parallel()
					run := func(c contestant, tests []string) (ends, string) {
						root, native := roots[c.path == ""], c.path == ""
						of := port
						if native {
							of = "amd64"
						}
						got, said := ends{}, ""
						for _, p := range programs {
							if p.part != name || tests != nil && !slices.Contains(tests, p.name) {
								continue
							}
							got[p.name] = passes
							if o := p.run(t, cross, root, of, c.environment(t, port)); !p.ended(o) {
								got[p.name], said = fails, o.String()
							}
						}
						return got, said
					}
					part{suite, port, name, nil, run}.test(t, contestants)
				})
			}
		})
	}
}

// run runs it in a root file system of a port, with a directory of its own.
func (p smallProgram) run(t *testing.T, cross, root, port string, env []string) outcome {
	t.Helper()
	dir, inside := temporary(t, root)
	defer os.RemoveAll(dir)
	for file, text := range p.files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644))
	}
	require.NoError(t, ownTree(dir))
	words := strings.NewReplacer("DIR/", inside+"/", "PORT", port)
	argv := []string{cross, "--rootfs", root}
	for _, word := range p.argv {
		argv = append(argv, words.Replace(word))
	}
	return execute(t.Context(), 15*time.Minute, root, env, argv...)
}

func TestASmallProgramFailsByItself(t *testing.T) {
	p := smallProgram{want: "not found", fails: true}
	require.True(t, p.ended(outcome{end: "exit status 2", stderr: "x: not found\n"}))
	for _, o := range []outcome{
		{end: "exit status 0", stderr: "x: not found\n"}, {end: "exit status 139", stderr: "x: not found\n"},
		{end: "signal: killed", stderr: "x: not found\n"}, {end: "exit status 2", stderr: "x\n"},
	} {
		require.False(t, p.ended(o), "%v", o)
	}
	p.fails = false
	require.True(t, p.ended(outcome{end: "exit status 0", stdout: "not found"}))
	require.False(t, p.ended(outcome{end: "exit status 1", stdout: "not found"}))
}
