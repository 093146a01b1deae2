package images

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// machines are what uname -m says in the systems.
var machines = map[string]string{"arm64": "aarch64", "arm": "armv7l", "s390x": "s390x"}

// systems loads an image of each of these, and returns the tags.
func systems(t *testing.T) map[string]string {
	t.Helper()
	tags := map[string]string{}
	for goarch := range machines {
		tags[goarch] = system(t, goarch)
	}
	return tags
}

// runsIn fails unless programs of an image for another platform run, in a container
// of it and by its shell.
func runsIn(t *testing.T, tag, goarch string, flags ...string) {
	t.Helper()
	platform := append([]string{"--platform", "linux/" + goarch}, flags...)
	r := docker(t, platform, tag, "sh", "-c", `uname -m; exec env -i A=B /bin/env`)
	assert.Equal(t, commands.Result{Stdout: machines[goarch] + "\nA=B\n"}, r, tag)
}

func runsNotIn(t *testing.T, tag string) {
	t.Helper()
	r := docker(t, nil, tag, "uname", "-m")
	assert.NotEqual(t, 0, r.Status, r.Stdout)
	assert.Contains(t, r.Stderr, "exec format error")
}

// What tonistiigi/binfmt's own script does with an image of that before it is
// published.
func TestTheSequenceOfTonistiigisOwnTestsWorks(t *testing.T) {
	mounted(t)
	tags := systems(t)
	binfmt := func(args ...string) state {
		t.Helper()
		return stateOf(t, register(t, tonistiigi, args...))
	}
	binfmt("--uninstall", "qemu-*")
	s := binfmt("--install", "all")
	assert.Subset(t, s.Supported, []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/riscv64", "linux/ppc64le", "linux/s390x", "linux/386"})
	assert.Subset(t, s.Emulators, []string{"qemu-riscv64", "qemu-arm", "qemu-aarch64"})
	for goarch, tag := range tags {
		runsIn(t, tag, goarch)
	}

	s = binfmt("--uninstall", "aarch64,riscv64")
	for _, gone := range []string{"linux/arm64", "linux/riscv64"} {
		assert.NotContains(t, s.Supported, gone)
	}
	assert.Subset(t, s.Supported, []string{"linux/ppc64le", "linux/arm/v7"})
	assert.Subset(t, s.Emulators, []string{"qemu-arm", "qemu-ppc64le"})
	assert.NotContains(t, strings.Join(s.Emulators, " ")+" ", "qemu-aarch64 ")
	assert.NotContains(t, s.Emulators, "qemu-riscv64")
	runsNotIn(t, tags["arm64"])
	runsIn(t, tags["s390x"], "s390x")

	assert.Contains(t, binfmt("--install", "arm64").Supported, "linux/arm64")
	runsIn(t, tags["arm64"], "arm64")
	assert.Contains(t, binfmt("--install", "riscv64").Supported, "linux/riscv64")
}

// What multiarch/qemu-user-static's own script does: with -p yes programs run in
// images of others; the image :register leaves that to an emulator which is copied
// into each.
func TestTheSequenceOfMultiarchsOwnTestsWorks(t *testing.T) {
	fs := mounted(t)
	tags := systems(t)
	for _, args := range [][]string{{"--reset", "-p", "yes"}, {"--reset", "-c", "yes", "-p", "yes"}, {"--persistent", "yes"}, {"--reset"}} {
		register(t, multiarch, args...)
		assert.Contains(t, flags(t, fs, "qemu-aarch64"), "F", "%q", args)
		for goarch, tag := range tags {
			runsIn(t, tag, goarch)
		}
	}
	built := buildImage(t, "built", "FROM "+tags["arm64"]+"\nRUN uname -m >/said && ls / >>/said\n")
	assert.Contains(t, docker(t, nil, built, "cat", "/said").Stdout, "aarch64\n")

	register(t, noFiles, "--reset")
	assert.NotContains(t, flags(t, fs, "qemu-aarch64"), "F")
	r := docker(t, nil, tags["arm64"], "uname", "-m")
	assert.NotEqual(t, 0, r.Status, "the emulator is not in the image")
	r = docker(t, []string{"--entrypoint", "/usr/bin/qemu-aarch64-static"}, multiarch, "--version")
	assert.Contains(t, r.Stdout, "qemu-aarch64 version ")
	integrated := buildImage(t, "integrated", "FROM "+multiarch+" AS qemu\nFROM "+tags["arm64"]+"\nCOPY --from=qemu /usr/bin/qemu-aarch64-static /usr/bin/\nRUN uname -m\n")
	runsIn(t, integrated, "arm64")
}

// buildImage builds an image by Docker's classic builder, which is in every version.
func buildImage(t *testing.T, name, dockerfile string) (tag string) {
	t.Helper()
	tag = repository + "/" + name + ":latest"
	cmd := exec.Command("docker", "build", "--network", "none", "--force-rm", "--no-cache", "--platform", "linux/arm64", "--tag", tag, "-")
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	cmd.Stdin = strings.NewReader(dockerfile)
	r := commands.Run(t, cmd)
	require.Equal(t, 0, r.Status, "%s%s", r.Stdout, r.Stderr)
	t.Cleanup(func() { run(t, "docker", "rmi", tag) })
	return tag
}

// Services of several platforms run beside each other.
func TestComposeRunsServicesOfOtherPlatforms(t *testing.T) {
	mounted(t)
	tool, err := exec.LookPath("docker-compose")
	if err != nil {
		t.Skip("docker-compose is not installed: ", err)
	}
	text := "version: '2.4'\nservices:\n"
	tags := systems(t)
	for goarch, tag := range tags {
		text += fmt.Sprintf("  on-%s:\n    image: %s\n    platform: linux/%s\n    network_mode: none\n    command: [sh, -c, 'uname -m; exec cat /etc/hostname']\n    hostname: host-%s\n", goarch, tag, goarch, goarch)
	}
	file := filepath.Join(t.TempDir(), "compose.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	compose := func(args ...string) commands.Result {
		t.Helper()
		return run(t, tool, append([]string{"--no-ansi", "--file", file, "--project-name", repository}, args...)...)
	}
	t.Cleanup(func() { compose("down") })

	assert.Contains(t, compose("run", "--rm", "on-arm64").Stderr, "exec format error", "nothing is registered yet")
	register(t, tonistiigi, "--install", "all")
	for goarch := range tags {
		r := compose("run", "--rm", "on-"+goarch)
		assert.Equal(t, 0, r.Status, r.Stderr)
		assert.Contains(t, r.Stdout, machines[goarch])
	}
	r := compose("up")
	assert.Equal(t, 0, r.Status, r.Stderr)
	for goarch := range tags {
		assert.Regexp(t, `on-`+goarch+`_1 +\| `+machines[goarch]+`\n`, r.Stdout)
		assert.Contains(t, r.Stdout, "host-"+goarch+"\n")
	}
}
