package buildkit

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/tests/commands"
)

// What the tests build from the module proxy, once for a version.
const (
	buildkit    = "github.com/moby/buildkit@v0.34.2"
	rootlesskit = "github.com/rootless-containers/rootlesskit/v2@v2.3.6"
)

// account is the ordinary user that BuildKit runs as: useradd gives it subordinate IDs.
const account = "go-build-buildkit"

// tools returns a directory with buildkitd, buildctl and rootlesskit.
func tools(t *testing.T) string {
	t.Helper()
	dir, err := workdir.Cache("buildkit", strings.NewReplacer("/", "-", "@", "-").Replace(buildkit+"-"+rootlesskit))
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(dir, "rootlesskit")); err == nil {
		return dir
	}
	t.Logf("building %s and %s: some minutes", buildkit, rootlesskit)
	source := t.TempDir()
	module := strings.TrimSpace(command(t, source, "go", "mod", "download", "-json", buildkit))
	_, module, _ = strings.Cut(module, `"Dir": "`)
	module, _, _ = strings.Cut(module, `"`)
	// go install refuses modules whose go.mod has directives such as exclude.
	command(t, source, "cp", "-r", "--no-preserve=mode", module, "buildkit")
	command(t, filepath.Join(source, "buildkit"), "go", "build", "-mod=mod", "-o", dir+"/", "./cmd/buildkitd", "./cmd/buildctl")
	name, version, _ := strings.Cut(rootlesskit, "@")
	command(t, source, "env", "GOBIN="+dir, "go", "install", name+"/cmd/rootlesskit@"+version)
	return dir
}

// command runs a command in a directory, and returns its standard output.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", cmd, stderr.String())
	return string(out)
}

// A daemon is a rootless BuildKit.
type daemon struct {
	bin, home string
	user      *syscall.Credential
	log       bytes.Buffer
}

// start makes a user and starts BuildKit as that, with crossrun in its PATH. Both end
// with the test.
func start(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{bin: t.TempDir()}
	for at := d.bin; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		require.NoError(t, os.Chmod(at, 0o755))
	}
	for _, name := range []string{"buildkitd", "buildctl", "rootlesskit"} {
		commands.CopyFile(t, filepath.Join(tools(t), name), filepath.Join(d.bin, name))
	}
	command(t, "", crossrun(t), "--link", d.bin, "--names", "buildkit")

	command(t, "", "useradd", "--create-home", "--shell", "/bin/sh", account)
	t.Cleanup(func() { command(t, "", "userdel", "--remove", account) })
	u, err := user.Lookup(account)
	require.NoError(t, err)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	d.home, d.user = u.HomeDir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	require.NoError(t, os.Mkdir(d.runtime(), 0o700))
	require.NoError(t, os.Chown(d.runtime(), uid, gid))

	// An empty instance of the namespace's own hides what the machine has registered.
	cmd := d.command(context.Background(), "rootlesskit", "--net=host", "--copy-up=/etc", "--copy-up=/run", "sh", "-c",
		`mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && exec buildkitd "$@"`, "sh", "--addr", d.address(), "--root", d.home+"/buildkit",
		"--oci-worker-no-process-sandbox", "--oci-worker-snapshotter=native", "--containerd-worker=false", "--allow-insecure-entitlement=security.insecure")
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Log(d.log.String())
		}
	})
	for range 300 {
		if d.command(t.Context(), "buildctl", "--addr", d.address(), "debug", "workers").Run() == nil {
			return d
		}
		select {
		case err := <-ended:
			ended <- err
			require.FailNow(t, "BuildKit ended", "%v\n%s", err, d.log.String())
		case <-time.After(200 * time.Millisecond):
		}
	}
	require.FailNow(t, "BuildKit does not answer")
	return nil
}

func (d *daemon) runtime() string { return filepath.Join(d.home, "run") }

func (d *daemon) address() string { return "unix://" + d.runtime() + "/buildkitd.sock" }

// command returns a command of the user's.
func (d *daemon) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, name), args...)
	cmd.Dir = d.home
	cmd.Env = []string{"HOME=" + d.home, "USER=" + account, "XDG_RUNTIME_DIR=" + d.runtime(), "PATH=" + d.bin + ":/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.user}
	return cmd
}

// build builds a Dockerfile in a directory for platforms, and returns the result's
// directory, which has one for each platform, and what was said.
func (d *daemon) build(t *testing.T, dir, dockerfile string, platforms []string) (result, said string) {
	t.Helper()
	return d.export(t, dir, dockerfile, platforms, "local")
}

// export is build for a kind of result: a directory ("local"), an archive ("oci").
func (d *daemon) export(t *testing.T, dir, dockerfile string, platforms []string, kind string) (result, said string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	result = filepath.Join(d.home, "result-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	cmd := d.command(t.Context(), "buildctl", "--addr", d.address(), "build", "--progress=plain", "--frontend=dockerfile.v0", "--allow=security.insecure",
		"--local=context="+dir, "--local=dockerfile="+dir, "--opt=platform="+strings.Join(platforms, ","), "--output=type="+kind+",dest="+result)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return result, string(out)
}

// crossrun returns a single file with the emulators that the tests need.
func crossrun(t *testing.T) string {
	t.Helper()
	var targets []string
	dirs := map[string]bool{}
	for _, m := range machines {
		targets = append(targets, m.arch)
		dirs[filepath.Dir(commands.FindEmulator(t, lookup(t, m.arch)).Path)] = true
	}
	if len(dirs) != 1 {
		t.Skip("emulators of several directories")
	}
	slices.Sort(targets)
	dir := commands.Built(t, "buildkit-dist", func(path string) *exec.Cmd {
		var from string
		for from = range dirs {
		}
		cmd := exec.Command("go", "run", "./image", "single-files", "--targets", strings.Join(targets, ","), "--emulators", from, "--dir", path)
		cmd.Dir = "../.."
		return cmd
	})
	return filepath.Join(dir, "crossrun-linux-"+runtime.GOARCH)
}
