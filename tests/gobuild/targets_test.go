package gobuild

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A target is one of Calico's makefiles', run as they run it, in the tested image. What it
// returns is what came of it, for the table.
type target struct {
	name string // as the table has it
	run  func(*calico) string
}

// targets are in an order in which later ones use what earlier ones made.
var targets = slices.Concat(
	eachArchitecture("`make -C felix libbpf ARCH=%s`", (*calico).libbpf),
	[]target{{"`make -C felix build-bpf`: all BPF programs, and those of its unit tests", (*calico).bpf}},
	eachArchitecture("`make -C felix bin/calico-bpf ARCH=%s`, by cgo with libbpf", (*calico).calicoBPF),
	[]target{
		{"`make -C typha ut-no-cover`", ginkgo("typha", "ut-no-cover")},
		{"`make -C confd ut` (with the race detector)", ginkgo("confd", "ut")},
		{"`make -C libcalico-go ut`", ginkgo("libcalico-go", "ut")},
		{"felix' unit tests, as `ut` runs them but without coverage", (*calico).felix},
		{"`make -C guardian ut`, `gotestsum` with the race detector", gotestsum("guardian")},
		{"`make -C goldmane gen-mocks`, and guardian's and lib's: mockery", (*calico).mocks},
		{"`make -C felix protobuf`, `make -C goldmane protobuf`", (*calico).protobuf},
		{"libcalico-go's generated files: deepcopy-gen, openapi-gen, stringer", (*calico).generated},
		{"codegen.sh of api, as its `gen-files` runs it: all generators of Kubernetes'", (*calico).codegen},
		{"CRDs of libcalico-go and api: controller-gen, with the patches of Calico's `hack`", (*calico).crds},
	},
)

func eachArchitecture(name string, run func(c *calico, arch string) string) []target {
	var all []target
	for _, arch := range versions.GOARCHs {
		all = append(all, target{fmt.Sprintf(name, arch), func(c *calico) string { return run(c, arch) }})
	}
	return all
}

// Targets of Calico's do in the image what they are for. TEST_CALICO is a clone of
// Calico's repository, TEST_LIBBPF one of libbpf's if the network has none; Go's modules
// are those of this machine's cache (GOPATH), and come from the module proxy. With -update
// it writes the rows of what was run into docs/image.md.
func TestTargetsOfCalicos(t *testing.T) {
	repository := os.Getenv("TEST_CALICO")
	if repository == "" {
		t.Skip("builds and tests parts of Calico, from a clone of github.com/projectcalico/calico: TEST_CALICO=DIRECTORY")
	}
	whole(t)
	native(t)
	root(t) // the makefiles have files be those of whom they are run by
	c := checkout(t, repository)
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			c.T = t
			c.restore()
			start := time.Now()
			result := target.run(c)
			row := []string{target.name, result, fmt.Sprint(int(time.Since(start).Seconds() + 0.5))}
			t.Log(strings.Join(row, " | "))
			if kerneltest.Updating() && !t.Failed() {
				writeRow(t, row)
			}
		})
	}
}

const documented = "../../docs/image.md"

// writeRow replaces a row of the table, or adds it.
func writeRow(t *testing.T, row []string) {
	t.Helper()
	_, section, found := strings.Cut(commands.Read(t, documented), "<!-- targets:")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "<!-- end of targets -->")
	rows := make(map[string]string)
	for line := range strings.Lines(section) {
		if name, _, found := strings.Cut(strings.TrimPrefix(line, "| "), " | "); found {
			rows[name] = line
		}
	}
	rows[row[0]] = "| " + strings.Join(row, " | ") + " |\n"
	text := "| target | result | seconds |\n| --- | --- | ---: |\n"
	for _, target := range targets {
		text += rows[target.name]
	}
	commands.WriteSection(t, documented, "targets", text)
}

// calico is a checkout of Calico's that targets are run in.
type calico struct {
	*testing.T
	dir    string
	gopath string
}

// checkout has a clone of the branch that the image is for in the user's cache, where what
// Go has compiled stays.
func checkout(t *testing.T, repository string) *calico {
	t.Helper()
	branch := pinned(t).Calico
	cache, err := workdir.Cache()
	require.NoError(t, err)
	c := &calico{t, filepath.Join(cache, "calico-"+branch), ""}
	c.gopath = strings.TrimSpace(c.must(exec.Command("go", "env", "GOPATH")))
	if _, err := os.Stat(c.dir); err != nil {
		c.must(exec.Command("git", "clone", "--quiet", "--branch", branch, repository, c.dir))
	}
	// It is what their script that looks for a change's parent goes by; nothing is fetched from there.
	c.git("remote", "set-url", "origin", "https://github.com/projectcalico/calico.git")
	c.git("fetch", "--quiet", repository, "+refs/heads/"+branch+":refs/remotes/origin/"+branch)
	c.git("checkout", "--quiet", "--force", "--detach", "origin/"+branch)
	t.Logf("Calico's %s is %s", branch, c.git("rev-parse", "HEAD"))
	for _, module := range []string{".", "api"} {
		cmd := exec.Command("go", "mod", "download")
		cmd.Dir = filepath.Join(c.dir, module)
		cmd.Env = append(os.Environ(), "GOFLAGS=")
		c.must(cmd)
	}
	return c
}

// must runs a command, which must succeed, and returns what it prints.
func (c *calico) must(cmd *exec.Cmd) string {
	c.Helper()
	var out, all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &all
	err := cmd.Run()
	require.NoError(c, err, "%s\n%s%s", cmd, last(out.String()), last(all.String()))
	return out.String()
}

// last returns the end of what a command said.
func last(text string) string { return text[max(0, len(text)-20000):] }

func (c *calico) git(args ...string) string {
	c.Helper()
	return strings.TrimSpace(c.must(exec.Command("git", append([]string{"-C", c.dir}, args...)...)))
}

// restore takes back what a target changed, but for what later ones use.
func (c *calico) restore() {
	c.Helper()
	c.git("checkout", "--quiet", "--force", ".")
	c.git("clean", "--quiet", "-fd")
}

// make runs targets of the makefile in a directory.
func (c *calico) make(dir string, args ...string) string {
	c.Helper()
	image, tag, _ := strings.Cut(tested(c.T), ":")
	settings := []string{"-C", filepath.Join(c.dir, dir), "GO_BUILD_IMAGE=" + image, "GO_BUILD_VER=" + tag, "GOPATH=" + c.gopath, "LOCAL_IP_ENV=127.0.0.1", "GIT_USE_SSH=false"}
	return c.must(exec.Command("make", append(settings, args...)...))
}

// docker runs a command in the image, with what the makefiles mount and pass.
func (c *calico) docker(dir string, flags []string, args ...string) string {
	c.Helper()
	const project = "/go/src/github.com/projectcalico/"
	mounts := []string{c.dir + ":" + project + "calico", c.dir + "/.go-pkg-cache:/go-cache", filepath.Join(c.gopath, "pkg/mod") + ":/go/pkg/mod"}
	workdir := project + "calico/" + dir
	if dir == "api" { // a module of its own
		mounts[0], workdir = c.dir+"/api:"+project+"api", project+"api"
	}
	require.NoError(c, os.MkdirAll(filepath.Join(c.dir, ".go-pkg-cache"), 0o755))
	all := []string{"run", "--rm", "--init", "--network", "host", "--workdir", workdir}
	for _, mount := range mounts {
		all = append(all, "--volume", mount)
	}
	all = append(all, environment("LOCAL_USER_ID=0", "RUN_AS_ROOT=true", "GOCACHE=/go-cache", "GOPATH=/go", "GOARCH=amd64", "GOAMD64=v2", "GOOS=linux", "GOFLAGS=", "PACKAGE_NAME=github.com/projectcalico/"+dir)...)
	return c.must(exec.Command("docker", slices.Concat(all, flags, []string{tested(c.T)}, args)...))
}

// changed returns what differs in the checkout: lines that were removed and added.
func (c *calico) changed(paths ...string) []string {
	c.Helper()
	c.git(append([]string{"add", "--intent-to-add", "--"}, paths...)...)
	defer c.git("reset", "--quiet")
	var lines []string
	for line := range strings.Lines(c.git(append([]string{"diff", "--unified=0", "--"}, paths...)...)) {
		if !strings.HasPrefix(line, "+++") && !strings.HasPrefix(line, "---") && strings.ContainsAny(line[:1], "+-") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// ofVersions are comments with the version of what generates.
var ofVersions = regexp.MustCompile(`^[+-]// (- |\t)?protoc(-gen-go(-grpc)?)?\s+v[0-9.]+$`)

// unchanged fails if generating has changed more than comments with versions, and says
// what it changed.
func (c *calico) unchanged(paths ...string) string {
	c.Helper()
	lines := c.changed(paths...)
	others := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return ofVersions.MatchString(line) })
	assert.Empty(c, others)
	if len(lines) == 0 {
		return "the tree is clean"
	}
	return fmt.Sprintf("%d comments with versions differ, and nothing else", len(lines)/2)
}

// clone puts libbpf where a target clones it, if the test was told of one.
func (c *calico) clone() {
	c.Helper()
	repository, dir := os.Getenv("TEST_LIBBPF"), filepath.Join(c.dir, "felix/bpf-gpl")
	if repository == "" {
		return
	}
	_, rest, found := strings.Cut(commands.Read(c, filepath.Join(c.dir, "metadata.mk")), "\nLIBBPF_VERSION=")
	require.True(c, found)
	version, _, _ := strings.Cut(rest, "\n")
	marker := filepath.Join(dir, ".libbpf-"+version)
	if _, err := os.Stat(marker); err == nil {
		return
	}
	require.NoError(c, os.RemoveAll(filepath.Join(dir, "libbpf")))
	c.must(exec.Command("git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--branch", version, repository, filepath.Join(dir, "libbpf")))
	require.NoError(c, os.WriteFile(marker, nil, 0o644))
}

func (c *calico) libbpf(arch string) string {
	c.clone()
	dir := "felix/bpf-gpl/libbpf/src/" + arch
	require.NoError(c, os.RemoveAll(filepath.Join(c.dir, dir)))
	c.make("felix", "libbpf", "ARCH="+arch)
	said := c.docker("felix", nil, "llvm-readelf", "--file-header", "/go/src/github.com/projectcalico/calico/"+dir+"/libbpf.a")
	assert.Regexp(c, map[string]string{"amd64": "X86-64", "arm64": "AArch64", "ppc64le": "PowerPC64", "s390x": "S/390"}[arch], said)
	return "the library is built"
}

func (c *calico) bpf() string {
	c.clone()
	c.git("clean", "--quiet", "-fdx", "felix/bpf-gpl/bin", "felix/bpf-gpl/ut", "felix/bpf-apache/bin", "felix/bin")
	c.make("felix", "build-bpf")
	count := 0
	for _, pattern := range []string{"bpf-gpl/bin/*.o", "bpf-gpl/ut/*.o", "bpf-apache/bin/*.o"} {
		files, err := filepath.Glob(filepath.Join(c.dir, "felix", pattern))
		require.NoError(c, err)
		require.NotEmpty(c, files, pattern)
		for _, file := range files {
			f, err := elf.Open(file)
			require.NoError(c, err, file)
			assert.Equal(c, elf.EM_BPF, f.Machine, file)
			f.Close()
		}
		count += len(files)
	}
	return fmt.Sprintf("%d objects", count)
}

// calicoBPF is linked with libbpf, and starts, by crossrun if it is for another architecture.
func (c *calico) calicoBPF(arch string) string {
	c.clone()
	const name = "bin/calico-bpf"
	file := filepath.Join(c.dir, "felix", name)
	require.NoError(c, os.RemoveAll(file))
	c.make("felix", name, "ARCH="+arch)
	f, err := elf.Open(file)
	require.NoError(c, err)
	defer f.Close()
	want, err := elfmagic.Lookup(arch)
	require.NoError(c, err)
	assert.Equal(c, want.Machine, f.Machine)
	newest := 0
	needs, err := f.DynamicVersionNeeds()
	require.NoError(c, err)
	for _, library := range needs {
		for _, need := range library.Needs {
			minor := 0
			if n, _ := fmt.Sscanf(need.Dep, "GLIBC_2.%d", &minor); n == 1 {
				newest = max(newest, minor)
			}
		}
	}
	require.NotZero(c, newest, "it is linked with the C library")
	assert.LessOrEqual(c, newest, 34, "UBI 9's")
	said := c.docker("felix", environment("GOARCH="+arch), "sh", "-c", "./"+name+" --help")
	assert.Contains(c, said, "calico-bpf")
	return fmt.Sprintf("starts; glibc 2.%d is the newest that it asks for", newest)
}

var (
	suitesRan   = regexp.MustCompile(`Ginkgo ran (\d+) suites? in`)
	specsPassed = regexp.MustCompile(`(\d+) Passed|- (\d+)/\d+ specs`) // of a suite each; with --succinct, or several suites, the latter
	testsDone   = regexp.MustCompile(`(?m)^DONE (.*tests?.*) in `)
)

// ginkgo is a target that runs suites.
func ginkgo(dir, name string) func(*calico) string {
	return func(c *calico) string { return c.suites(c.make(dir, name)) }
}

// suites says how many suites and specs passed, of what ginkgo said.
func (c *calico) suites(said string) string {
	c.Helper()
	said = colour.ReplaceAllString(said, "")
	assert.Contains(c, said, "Test Suite Passed")
	m := suitesRan.FindStringSubmatch(said)
	require.NotNil(c, m, last(said))
	specs := countSpecs(c, said)
	require.NotZero(c, specs, last(said))
	return fmt.Sprintf("%s suites pass, with %d specs", m[1], specs)
}

// countSpecs returns how many specs there were in suites that passed.
func countSpecs(t require.TestingT, said string) (specs int) {
	for _, passed := range specsPassed.FindAllStringSubmatch(said, -1) {
		n, err := strconv.Atoi(passed[1] + passed[2])
		require.NoError(t, err)
		specs += n
	}
	return specs
}

func TestSpecsAreCounted(t *testing.T) {
	for said, want := range map[string]int{
		"Ran 3 of 4 Specs in 0.1 seconds\nSUCCESS! -- 3 Passed | 0 Failed | 0 Pending | 1 Skipped\n":      3,
		"[1] Jitter - 25/25 specs •••• SUCCESS! 1s PASS\n[1] Discovery - 7/7 specs • SUCCESS! 2ms PASS\n": 32,
		"Test Suite Passed": 0,
	} {
		assert.Equal(t, want, countSpecs(t, said), said)
	}
}

// gotestsum is a directory whose target ut runs it.
func gotestsum(dir string) func(*calico) string {
	return func(c *calico) string {
		said := colour.ReplaceAllString(c.make(dir, "ut"), "")
		m := testsDone.FindStringSubmatch(said)
		require.NotNil(c, m, last(said))
		assert.NotContains(c, m[1], "fail")
		return m[1]
	}
}

// Root would be given files that some suites count on to be refused, and the kernel's BPF.
func (c *calico) felix() string {
	const user = 1000
	owned := func(id int) { c.must(exec.Command("chown", "-R", fmt.Sprint(id), c.dir)) }
	owned(user)
	defer owned(0)
	flags := environment(fmt.Sprint("LOCAL_USER_ID=", user), "RUN_AS_ROOT=")
	return c.suites(c.docker("felix", flags, "ginkgo", "-keep-going", "-r", "-skip-package", "fv,k8sfv,bpf/ut"))
}

// The files in the tree are formatted, and their empty interfaces called any.
func (c *calico) mocks() string {
	for _, dir := range []string{"goldmane", "guardian", "lib"} {
		c.make(dir, "gen-mocks")
		c.make(dir, "fix-changed")
	}
	files := strings.Fields(c.git("diff", "--name-only"))
	for _, file := range files {
		path := filepath.Join(c.dir, file)
		text := strings.ReplaceAll(commands.Read(c, path), "interface{}", "any")
		require.NoError(c, os.WriteFile(path, []byte(text), 0o644))
	}
	return c.unchanged(".")
}

func (c *calico) protobuf() string {
	c.make("felix", "protobuf")
	c.make("goldmane", "protobuf")
	return c.unchanged(".")
}

func (c *calico) generated() string {
	files := []string{
		"./lib/apis/internalapi/zz_generated.deepcopy.go", "./lib/apis/internalapi/generated.openapi.go", "./lib/apis/v1/generated.openapi.go",
		"./lib/backend/model/zz_generated.deepcopy.go", "./lib/selector/tokenizer/kind_string.go",
	}
	for _, file := range files {
		require.NoError(c, os.Remove(filepath.Join(c.dir, "libcalico-go", file)))
	}
	c.make("libcalico-go", files...)
	c.make("libcalico-go", "fix-changed")
	return c.unchanged(".")
}

func (c *calico) codegen() string {
	c.make("api", "clean-generated")
	c.docker("api", nil, "build/codegen.sh")
	c.make("api", "fix")
	const clients = "api/pkg/client"
	if pinned(c.T).Differs["client-gen"] == "" {
		return c.unchanged(".")
	}
	// Other generators than those that the branch pins may write other clients, which compile.
	result := c.unchanged(".", ":!"+clients)
	c.docker("api", nil, "go", "build", "-buildvcs=false", "./pkg/client/...")
	if lines := len(c.changed(clients)); lines > 0 {
		result = fmt.Sprintf("but for clients %s; these compile, and %d lines were removed or added", result, lines)
	}
	return result
}

// crds are generated by what Calico's script builds, of the source that it fetches, which
// is here the module proxy's; what makes of the files another format is not run, so they
// are compared as data.
func (c *calico) crds() string {
	script := commands.Read(c, filepath.Join(c.dir, "hack/cmd/calico-controller-gen/build.sh"))
	m := regexp.MustCompile(`(?m)^VERSION="(v[0-9.]+)"$`).FindStringSubmatch(script)
	require.NotNil(c, m)
	// The source is fetched by this machine, which may trust other authorities than the image.
	source := filepath.Join(c.dir, ".go-pkg-cache", "controller-tools")
	download := func(dir string, args ...string) string {
		cmd := exec.Command("go", append([]string{"mod", "download"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=")
		return c.must(cmd)
	}
	var module struct{ Dir string }
	require.NoError(c, json.Unmarshal([]byte(download(c.dir, "-json", "sigs.k8s.io/controller-tools@"+m[1])), &module))
	require.NoError(c, os.RemoveAll(source))
	c.must(exec.Command("cp", "-R", "--no-preserve=mode", module.Dir, source))
	download(source)
	c.docker("", nil, "sh", "-ec", `
		test "$(controller-gen --version)" = "Version: `+m[1]+`"
		repository=$PWD
		cd /go-cache/controller-tools
		for p in "$repository"/hack/cmd/calico-controller-gen/*.patch; do patch -p1 <"$p"; done
		go build -buildvcs=false -o /go-cache/bin/controller-gen -ldflags "-X sigs.k8s.io/controller-tools/pkg/version.version=`+m[1]+`" ./cmd/controller-gen`)
	for dir, paths := range map[string]string{"libcalico-go": "./lib/apis/...", "api": "./pkg/apis/..."} {
		c.docker(dir, nil, "/go-cache/bin/controller-gen", "crd:allowDangerousTypes=true,crdVersions=v1", "paths="+paths, "output:crd:dir=config/generated/")
	}
	// As data, and the same files.
	return c.docker("", nil, "sh", "-ec", `
		same=0
		for new in libcalico-go/config/generated/*_*.yaml api/config/generated/*_*.yaml; do
			old=$(dirname "$(dirname "$new")")/crd/$(basename "$new")
			case $old in */_.yaml|*/_nodes.yaml|*/projectcalico.org_profiles.yaml) continue ;; esac
			yq -o=json -P 'sort_keys(..)' "$new" >/tmp/new
			yq -o=json -P 'sort_keys(..)' "$old" >/tmp/old
			diff /tmp/old /tmp/new >&2
			same=$((same + 1))
		done
		printf '%s files are as they are in the tree' $same`)
}
