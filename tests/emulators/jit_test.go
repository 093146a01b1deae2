package emulators

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// jitPackages are of runtimes that write machine code, by the name of their part.
var jitPackages = map[string]string{
	"node": "nodejs base-files base-passwd",
	"java": "openjdk-17-jre-headless dash base-files base-passwd",
}

// A jitProgram is a program for one of them. DIR in its words is a directory that is its
// own, PORT Debian's name of the architecture.
type jitProgram struct {
	part, name string
	argv       []string
	want       string // among what it prints
}

const java = "/usr/lib/jvm/java-17-openjdk-PORT/bin/"

var jitPrograms = []jitProgram{
	{"node", "calls", []string{"node", "-e", "const f = n => n < 2 ? n : f(n-1) + f(n-2); let s = 0; for (let i = 0; i < 3; i++) s += f(20); console.log(s)"}, "20295\n"},
	{"node", "floating point", []string{"node", "-e", "let s = 0; for (let i = 1; i < 200000; i++) s += Math.sqrt(i) / i; console.log(s.toFixed(6))"}, "892.965718\n"},
	{"node", "arrays", []string{"node", "-e", "const a = new Int32Array(5000); for (let k = 0; k < 30; k++) for (let i = 0; i < a.length; i++) a[i] = (a[i] * 31 + i) | 0; let h = 0; for (const x of a) h = (h ^ x) | 0; console.log(h)"}, "-548094208\n"},
	{"node", "expressions", []string{"node", "-e", "let n = 0; for (let i = 0; i < 20000; i++) n += /(\\d+)-\\1$/.test('x' + i + '-' + i) ? 1 : 0; console.log(n)"}, "20000\n"},
	{"node", "WebAssembly", []string{"node", "-e", "const m = new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11])); const { add } = new WebAssembly.Instance(m).exports; let s = 0; for (let i = 0; i < 100000; i++) s = add(s, i); console.log(s)"}, "704982704\n"},
	{"node", "threads", []string{"node", "-e", "const { Worker } = require('worker_threads'); let n = 0; for (let i = 0; i < 3; i++) new Worker('let s = 0; for (let i = 0; i < 1e5; i++) s += i; require(\"worker_threads\").parentPort.postMessage(s)', { eval: true }).on('message', s => { n += s; if (n == 3 * 4999950000) console.log('all') })"}, "all\n"},
	{"java", "starts", []string{java + "java", "-version"}, "OpenJDK"},
	{"java", "all compiled", []string{java + "java", "-Xcomp", "-version"}, "OpenJDK"},
	{"java", "keys", []string{java + "keytool", "-genkeypair", "-alias", "a", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=a", "-keystore", "DIR/keys", "-storepass", "secret99"}, ""},
}

// jitPorts are Debian's names of the targets for which V8 and HotSpot compile.
var jitPorts = []string{"arm64", "armhf", "s390x", "ppc64el"}

// TestJustInTimeSuite runs small programs of runtimes that write their machine code.
func TestJustInTimeSuite(t *testing.T) {
	s := setupSuites(t)
	cross := crossrun(t, s)
	for _, port := range jitPorts {
		t.Run(port, func(t *testing.T) {
			contestants := s.suiteContestants(t, port)
			for _, name := range chosen([]string{"node", "java"}) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					roots := unpackedRoots(t, s, name, port, jitPackages[name])
					run := func(c contestant, tests []string) (ends, string) {
						root, native := roots[c.path == ""], c.path == ""
						dir, inside := temporary(t, root)
						defer os.RemoveAll(dir)
						of := port
						if native {
							of = "amd64"
						}
						words := strings.NewReplacer("DIR/", inside+"/", "PORT", of)
						got, said := ends{}, ""
						for _, p := range jitPrograms {
							if p.part != name || tests != nil && !slices.Contains(tests, p.name) {
								continue
							}
							argv := []string{cross, "--rootfs", root}
							for _, word := range p.argv {
								argv = append(argv, words.Replace(word))
							}
							o := execute(t.Context(), 15*time.Minute, root, c.environment(t, port), argv...)
							got[p.name] = passes
							if o.end != "exit status 0" || !strings.Contains(o.stdout+o.stderr, p.want) {
								got[p.name], said = fails, o.String()
							}
						}
						return got, said
					}
					part{"Just-in-time compilers", port, name, nil, run}.test(t, contestants)
				})
			}
		})
	}
}
