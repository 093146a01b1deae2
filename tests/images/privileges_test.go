package images

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Writing to an instance is checked by the mode of its files alone: user 0 of the user
// namespace that mounted it registers, with no capability at all, if the mount is there.
func TestTheLeastPrivilegeIsAMountThatMayBeWritten(t *testing.T) {
	fs := mounted(t)
	least := []string{"--cap-drop=all", "--read-only", "--security-opt", "no-new-privileges", "-v", fs.Dir() + ":/mnt"}
	r := docker(t, least, multiarch, "--mount", "/mnt", "arm64")
	assert.Equal(t, 0, r.Status, r.Stderr)
	assert.Contains(t, r.Stdout, "added, runs")
	r = docker(t, least, multiarch, "--mount", "/mnt", "--status", "arm64")
	assert.Equal(t, 0, r.Status, r.Stderr)

	// A capability is no substitute for the user.
	r = docker(t, append([]string{"--user", "1000", "--cap-add", "SYS_ADMIN"}, least[1:]...), multiarch, "--mount", "/mnt", "s390x")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "permission denied")
	assert.Contains(t, r.Stderr, "hint: ")
	assert.NotContains(t, r.Stderr, "docker run --privileged, or", "that is not what is missing")

	// What may be mounted is seen without a bind mount.
	r = docker(t, []string{"--cap-drop=all", "-v", fs.Dir() + ":/mnt:ro"}, multiarch, "--mount", "/mnt", "s390x")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "read-only file system")
}
