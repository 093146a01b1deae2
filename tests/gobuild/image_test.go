package gobuild

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/commands"
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
	kerneltest.NothingRegistered(t)
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
	if !foreign(t) {
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
	assert.Contains(t, prints(t, nil, "clang", "--version"), "clang version "+v.LLVM+" ")
	for _, program := range []string{"kube-apiserver", "kube-controller-manager"} {
		assert.Equal(t, "Kubernetes v"+v.Kubernetes, prints(t, nil, program, "--version"))
	}
	assert.Contains(t, prints(t, nil, "kubectl", "version", "--client"), "v"+v.Kubernetes)
}

// Each tool starts, and is of the version that the file names, under all its names.
func TestToolsAreThere(t *testing.T) {
	whole(t)
	var script strings.Builder
	v := pinned(t)
	var want []string
	for _, tool := range v.Tools {
		for _, name := range append([]string{tool.Name}, tool.Also...) {
			script.WriteString(`echo "` + name + ` $(go version -m "$(command -v ` + name + `)" | awk '($1 == "mod" || $1 == "dep") && index("` + tool.Package + `/", $2 "/") == 1 {print $3}')"; `)
			script.WriteString(name + ` --help >/tmp/out 2>&1 </dev/null; [ $? -lt 3 ] && [ -s /tmp/out ] || echo "` + name + ` does not start"; `)
			want = append(want, name+" "+tool.Version)
		}
	}
	assert.Equal(t, strings.Join(want, "\n"), prints(t, nil, "sh", "-c", script.String()))
	for _, tool := range v.Tools {
		if tool.Stamp != "" {
			assert.Contains(t, prints(t, nil, tool.Name, "--version"), tool.Version)
		}
	}
}

// controller-gen knows Calico's types that are numbers or names in JSON, and their fields
// not. (The name of a type's package decides.)
func TestCalicosNumbersOrNames(t *testing.T) {
	whole(t)
	flags := append(environment("GOFLAGS=-mod=mod", "GOPROXY=off"), source(t, "numorstring")...)
	said := prints(t, flags, "controller-gen", "crd:crdVersions=v1", "paths=./v1/...", "output:stdout")
	assert.Equal(t, 3, strings.Count(said, "x-kubernetes-int-or-string: true"), said)
	assert.NotContains(t, said, "numVal")
}

// github.com's host keys are known, by the fingerprints that it publishes
// (docs.github.com, "GitHub's SSH key fingerprints", 2026).
func TestGitHubsHostKeysAreKnown(t *testing.T) {
	tested(t)
	if isCore(t) {
		assert.Equal(t, "3", prints(t, nil, "grep", "-c", "^github.com ", "/etc/ssh/ssh_known_hosts"))
		return
	}
	said := prints(t, nil, "ssh-keygen", "-l", "-f", "/etc/ssh/ssh_known_hosts")
	for _, fingerprint := range []string{"+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM", "uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s"} {
		assert.Contains(t, said, "SHA256:"+fingerprint+" github.com ")
	}
	assert.Contains(t, prints(t, nil, "ssh", "-G", "github.com"), "globalknownhostsfile /etc/ssh/ssh_known_hosts")
}

// protoc finds the definitions that it is used with.
func TestProtocHasItsDefinitions(t *testing.T) {
	whole(t)
	prints(t, nil, "sh", "-c", `cd /tmp && printf 'syntax = "proto3"; package x; option go_package = "example.org/x"; import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp at = 1; }' >x.proto &&
		protoc --go_out=. --go_opt=paths=source_relative x.proto && grep -q timestamppb x.pb.go`)
}

func TestUtilitiesAreThere(t *testing.T) {
	whole(t)
	utilities := "gcc g++ make git autoconf automake libtoolize pkg-config patch clang clang++ ld.lld llc opt llvm-strip llvm-objcopy bsdtar curl wget xz zip unzip jq ip ping ssh bpftool protoc file ps uuidgen"
	headers := "bpf/libbpf.h gelf.h pcap/pcap.h pcre2.h curl/curl.h"
	if goarch(t) == "amd64" {
		utilities += " aarch64-linux-gnu-clang powerpc64le-linux-gnu-clang s390x-linux-gnu-clang x86_64-linux-gnu-clang x86_64-w64-mingw32-gcc"
	}
	said := prints(t, nil, "sh", "-c", `for u in `+utilities+`; do command -v $u >/dev/null || echo "no $u"; done
		for h in `+headers+`; do printf '#define PCRE2_CODE_UNIT_WIDTH 8\n#include <%s>\n' $h | gcc -E - >/dev/null 2>&1 || echo "no $h"; done`)
	assert.Empty(t, said)
}

// C is linked for each architecture, in the way of Calico's makefiles and by a compiler's
// name, with libraries that Calico links; and runs, by crossrun's sysroot. None asks
// for a C library that UBI 9 does not have.
func TestCGO(t *testing.T) {
	whole(t)
	if goarch(t) != "amd64" {
		t.Skip("sysroots of other architectures are in the image for amd64 only")
	}
	flags := append(source(t, "cgo"), environment("CGO_ENABLED=1")...)
	for arch, order := range map[string]string{"amd64": "little", "arm64": "little", "ppc64le": "little", "s390x": "big"} {
		triplet := tripletOf(t, arch)
		for way, variables := range map[string][]string{
			"makefiles": {"CC=clang --target=" + triplet + " --sysroot=/usr/" + triplet + "/sys-root", "CGO_LDFLAGS=-fuse-ld=lld"},
			"name":      {"CC=" + triplet + "-clang"},
			"default":   nil,
		} {
			if way == "default" && arch != "amd64" {
				continue
			}
			flags := append(environment(append(variables, "GOARCH="+arch)...), flags...)
			said := prints(t, flags, "sh", "-c", "go build -o program . && ./program && file program && llvm-readelf --version-info program")
			zlib := "1.2.13" // the sysroot's; the image's own is newer
			if arch == "amd64" {
				zlib = ""
			}
			assert.Contains(t, said, arch+" "+order+" endian, 42, libelf 1, zlib "+zlib, way)
			assert.Contains(t, said, "dynamically linked")
			newest := slices.MaxFunc(regexp.MustCompile(`GLIBC_2\.(\d+)`).FindAllStringSubmatch(said, -1), func(a, b []string) int {
				x, _ := strconv.Atoi(a[1])
				y, _ := strconv.Atoi(b[1])
				return x - y
			})
			assert.LessOrEqual(t, newest[0], "GLIBC_2.34", "%s %s", arch, way)
		}
	}
}

// What is linked with libpcap links, by lld and by GNU's linker, which looks for what that
// library needs itself; and it runs.
func TestLibpcapLinks(t *testing.T) {
	whole(t)
	const program = `cd /tmp && printf '#include <pcap/pcap.h>\nint main(void) { return pcap_lib_version() == 0; }' >x.c && `
	prints(t, nil, "sh", "-c", program+`$CC -o x x.c -lpcap && ./x`)
	if goarch(t) != "amd64" {
		return // sysroots of other architectures are in the image for amd64 only
	}
	for _, arch := range versions.GOARCHs {
		prints(t, environment("GOARCH="+arch), "sh", "-c", program+tripletOf(t, arch)+`-clang -o x x.c -lpcap && ./x`)
	}
}

// C is linked for Windows, too, with its libraries.
func TestCGOForWindows(t *testing.T) {
	whole(t)
	if goarch(t) != "amd64" {
		t.Skip("the compiler for Windows is in the image for amd64 only")
	}
	flags := append(source(t, "windows"), environment("GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=1", "CC=x86_64-w64-mingw32-gcc")...)
	said := prints(t, flags, "sh", "-c", "go build -o program.exe . && file program.exe && llvm-readobj --coff-imports program.exe")
	assert.Regexp(t, `PE32\+ executable.*x86-64`, said)
	for _, library := range []string{"WS2_32.dll", "IPHLPAPI.DLL", "ole32.dll", "KERNEL32.dll"} {
		assert.Contains(t, said, "Name: "+library)
	}
}

// What packages have and nobody looks for here is not unpacked, and nothing that is
// there is linked with it.
func TestWhatIsNotUnpackedIsNotMissed(t *testing.T) {
	whole(t)
	file, err := os.ReadFile("../../image/gobuild/not-unpacked")
	require.NoError(t, err)
	script := ""
	for line := range strings.Lines(string(file)) {
		if pattern, ok := strings.CutPrefix(strings.TrimSpace(line), "path-exclude="); ok && !strings.HasPrefix(pattern, "/usr/share/") {
			script += "find /usr -path '" + pattern + "'; "
		}
	}
	require.NotEmpty(t, script)
	assert.Empty(t, prints(t, nil, "sh", "-c", script))
	said := prints(t, environment("RUN_UNWATCHED=true"), "sh", "-c", `find /usr/bin /usr/sbin /usr/lib/llvm-*/bin /usr/lib/gcc /usr/libexec -type f -perm -100 -exec ldd {} + 2>/dev/null | grep 'not found'; find /usr/bin /usr/lib/llvm-*/bin -xtype l`)
	assert.Empty(t, said, "libraries that are missing, and links to nothing")
}

// The sizes that are aimed at: what a machine keeps, and what is pulled. They are those with
// our own emulators; what Debian's have more is allowed for.
func TestSizes(t *testing.T) {
	whole(t)
	number := func(r commands.Result) float64 {
		t.Helper()
		n, err := strconv.ParseFloat(strings.TrimSpace(r.Stdout), 64)
		require.NoError(t, err, r.Stderr)
		return n / 1e6
	}
	emulators := number(container(t, nil, "sh", "-c", "cat /usr/bin/qemu-*-static | wc -c"))
	more := max(0, emulators-130)
	unpacked := number(run(t, "docker", "image", "inspect", "--format", "{{.Size}}", tested(t)))
	compressed := number(run(t, "sh", "-c", "docker save "+tested(t)+" | gzip | wc -c"))
	t.Logf("%.0f MB, of which emulators %.0f MB; compressed %.0f MB", unpacked, emulators, compressed)
	assert.LessOrEqual(t, unpacked-more, 2200.)
	assert.LessOrEqual(t, compressed-more*0.25, 700.)
}

func TestBPF(t *testing.T) {
	whole(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	source, err := os.ReadFile("testdata/filter.c")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "filter.c"), source, 0o644))
	prints(t, []string{"--volume", dir + ":/src", "--workdir", "/src"}, "clang", "-target", "bpf", "-O2", "-g", "-Wall", "-Werror", "-c", "filter.c")
	object, err := elf.Open(filepath.Join(dir, "filter.o"))
	require.NoError(t, err)
	defer object.Close()
	assert.Equal(t, elf.EM_BPF, object.Machine)
	assert.NotNil(t, object.Section("xdp"))
	assert.NotNil(t, object.Section(".BTF"))
	said := prints(t, []string{"--volume", dir + ":/src"}, "bpftool", "gen", "skeleton", "/src/filter.o")
	assert.Contains(t, said, "struct filter")
}

func tripletOf(t *testing.T, name string) string {
	t.Helper()
	arch, err := elfmagic.Lookup(name)
	require.NoError(t, err)
	return arch.Debian[0].Triplet
}

// What is in the image is written down there, and it is true.
func TestImageSaysWhatIsInIt(t *testing.T) {
	dir := "/usr/share/go-build/"
	for _, name := range []string{pinnedFile(), versionsFile(branches[0])} {
		file, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, strings.TrimSpace(string(file)), prints(t, nil, "cat", dir+filepath.Base(name)))
	}
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
