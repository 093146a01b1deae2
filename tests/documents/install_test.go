package documents

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/tests/commands"
)

// ci/install.sh installs what a release's checksums say, and nothing else.
func TestWhatIsInstalledIsWhatChecksumsSay(t *testing.T) {
	script, err := filepath.Abs(root + "/ci/install.sh")
	require.NoError(t, err)
	for name, test := range map[string]struct {
		spoil func(t *testing.T, release string)
		want  string // of the error
	}{
		"whole":       {func(*testing.T, string) {}, ""},
		"spoilt":      {func(t *testing.T, release string) { spoil(t, release, "register") }, "is not what SHA256SUMS says"},
		"not named":   {func(t *testing.T, release string) { write(t, release, "SHA256SUMS", "") }, "SHA256SUMS does not name crossrun-linux-"},
		"incomplete":  {func(t *testing.T, release string) { require.NoError(t, os.Remove(path(release, "register"))) }, "cannot get "},
		"other names": {func(t *testing.T, release string) { replace(t, release, "SHA256SUMS", "  crossrun", "  xcrossrun") }, "SHA256SUMS does not name crossrun-linux-"},
	} {
		t.Run(name, func(t *testing.T) {
			release, to := t.TempDir(), filepath.Join(t.TempDir(), "bin")
			var sums string
			for _, command := range []string{"crossrun", "register"} {
				commands.CopyFile(t, filepath.Join(commands.Dir(), command), path(release, command))
				sum, err := file.SHA256(path(release, command))
				require.NoError(t, err)
				sums += fmt.Sprintf("%s  %s\n", sum, filepath.Base(path(release, command)))
			}
			write(t, release, "SHA256SUMS", sums)
			test.spoil(t, release)
			cmd := exec.Command("sh", script)
			cmd.Env = append(os.Environ(), "FROM="+release, "TO="+to)
			r := commands.Run(t, cmd)
			if test.want == "" {
				require.Zero(t, r.Status, r.Stderr)
				assert.True(t, strings.HasPrefix(r.Stdout, "crossrun "), r.Stdout)
				assert.Contains(t, r.Stderr, to+" is not in PATH")
				assert.Zero(t, commands.Run(t, exec.Command(filepath.Join(to, "register"), "--version")).Status)
				return
			}
			assert.Equal(t, 1, r.Status)
			assert.Contains(t, r.Stderr, "install.sh: error: ")
			assert.Contains(t, r.Stderr, test.want)
			assert.Contains(t, r.Stderr, "install.sh: hint: ")
			assert.NoDirExists(t, to, "nothing is installed")
		})
	}
}

func path(release, command string) string {
	return filepath.Join(release, command+"-linux-"+runtime.GOARCH)
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
}

func replace(t *testing.T, dir, name, from, to string) {
	t.Helper()
	write(t, dir, name, strings.ReplaceAll(commands.Read(t, filepath.Join(dir, name)), from, to))
}

// spoil changes a byte of a command.
func spoil(t *testing.T, release, command string) {
	t.Helper()
	content := []byte(commands.Read(t, path(release, command)))
	content[len(content)/2] ^= 1
	require.NoError(t, os.WriteFile(path(release, command), content, 0o644))
}
