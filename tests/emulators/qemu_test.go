package emulators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
)

// QEMU's own tests (tests/tcg of its source) are built and listed by its make
// files. They are told of an emulator that only writes down how it was called;
// what it has written is then run under every emulator.

// recordDir is the environment variable by which the test binary is that
// emulator: it names the directory to write to.
const recordDir = "TEST_RECORD"

// A call is how the make files run a test.
type call struct {
	Name string // of the file that the output would go to
	Args []string
	Env  []string
}

func record(dir string) int {
	call := call{Args: os.Args[1:]}
	// QEMU_CPU and the like, which few tests set.
	for _, env := range os.Environ() {
		if strings.HasPrefix(env, "QEMU_") {
			call.Env = append(call.Env, env)
		}
	}
	out, err := os.Readlink("/proc/self/fd/1")
	if err == nil {
		call.Name = strings.TrimSuffix(filepath.Base(out), ".out")
		var text []byte
		if text, err = json.Marshal(call); err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.%d", call.Name, os.Getpid())), text, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// qemuTargets are QEMU's targets that Debian has a cross compiler for.
var qemuTargets = []string{
	"aarch64", "alpha", "arm", "hppa", "i386", "m68k", "mips", "mips64", "mips64el", "mipsel",
	"ppc", "ppc64", "ppc64le", "riscv64", "s390x", "sh4", "sparc64", "x86_64",
}

// leftOut are tests that are not compared, and why.
var leftOut = map[string]string{
	"semiconsole":     "waits for what somebody types",
	"semiconsole-arm": "waits for what somebody types",
}

// libraries that do not get as far as main, whatever emulates them: of such
// targets only the few programs without a library say something, and the others
// are not waited for.
var libraries = map[string]string{
	"alpha": "Debian's static C library ends with a segmentation fault before main",
	"sh4":   "Debian's C library has a branch to itself before main",
}

// limitOf returns how long a target's programs may take, where others' may take
// that long.
func limitOf(target string, others time.Duration) time.Duration {
	if libraries[target] != "" {
		return 5 * time.Second
	}
	return others
}

// crossCompiled returns the triplet of Debian's cross compiler for an
// architecture, or skips the test if it is not installed.
func crossCompiled(t *testing.T, arch *elfmagic.Arch) string {
	t.Helper()
	triplet := arch.Debian[0].Triplet
	if _, err := exec.LookPath(triplet + "-gcc"); err != nil {
		t.Skip("no cross compiler: ", err)
	}
	return triplet
}

// sourceSuites are where the source is looked for.
var sourceSuites = []string{"sid", "testing", "trixie-backports", "trixie", "bookworm"}

// sources is held by the one target of several that fetches for all.
var sources sync.Mutex

// source returns the directory of QEMU's source: QEMU_SOURCE, or Debian's of the
// version that is nearest to the emulator's, which is fetched.
func source(t *testing.T, s settings, version string) string {
	t.Helper()
	if dir := os.Getenv("QEMU_SOURCE"); dir != "" {
		return dir
	}
	sources.Lock()
	defer sources.Unlock()
	dir := filepath.Join(s.work, "qemu-"+version)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	cache, err := workdir.Cache("apt")
	require.NoError(t, err)
	apt, err := debian.OpenSources(cache, sourceSuites...)
	require.NoError(t, err)
	updateErr := apt.Update(t.Context())
	versions, err := apt.Versions(t.Context(), "qemu")
	require.NoError(t, errors.Join(err))
	require.NotEmpty(t, versions, "%v", updateErr)
	// The same, or the oldest that is newer, or the newest.
	best := versions[0]
	for _, v := range versions {
		if debian.AtLeast(t.Context(), v, "1:"+version) {
			best = v
		}
	}
	files, from, err := apt.GetSource(t.Context(), "qemu", best)
	require.NoError(t, err)
	for _, f := range files {
		if !strings.Contains(f.Name, ".orig.tar.") || strings.HasSuffix(f.Name, ".asc") {
			continue
		}
		require.NoError(t, os.MkdirAll(dir+".partial", 0o755))
		out, err := exec.Command("tar", "-C", dir+".partial", "--strip-components=1", "-xf", filepath.Join(from, f.Name)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NoError(t, os.Rename(dir+".partial", dir))
		return dir
	}
	t.Fatalf("there is no tar file in QEMU's source %s: %v", best, files)
	return ""
}

// calls has QEMU's make files build a target's tests, and say how they are run.
// It also returns those that are not run: they were not built, or take a
// debugger.
func calls(t *testing.T, s settings, arch *elfmagic.Arch, source string) (run []call, not []string) {
	t.Helper()
	triplet := crossCompiled(t, arch)
	target := arch.Name + "-linux-user"
	dir := filepath.Join(s.work, "tcg", target)
	records := filepath.Join(dir, "records")
	list := filepath.Join(dir, "list.json")
	type kept struct {
		Source string
		Run    []call
		Not    []string
	}
	var have kept
	if text, err := os.ReadFile(list); err == nil && json.Unmarshal(text, &have) == nil && have.Source == source {
		return have.Run, have.Not
	}
	have = kept{Source: source} // not what was read of another source's
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.MkdirAll(records, 0o755))
	self, err := os.Executable()
	require.NoError(t, err)
	// The test binary is in a directory of root's.
	recorder := filepath.Join(s.work, "tcg", "recorder-"+arch.Name)
	binary, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(recorder, binary, 0o755))
	defer os.Remove(recorder)
	// What configure would write.
	config := fmt.Sprintf("TARGET_NAME=%s\nTARGET=%s\nEXTRA_CFLAGS=\nCC=%[3]s-gcc\nCCAS=%[3]s-gcc\nAR=%[3]s-ar\nAS=%[3]s-as\nLD=%[3]s-ld\nNM=%[3]s-nm\n"+
		"OBJCOPY=%[3]s-objcopy\nRANLIB=%[3]s-ranlib\nSTRIP=%[3]s-strip\nBUILD_STATIC=y\nQEMU=%[4]s\n", arch.Name, target, triplet, recorder)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config-target.mak"), []byte(config), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(s.work, "tcg", "config-host.mak"), []byte("SRC_PATH="+source+"\nPYTHON=python3\n"), 0o644))
	require.NoError(t, os.Symlink(filepath.Join(source, "tests/tcg/Makefile.target"), filepath.Join(dir, "Makefile")))
	for _, d := range []string{dir, records} {
		require.NoError(t, own(d))
	}

	// As an ordinary user, and with -k: make goes on after tests that cannot be
	// built, and after outputs that are not there to be compared. A limited
	// time: some rules run a test natively.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	make := command(ctx, dir, []string{recordDir + "=" + records}, "make", "-k", "-j2", "run")
	log, err := os.Create(filepath.Join(dir, "make.log"))
	require.NoError(t, err)
	defer log.Close()
	make.Stdout, make.Stderr = log, log
	_ = make.Run() // whether a test was built is seen by its record
	require.NoError(t, ctx.Err())

	files, err := filepath.Glob(filepath.Join(records, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "nothing was built: %s", log.Name())
	names := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var c call
		require.NoError(t, json.Unmarshal(text, &c))
		if names[c.Name]++; names[c.Name] > 1 {
			c.Name = fmt.Sprintf("%s#%d", c.Name, names[c.Name])
		}
		have.Run = append(have.Run, c)
	}
	out, err := command(ctx, dir, nil, "make", "-s", "--eval=list-tests: ; @echo $(RUN_TESTS)", "list-tests").Output()
	require.NoError(t, err)
	for name := range strings.FieldsSeq(string(out)) {
		if name = strings.TrimPrefix(name, "run-"); names[name] == 0 {
			have.Not = append(have.Not, name)
		}
	}
	text, err := json.Marshal(have)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(list, text, 0o644))
	return have.Run, have.Not
}

func TestQEMUsOwn(t *testing.T) {
	s := setup(t)
	for _, target := range qemuTargets {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			arch, err := elfmagic.Lookup(target)
			require.NoError(t, err)
			contestants := s.contestants(t, arch)
			src := source(t, s, contestants[len(contestants)-1].version)
			run, not := calls(t, s, arch, src)
			dir := filepath.Join(s.work, "tcg", target+"-linux-user")
			limit, broken := limitOf(target, 2*time.Minute), libraries[target]
			var results []comparison
			for _, call := range run {
				if _, ok := leftOut[call.Name]; ok {
					not = append(not, call.Name)
					continue
				}
				results = append(results, compare(t, call.Name, contestants, func(c contestant) outcome {
					return execute(t.Context(), limit, dir, call.Env, append([]string{c.path}, call.Args...)...)
				}))
			}
			slices.Sort(not)
			var others []string
			for _, name := range not {
				if !strings.HasPrefix(name, "gdbstub") {
					others = append(others, name)
				}
			}
			note := fmt.Sprintf("left out: %d with a debugger", len(not)-len(others))
			if len(others) > 0 {
				note += ", not built or not run: " + strings.Join(others, " ")
			}
			if broken != "" {
				note += "; " + broken
			}
			report(t, "QEMU's own tests", target, contestants, results, note)
		})
	}
}
