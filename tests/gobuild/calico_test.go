package gobuild

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A try is how a command of the makefiles' is tried in the image: what prints its help, in
// which all flags must be that it is given, or a script with all of them, or why it is not.
type try struct {
	help     string
	unlisted map[string]string // flags that the help has not, and why that is right
	script   string
	ofSome   string // a flag of the script's that not all branches give
	absent   string // why the image does not have the command
}

// there is for commands whose flags are POSIX', or every Debian's: it is enough that they are there.
var there = try{}

// tries has the commands that the image is asked for.
var tries = map[string]try{
	"applyconfiguration-gen":  {help: "applyconfiguration-gen --help"},
	"awk":                     there,
	"cat":                     there,
	"chmod":                   there,
	"clang":                   {script: compileBPF},
	"client-gen":              {help: "client-gen --help", unlisted: map[string]string{"--clientset-path": "another name of --output-pkg"}},
	"column":                  {help: "column --help"},
	"controller-gen":          {help: "controller-gen --help"},
	"conversion-gen":          {help: "conversion-gen --help"},
	"cp":                      there,
	"crane":                   {help: "crane --help"},
	"curl":                    {help: "curl --help all", unlisted: map[string]string{"-fsSL": "-f -s -S -L", "-fL": "-f -L"}},
	"deepcopy-gen":            {help: "deepcopy-gen --help", unlisted: map[string]string{"--bounding-dirs": "gone since Kubernetes 1.36; v3.32 and older have it, and pin older ones"}},
	"defaulter-gen":           {help: "defaulter-gen --help"},
	"docker":                  {absent: "run by the host's shell, on the line on which the image is run"},
	"find":                    there,
	"ginkgo":                  {help: "ginkgo help run; ginkgo help watch", unlisted: map[string]string{"-skipPackage": "Ginkgo 1's name, which 2 takes", "-keepGoing": "Ginkgo 1's name, which 2 takes"}},
	"ginkgo2":                 {help: "ginkgo2 help run; ginkgo2 help watch"},
	"git":                     there,
	"go":                      {help: goHelp, unlisted: ownProgramsFlags},
	"gocovmerge":              {help: "gocovmerge --help"},
	"gofmt":                   {help: "gofmt --help"},
	"goimports":               {help: "goimports --help"},
	"golangci-lint":           {help: "golangci-lint run --help"},
	"go-junit-report":         {help: "go-junit-report --help"},
	"gotestsum":               {help: "gotestsum --help; " + goHelp},
	"grep":                    there,
	"informer-gen":            {help: "informer-gen --help"},
	"jq":                      there,
	"kube-apiserver":          {help: "kube-apiserver --help", unlisted: map[string]string{"--admission-control": "of Kubernetes before 1.10; the makefile has it, and no Kubernetes that Calico pins"}},
	"kube-controller-manager": {help: "kube-controller-manager --help"},
	"kubectl":                 {help: "kubectl options"},
	"lister-gen":              {help: "lister-gen --help"},
	"llc":                     {script: compileBPF + " && llc -march=bpf -filetype=obj -bpf-disable-trap-unreachable -o x.o x.ll", ofSome: "-bpf-disable-trap-unreachable"},
	"make":                    {help: "make --help"},
	"mkdir":                   there,
	"mktemp":                  there,
	"mockery":                 {help: "mockery --help"},
	"mount":                   {help: "mount --help"},
	"mv":                      there,
	"nproc":                   there,
	"openapi-gen":             {help: "openapi-gen --help"},
	"openssl":                 there,
	"patch":                   {help: "patch --help", unlisted: map[string]string{"-p1": "-p 1", "-p2": "-p 2"}},
	"protoc":                  {help: "protoc --help", unlisted: map[string]string{"--go": plugin, "--go-grpc": plugin, "--go-grpc_out": plugin, "--go_out": plugin, "--go_opt": plugin}},
	"rm":                      there,
	"sed":                     there,
	"sha256sum":               {help: "sha256sum --help"},
	"tar":                     there,
	"uuidgen":                 there,
	"yq":                      {help: "yq --help"},
}

const (
	plugin = "protoc-gen-go's or protoc-gen-go-grpc's, which are there"
	goHelp = "for c in build test testflag run install get list mod edit vet generate; do go help $c; done; go help mod edit; go tool link; go tool compile -help; go tool cover -help"

	compileBPF = "cd /tmp && printf '#include <linux/if_ether.h>\n#include <stdint.h>\nint x;\n' >x.c && " +
		"flags='-target bpf -O2 -g -emit-llvm -Wall -Werror -Wunused -Wno-address-of-packed-member -fno-stack-protector -I . -D__x86_64__' && " +
		"clang $flags -x c -c x.c -o x.ll && clang -M -MM -MP $flags x.c"
)

// ownProgramsFlags are those of Calico's own programs, behind go run.
var ownProgramsFlags = map[string]string{
	"--bin-dir": "hack/…", "--format": "gotestsum's and docgen's", "-binary": "e2e/cmd/gen-test-set", "-out": "e2e/cmd/gen-test-set",
	"-repo-root": "e2e/cmd/gen-test-set", "-commit-range": "hack/test/spider", "-filter-dir": "hack/test/spider",
}

// All that the makefiles call in the image is there, and knows the flags that it gets.
func TestCommandsOfCalicosMakefiles(t *testing.T) {
	whole(t)
	for key, flags := range known(t, branchesOf(t)...) {
		if key.kind != "command" {
			continue
		}
		t.Run(key.name, func(t *testing.T) {
			try, ok := tries[key.name]
			if assert.True(t, ok, "nothing says how it is tried") && try.absent == "" {
				try.run(t, key.name, flags)
			}
		})
	}
}

// colour is what Ginkgo has around flags, on no terminal, too.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

func (try try) run(t *testing.T, name string, flags map[string]bool) {
	t.Helper()
	prints(t, nil, "sh", "-c", "command -v "+name)
	if try.script != "" {
		script := try.script
		if try.ofSome != "" && !flags[try.ofSome] {
			script = strings.Replace(script, try.ofSome, "", 1)
		}
		prints(t, nil, "sh", "-c", script)
		for flag := range flags {
			assert.True(t, strings.HasPrefix(flag, "-D") || strings.Contains(try.script, flag), "%s %s is not tried", name, flag)
		}
	}
	if try.help == "" {
		return
	}
	r := container(t, environment("RUN_UNWATCHED=true"), "sh", "-c", "("+try.help+") 2>&1")
	words := strings.FieldsFunc(colour.ReplaceAllString(r.Stdout, ""), func(c rune) bool { return strings.ContainsRune(" \t\n,;:=[]()<>|'\"`", c) })
	slices.Sort(words)
	for flag := range flags {
		if _, ok := try.unlisted[flag]; ok || listed(words, flag) {
			continue
		}
		t.Errorf("%s: %s is not in its help", name, flag)
	}
}

// listed reports whether a flag is among the words of a help: by one dash or two, which
// Go's commands take alike.
func listed(words []string, flag string) bool {
	name := strings.TrimLeft(flag, "-")
	for _, spelling := range []string{flag, "-" + name, "--" + name} {
		if _, found := slices.BinarySearch(words, spelling); found {
			return true
		}
	}
	return false
}

// values are what the variables have, where that is not all the same to the image.
var values = map[string]string{
	"CGO_CFLAGS": "", "CGO_ENABLED": "0", "CGO_LDFLAGS": "", "GIT_DIR": "", "GIT_WORK_TREE": "", "GOAMD64": "v2", "GOARCH": "s390x",
	"GOBIN": "", "GOCACHE": "/go-cache", "GOEXPERIMENT": "", "GOFLAGS": "-mod=readonly", "GOMAXPROCS": "2", "GOOS": "linux", "GOPATH": "/go",
	"LOCAL_USER_ID": "1234", "OS": "linux", "RUN_AS_ROOT": "false",
}

// A container that is started with all that the makefiles mount and pass is one in which
// Go works: with the caches that are mounted, as the user.
func TestSettingsOfCalicosMakefiles(t *testing.T) {
	whole(t) // it compiles the standard library
	root(t)
	const source = "/go/src/github.com/projectcalico/calico"
	flags := []string{"--init", "--workdir", source}
	var passed, mounted []string
	for key := range known(t, branchesOf(t)...) {
		switch key.kind {
		case "path":
			mounted = append(mounted, key.name)
		case "variable":
			value, ok := values[key.name]
			if !ok {
				value = "value"
			}
			passed = append(passed, key.name+"="+value)
		}
	}
	slices.Sort(mounted) // what is below others comes later
	slices.Sort(passed)
	volumes := t.TempDir()
	for i, name := range mounted {
		dir := directory(t, volumes, aUser, 0o755, strconv.Itoa(i))
		if name == source {
			require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/module")))
		}
		flags = append(flags, "--volume", dir+":"+name)
	}
	flags = append(flags, environment(passed...)...)
	said := prints(t, flags, "sh", "-c", "id -u; go env GOMODCACHE GOCACHE; go build -o /proto/hello . && /proto/hello; stat -c %u /proto/hello; find /go-cache | head -n 1")
	assert.Equal(t, "1234\n/go/pkg/mod\n/go-cache\nhello from s390x\n1234\n/go-cache", said)
	said = prints(t, flags, "env")
	for _, variable := range passed {
		assert.Contains(t, strings.Split(said, "\n"), variable)
	}
}
