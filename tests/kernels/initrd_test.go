package kernels

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/projectcalico/go-build/tests/kernels/plan"
)

// initrd makes the initial RAM disk: /init, the plan, the module, the commands,
// the emulators, and the programs, which are in /root too, to be run there
// without emulators.
func (g guest) initrd(t *testing.T, ctx context.Context, dir, module string, steps []plan.Step) string {
	t.Helper()
	files := g.emulatorFiles(t, ctx, filepath.Join(dir, "emulators"))
	files["init"] = build(t, ctx, dir, g.arch, "./init")
	files["usr/bin/register"] = build(t, ctx, dir, g.arch, "../../cmd/register")
	files["usr/bin/crossrun"] = build(t, ctx, dir, g.arch, "../../cmd/crossrun")
	if g.single() {
		files[strings.TrimPrefix(singleRegister, "/")], files["root"+singleCrossrun] = g.dist(t, ctx, dir)
	}
	for _, goarch := range g.programs(t) {
		files[strings.TrimPrefix(hello(goarch), "/")] = build(t, ctx, dir, goarch, "../testdata/hello")
		files["root"+hello(goarch)] = files[strings.TrimPrefix(hello(goarch), "/")]
	}
	for _, triplet := range g.narrow() {
		file := filepath.Join(dir, "starter-"+triplet)
		out, err := exec.CommandContext(ctx, triplet+"-gcc", "-static", "-O1", "-o", file, "../testdata/executer.c").CombinedOutput()
		require.NoError(t, err, "%s", out)
		files[strings.TrimPrefix(starter(triplet), "/")] = file
	}
	return pack(t, dir, module, steps, files)
}

// pack makes an initial RAM disk of files, a module and a plan.
func pack(t *testing.T, dir, module string, steps []plan.Step, files map[string]string) string {
	t.Helper()
	contents := map[string][]byte{path.Base(module): plain(t, module)}
	var err error
	contents["plan.json"], err = json.Marshal(steps)
	require.NoError(t, err)
	for name, file := range files {
		contents[name], err = os.ReadFile(file)
		require.NoError(t, err)
	}
	for name := range contents {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			contents[dir+"/"] = nil
		}
	}

	initrd, err := os.Create(filepath.Join(dir, "initrd"))
	require.NoError(t, err)
	defer initrd.Close()
	archive := cpio.NewWriter(initrd)
	names := make([]string, 0, len(contents))
	for name := range contents {
		names = append(names, name)
	}
	slices.Sort(names) // directories come before what is in them
	for _, name := range names {
		header := &cpio.Header{Name: strings.TrimSuffix(name, "/"), Mode: cpio.TypeReg | 0o755, Size: int64(len(contents[name]))}
		if strings.HasSuffix(name, "/") {
			header.Mode = cpio.TypeDir | 0o755
		}
		require.NoError(t, archive.WriteHeader(header))
		_, err := archive.Write(contents[name])
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return initrd.Name()
}

// dist makes the single files that have the emulators of the guest's foreign
// programs.
func (g guest) dist(t *testing.T, ctx context.Context, dir string) (register, crossrun string) {
	t.Helper()
	out := filepath.Join(dir, "dist")
	cmd := exec.CommandContext(ctx, "go", "run", "./image", "single-files", "--arch", g.arch, "--targets", strings.Join(g.foreign, ","),
		"--emulators", filepath.Join(dir, "emulators/usr/bin"), "--dir", out)
	cmd.Dir = "../.."
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return filepath.Join(out, "register-linux-"+g.arch), filepath.Join(out, "crossrun-linux-"+g.arch)
}

// build builds a command for a GOARCH.
func build(t *testing.T, ctx context.Context, dir, goarch, command string) string {
	t.Helper()
	file := filepath.Join(dir, goarch+"-"+filepath.Base(command))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file, command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

// plain returns the content of a kernel module, which may be compressed.
func plain(t *testing.T, module string) []byte {
	t.Helper()
	content, err := os.ReadFile(module)
	require.NoError(t, err)
	var r io.Reader = bytes.NewReader(content)
	switch filepath.Ext(module) {
	case ".xz":
		r, err = xz.NewReader(r)
	case ".gz":
		r, err = gzip.NewReader(r)
	}
	require.NoError(t, err)
	content, err = io.ReadAll(r)
	require.NoError(t, err)
	return content
}
