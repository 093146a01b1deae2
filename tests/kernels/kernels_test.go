// Package kernels tries register on other kernels and on hosts of other
// architectures, in virtual machines without hardware support: Debian's
// kernels, with an initial RAM disk that has nothing but the commands, some
// emulators and some programs.
package kernels

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kernels/plan"
	"github.com/projectcalico/go-build/tests/machine"
)

// A guest is a virtual machine.
type guest struct {
	name      string
	arch      string // of the host that it is, as Go calls it
	suite     string // of the kernel
	kernel    string // package that depends on the kernel's, or is it
	emulators string // suite of the emulators
	machine   []string
	console   string
	options   string // for the kernel's command line

	native  []string // platforms
	foreign []string // GOARCH of programs that are to run under emulation

	// also are foreign architectures that are registered and tried, and of which
	// no Go program is run: bookworm's emulator of i386 crashes those (see
	// guests.CrashesThreads), without register just as well.
	also []string
}

var guests = []guest{
	{
		name: "amd64, Linux 6.1", arch: "amd64", suite: "bookworm", kernel: "linux-image-cloud-amd64", emulators: "bookworm",
		machine: []string{"qemu-system-x86_64", "-cpu", "max"}, console: "ttyS0",
		native: []string{"linux/amd64", "linux/386"}, foreign: []string{"arm64", "arm", "s390x"},
	},
	{
		name: "amd64, Linux 6.12", arch: "amd64", suite: "trixie", kernel: "linux-image-cloud-amd64", emulators: "bookworm",
		machine: []string{"qemu-system-x86_64", "-cpu", "max"}, console: "ttyS0",
		native: []string{"linux/amd64", "linux/386"}, foreign: []string{"arm64", "riscv64", "ppc64le"},
	},
	{
		// The parameter came with Linux 6.7 (a11e097504ac).
		name: "amd64 without IA-32", arch: "amd64", suite: "trixie", kernel: "linux-image-cloud-amd64", emulators: "trixie",
		machine: []string{"qemu-system-x86_64", "-cpu", "max"}, console: "ttyS0", options: "ia32_emulation=off",
		native: []string{"linux/amd64"}, foreign: []string{"386", "arm64", "s390x"},
	},
	{
		name: "amd64, newest Linux", arch: "amd64", suite: "sid", kernel: "linux-image-cloud-amd64", emulators: "sid",
		machine: []string{"qemu-system-x86_64", "-cpu", "max"}, console: "ttyS0",
		native: []string{"linux/amd64", "linux/386"}, foreign: []string{"arm64", "loong64", "mips64le"},
	},
	{
		name: "arm64 with 32-bit Arm", arch: "arm64", suite: "bookworm", kernel: "linux-image-cloud-arm64", emulators: "bookworm",
		machine: []string{"qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57"}, console: "ttyAMA0",
		native: []string{"linux/arm64", "linux/arm/v7"}, foreign: []string{"amd64", "ppc64le", "s390x"}, also: []string{"386"},
	},
	{
		// a64fx is the CPU that QEMU 7.2 has without 32-bit Arm. It says that it has
		// GICv3's system registers; on the machine's default, a GICv2, Linux panics
		// reading them, before there is a console.
		name: "arm64 without 32-bit Arm", arch: "arm64", suite: "trixie", kernel: "linux-image-cloud-arm64", emulators: "bookworm",
		machine: []string{"qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", "a64fx"}, console: "ttyAMA0",
		native: []string{"linux/arm64"}, foreign: []string{"amd64", "arm"}, also: []string{"386"},
	},
	{
		name: "ppc64le", arch: "ppc64le", suite: "bookworm", kernel: "linux-image-powerpc64le", emulators: "bookworm",
		machine: []string{"qemu-system-ppc64", "-machine", "pseries", "-cpu", "power9"}, console: "hvc0",
		native: []string{"linux/ppc64le"}, foreign: []string{"amd64", "arm64", "s390x"},
	},
	{
		name: "s390x", arch: "s390x", suite: "bookworm", kernel: "linux-image-s390x", emulators: "bookworm",
		machine: []string{"qemu-system-s390x", "-machine", "s390-ccw-virtio", "-cpu", "max"}, console: "ttysclp0",
		native: []string{"linux/s390x"}, foreign: []string{"amd64", "arm64", "arm"},
	},
	{
		name: "riscv64", arch: "riscv64", suite: "sid", kernel: "linux-image-riscv64", emulators: "sid",
		machine: []string{"qemu-system-riscv64", "-machine", "virt"}, console: "ttyS0",
		native: []string{"linux/riscv64"}, foreign: []string{"amd64", "arm64", "s390x"},
	},
}

// limit is for one machine: emulation in emulation is slow, and this one shared.
const limit = 20 * time.Minute

// A tableRow is what the table at the end says of a guest.
type tableRow struct{ name, kernel, cpu, native, registered, ran, flags, emulator, took string }

func TestKernels(t *testing.T) {
	if os.Getenv("TEST_KERNELS") == "" {
		t.Skip("boots nine virtual machines, which takes some minutes: make test-kernels")
	}
	work := t.TempDir()
	var mu sync.Mutex
	var table []tableRow
	t.Cleanup(func() {
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "HOST\tLINUX\tCPU\tNATIVE\tREGISTERED\tRAN\tFLAGS\tQEMU\tTOOK")
		for _, r := range table {
			fmt.Fprintln(w, strings.Join([]string{r.name, r.kernel, r.cpu, r.native, r.registered, r.ran, r.flags, r.emulator, r.took}, "\t"))
		}
		w.Flush()
		fmt.Printf("\n%s\n", b.String())
	})
	for _, g := range guests {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel() // as many as -parallel allows
			row := g.test(t, filepath.Join(work, strings.ReplaceAll(g.name, " ", "-")))
			mu.Lock()
			defer mu.Unlock()
			table = append(table, row)
		})
	}
}

// others are entries as other programs make them.
func others() []binfmt.Entry {
	return []binfmt.Entry{
		{Name: "python3.11", Pattern: elfmagic.Pattern{Magic: []byte("\xa7\r\r\n")}, Interpreter: "/usr/bin/python3.11"},
		{Name: "jar", Extension: "jar", Interpreter: "/usr/bin/jexec"},
		{Name: "WSLInterop", Pattern: elfmagic.Pattern{Magic: []byte("MZ")}, Interpreter: "/init", Flags: binfmt.PreserveArgv0},
	}
}

const register, crossrun = "/usr/bin/register", "/usr/bin/crossrun"

// The single files; crossrun's is in the root file system /root, in which there
// is nothing else but the programs.
const singleRegister, singleCrossrun = "/single-register", "/single-crossrun"

// single reports whether single files are made for the guest's host.
func (g guest) single() bool { return g.arch == "amd64" || g.arch == "arm64" }

func hello(goarch string) string { return "/hello-" + goarch }

// steps returns what is done in the guest.
func (g guest) steps(t *testing.T, module string) []plan.Step {
	t.Helper()
	steps := []plan.Step{{Name: "without the module", Argv: []string{register}}}
	if module != "" {
		steps = append(steps, plan.Step{Name: "module", LoadModule: module})
	}
	steps = append(steps,
		plan.Step{Name: "dry run", Argv: []string{register, "--dry-run", "--output", "json"}},
		plan.Step{Name: "register", Argv: []string{register, "--output", "json"}},
	)
	for _, e := range others() {
		line, err := e.MarshalText()
		require.NoError(t, err)
		steps = append(steps, plan.Step{Name: "other " + e.Name, Write: string(line), Path: binfmt.DefaultMount + "/register"})
	}
	for _, goarch := range g.programs(t) {
		steps = append(steps,
			plan.Step{Name: "run " + goarch, Argv: []string{hello(goarch), "x"}},
			plan.Step{Name: "chroot " + goarch, Argv: []string{hello(goarch), "x"}, Root: "/root"})
	}
	steps = append(steps,
		plan.Step{Name: "again", Argv: []string{register, "--output", "json"}},
		plan.Step{Name: "status", Argv: []string{register, "--status", "--output", "json"}},
		plan.Step{Name: "uninstall", Argv: []string{register, "--uninstall"}},
		plan.Step{Name: "entries", Entries: true},
	)
	for _, goarch := range g.programs(t) {
		steps = append(steps,
			plan.Step{Name: "crossrun " + goarch, Argv: []string{crossrun, hello(goarch), "x"}},
			plan.Step{Name: "watched " + goarch, Argv: []string{crossrun, "--watched", hello(goarch), "x"}},
			// A native program, which executes a foreign one.
			plan.Step{Name: "watched, by a native one, " + goarch, Argv: []string{crossrun, "--watched", crossrun, hello(goarch), "x"}},
			plan.Step{Name: "private " + goarch, Argv: []string{crossrun, "--private", "-v", hello(goarch), "x"}})
	}
	for _, triplet := range g.narrow() {
		steps = append(steps,
			plan.Step{Name: "watched, by " + triplet, Argv: []string{crossrun, "--watched", starter(triplet), "run", hello(g.foreign[0]), "x"}},
			plan.Step{Name: "crossrun " + triplet, Argv: []string{crossrun, starter(triplet), "exec", hello(g.foreign[0]), "x"}})
	}
	if !g.single() {
		return steps
	}
	for _, goarch := range g.foreign {
		steps = append(steps, plan.Step{Name: "single file " + goarch, Argv: []string{singleCrossrun, hello(goarch), "x"}, Root: "/root"})
	}
	steps = append(steps, plan.Step{Name: "embedded", Argv: append([]string{singleRegister}, g.foreign...)})
	for _, goarch := range g.foreign {
		steps = append(steps, plan.Step{Name: "embedded " + goarch, Argv: []string{hello(goarch), "x"}, Root: "/root"})
	}
	return append(steps, plan.Step{Name: "embedded again", Argv: append([]string{singleRegister}, g.foreign...)})
}

// private reports whether the guest's kernel lets user namespaces have a
// binfmt_misc of their own: Linux 6.7, of which Debian 12 is not.
func (g guest) private() bool { return g.suite != "bookworm" }

// narrow are the C compilers for 32-bit Arm, whose C libraries have Thumb's instructions and Arm's: where
// the kernel runs such programs itself, and they are here.
func (g guest) narrow() (triplets []string) {
	for _, triplet := range []string{"arm-linux-gnueabihf", "arm-linux-gnueabi"} {
		if _, err := exec.LookPath(triplet + "-gcc"); err == nil && slices.Contains(g.native, "linux/arm/v7") {
			triplets = append(triplets, triplet)
		}
	}
	return triplets
}

// starter is a program that starts others.
func starter(triplet string) string { return "/starter-" + triplet }

// programs are the GOARCHs of the programs that are run.
func (g guest) programs(t *testing.T) []string {
	t.Helper()
	list := slices.Clone(g.foreign)
	for _, platform := range g.native {
		arch, err := elfmagic.Lookup(platform)
		require.NoError(t, err)
		// The system emulator ends some of Go's for 386 as the user emulator does.
		if arch.GOARCH != "386" {
			list = append(list, arch.GOARCH)
		}
	}
	return list
}

// A report is what register says as JSON.
type report struct {
	OK            bool
	Native        []string
	Architectures []struct {
		Platform, Flags, Version, Action, Error string
		Runs                                    *bool
	}
}

func (g guest) test(t *testing.T, dir string) tableRow {
	if _, err := exec.LookPath(g.machine[0]); err != nil {
		t.Skipf("%v: tests/kernels/install-tools installs it", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	kernel, module := machine.Kernel(t, ctx, g.arch, g.suite, g.kernel, filepath.Join(dir, "kernel"))
	steps := g.steps(t, "/"+filepath.Base(module))
	initrd := g.initrd(t, ctx, dir, module, steps)
	start := time.Now()
	outcomes, log := g.boot(t, ctx, kernel, initrd, len(steps))
	took := time.Since(start)
	require.Contains(t, outcomes, plan.End, "it did not come to its end; the end of what it said:\n%s", log)
	require.Len(t, outcomes, len(steps)+1)

	said := func(step string) plan.Outcome { return outcomes[step] }
	succeeded := func(step string) plan.Outcome {
		o := said(step)
		require.Equal(t, 0, o.Status, "%s: %s %s", step, o.Stdout, o.Stderr)
		return o
	}
	reported := func(step string) (rep report) {
		require.NoError(t, json.Unmarshal([]byte(succeeded(step).Stdout), &rep), "%s: %+v", step, said(step))
		assert.True(t, rep.OK, step)
		return rep
	}

	o := said("without the module")
	assert.Equal(t, 1, o.Status)
	assert.Contains(t, o.Stderr, "register: hint: this kernel has no binfmt_misc")
	succeeded("module")
	for _, a := range reported("dry run").Architectures {
		assert.Equal(t, "add", a.Action)
	}

	first := reported("register")
	assert.ElementsMatch(t, g.native, first.Native)
	var platforms []string
	flags, version := "", ""
	for _, a := range first.Architectures {
		assert.Equal(t, "add", a.Action, a.Platform)
		require.NotNil(t, a.Runs, a.Platform)
		assert.True(t, *a.Runs, "%s: %s", a.Platform, a.Error)
		assert.Equal(t, "POF", a.Flags)
		flags, version = a.Flags, a.Version
		platforms = append(platforms, a.Platform)
	}
	var want []string
	for _, goarch := range slices.Concat(g.foreign, g.also) {
		arch, err := elfmagic.Lookup(goarch)
		require.NoError(t, err)
		want = append(want, arch.Platform())
	}
	assert.ElementsMatch(t, want, platforms)

	for _, goarch := range g.programs(t) {
		said := fmt.Sprintf("hello from %s 1.414\n%q\n\"x\"\n", goarch, hello(goarch))
		for _, way := range []string{"run ", "chroot ", "crossrun ", "watched ", "watched, by a native one, "} {
			assert.Equal(t, said, succeeded(way+goarch).Stdout, way+goarch)
		}
		if g.private() {
			assert.Equal(t, said, succeeded("private "+goarch).Stdout, goarch)
			continue
		}
		o := outcomes["private "+goarch]
		assert.Equal(t, 126, o.Status, "%+v", o)
		assert.Contains(t, o.Stderr, "private instance of binfmt_misc: ")
		assert.Contains(t, o.Stderr, "6.7", "which kernel has them")
	}
	for _, triplet := range g.narrow() {
		for _, way := range []string{"watched, by ", "crossrun "} {
			o := succeeded(way + triplet)
			assert.Equal(t, fmt.Sprintf("hello from %s 1.414\n%q\n\"x\"\n", g.foreign[0], hello(g.foreign[0])), o.Stdout, "%s%s: %s", way, triplet, o.Stderr)
		}
	}
	if g.single() {
		for _, goarch := range g.foreign {
			said := fmt.Sprintf("hello from %s 1.414\n%q\n\"x\"\n", goarch, hello(goarch))
			assert.Equal(t, said, succeeded("single file "+goarch).Stdout)
			assert.Equal(t, said, succeeded("embedded "+goarch).Stdout)
		}
		assert.Equal(t, len(g.foreign), strings.Count(succeeded("embedded").Stdout, "added, runs"), said("embedded").Stdout)
		assert.Equal(t, len(g.foreign), strings.Count(succeeded("embedded again").Stdout, "kept, runs"), said("embedded again").Stdout)
	}
	for _, a := range reported("again").Architectures {
		assert.Equal(t, "keep", a.Action, a.Platform)
	}
	for _, a := range reported("status").Architectures {
		assert.True(t, *a.Runs, a.Platform)
	}
	succeeded("uninstall")
	var left strings.Builder
	for _, e := range slices.Backward(others()) {
		fmt.Fprintf(&left, "%s\n%s", e.Name, e.Status())
	}
	assert.ElementsMatch(t, strings.Split(left.String(), "\n"), strings.Split(succeeded("entries").Stdout, "\n"), "others' entries are as they were, and nothing else is there")

	cpu := "default"
	if i := slices.Index(g.machine, "-cpu"); i >= 0 {
		cpu = g.machine[i+1]
	}
	return tableRow{
		g.name, said(plan.End).Stdout, cpu, strings.Join(first.Native, " "), strings.Join(platforms, " "),
		fmt.Sprint(len(g.programs(t))), flags, strings.Fields(version)[0], fmt.Sprintf("%.0f s", took.Seconds()),
	}
}

// boot runs the machine and returns the outcomes by their steps, and the end of
// all that was on its console.
func (g guest) boot(t *testing.T, ctx context.Context, kernel, initrd string, steps int) (map[string]plan.Outcome, string) {
	t.Helper()
	cmd := machine.Command(ctx, g.machine, kernel, initrd, "console="+g.console+" "+g.options)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	outcomes := make(map[string]plan.Outcome)
	var tail []string
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		tail = append(tail, line)
		tail = tail[max(0, len(tail)-40):]
		text, ok := strings.CutPrefix(line, plan.Marker)
		if !ok {
			continue
		}
		var o plan.Outcome
		require.NoError(t, json.Unmarshal([]byte(text), &o), "%s", text)
		outcomes[o.Step] = o
		t.Logf("%2d/%d %s: %d %s", len(outcomes), steps+1, o.Step, o.Status, o.Stderr)
	}
	require.NoError(t, lines.Err())
	if err := cmd.Wait(); err != nil {
		tail = append(tail, err.Error(), stderr.String())
	}
	return outcomes, strings.Join(tail, "\n")
}

// emulatorFiles returns the files of the emulators that the guest gets: those
// of its foreign programs, and of others that it must find to be native.
func (g guest) emulatorFiles(t *testing.T, ctx context.Context, dir string) map[string]string {
	t.Helper()
	apt := machine.Apt(t, ctx, g.arch, g.emulators)
	p, err := apt.StaticEmulators(ctx)
	require.NoError(t, err)
	deb, err := apt.Download(ctx, p.Name, p.Version)
	require.NoError(t, err)
	require.NoError(t, debian.Unpack(ctx, deb, dir))
	self, err := elfmagic.Lookup(g.arch)
	require.NoError(t, err)
	search := emulator.Search{Dirs: []string{filepath.Join(dir, "usr/bin")}, Static: true, Native: []*elfmagic.Arch{self}}
	files := make(map[string]string)
	for _, name := range slices.Concat(g.foreign, g.native, g.also) {
		arch, err := elfmagic.Lookup(name)
		require.NoError(t, err)
		if arch == self {
			continue
		}
		found, err := search.Find(arch)
		require.NoError(t, err)
		files["usr/bin/qemu-"+arch.Name+"-static"] = found.Path
	}
	return files
}
