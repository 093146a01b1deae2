package gobuild

import (
	"archive/tar"
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/versions"
)

// registry starts a real one on loopback: the distribution project's, which is
// Debian's package docker-registry.
func registry(t *testing.T) (host string) {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("pushes to a registry on loopback: apt-get install docker-registry: ", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host = listener.Addr().String()
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	require.NoError(t, os.WriteFile(config, []byte("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: "+dir+"/data}}\nhttp: {addr: '"+host+"'}\n"), 0o600))
	cmd := exec.Command(program, "serve", config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + host + "/v2/")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond, "%s", &said)
	return host
}

// Images of two architectures are pushed, joined, and pulled back by platform.
// They have one file in them: what is moved does not matter here, and make push
// moves what make image has built in the same way.
func TestImagesArePushedJoinedAndPulledBack(t *testing.T) {
	tested(t)
	host := registry(t)
	const local = "go-build-test-publish"
	v := pinned(t)
	program := filepath.Join(t.TempDir(), "image")
	out, err := exec.Command("go", "build", "-o", program, "../../image").CombinedOutput()
	require.NoError(t, err, "%s", out)
	published := func(subcommand, archs string) string {
		r := run(t, program, subcommand, "--arch", archs, "--file", "../../"+versions.File, "--registry", host, "--repository", local)
		require.Zero(t, r.Status, r.Stderr)
		return r.Stdout
	}
	archs := versions.Architectures()[:2]
	var names []string
	t.Cleanup(func() {
		exec.Command("docker", append([]string{"rmi"}, names...)...).Run() // some have been removed
	})
	pushed := make(map[string]string)
	for _, arch := range archs {
		tag := local + "/go-build:" + v.Tag(arch)
		remote := host + "/" + tag
		// What is imported has a name of its own: it loses the other to what has
		// the platform, and nothing is removed by its ID, which others may have named.
		imported := local + "/imported:" + arch.GOARCH
		importImage(t, imported, arch.GOARCH)
		names = append(names, tag, remote, imported)
		run(t, "docker", "tag", imported, tag)
		require.NoError(t, docker.SetPlatform(t.Context(), tag, arch.Platform()))
		pushed[arch.GOARCH] = strings.TrimSpace(published("push", arch.GOARCH))
		assert.Regexp(t, `^`+remote+`@sha256:[0-9a-f]{64}$`, pushed[arch.GOARCH])
	}
	joined := strings.Fields(published("manifest", archs[0].GOARCH+","+archs[1].GOARCH))
	require.Len(t, joined, 2)

	for _, arch := range archs {
		// The daemon forgets what it has, and pulls by platform.
		for _, name := range names {
			run(t, "docker", "rmi", name)
		}
		name := host + "/" + local + "/go-build:" + v.String()
		names = append(names, name)
		r := run(t, "docker", "pull", "--quiet", "--platform", arch.Platform(), name)
		require.Zero(t, r.Status, r.Stderr)
		r = run(t, "docker", "image", "inspect", "--format", `{{.Architecture}} {{index .Config.Labels "file"}}`, name)
		assert.Equal(t, arch.GOARCH+" "+arch.GOARCH+"\n", r.Stdout)
		r = run(t, "docker", "pull", "--quiet", pushed[arch.GOARCH][:strings.LastIndex(pushed[arch.GOARCH], ":"+v.String())]+"@"+digest(pushed[arch.GOARCH]))
		assert.Zero(t, r.Status, r.Stderr)
		names = append(names, strings.TrimSpace(r.Stdout))
		byTag := run(t, "docker", "image", "inspect", "--format", "{{.Id}}", name)
		byDigest := run(t, "docker", "image", "inspect", "--format", "{{.Id}}", strings.TrimSpace(r.Stdout))
		assert.Equal(t, byDigest.Stdout, byTag.Stdout, "by platform comes what was pushed for it")
	}
}

func digest(name string) string {
	_, digest, _ := strings.Cut(name, "@")
	return digest
}

// importImage makes an image of one file.
func importImage(t *testing.T, tag, content string) {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))}))
	_, err := w.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	cmd := exec.Command("docker", "import", "--change", "LABEL file="+content, "-", tag)
	cmd.Stdin = &archive
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
