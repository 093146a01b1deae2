package gobuild

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// factsFile is what Calico's makefiles ask of the image, a fact a line: its kind, its
// name, the branches that have it, and a command's flags, without their values; where not
// all of those branches pass one, @ and who do are behind it.
const factsFile = "calico.tsv"

// branches are those of Calico's that the facts are of: master and the releases that it
// maintains.
var branches = []string{"master", "release-v3.32", "release-v3.31", "release-v3.30"}

// A fact is a line of the file.
type fact struct{ kind, name string }

// facts are those of one or more branches: which have it, with which flags.
type facts map[fact]map[string]bool

func (f facts) add(kind, name string, flags ...string) {
	key := fact{kind, name}
	if f[key] == nil {
		f[key] = make(map[string]bool)
	}
	for _, flag := range flags {
		f[key][flag] = true
	}
}

var (
	// ran are the ways in which the makefiles run something in the image.
	ran       = regexp.MustCompile(`\$[({](CALICO_BUILD|DOCKER_GO_BUILD|DOCKER_GO_BUILD_CGO)[)}]`)
	passed    = regexp.MustCompile(`(?:^|\s)-e "?([A-Z][A-Z0-9_]*)=`)
	mounted   = regexp.MustCompile(`(?:^|\s)-v [^:\s]+:(/[^:\s$]*)`)
	arguments = regexp.MustCompile(`^\s*(DOCKER_RUN_PRIV_NET|DOCKER_RUN|EXTRA_DOCKER_ARGS|GOARCH_FLAGS|DOCKER_GIT_WORKTREE_ARGS)\s*[:+?]?=`)
)

// inImage are scripts and makefiles of which all is run in the image.
var inImage = regexp.MustCompile(`(^|/)(utils/run-coverage|bpf-(gpl|apache)/Makefile|calico-controller-gen/build\.sh|api/build/[a-z-]+\.sh)$`)

// read adds what a file of Calico's asks of the image.
func (f facts) read(name, text string) {
	assigned := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		at := ran.FindStringIndex(line)
		if at != nil || arguments.MatchString(line) {
			for _, m := range passed.FindAllStringSubmatch(line, -1) {
				f.add("variable", m[1])
			}
			for _, m := range mounted.FindAllStringSubmatch(line, -1) {
				f.add("path", path.Clean(m[1]))
			}
		}
		switch {
		case inImage.MatchString(name):
			if m := compiler.FindStringSubmatch(line); m != nil {
				assigned[m[1]] = strings.ReplaceAll(m[2], "$(LD)", assigned["LD"])
			}
			for variable, command := range assigned {
				line = strings.ReplaceAll(line, "$("+variable+")", command)
			}
			if flags, ok := strings.CutPrefix(line, "CFLAGS +="); ok && assigned["CC"] == "" {
				line = "clang " + flags // the BPF makefiles have these before they say what the compiler is
			}
			f.commands(line)
		case at != nil:
			f.commands(line[at[1]:])
		}
	}
}

var (
	compiler   = regexp.MustCompile(`^([A-Z]+) *:?= *(clang|llc|\$\(LD\) .*)$`)
	variable   = regexp.MustCompile(`\$[({][^(){}]*[)}]`)
	option     = regexp.MustCompile(`^--?[A-Za-z][A-Za-z0-9_-]*`)
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	separator  = regexp.MustCompile(`&&|\|\||[;|&\n]|\$\(|[(){}]`)
)

// before are words that a command follows.
var before = strings.Fields("if then else elif while until do ! exec xargs env time sh bash VARIABLE @")

// commands adds the commands of a shell's line that the image is to have, and their
// flags. What make's variables hold is not looked at, but for compilers'.
func (f facts) commands(text string) {
	for variable.MatchString(text) {
		text = variable.ReplaceAllString(text, "VARIABLE")
	}
	text = strings.NewReplacer("'", " ", `"`, " ", "`", ";", "$$(", ";", "$$", "").Replace(text)
	for _, part := range separator.Split(text, -1) {
		words := strings.Fields(strings.TrimLeft(part, "\t @-"))
		for len(words) > 0 && (slices.Contains(before, words[0]) || assignment.MatchString(words[0]) || strings.HasPrefix(words[0], "-")) {
			words = words[1:]
		}
		if len(words) == 0 || !expected(words[0]) {
			continue
		}
		var flags []string
		for _, w := range words[1:] {
			if o := strings.TrimSuffix(option.FindString(w), "VARIABLE"); o != "" {
				flags = append(flags, o)
			}
		}
		f.add("command", words[0], flags...)
	}
}

// expected reports whether a word that may be a command's name is that of one: the
// makefiles' texts have others.
func expected(name string) bool {
	_, ok := tries[name]
	return ok
}

// collect reads the branches of a repository of Calico's.
func collect(t *testing.T, repository string) string {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", repository}, args...)...).Output()
		require.NoError(t, err, "git %v", args)
		return string(out)
	}
	each, has := make(map[string]facts), make(map[fact][]string)
	for _, branch := range branches {
		one := make(facts)
		commit := branch
		if exec.Command("git", "-C", repository, "rev-parse", "--quiet", "--verify", branch).Run() != nil {
			commit = "origin/" + branch // as a clone has it
		}
		names := strings.Fields(git("ls-tree", "-r", "--name-only", commit))
		one.versions(names, func(name string) string { return git("show", commit+":"+name) })
		for _, name := range names {
			if base := path.Base(name); strings.HasSuffix(base, "akefile") || strings.HasSuffix(base, ".mk") || inImage.MatchString(name) {
				one.read(name, git("show", commit+":"+name))
			}
		}
		for key := range one {
			has[key] = append(has[key], branch)
		}
		each[branch] = one
	}
	var lines []string
	for key, in := range has {
		passing := make(map[string][]string) // the branches, by flag
		for _, branch := range in {
			for flag := range each[branch][key] {
				passing[flag] = append(passing[flag], branch)
			}
		}
		var flags []string
		for flag, some := range passing {
			if len(some) < len(in) {
				flag += "@" + strings.Join(some, ",")
			}
			flags = append(flags, flag)
		}
		slices.Sort(flags)
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\n", key.kind, key.name, strings.Join(in, " "), strings.Join(flags, " ")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// The facts are those of Calico's makefiles, which are read where they are: a clone with
// its branches.
func TestFactsAreThoseOfCalicosMakefiles(t *testing.T) {
	repository := os.Getenv("TEST_CALICO")
	if repository == "" {
		t.Skip("reads a clone of github.com/projectcalico/calico: TEST_CALICO=DIRECTORY")
	}
	kerneltest.Golden(t, factsFile, collect(t, repository))
}

// known reads what some branches ask for from the file of facts.
func known(t *testing.T, of ...string) facts {
	t.Helper()
	f := make(facts)
	asks := func(branches []string) bool {
		return slices.ContainsFunc(branches, func(branch string) bool { return slices.Contains(of, branch) })
	}
	for line := range strings.Lines(commands.Read(t, "testdata/"+factsFile)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, fields, 4, line)
		if !asks(strings.Fields(fields[2])) {
			continue
		}
		f.add(fields[0], fields[1])
		for flag := range strings.FieldsSeq(fields[3]) {
			if flag, some, found := strings.Cut(flag, "@"); !found || asks(strings.Split(some, ",")) {
				f.add(fields[0], fields[1], flag)
			}
		}
	}
	return f
}

func TestWhatMakefilesRunIsFound(t *testing.T) {
	f := make(facts)
	f.read("x/Makefile", `
# $(CALICO_BUILD) make -x is a comment
EXTRA_DOCKER_ARGS += -v $(CACHE):/go/pkg/mod:rw -e A_B="c"
all: dep
	$(DOCKER_RUN) -v $(CURDIR)/proto:/proto:rw -e CGO_ENABLED=1 \
		$(CALICO_BUILD) sh -c '$(SSH) cd x && ginkgo -r --junit-report=a_$(B).xml $(WHAT) | go-junit-report -package-name "x"; echo go -y'
	go build -z
`)
	f.read("felix/bpf-gpl/Makefile", "CFLAGS += -O2\nCC := clang\nLD := llc\nLINK=$(LD) -march=$(A) -filetype=obj\n%.o:\n\t$(LINK) -o $@ $<\n")
	assert.Equal(t, facts{
		{"variable", "A_B"}: {}, {"variable", "CGO_ENABLED"}: {}, {"path", "/go/pkg/mod"}: {}, {"path", "/proto"}: {},
		{"command", "ginkgo"}: {"-r": true, "--junit-report": true}, {"command", "go-junit-report"}: {"-package-name": true},
		{"command", "llc"}:   {"-march": true, "-filetype": true, "-o": true},
		{"command", "clang"}: {"-O2": true},
	}, f)
}
