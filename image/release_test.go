package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/qemu"
)

func TestReleasesThatCannotBeMadeAreSaid(t *testing.T) {
	empty := t.TempDir()
	for _, test := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"sources", "--arch", "sparc"}, 2, "Go has no port"},
		{[]string{"sources", "--emulators", "ours"}, 2, "neither debian nor built, nor a directory"},
		{[]string{"sources", "--emulators", empty, "--dir", empty}, 1, "no static emulator for linux/"},
		{[]string{"provenance", "--emulators", empty, "--dir", empty}, 1, "no static emulator for linux/"},
		{[]string{"provenance", "--arch", "pdp11"}, 2, "pdp11"},
		{[]string{"provenance", "dist"}, 2, `unexpected argument "dist"`},
	} {
		status, stdout, stderr := called(t, test.args...)
		assert.Equal(t, test.status, status, test.args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, test.want)
	}
}

// Files are made of what is no clone, or another user's, too, but not without a word.
func TestAnUnknownCommitIsSaid(t *testing.T) {
	script(t, "git", "echo \"fatal: detected dubious ownership in repository at '/src'\" >&2; exit 128")
	status, _, stderr := called(t, "provenance", "--dir", t.TempDir(), "--emulators", "debian:trixie", "--arch", "pdp11")
	assert.Equal(t, 2, status, "it is no commit's fault")
	assert.NotContains(t, stderr, "warning")
	for _, subcommand := range []string{"commands", "parts"} {
		script(t, "go", "exit 1") // nothing is built
		_, _, stderr := called(t, subcommand, "--dir", t.TempDir())
		assert.Contains(t, stderr, "warning: the version will be unknown, and the commit unknown: git: fatal: detected dubious ownership in repository at '/src'\n", subcommand)
	}
}

// So they are of a clone that has no tags because it is shallow. This repository's own source
// is made by git, or not at all, and before anything is fetched.
func TestWhatAVersionIsMadeOfIsThere(t *testing.T) {
	script(t, "git", `case "$*" in
"rev-parse --is-shallow"*) printf 'true\n\n' ;;
describe*) echo 0123456789ab ;;
"rev-parse HEAD") echo 0123456789abcdef ;;
*) echo 1 ;;
esac`)
	script(t, "go", "exit 1") // nothing is built
	_, _, stderr := called(t, "commands", "--dir", t.TempDir())
	assert.Contains(t, stderr, "warning: the version will be 0123456789ab, after no tag, as the clone is shallow: git fetch --unshallow --tags\n")

	script(t, "git", "echo 'fatal: not a git repository' >&2; exit 128")
	script(t, "apt-get", "exit 99")
	status, _, stderr := called(t, "sources", "--dir", t.TempDir(), "--emulators", t.TempDir())
	assert.Equal(t, exitFailure, status)
	assert.Contains(t, stderr, "image sources: error: git does not know this repository: fatal: not a git repository\nimage sources: hint: ")

	script(t, "docker", "exit 0")
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	for _, subcommand := range []string{"commands", "packages", "single-files", "register-images", "sources", "provenance", "parts"} {
		status, _, stderr := called(t, subcommand, "--dir", t.TempDir())
		assert.Equal(t, exitUsage, status, subcommand)
		assert.Contains(t, stderr, `SOURCE_DATE_EPOCH: "yesterday" is no number of seconds`, subcommand)
		assert.Contains(t, stderr, "image "+subcommand+": hint: unset it, or: export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)\n", subcommand)
	}
}

// The workflow builds emulators for the hosts that they are built for, and its release has
// them; those for other hosts are not asked for as if they were there.
func TestTheReleasesWorkflowHasEmulatorsForEachHost(t *testing.T) {
	content, err := os.ReadFile(".github/workflows/release.yml")
	require.NoError(t, err)
	matrix := regexp.MustCompile(`arch: \[(.*)\]`).FindSubmatch(content)
	require.NotNil(t, matrix)
	assert.Equal(t, qemu.Hosts(), strings.Split(string(matrix[1]), ", "))
	var restored []string
	for _, path := range regexp.MustCompile(`path: (\S+)\n`).FindAllSubmatch(content, -1) {
		if host, found := strings.CutPrefix(string(path[1]), artifacts.BuiltEmulators+"/"); found {
			restored = append(restored, filepath.Base(host))
		}
	}
	assert.Equal(t, qemu.Hosts(), restored)
	assert.NotContains(t, string(content), "EMULATORS=built")
}

// A candidate is no release that install.sh takes by itself, which takes the latest one.
func TestACandidateIsPublishedAsOne(t *testing.T) {
	content, err := os.ReadFile(".github/workflows/release.yml")
	require.NoError(t, err)
	var workflow struct {
		Jobs struct {
			Release struct {
				Steps []struct{ Name, Run string }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(content, &workflow))
	steps := workflow.Jobs.Release.Steps
	publish := steps[len(steps)-1]
	require.Equal(t, "Publish", publish.Name)
	script(t, "gh", `echo "gh $*"`)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dist"), 0o755))
	for _, name := range []string{"NOTES.md", "SHA256SUMS"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "dist", name), nil, 0o644))
	}
	for tag, want := range map[string]string{
		"v1.2.3":      "gh release create v1.2.3 --verify-tag --notes-file dist/NOTES.md dist/SHA256SUMS\n",
		"v1.2.3-rc.1": "gh release create v1.2.3-rc.1 --verify-tag --notes-file dist/NOTES.md --prerelease dist/SHA256SUMS\n",
	} {
		cmd := exec.Command("sh", "-e", "-c", publish.Run) // as in a container
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GITHUB_REF_NAME="+tag)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, want, string(out))
	}
}
