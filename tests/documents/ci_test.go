package documents

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// at returns what is at a path of keys and indices in a document.
func at(t *testing.T, document any, path ...any) any {
	t.Helper()
	for _, key := range path {
		switch key := key.(type) {
		case string:
			m, ok := document.(map[string]any)
			require.True(t, ok, "%v: %T has no %s", path, document, key)
			require.Contains(t, m, key, "%v", path)
			document = m[key]
		case int:
			list, ok := document.([]any)
			require.True(t, ok && len(list) > key, "%v", path)
			document = list[key]
		}
	}
	return document
}

func readYAML(t *testing.T, path string) any {
	t.Helper()
	return readFile(t, filepath.Join(root, path))
}

func readFile(t *testing.T, path string) (document any) {
	t.Helper()
	parse := yaml.Unmarshal
	if filepath.Ext(path) == ".json" { // whose strings may have escapes that YAML's have not
		parse = json.Unmarshal
	}
	require.NoError(t, parse([]byte(commands.Read(t, path)), &document))
	return document
}

func text(t *testing.T, document any, path ...any) []string {
	t.Helper()
	var list []string
	for _, line := range at(t, document, path...).([]any) {
		list = append(list, fmt.Sprint(line))
	}
	return list
}

// templates are the files for kinds of CI, with the shells that their commands are run in,
// one after the other, as that CI does, for the architecture arm64.
var templates = map[string]func(t *testing.T, d any) [][]string{
	"ci/gitlab.yml": func(t *testing.T, d any) [][]string {
		assert.Contains(t, text(t, d, "test", "parallel", "matrix", 0, "ARCH"), "arm64")
		return [][]string{append(text(t, d, "test", "before_script"), text(t, d, "test", "script")...)}
	},
	"ci/semaphore.yml": func(t *testing.T, d any) [][]string {
		job := at(t, d, "blocks", 0, "task", "jobs", 0)
		assert.Equal(t, "ARCH", at(t, job, "matrix", 0, "env_var"))
		return [][]string{text(t, job, "commands")}
	},
	"ci/circleci.yml": func(t *testing.T, d any) [][]string {
		assert.Equal(t, "<< parameters.arch >>", at(t, d, "jobs", "test", "environment", "ARCH"))
		assert.Contains(t, text(t, d, "workflows", "test", "jobs", 0, "test", "matrix", "parameters", "arch"), "arm64")
		var shells [][]string
		for _, step := range at(t, d, "jobs", "test", "steps").([]any) {
			if run, ok := step.(map[string]any); ok {
				shells = append(shells, []string{run["run"].(string)})
			}
		}
		return shells
	},
	"ci/buildkite.yml": func(t *testing.T, d any) [][]string {
		assert.Equal(t, "{{matrix}}", at(t, d, "steps", 0, "env", "ARCH"))
		var shells [][]string
		for _, command := range text(t, d, "steps", 0, "commands") {
			shells = append(shells, []string{strings.ReplaceAll(command, "$$", "$")}) // as it is uploaded
		}
		return [][]string{flat(shells)}
	},
	"ci/woodpecker.yml": func(t *testing.T, d any) [][]string {
		assert.Contains(t, text(t, d, "matrix", "ARCH"), "arm64")
		return [][]string{text(t, d, "steps", 0, "commands")}
	},
}

func flat(shells [][]string) (list []string) {
	for _, shell := range shells {
		list = append(list, shell...)
	}
	return list
}

// outside are stand-ins for what takes a network: they see that they are called as they are
// to be.
const outside = `#!/bin/sh
case "$(basename "$0") $*" in
"apt-get update"* | "apt-get install -y --no-install-recommends qemu-user-static" | checkout*) ;;
"sudo apt-get "*) exec "$@" ;;
"go install github.com/projectcalico/go-build/cmd/...@latest") ;;
"go "*) exec GO "$@" ;;
*) echo "not as expected: $0 $*" >&2; exit 99 ;;
esac
`

// inCI returns the environment of a machine of CI's, and the directory of a project.
func inCI(t *testing.T) (environment []string, dir string) {
	t.Helper()
	kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "arm64")
	if kerneltest.Native(t, arch) {
		t.Skip("arm64 is native here")
	}
	commands.FindEmulator(t, arch)
	if commands.SingleUser(t) {
		t.Skip("it takes caches that are root's: the run as root shows it")
	}
	golang, err := exec.LookPath("go")
	require.NoError(t, err)
	stubs := t.TempDir()
	for _, name := range []string{"apt-get", "sudo", "checkout", "go"} {
		require.NoError(t, os.WriteFile(filepath.Join(stubs, name), []byte(strings.ReplaceAll(outside, "GO", golang)), 0o755))
	}
	dir = workplace(t, "")
	environment = append(os.Environ(), "PATH="+stubs+":"+commands.Dir()+":"+os.Getenv("PATH"), "HOME="+dir, "ARCH=arm64",
		"GOFLAGS=-mod=mod", "GOPROXY=off", "GOPATH="+goPath(t), "GOCACHE="+goEnv(t, "GOCACHE"))
	return environment, dir
}

func shell(t *testing.T, dir string, environment []string, script string) commands.Result {
	t.Helper()
	cmd := exec.Command("bash", "-eo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = dir, environment
	r := commands.Run(t, cmd)
	assert.Zero(t, r.Status, "%s\n%s%s", script, r.Stdout, r.Stderr)
	return r
}

// What each template has CI do tests a program of another architecture.
func TestTemplatesForCIWork(t *testing.T) {
	files, err := filepath.Glob(root + "/ci/*.yml")
	require.NoError(t, err)
	require.Len(t, files, len(templates)+1, "and GitHub's, below")
	for name, shells := range templates {
		t.Run(name, func(t *testing.T) {
			list := shells(t, readYAML(t, name))
			environment, dir := inCI(t)
			for _, lines := range list {
				r := shell(t, dir, environment, strings.Join(lines, "\n"))
				if strings.Contains(strings.Join(lines, "\n"), "go test") {
					assert.Contains(t, r.Stdout, "ok  \texample.org/work\t")
				}
			}
		})
	}
}

// The action's steps, as a runner runs composite ones: each in a shell of its own, with
// what an earlier one has written to files for later ones.
func TestTheActionWorks(t *testing.T) {
	workflow := readYAML(t, "ci/github.yml")
	steps := at(t, workflow, "jobs", "test", "steps").([]any)
	assert.Equal(t, "projectcalico/go-build@main", at(t, steps[2], "uses"))
	assert.Equal(t, "${{ matrix.arch }}", at(t, steps[2], "with", "architecture"))
	test := at(t, steps[3], "run").(string)

	environment, dir := inCI(t)
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	toEnv, toPath := filepath.Join(dir, "env"), filepath.Join(dir, "path")
	temporary := t.TempDir()
	environment = append(environment, "GITHUB_ACTION_PATH="+absolute, "GITHUB_ENV="+toEnv, "GITHUB_PATH="+toPath, "TMPDIR="+temporary)
	action := readYAML(t, "action.yml")
	for _, input := range []string{"register", "architecture"} {
		assert.NotEmpty(t, at(t, action, "inputs", input, "description"))
	}
	for _, step := range at(t, action, "runs", "steps").([]any) {
		assert.Equal(t, "bash", at(t, step, "shell"))
		// An earlier step was for an architecture that had a sysroot.
		shell(t, dir, append(environment, "REGISTER=false", "ARCHITECTURE=arm64", "QEMU_LD_PREFIX=/no", "PKG_CONFIG_SYSROOT_DIR=/no"), at(t, step, "run").(string))
	}
	var added []string
	for line := range strings.Lines(commands.Read(t, toEnv)) {
		line = strings.TrimSuffix(line, "\n")
		assert.Regexp(t, `^[A-Z0-9_]+=`, line)
		added = append(added, line)
	}
	assert.Contains(t, added, "GOARCH=arm64")
	assert.Subset(t, added, []string{"PKG_CONFIG_SYSROOT_DIR="}, "of the other architecture")
	path := strings.Join(strings.Fields(commands.Read(t, toPath)), ":")
	later := append(environment, append(added, "PATH="+path+":"+pathOf(environment))...)
	for _, step := range at(t, action, "runs", "steps").([]any) { // for the same once more: there is nothing to set
		shell(t, dir, append(later, "REGISTER=", "ARCHITECTURE=arm64"), at(t, step, "run").(string))
	}
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left, "a runner of one's own keeps it for other jobs")
	cmd := exec.Command("bash", "-eo", "pipefail", "-c", at(t, action, "runs", "steps", 0, "run").(string))
	cmd.Env = append(environment, "REGISTER=yes")
	refused := commands.Run(t, cmd)
	assert.Equal(t, 1, refused.Status)
	assert.Equal(t, "::error::register is \"yes\": it is true or false\n", refused.Stdout)
	r := shell(t, dir, later, test)
	assert.Contains(t, r.Stdout, "ok  \texample.org/work\t")
}

func pathOf(environment []string) (path string) {
	for _, v := range environment {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value // the last one counts
		}
	}
	return path
}

// ci/setup builds the commands from the source beside it where there are none, and
// registers if that is asked for.
func TestSetupBuildsAndRegisters(t *testing.T) {
	environment, dir := inCI(t)
	absolute, err := filepath.Abs(root)
	require.NoError(t, err)
	without := strings.Join(slices.DeleteFunc(strings.Split(pathOf(environment), ":"), func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "crossrun")) // as installed, too
		return err == nil
	}), ":")
	// TO is where the caller is, and not the source; the job builds for another architecture.
	// Of what it has its own module built with, nothing holds.
	workspace := filepath.Join(t.TempDir(), "go.work")
	require.NoError(t, os.WriteFile(workspace, []byte("go 1.26.0\n"), 0o644))
	environment = append(environment, "PATH="+without, "TO=to", "GOARCH=riscv64", "QEMU_BIN_DIR=", "GOFLAGS=-mod=vendor -buildvcs=true", "GOWORK="+workspace)
	// Emulators are where those of this test are.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "to"), 0o755))
	found, err := filepath.Glob(commands.Dir() + "/qemu-*")
	require.NoError(t, err)
	for _, emulator := range found {
		require.NoError(t, os.Link(emulator, filepath.Join(dir, "to", filepath.Base(emulator))))
	}
	r := shell(t, dir, environment, "'"+absolute+"/ci/setup' --register")
	assert.Contains(t, r.Stderr, "ci/setup: building crossrun and register")
	assert.NotContains(t, r.Stderr, "installing emulators")
	assert.Contains(t, r.Stdout, "added, runs")
	assert.Regexp(t, `registered +linux/arm64`, r.Stdout)
	r = shell(t, dir, environment, "./hello")
	assert.Contains(t, r.Stdout, "hello from s390x")
	r = shell(t, dir, environment, "trap '' TERM; to/crossrun grep SigIgn /proc/self/status")
	assert.Regexp(t, "4000\n$", r.Stdout, "it starts before Go's run time")
	withoutHome(t, "ci/setup")
	out, err := exec.Command(absolute+"/ci/setup", "--registre").CombinedOutput()
	assert.Error(t, err)
	assert.Contains(t, string(out), "ci/setup: error: --registre is unknown")
}

// Who may not install, or register, is told what to do.
func TestSetupWithoutRootSaysSo(t *testing.T) {
	bin := t.TempDir()
	for name, script := range map[string]string{"id": "echo 1000", "crossrun": "exit $EMULATORS", "register": "exit 0", "apt-get": "exit 99"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	for _, name := range []string{"sh", "dirname"} {
		found, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(found, filepath.Join(bin, name)))
	}
	for emulators, test := range map[string]struct{ flag, what string }{"1": {"", "apt-get"}, "0": {"--register", "register"}} {
		cmd := exec.Command("sh", strings.Fields(root+"/ci/setup "+test.flag)...)
		cmd.Env = []string{"PATH=" + bin, "HOME=" + t.TempDir(), "EMULATORS=" + emulators}
		r := commands.Run(t, cmd)
		assert.Equal(t, 1, r.Status)
		assert.Contains(t, r.Stderr, "ci/setup: error: "+test.what+" takes root, and there is no sudo\nci/setup: hint: ")
	}
}

// A user who has no directory is told so, and by whom.
func withoutHome(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "id"), []byte("#!/bin/sh\necho 1000\n"), 0o755))
	cmd := exec.Command("sh", filepath.Join(root, script))
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
	r := commands.Run(t, cmd)
	name := strings.TrimPrefix(script, "ci/")
	if name == "setup" {
		name = script
	}
	assert.Equal(t, 1, r.Status)
	assert.Equal(t, name+": error: HOME is not set\n"+name+": hint: name a directory for the commands: TO=DIRECTORY\n", r.Stderr)
}

// Each block of YAML in a document is a part of a template, or of GoReleaser's configuration.
func TestBlocksOfYAMLArePartsOfTemplates(t *testing.T) {
	files, err := filepath.Glob(root + "/ci/*.yml")
	require.NoError(t, err)
	files = append(files, "testdata/toolchains/go/.goreleaser.yaml")
	for _, file := range documents(t) {
		for _, b := range blocks(file, commands.Read(t, filepath.Join(root, file))) {
			if b.kind != "yaml" {
				continue
			}
			part := strings.Join(b.lines, "\n")
			found := false
			for _, file := range files {
				found = found || strings.Contains(commands.Read(t, file), part)
			}
			assert.True(t, found, "%s is in no template: %s", b, part)
		}
	}
}

// schemas are those that each kind of CI, or SchemaStore, publishes, by their names in a
// directory; Semaphore's is schemas/v1.0.yml of its spc.
var schemas = map[string]string{
	"ci/gitlab.yml": "gitlab-ci.json", "ci/semaphore.yml": "semaphore.yml", "ci/circleci.yml": "circle-ci.json", "ci/buildkite.yml": "buildkite.json",
	"ci/woodpecker.yml": "woodpecker-ci.json", "ci/github.yml": "github-workflows.json", "action.yml": "github-actions.json",
}

// validator takes JSON of drafts 4, 6 and 7.
const validator = "github.com/santhosh-tekuri/jsonschema/cmd/jv@v1.2.4"

// Each template is valid by its schema, and is not once a key has a value of another kind.
func TestTemplatesAreValidByTheirSchemas(t *testing.T) {
	dir := os.Getenv("TEST_SCHEMAS")
	if dir == "" {
		t.Skip("TEST_SCHEMAS names no directory with schemas: they are others', under their licences")
	}
	if commands.SingleUser(t) {
		t.Skip("it takes caches that are root's: the run as root shows it")
	}
	require.Len(t, schemas, len(templates)+2)
	for name, schema := range schemas {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, schema)
			if _, err := os.Stat(path); err != nil {
				t.Skip(err)
			}
			valid := func(document any) (bool, string) {
				cmd := exec.Command("go", "run", validator, asJSON(t, readFile(t, path)), asJSON(t, document))
				cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
				out, err := cmd.CombinedOutput()
				return err == nil, string(out)
			}
			document := readYAML(t, name).(map[string]any)
			ok, said := valid(document)
			assert.True(t, ok, said)
			for key := range document {
				spoiled := maps.Clone(document)
				spoiled[key] = []any{map[string]any{"nonsense": []any{1}}}
				ok, said := valid(spoiled)
				assert.False(t, ok, key)
				assert.Contains(t, said, "does not conform", key)
			}
		})
	}
}

// asJSON returns a file with a document.
func asJSON(t *testing.T, document any) string {
	t.Helper()
	text, err := json.Marshal(document)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "document.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// keys are all keys of each template, as the JSON schema has them that its CI publishes.
// Each file is valid by that of November 2026: GitLab's editor/schema/ci.json,
// Semaphore's (spc) schemas/v1.0.yml, CircleCI's schema.json, Buildkite's
// pipeline-schema, Woodpecker's linter/schema, and, for the action and the workflow,
// SchemaStore's. Whoever adds a key looks there first.
var keys = map[string]string{
	"ci/gitlab.yml": "test test.before_script test.image test.parallel test.parallel.matrix test.parallel.matrix[].ARCH test.script",
	"ci/semaphore.yml": "agent agent.machine agent.machine.os_image agent.machine.type blocks blocks[].name blocks[].task blocks[].task.jobs " +
		"blocks[].task.jobs[].commands blocks[].task.jobs[].matrix blocks[].task.jobs[].matrix[].env_var blocks[].task.jobs[].matrix[].values blocks[].task.jobs[].name name version",
	"ci/circleci.yml": "jobs jobs.test jobs.test.docker jobs.test.docker[].image jobs.test.environment jobs.test.environment.ARCH jobs.test.parameters jobs.test.parameters.arch " +
		"jobs.test.parameters.arch.type jobs.test.steps jobs.test.steps[].run version workflows workflows.test workflows.test.jobs workflows.test.jobs[].test " +
		"workflows.test.jobs[].test.matrix workflows.test.jobs[].test.matrix.parameters workflows.test.jobs[].test.matrix.parameters.arch",
	"ci/buildkite.yml":  "steps steps[].commands steps[].env steps[].env.ARCH steps[].label steps[].matrix",
	"ci/woodpecker.yml": "matrix matrix.ARCH steps steps[].commands steps[].environment steps[].environment.ARCH steps[].image steps[].name when when[].event",
}

// keysOf returns the paths of all keys of a document.
func keysOf(document any, path string, found map[string]bool) {
	switch document := document.(type) {
	case map[string]any:
		for key, value := range document {
			below := strings.TrimPrefix(path+"."+key, ".")
			found[below] = true
			keysOf(value, below, found)
		}
	case []any:
		for _, value := range document {
			keysOf(value, path+"[]", found)
		}
	}
}

func TestTemplatesHaveTheKeysOfTheirSchemas(t *testing.T) {
	require.Len(t, keys, len(templates))
	for name, want := range keys {
		found := make(map[string]bool)
		keysOf(readYAML(t, name), "", found)
		assert.Equal(t, strings.Fields(want), slices.Sorted(maps.Keys(found)), name)
	}
}
