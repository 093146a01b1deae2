package anywhere

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// goarchs are those whose tests of Go's standard library are run, and packages
// which: those with processes, signals and system calls.
var (
	goarchs  = []string{"arm64", "arm", "s390x", "ppc64le", "riscv64"}
	packages = []string{"os", "os/exec", "os/signal", "syscall", "net"}
)

// installed are the packages that are asked for in the foreign system; with what they
// depend on they are more than fifty.
var installed = []string{"ca-certificates", "cron", "curl", "git", "less", "nginx-light", "openssh-client", "perl", "python3", "redis-server", "vim-tiny"}

// A bundle is a directory with all that the checks need, which is at the same path on
// every host.
type bundle struct{ dir string }

func (b bundle) path(elements ...string) string {
	return filepath.Join(append([]string{b.dir}, elements...)...)
}

// makeBundle makes it, with what is needed for a plan. What is fetched is kept in the
// user's cache.
func makeBundle(t *testing.T, list []batch) bundle {
	t.Helper()
	dir, err := os.MkdirTemp("", "anywhere-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := bundle{dir}
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.CopyFS(b.path(), os.DirFS("testdata")))
	require.NoError(t, os.Chmod(b.path("run"), 0o755))
	tree(t, b) // also tells whether a way is available
	if slices.ContainsFunc(goarchs, func(goarch string) bool { return has(list, "gotest:"+goarch) }) {
		goTests(t, b)
	}
	if has(list, "make") {
		zlib(t, b)
	}
	if has(list, "debootstrap", "apt") {
		system(t, b)
	}
	return b
}

// command runs one, which must succeed.
func command(t *testing.T, dir string, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%q: %s%s", argv, out, &stderr)
	return string(out)
}

// tree has programs that start others, and a Python for arm64.
func tree(t *testing.T, b bundle) {
	t.Helper()
	for _, goarch := range []string{"arm64", "s390x", runtime.GOARCH} {
		commands.CopyFile(t, commands.GoProgram(t, "starter", goarch), b.path("tree", "starter-"+goarch))
	}
	script := "#!@W@/python/arm64/usr/bin/python3\nimport os, sys\nprint('python for ' + os.uname().machine + ':', sys.argv)\nsys.exit(23)\n"
	require.NoError(t, os.WriteFile(b.path("tree/script"), []byte(script), 0o644))
	apt := packagesOf(t, "arm64")
	files, err := apt.Closure(t.Context(), "python3-minimal")
	require.NoError(t, err)
	debs, err := apt.Get(t.Context(), files)
	require.NoError(t, err)
	for _, deb := range debs {
		require.NoError(t, debian.Unpack(t.Context(), deb, b.path("python/arm64")))
	}
}

// packagesOf returns apt's state for an architecture.
func packagesOf(t *testing.T, port string) *debian.Apt {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("packages come from Debian, through apt: ", err)
	}
	apt, err := debian.Open(cache(t, "apt"), port, "bookworm")
	require.NoError(t, err)
	require.NoError(t, apt.Update(t.Context()))
	return apt
}

func cache(t *testing.T, name string) string {
	t.Helper()
	dir, err := workdir.Cache(name)
	require.NoError(t, err)
	return dir
}

// goTests has the tests of Go's standard library, the sources that they read, and which
// of them pass by binfmt_misc here.
func goTests(t *testing.T, b bundle) {
	t.Helper()
	goroot := strings.TrimSpace(command(t, ".", nil, "go", "env", "GOROOT"))
	for _, goarch := range append(slices.Clone(goarchs), runtime.GOARCH) {
		for _, pkg := range packages {
			name := strings.ReplaceAll(pkg, "/", "-") + ".test"
			commands.CopyFile(t, goTestOf(t, goarch, pkg, name), b.path("gotest", goarch, name))
			src := b.path("gotest/src", pkg)
			if _, err := os.Stat(src); err != nil {
				require.NoError(t, os.CopyFS(src, os.DirFS(filepath.Join(goroot, "src", pkg))))
			}
		}
	}
	command(t, ".", nil, "chmod", "-R", "a+rX", b.path("gotest"))
}

// goTestOf returns a package's test, which is kept: it follows from Go's version.
func goTestOf(t *testing.T, goarch, pkg, name string) string {
	t.Helper()
	kept := cache(t, filepath.Join("anywhere", runtime.Version(), goarch, name))
	if _, err := os.Stat(kept); err == nil {
		return kept
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(kept), 0o755))
	command(t, ".", []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + goarch}, "go", "test", "-c", "-vet=off", "-trimpath", "-buildvcs=false", "-o", kept+".new", pkg)
	require.NoError(t, os.Rename(kept+".new", kept))
	return kept
}

var (
	passed = regexp.MustCompile(`(?m)^--- PASS: (\S+)`)
	event  = regexp.MustCompile(`(?m)^(?:=== (RUN|PAUSE|CONT) +|--- (PASS|FAIL|SKIP): )(Test[^/\s]+)(?:$| )`)
)

// unfinished returns the tests that were running when a run broke off.
func unfinished(out string) []string {
	last := map[string]string{}
	for _, m := range event.FindAllStringSubmatch(out, -1) {
		last[m[3]] = m[1] + m[2]
	}
	var list []string
	for name, event := range last {
		if event == "RUN" || event == "CONT" {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// passes writes which of Go's tests for an architecture pass in private instances on
// this machine, with a crossrun, to be compared with, and which hang or break off in these
// emulators: they are not run.
func (b bundle) passes(t *testing.T, crossrun, goarch string) {
	t.Helper()
	// They take minutes, and follow from the programs.
	version := strings.Fields(command(t, ".", nil, b.path("stock", "qemu-"+kerneltest.Lookup(t, goarch).Name+"-static"), "--version"))[2]
	kept := cache(t, filepath.Join("anywhere", runtime.Version()+"-"+version, goarch))
	if files, err := filepath.Glob(filepath.Join(kept, "*")); err == nil && len(files) == 2*len(packages) {
		for _, file := range files {
			commands.CopyFile(t, file, b.path("gotest", goarch, filepath.Base(file)))
		}
		return
	}
	require.NoError(t, os.MkdirAll(kept, 0o755))
	var all sync.WaitGroup // they wait more than they work
	for _, pkg := range packages {
		all.Go(func() { b.passesOf(t, crossrun, goarch, pkg, kept) })
	}
	all.Wait()
	require.False(t, t.Failed())
}

// passesOf does so for one package, and keeps the lists.
func (b bundle) passesOf(t *testing.T, crossrun, goarch, pkg, kept string) {
	t.Helper()
	name := b.path("gotest", goarch, strings.ReplaceAll(pkg, "/", "-"))
	var names, hang []string
	for range 8 {
		out, err := b.goTest(pkg, crossrun, "--private", name+".test", "-test.skip=^("+strings.Join(hang, "|")+")$")
		if !assert.NoError(t, err) {
			return
		}
		names = nil
		for _, m := range passed.FindAllStringSubmatch(out, -1) {
			names = append(names, m[1])
		}
		more := unfinished(out)
		if more == nil {
			break
		}
		hang = append(hang, more...)
	}
	if !assert.NotEmpty(t, names, "%s: %s", name, hang) {
		return
	}
	t.Logf("%s %s: %d pass; hang: %q", goarch, pkg, len(names), hang)
	slices.Sort(names)
	for suffix, text := range map[string]string{".passes": strings.Join(slices.Compact(names), "\n") + "\n", ".hang": "^(" + strings.Join(hang, "|") + ")$\n"} {
		for _, file := range []string{name + suffix, filepath.Join(kept, filepath.Base(name)+suffix)} {
			assert.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		}
	}
}

// goTest runs tests as nobody, and returns what they print.
func (b bundle) goTest(pkg string, argv ...string) (string, error) {
	home, err := os.MkdirTemp("", "home-") // t.TempDir's parent is root's alone
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(home)
	if err := os.Chmod(home, 0o777); err != nil {
		return "", err
	}
	cmd := exec.Command(argv[0], append(argv[1:], "-test.v", "-test.short", "-test.timeout=3m")...)
	cmd.Dir = b.path("gotest/src", pkg)
	// Without the go command in PATH, tests that would build are skipped.
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + home, "TMPDIR=" + home}
	cmd.WaitDelay = 10 * time.Second // for what hangs without its parent
	nobody(cmd)
	cmd.SysProcAttr.Setpgid = true
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(4*time.Minute, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = cmd.Wait() // some fail, because of the emulator
	return out.String(), nil
}

// zlib has its source, built for arm64.
func zlib(t *testing.T, b bundle) {
	t.Helper()
	const compiler = "aarch64-linux-gnu-gcc"
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skip("make test-tools installs it: ", err)
	}
	apt, err := debian.OpenSources(cache(t, "apt"), "bookworm")
	require.NoError(t, err)
	require.NoError(t, apt.Update(t.Context()))
	versions, err := apt.Versions(t.Context(), "zlib")
	require.NoError(t, err)
	require.NotEmpty(t, versions)
	files, dir, err := apt.GetSource(t.Context(), "zlib", versions[0])
	require.NoError(t, err)
	i := slices.IndexFunc(files, func(f debian.File) bool { return strings.Contains(f.Name, ".orig.tar") })
	require.GreaterOrEqual(t, i, 0, "%v", files)
	require.NoError(t, os.Mkdir(b.path("zlib"), 0o755))
	command(t, ".", nil, "tar", "-C", b.path("zlib"), "--strip-components=1", "--no-same-owner", "-xf", filepath.Join(dir, files[i].Name))
	command(t, b.path("zlib"), []string{"CC=" + compiler, "CFLAGS=-O2 -static"}, "./configure", "--static")
	command(t, b.path("zlib"), nil, "make", "-s", "all")
	command(t, ".", nil, "chmod", "-R", "a+rX", b.path("zlib"))
}

// system has debootstrap's first stage of a Debian, and packages to be installed in it.
func system(t *testing.T, b bundle) {
	t.Helper()
	if _, err := exec.LookPath("debootstrap"); err != nil {
		t.Skip("image/base/install-tools installs it: ", err)
	}
	mirror, err := debian.Mirror()
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(b.path("system"), 0o755))
	archive := commands.Archive(t, "first-stage-arm64", func(path, _ string) *exec.Cmd {
		return exec.Command("sh", "-ec", `dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
			debootstrap --foreign --arch=arm64 --variant=minbase bookworm "$dir" "$1"
			tar -C "$dir" -cf "$2" .`, "sh", mirror, path)
	})
	require.NoError(t, os.Symlink(archive, b.path("system/first-stage.tar")))
	repository := b.path("system/repository")
	require.NoError(t, os.Mkdir(repository, 0o755))
	apt := packagesOf(t, "arm64")
	files, err := apt.Closure(t.Context(), installed...)
	require.NoError(t, err)
	debs, err := apt.Get(t.Context(), files)
	require.NoError(t, err)
	var index strings.Builder
	for _, deb := range debs {
		name := strings.ReplaceAll(filepath.Base(deb), "%3a", "-")
		require.NoError(t, os.Link(deb, filepath.Join(repository, name)))
		info, err := os.Stat(deb)
		require.NoError(t, err)
		sum, _, _ := strings.Cut(command(t, ".", nil, "sha256sum", deb), " ")
		fields := command(t, ".", nil, "dpkg-deb", "--field", deb)
		fmt.Fprintf(&index, "%s\nFilename: ./%s\nSize: %d\nSHA256: %s\n\n", strings.TrimSpace(fields), name, info.Size(), sum)
	}
	require.NoError(t, os.WriteFile(filepath.Join(repository, "Packages"), []byte(index.String()), 0o644))
	require.NoError(t, os.WriteFile(b.path("system/names"), []byte(strings.Join(installed, " ")+"\n"), 0o644))
}

// place puts crossrun and emulators into a directory of the bundle, and returns the
// command's path.
func (b bundle) place(t *testing.T, name string, emulators func(goarch string) string) string {
	t.Helper()
	for _, goarch := range goarchs {
		arch := kerneltest.Lookup(t, goarch)
		commands.CopyFile(t, emulators(goarch), b.path(name, "qemu-"+arch.Name+"-static"))
	}
	crossrun := b.path(name, "crossrun")
	commands.CopyFile(t, filepath.Join(commands.Dir(), "crossrun"), crossrun)
	return crossrun
}
