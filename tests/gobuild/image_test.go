package gobuild

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/guests"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// ports are Go's linux ports that QEMU has an emulator for.
var ports = strings.Fields("386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x")

// With no privilege, no network and nothing registered, go run and go test are
// given another architecture by a variable.
func TestGoRunsAndTestsOtherArchitectures(t *testing.T) {
	native(t)
	archs := []string{"arm64", "s390x"}
	if !isCore(t) {
		archs = append(archs, "ppc64le", "riscv64")
	}
	flags := source(t, "module")
	for _, arch := range archs {
		r := container(t, append(environment("GOARCH="+arch), flags...), "go", "run", ".", "3")
		assert.Equal(t, "hello from "+arch+"\n", r.Stdout, r.Stderr)
		assert.Equal(t, 1, r.Status, "go run's own")
		assert.Contains(t, r.Stderr, "exit status 3", "the program's")

		said := prints(t, append(environment("GOARCH="+arch, "WANT="+arch), flags...), "go", "test", "-v", "./...")
		assert.Contains(t, said, "--- PASS: TestArchitecture")
		r = container(t, append(environment("GOARCH="+arch, "WANT=none"), flags...), "go", "test", "./...")
		assert.Equal(t, 1, r.Status, "a test that fails does so here, too")
		assert.Contains(t, r.Stdout, "it is "+arch+", not none")
	}
}

// So are programs that a shell starts by their own names, whoever the user is.
func TestForeignProgramsRunByTheirOwnNames(t *testing.T) {
	native(t)
	for _, flags := range [][]string{nil, environment("RUN_AS_ROOT=true"), {"--user", "1234", "--env", "GOCACHE=/tmp/cache", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"}} {
		for _, arch := range []string{"arm64", "s390x"} {
			flags := slices.Concat(flags, environment("GOARCH="+arch), source(t, "module"))
			assert.Equal(t, "hello from "+arch, prints(t, flags, "sh", "-c", "go build -o /tmp/hello . && /tmp/hello"), flags)
			r := container(t, append(flags, "--env", "RUN_UNWATCHED=true"), "sh", "-c", "go build -o /tmp/hello . && /tmp/hello")
			assert.NotZero(t, r.Status, "nothing is registered here: %s%s", r.Stdout, r.Stderr)
		}
	}
}

// What is built in the image for its own architecture runs there.
func TestGoBuildsForItsOwnArchitecture(t *testing.T) {
	assert.Equal(t, "hello from "+goarch(t), prints(t, source(t, "module"), "sh", "-c", "go build -o hello . && ./hello"))
}

// In an image for another architecture the emulators are for that as a host:
// one runs this host's programs, itself run by what is registered here.
func TestAForeignImagesEmulatorRunsThisHostsPrograms(t *testing.T) {
	if goarch(t) == runtime.GOARCH {
		t.Skip("the image is for this host")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "hello"), ".")
	build.Dir = "testdata/module"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	host, err := elfmagic.Lookup(runtime.GOARCH)
	require.NoError(t, err)
	said := prints(t, []string{"--volume", dir + ":/src:ro"}, "crossrun", "--emulator", "/usr/bin/qemu-"+host.Name+"-static", "/src/hello")
	assert.Equal(t, "hello from "+runtime.GOARCH, said)
}

// crossrun runs a program of each port.
func TestCrossrunRunsEveryPort(t *testing.T) {
	native(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	archs := ports
	if i386 := kerneltest.Lookup(t, "386"); !kerneltest.Native(t, i386) {
		line, _, _ := strings.Cut(prints(t, nil, "qemu-i386-static", "--version"), "\n")
		_, version, _ := strings.Cut(line, " version ")
		if reason := guests.CrashesThreads(i386, &emulator.Emulator{Version: version}); reason != "" {
			t.Run("386", func(t *testing.T) { t.Skip(reason) })
			archs = slices.DeleteFunc(slices.Clone(ports), func(arch string) bool { return arch == "386" })
		}
	}
	for _, arch := range archs {
		program := filepath.Join(dir, arch)
		build := exec.Command("go", "build", "-trimpath", "-o", program, ".")
		build.Dir = "testdata/module"
		build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	said := prints(t, []string{"--volume", dir + ":/src:ro"}, "sh", "-c", "for p in /src/*; do crossrun $p || exit; done")
	assert.ElementsMatch(t, archs, strings.Fields(strings.ReplaceAll(said, "hello from ", "")))
	said = prints(t, nil, "sh", "-c", `for arch in `+strings.Join(ports, " ")+`; do [ "$arch" = "$(go env GOHOSTARCH)" ] || command -v go_linux_${arch}_exec >/dev/null || echo "$arch"; done`)
	assert.Empty(t, said, "ports without the go command's hook")
}

// All emulators are there but the image's own, and they run.
func TestEmulatorsOfEveryOtherArchitecture(t *testing.T) {
	said := prints(t, nil, "sh", "-c", "for e in /usr/bin/qemu-*-static; do $e --version | head -n 1; done")
	own := goarch(t)
	for _, arch := range elfmagic.Archs() {
		line := "qemu-" + arch.Name + " version "
		switch {
		case arch.GOARCH == own:
			assert.NotContains(t, said, line, "it would be for programs that run by themselves")
		case arch.GOARCH != "":
			assert.Contains(t, said, line)
		}
	}
	assert.Greater(t, strings.Count(said, "\n"), 25)
}

func TestGoIsOfTheTag(t *testing.T) {
	assert.Contains(t, prints(t, nil, "go", "version"), "go version go"+pinned(t).Go+" linux/"+goarch(t))
}

func TestLLVMAndKubernetesAreOfTheTag(t *testing.T) {
	whole(t)
	v := pinned(t)
	assert.Contains(t, prints(t, nil, "clang", "--version"), "clang version "+v.LLVM+".")
	for _, program := range []string{"kube-apiserver", "kube-controller-manager"} {
		assert.Equal(t, "Kubernetes v"+v.Kubernetes, prints(t, nil, program, "--version"))
	}
	assert.Contains(t, prints(t, nil, "kubectl", "version", "--client"), "v"+v.Kubernetes)
}

// Each tool starts, and is of the version that the file names.
func TestToolsAreThere(t *testing.T) {
	whole(t)
	var script strings.Builder
	v := pinned(t)
	for _, tool := range v.Tools {
		script.WriteString(`echo "` + tool.Name + ` $(go version -m "$(command -v ` + tool.Name + `)" | awk '$1 == "mod" {print $3}')"; `)
		script.WriteString(tool.Name + ` --help >/tmp/out 2>&1 </dev/null; [ $? -lt 3 ] && [ -s /tmp/out ] || echo "` + tool.Name + ` does not start"; `)
	}
	var want []string
	for _, tool := range v.Tools {
		want = append(want, tool.Name+" "+tool.Version)
	}
	assert.Equal(t, strings.Join(want, "\n"), prints(t, nil, "sh", "-c", script.String()))
}

func TestUtilitiesAreThere(t *testing.T) {
	whole(t)
	utilities := "gcc g++ make git autoconf automake libtoolize pkg-config patch clang clang++ ld.lld llc opt llvm-strip llvm-objcopy bsdtar curl wget xz zip unzip jq ip ping ssh bpftool protoc file ps"
	headers := "bpf/libbpf.h gelf.h pcap/pcap.h pcre2.h curl/curl.h"
	if goarch(t) == "amd64" {
		utilities += " aarch64-linux-gnu-gcc powerpc64le-linux-gnu-gcc s390x-linux-gnu-gcc x86_64-w64-mingw32-gcc"
	}
	said := prints(t, nil, "sh", "-c", `for u in `+utilities+`; do command -v $u >/dev/null || echo "no $u"; done
		for h in `+headers+`; do printf '#define PCRE2_CODE_UNIT_WIDTH 8\n#include <%s>\n' $h | gcc -E - >/dev/null 2>&1 || echo "no $h"; done`)
	assert.Empty(t, said)
}

// C is linked against each cross library, and runs.
func TestCGO(t *testing.T) {
	whole(t)
	if goarch(t) != "amd64" {
		t.Skip("cross compilers are in the image for amd64 only")
	}
	flags := source(t, "cgo")
	for arch, test := range map[string]struct{ cc, order string }{
		"amd64": {"gcc", "little"}, "arm64": {"aarch64-linux-gnu-gcc", "little"},
		"ppc64le": {"powerpc64le-linux-gnu-gcc", "little"}, "s390x": {"s390x-linux-gnu-gcc", "big"},
	} {
		said := prints(t, append(environment("CGO_ENABLED=1", "GOARCH="+arch, "CC="+test.cc), flags...), "sh", "-c", "go run . && go build -o program . && file program")
		assert.Contains(t, said, arch+" "+test.order+" endian, 42\n")
		assert.Contains(t, said, "dynamically linked")
	}
}

func TestBPF(t *testing.T) {
	whole(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	source, err := os.ReadFile("testdata/filter.c")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "filter.c"), source, 0o644))
	prints(t, []string{"--volume", dir + ":/src", "--workdir", "/src"}, "clang", "-target", "bpf", "-O2", "-g", "-Wall", "-Werror", "-I/usr/include/"+triplet(t), "-c", "filter.c")
	object, err := elf.Open(filepath.Join(dir, "filter.o"))
	require.NoError(t, err)
	defer object.Close()
	assert.Equal(t, elf.EM_BPF, object.Machine)
	assert.NotNil(t, object.Section("xdp"))
	assert.NotNil(t, object.Section(".BTF"))
	said := prints(t, []string{"--volume", dir + ":/src"}, "bpftool", "gen", "skeleton", "/src/filter.o")
	assert.Contains(t, said, "struct filter")
}

func triplet(t *testing.T) string {
	t.Helper()
	arch, err := elfmagic.Lookup(goarch(t))
	require.NoError(t, err)
	return arch.Debian[0].Triplet
}

// What is in the image is written down there, and it is true.
func TestImageSaysWhatIsInIt(t *testing.T) {
	dir := "/usr/share/go-build/"
	file, err := os.ReadFile("../../image/versions.yaml")
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(string(file)), prints(t, nil, "cat", dir+"versions.yaml"))
	packages := prints(t, nil, "cat", dir+"packages.tsv")
	assert.Equal(t, prints(t, nil, "dpkg-query", "--show", "--showformat", `${binary:Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n`), packages)
	assert.Regexp(t, `(?m)^libc6(:\S+)?\t\S+\t\S+\tglibc\t\S+$`, packages)
}

// So are the programs that are none of Debian's.
func TestImageSaysWhichProgramsAreInIt(t *testing.T) {
	whole(t)
	dir := "/usr/share/go-build/"
	var document struct {
		SPDXVersion string `json:"spdxVersion"`
		Packages    []struct {
			Name string `json:"name"`
		} `json:"packages"`
	}
	require.NoError(t, json.Unmarshal([]byte(prints(t, nil, "cat", dir+"programs.spdx.json")), &document))
	assert.Equal(t, "SPDX-2.3", document.SPDXVersion)
	assert.NotEmpty(t, document.Packages)
	list := strings.Split(prints(t, nil, "cat", dir+"programs.txt"), "\n")
	assert.Greater(t, len(list), 60)
	sums := ""
	for _, line := range list[1:] {
		fields := strings.Fields(line)
		sums += fields[len(fields)-1] + "  " + fields[0] + "\n"
	}
	prints(t, nil, "sh", "-c", "sha256sum --quiet --check <<'E'\n"+sums+"E")
	assert.Contains(t, prints(t, nil, "cat", dir+"licenses/modules.txt"), "\nk8s.io/kubernetes v")
}

func TestImageHasTheLicencesOfTheEmulators(t *testing.T) {
	dir := "/usr/share/go-build/licenses/"
	assert.Contains(t, prints(t, nil, "cat", dir+"SOURCE"), "Written offer")
	assert.Contains(t, prints(t, nil, "sh", "-c", "cat "+dir+"qemu/*"), "GNU GENERAL PUBLIC LICENSE")
}

// Nothing is left that only the build needed, or that is stale tomorrow.
func TestNothingIsLeftOfTheBuild(t *testing.T) {
	said := prints(t, environment("RUN_AS_ROOT=true"), "sh", "-c", `find /var/lib/apt/lists /var/cache/apt /tmp /var/tmp /var/log /root -type f ! -name .bashrc ! -name .profile; ls -d /root/.cache /root/go /root/.docker /root/.config 2>/dev/null; find / -xdev \( -name '*.pem' -o -name 'id_*' -o -name .netrc \) -path '/root/*'; true`)
	assert.Empty(t, said)
}

func TestLabels(t *testing.T) {
	img := tested(t)
	r := run(t, "docker", "image", "inspect", "--format", "{{json .Config.Labels}}", img)
	var labels map[string]string
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &labels))
	assert.Equal(t, "https://github.com/projectcalico/go-build", labels["org.opencontainers.image.source"])
	assert.Regexp(t, `^([0-9a-f]{40}|unknown)$`, labels["org.opencontainers.image.revision"])
	assert.Equal(t, pinned(t).Go, labels["org.golang.version"])
	assert.NotEmpty(t, labels["org.opencontainers.image.created"])
	assert.Regexp(t, `\bApache-2.0 AND .*GPL-2.0-only\b.*\bLicenseRef-Debian-packages\b`, labels["org.opencontainers.image.licenses"])
	tag := pinned(t).String()
	if isCore(t) {
		tag = "core"
	}
	assert.Equal(t, tag+"-"+goarch(t), labels["org.opencontainers.image.version"])
}
