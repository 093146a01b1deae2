package documents

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	const script = root + "/ci/install.sh" // by its whole path an ordinary user may not reach it, below /root
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

// What is there afterwards runs, or it is no success.
func TestWhatCannotBeInstalledIsAnError(t *testing.T) {
	release, self := t.TempDir(), "sh "+root+"/ci/install.sh"
	var sums string
	for _, command := range []string{"crossrun", "register"} {
		text := "#!/bin/sh\necho " + command + " 1.2.3\necho more\n"
		require.NoError(t, os.WriteFile(path(release, command), []byte(text), 0o644))
		sum, err := file.SHA256(path(release, command))
		require.NoError(t, err)
		sums += fmt.Sprintf("%s  %s\n", sum, filepath.Base(path(release, command)))
	}
	write(t, release, "SHA256SUMS", sums)
	install := func(to, script string) commands.Result {
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = append(os.Environ(), "FROM="+release, "TO="+to)
		return commands.Run(t, cmd)
	}
	r := install(filepath.Join(t.TempDir(), "bin"), self)
	assert.Zero(t, r.Status, r.Stderr)
	assert.Equal(t, "crossrun 1.2.3\n", r.Stdout)

	taken := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(taken, "register"), 0o755))
	r = install(taken, self)
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "install.sh: error: "+taken+"/register is a directory\ninstall.sh: hint: ")
	left, err := os.ReadDir(taken)
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing is installed")

	noexec := t.TempDir()
	r = install(noexec, "unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o noexec tmpfs \"$TO\" && "+self+"'")
	if strings.Contains(r.Stderr, "unshare: ") {
		t.Skip(r.Stderr)
	}
	assert.Equal(t, 1, r.Status)
	assert.Empty(t, r.Stdout)
	assert.Contains(t, r.Stderr, "install.sh: error: "+noexec+"/crossrun does not run\ninstall.sh: hint: ")

	closed := t.TempDir()
	r = install(closed, "unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o ro tmpfs \"$TO\" && "+self+"'")
	assert.Equal(t, 1, r.Status)
	assert.Contains(t, r.Stderr, "install.sh: error: cannot write to "+closed+"\ninstall.sh: hint: ")
}

// What is interrupted leaves nothing: some shells end of a signal without the trap for EXIT.
func TestAnInterruptedInstallationLeavesNothing(t *testing.T) {
	withoutHome(t, "ci/install.sh")
	bin, temporary := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "curl"), []byte("#!/bin/sh\nls -A \"$TMPDIR\"; kill -TERM $PPID\n"), 0o755))
	cmd := exec.Command("sh", root+"/ci/install.sh")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TO="+t.TempDir(), "TMPDIR="+temporary)
	r := commands.Run(t, cmd)
	assert.NotZero(t, r.Status)
	assert.NotEmpty(t, r.Stdout, "there was a directory")
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left)
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

// A release is fetched from a server, whichever program fetches it, and by https only.
func TestAReleaseIsInstalledFromAServer(t *testing.T) {
	const script = root + "/ci/install.sh" // by its whole path an ordinary user may not reach it, below /root
	releases := t.TempDir()
	var sums string
	for _, command := range []string{"crossrun", "register"} {
		file1 := path(releases, command)
		commands.CopyFile(t, filepath.Join(commands.Dir(), command), file1)
		sum, err := file.SHA256(file1)
		require.NoError(t, err)
		sums += fmt.Sprintf("%s  %s\n", sum, filepath.Base(file1))
	}
	write(t, releases, "SHA256SUMS", sums)
	files := http.FileServer(http.Dir(releases))
	mux := http.NewServeMux()
	mux.Handle("/releases/download/v1.2.3/", http.StripPrefix("/releases/download/v1.2.3", files))
	mux.HandleFunc("/releases/latest/download/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/releases/download/v1.2.3/"+filepath.Base(r.URL.Path), http.StatusFound)
	})
	server, insecure := httptest.NewTLSServer(mux), httptest.NewServer(mux)
	defer server.Close()
	defer insecure.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(authority, certificate, 0o644))
	wgetrc := filepath.Join(t.TempDir(), "wgetrc")
	require.NoError(t, os.WriteFile(wgetrc, []byte("ca_certificate = "+authority+"\n"), 0o644))

	for _, test := range []struct {
		with, from string
		args       []string
		want       string // of the error
	}{
		{"curl", server.URL, nil, ""},
		{"curl", server.URL, []string{"v1.2.3"}, ""},
		{"wget", server.URL, nil, ""},
		{"curl", server.URL, []string{"v9.9.9"}, "cannot get " + server.URL + "/releases/download/v9.9.9/SHA256SUMS"},
		{"wget", server.URL, []string{"v9.9.9"}, "cannot get "},
		{"curl", insecure.URL, nil, "FROM is " + insecure.URL},
		{"wget", insecure.URL, nil, "FROM is " + insecure.URL},
	} {
		t.Run(strings.Join(append([]string{test.with}, test.args...), " "), func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "bin")
			cmd := exec.Command("sh", append([]string{script}, test.args...)...)
			cmd.Env = []string{"FROM=" + test.from + "/releases", "TO=" + to, "PATH=" + withOnly(t, test.with), "CURL_CA_BUNDLE=" + authority, "WGETRC=" + wgetrc}
			r := commands.Run(t, cmd)
			if test.want != "" {
				assert.Equal(t, 1, r.Status)
				assert.Contains(t, r.Stderr, test.want)
				assert.NoDirExists(t, to, "nothing is installed")
				return
			}
			require.Zero(t, r.Status, r.Stderr)
			assert.True(t, strings.HasPrefix(r.Stdout, "crossrun "), r.Stdout)
		})
	}
}

// withOnly returns a directory for PATH that has what install.sh needs, and one program
// that fetches.
func withOnly(t *testing.T, fetcher string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{fetcher, "id", "uname", "mktemp", "rm", "sed", "sha256sum", "mkdir", "cp", "chmod", "mv", "head", "sh"} {
		found, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		require.NoError(t, os.Symlink(found, filepath.Join(dir, name)))
	}
	return dir
}
