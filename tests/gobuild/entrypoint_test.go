package gobuild

import (
	"archive/zip"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// environment returns docker run's flags for environment variables.
func environment(variables ...string) []string {
	var flags []string
	for _, v := range variables {
		flags = append(flags, "--env", v)
	}
	return flags
}

// root skips tests that make files of other users'.
func root(t *testing.T) {
	t.Helper()
	tested(t)
	if os.Geteuid() != 0 {
		t.Skip("gives files to other users, which takes root")
	}
}

// directory makes one of a user's; parent is empty for one of its own.
func directory(t *testing.T, parent string, owner int, mode os.FileMode, names ...string) string {
	t.Helper()
	if parent == "" {
		parent = t.TempDir()
	}
	dir := filepath.Join(append([]string{parent}, names...)...)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.Chown(dir, owner, owner))
	require.NoError(t, os.Chmod(dir, mode))
	return dir
}

// Files that a command writes to a volume are the caller's.
func TestFilesBelongToTheCaller(t *testing.T) {
	tested(t)
	for _, test := range []struct {
		environment []string
		uid         uint32
	}{
		{nil, 9001},
		{[]string{"LOCAL_USER_ID=1234"}, 1234},
		{[]string{"LOCAL_USER_ID=33"}, 33}, // Debian's www-data
		{[]string{"LOCAL_USER_ID=0"}, 0},
		{[]string{"RUN_AS_ROOT=true"}, 0},
		{[]string{"RUN_AS_ROOT=true", "LOCAL_USER_ID=1234"}, 0},
		{[]string{"RUN_AS_ROOT=false", "LOCAL_USER_ID=1234"}, 1234},
	} {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o777))
		said := prints(t, append(environment(test.environment...), "--volume", dir+":/src"), "sh", "-c", "touch /src/file; id -u")
		assert.Equal(t, strconv.Itoa(int(test.uid)), said, test.environment)
		info, err := os.Stat(filepath.Join(dir, "file"))
		require.NoError(t, err)
		owner := info.Sys().(*syscall.Stat_t)
		assert.Equal(t, test.uid, owner.Uid, test.environment)
		assert.Equal(t, test.uid, owner.Gid, test.environment)
	}
}

func TestUserHasAHomeAndCaches(t *testing.T) {
	said := prints(t, environment("LOCAL_USER_ID=1234"), "sh", "-c", `echo "$HOME"; touch ~/file && stat -c %u ~/file; go env GOPATH GOTOOLCHAIN GOCACHE GOMODCACHE; mkdir -p "$(go env GOCACHE)" && touch /go/file /go/bin/file "$(go env GOCACHE)/file" && echo writable`)
	assert.Equal(t, "/home/user\n1234\n/go\nlocal\n/caches/go-build-cache/1234\n/caches/go-mod-cache\nwritable",
		strings.Replace(said, "/caches/go-mod-cache/1234", "/caches/go-mod-cache", 1))
	assert.Equal(t, "/root", prints(t, environment("RUN_AS_ROOT=true"), "sh", "-c", "echo ~"))
	assert.Equal(t, "/elsewhere", prints(t, environment("GOCACHE=/elsewhere"), "go", "env", "GOCACHE"), "the caller's choice stays")
}

// The caller's own cache of modules, mounted where Go looks for it, is used: what is in
// it is not fetched, and there is no network.
func TestAMountedCacheOfModulesIsUsed(t *testing.T) {
	root(t)
	cache := moduleCache(t, "example.org/dep", "v1.0.0", "package dep\n\nconst Name = \"dep\"\n")
	source := directory(t, "", aUser, 0o755)
	for name, content := range map[string]string{
		"go.mod":  "module example.test/main\n\ngo 1.26\n\nrequire example.org/dep v1.0.0\n",
		"main.go": "package main\n\nimport \"example.org/dep\"\n\nfunc main() { print(dep.Name) }\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(source, name), []byte(content), 0o644))
	}
	flags := append(environment("LOCAL_USER_ID=1234", "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off"), "--volume", source+":/src", "--workdir", "/src")
	flags = append(flags, caches(t)...)
	r := container(t, flags, "go", "run", ".")
	require.NotZero(t, r.Status, "it is nowhere else")
	flags = append(flags, "--volume", cache+":/go/pkg/mod:rw")
	r = container(t, flags, "go", "run", ".")
	assert.Zero(t, r.Status, r.Stderr)
	assert.Equal(t, "dep", r.Stderr)
	assert.Equal(t, "/go/pkg/mod", prints(t, flags, "go", "env", "GOMODCACHE"))
	assert.Equal(t, "/elsewhere", prints(t, append(flags, environment("GOMODCACHE=/elsewhere")...), "go", "env", "GOMODCACHE"), "the caller's choice stays")
	assert.Equal(t, "/go/pkg/mod", prints(t, append(flags, environment("RUN_AS_ROOT=true")...), "go", "env", "GOMODCACHE"))
}

// moduleCache makes a user's cache with one module of one file.
func moduleCache(t *testing.T, module, version, content string) string {
	t.Helper()
	proxy, cache := t.TempDir(), directory(t, "", aUser, 0o755)
	mod := "module " + module + "\n\ngo 1.26\n"
	dir := filepath.Join(proxy, module, "@v")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, text := range map[string]string{"go.mod": mod, "dep.go": content} {
		f, err := w.Create(module + "@" + version + "/" + name)
		require.NoError(t, err)
		_, err = f.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	for name, text := range map[string]string{version + ".info": `{"Version": "` + version + `"}`, version + ".mod": mod, version + ".zip": archive.String()} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	cmd := exec.Command("go", "mod", "download", module+"@"+version)
	cmd.Dir = proxy
	cmd.Env = append(os.Environ(), "GOPROXY=file://"+proxy, "GOSUMDB=off", "GOFLAGS=-modcacherw", "GOMODCACHE="+cache)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, filepath.WalkDir(cache, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, aUser, aUser))
	}))
	return cache
}

func TestExtraGroup(t *testing.T) {
	assert.Equal(t, "1234 4321", prints(t, environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=4321"), "id", "-G"), "a new one")
	assert.Equal(t, "1234 33", prints(t, environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=33"), "id", "-G"), "one of Debian's")
	assert.Equal(t, "1234 0", prints(t, environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=0"), "id", "-G"), "root's")
	assert.Equal(t, "1234", prints(t, environment("LOCAL_USER_ID=1234"), "id", "-G"), "none")

	dir := t.TempDir() // its group may write to it, others not
	require.NoError(t, os.Chown(dir, 0, 4321))
	require.NoError(t, os.Chmod(dir, 0o770))
	flags := append(environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=4321"), "--volume", dir+":/src")
	assert.Equal(t, "1234 1234", prints(t, flags, "sh", "-c", "touch /src/file && stat -c '%u %g' /src/file"))
}

// The working directory's owner runs the command, and is never root by that.
func TestTheWorkingDirectorysOwnerRuns(t *testing.T) {
	root(t)
	for _, test := range []struct {
		owner       int
		environment []string
		want        string
	}{
		{1234, nil, "1234 1234"},
		{1234, []string{"LOCAL_USER_ID="}, "1234 1234"},
		{33, nil, "33 33"},
		{0, nil, "9001 9001"},
		{1234, []string{"LOCAL_USER_ID=5678"}, "5678 5678"},
		{1234, []string{"LOCAL_USER_ID=0"}, "0 0"},
		{1234, []string{"RUN_AS_ROOT=true"}, "0 0"},
		{1234, []string{"EXTRA_GROUP_ID=4321"}, "1234 1234 4321"},
	} {
		dir := directory(t, "", test.owner, 0o755)
		said := prints(t, append(environment(test.environment...), "--volume", dir+":/src", "--workdir", "/src"), "sh", "-c", "echo $(id -u) $(id -G)")
		assert.Equal(t, test.want, said, "%+v", test)
	}
}

// What docs/image.md says is typed in a directory of a user's, with no more than it
// says. (What has been registered by then is in TestWhatTheImageRegistersRuns.)
func TestTheDocumentsLinesWorkInAUsersDirectory(t *testing.T) {
	native(t)
	lines := imagesLines(t)
	require.Len(t, lines, 2)
	for _, line := range lines {
		env := environment("WANT=s390x")
		if strings.Contains(line, "./hello") {
			line = strings.Replace(line, "-e GOARCH=s390x ", "", 1)
		}
		r := typed(t, sourceDir(t, "module"), env, line)
		assert.Zero(t, r.Status, "%s: %s%s", line, r.Stdout, r.Stderr)
		assert.Empty(t, r.Stderr)
	}
}

// imagesLines returns what docs/image.md says to type in a source tree.
func imagesLines(t *testing.T) []string {
	t.Helper()
	return regexp.MustCompile(`(?m)^    (docker run .*\$PWD:/src.*)$`).FindAllString(commands.Read(t, "../../docs/image.md"), -1)
}

// typed runs such a line in a directory, for the tested image.
func typed(t *testing.T, dir string, flags []string, line string) commands.Result {
	t.Helper()
	const image = "calico/go-build:latest-amd64"
	require.Contains(t, line, image)
	line = strings.Replace(line, image, strings.Join(flags, " ")+" --network none "+tested(t), 1)
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir)
	return commands.Run(t, cmd)
}

func TestBadIDsAreErrors(t *testing.T) {
	tested(t)
	hints := map[string]string{"LOCAL_USER_ID": "LOCAL_USER_ID=$(id -u)", "EXTRA_GROUP_ID": "EXTRA_GROUP_ID=$(stat -c %g /var/run/docker.sock)"}
	values := []string{
		"me", "-1", "+1", " 1", "1 ", "1\n2", "0x1", "1.0", "1e3",
		"00", "01234", // root, and an octal number, to some
		"4294967295", "4294967296", "18446744073709551616", // none, and root, where it is cut off
	}
	for name, hint := range hints {
		want := ""
		for _, value := range values {
			want += "entrypoint: error: " + name + "=" + value + " is not a decimal number from 0 to 4294967294\nentrypoint: hint: " + hint + " is usual\n125\n"
		}
		script := `unset RUN_AS_ROOT; for value; do env "` + name + `=$value" /usr/local/bin/entrypoint echo ran 2>&1; echo $?; done`
		assert.Equal(t, strings.TrimSpace(want), prints(t, environment("RUN_AS_ROOT=true"), append([]string{"sh", "-c", script, "sh"}, values...)...))
	}
	assert.Equal(t, 125, container(t, environment("LOCAL_USER_ID=00", "RUN_AS_ROOT=true"), "true").Status)
	assert.Equal(t, "4294967294 4294967293", prints(t, environment("LOCAL_USER_ID=4294967294", "EXTRA_GROUP_ID=4294967293"), "sh", "-c", "echo $(id -u) $(id -G | cut -d' ' -f2)"), "the last ones")
}

// Programs find the user and the groups by name, without a file of the host's
// being written to.
func TestUserAndGroupsHaveNames(t *testing.T) {
	assert.Equal(t, "user user extra4321 /home/user", prints(t, environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=4321"), "sh", "-c", "echo $(id -un) $(id -Gn) $(getent passwd 1234 | cut -d: -f6)"))
	assert.Equal(t, "www-data www-data", prints(t, environment("LOCAL_USER_ID=33"), "sh", "-c", "echo $(id -un) $(id -Gn)"))
	flags := environment("LOCAL_USER_ID=1234", "EXTRA_GROUP_ID=4321")
	for name, line := range map[string]string{"passwd": "user:x:0:0::/:/bin/sh\n", "group": "user:x:0:\n"} {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte(line), 0o644))
		r := container(t, append(flags, "--volume", file+":/etc/"+name), "id", "-G")
		assert.Zero(t, r.Status)
		assert.Equal(t, "1234 4321\n", r.Stdout)
		assert.Empty(t, r.Stderr)
		assert.Equal(t, line, commands.Read(t, file))
	}
}

// A user whom docker run names is left alone, whoever that is.
func TestDockersUserStays(t *testing.T) {
	assert.Equal(t, "5678 8765", prints(t, []string{"--user", "5678:8765", "--env", "LOCAL_USER_ID=1"}, "sh", "-c", "echo $(id -u) $(id -g)"))
}

// The command, or crossrun which watches it, takes the entrypoint's place. Where the image
// itself is emulated, crossrun watches nothing: the emulator has no filter that asks.
func TestCommandIsTheContainersFirstProcess(t *testing.T) {
	first := "crossrun"
	if foreign(t) {
		first = "cat"
	}
	for _, variable := range []string{"LOCAL_USER_ID=1234", "RUN_AS_ROOT=true"} {
		assert.Equal(t, "1", prints(t, environment(variable, "RUN_UNWATCHED=true"), "sh", "-c", "echo $$"), variable)
		assert.Equal(t, first, prints(t, environment(variable), "cat", "/proc/1/comm"), variable)
		assert.Equal(t, 37, container(t, environment(variable), "sh", "-c", "exit 37").Status, variable)
		assert.Equal(t, 137, container(t, environment(variable), "bash", "-c", "(kill -9 $BASHPID); exit $?").Status, variable)
	}
	r := container(t, nil, "no-such-command")
	assert.Equal(t, 127, r.Status)
	assert.Contains(t, r.Stderr, "no-such-command")
}

func TestASignalIsTheCommands(t *testing.T) {
	name := "go-build-test-" + strconv.Itoa(os.Getpid())
	cmd := exec.Command("docker", "run", "--rm", "--name", name, "--network", "none", tested(t),
		"bash", "-c", `trap 'echo stopped; exit 42' TERM; echo started; while :; do sleep 0.1; done`)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer exec.Command("docker", "rm", "--force", name).Run()
	buffer := make([]byte, len("started\n"))
	_, err = out.Read(buffer)
	require.NoError(t, err)
	require.Equal(t, "started\n", string(buffer))
	start := time.Now()
	require.Zero(t, run(t, "docker", "stop", "--time", "60", name).Status)
	rest := make([]byte, 100)
	n, _ := out.Read(rest)
	assert.Equal(t, "stopped\n", string(rest[:n]))
	err = cmd.Wait()
	assert.Equal(t, 42, cmd.ProcessState.ExitCode(), "%v", err)
	assert.Less(t, time.Since(start), 50*time.Second, "it was not killed in the end")
}

// A container that is started again finds the user there.
func TestAContainerCanBeStartedAgain(t *testing.T) {
	name := "go-build-again-" + strconv.Itoa(os.Getpid())
	r := run(t, "docker", "run", "--name", name, "--network", "none", "--env", "LOCAL_USER_ID=1234", "--env", "EXTRA_GROUP_ID=4321", tested(t), "id")
	defer exec.Command("docker", "rm", "--force", name).Run()
	require.Zero(t, r.Status, r.Stderr)
	again := run(t, "docker", "start", "--attach", name)
	assert.Zero(t, again.Status, again.Stderr)
	assert.Equal(t, r.Stdout, again.Stdout)
}

func TestRegisterIsRootAlways(t *testing.T) {
	for _, command := range []string{"register", "/usr/bin/register", "/usr/local/bin/register"} {
		if container(t, nil, "test", "-x", command).Status != 0 && command != "register" {
			continue
		}
		// Without privilege it gets as far as root does.
		r := container(t, environment("LOCAL_USER_ID=1234"), command, "--status")
		root := container(t, environment("RUN_AS_ROOT=true"), command, "--status")
		assert.Equal(t, root, r, command)
	}
}

// What Go finds in its caches it runs: nobody but root and the user may have put
// it there. And root takes no step that a link in a volume could lead elsewhere.
func TestCachesOfOthersAreNotUsed(t *testing.T) {
	root(t)
	const (
		gocache = "go-build-cache"
		used    = "/caches/go-build-cache/1234 /caches/go-mod-cache/1234"
		no      = "entrypoint: warning: no caches for Go: "
		hint    = "entrypoint: hint: docker run --tmpfs /caches:exec, or --volume with a directory of user 1234's, gives some\n"
	)
	for name, test := range map[string]struct {
		make func(dir string)
		want string
		said string
	}{
		"root's":                       {func(dir string) {}, used, ""},
		"the user's":                   {func(dir string) { directory(t, dir, 1234, 0o755) }, used, ""},
		"its group's, who is the user": {func(dir string) { directory(t, dir, 1234, 0o775) }, used, ""},
		"as they were made before": {func(dir string) {
			directory(t, dir, 0, 0o777|os.ModeSticky)
			directory(t, dir, 0, 0o777|os.ModeSticky, gocache)
			directory(t, dir, 1234, 0o755, gocache, "1234")
		}, used, ""},
		"another's":   {func(dir string) { directory(t, dir, 5678, 0o755) }, "", no + "/caches belongs to user 5678\n"},
		"everybody's": {func(dir string) { directory(t, dir, 1234, 0o777) }, "", no + "others than user 1234 can write to /caches\n"},
		"another group's": {func(dir string) {
			directory(t, dir, 1234, 0o775)
			require.NoError(t, os.Chown(dir, 1234, 5678))
		}, "", no + "others than user 1234 can write to /caches\n"},
		"another's, in one for all": {func(dir string) {
			directory(t, dir, 0, 0o777|os.ModeSticky)
			directory(t, dir, 5678, 0o777|os.ModeSticky, gocache)
		}, "", no + "/caches/go-build-cache belongs to user 5678\n"},
		"another's, of the user's name": {func(dir string) {
			directory(t, dir, 0, 0o777|os.ModeSticky, gocache)
			directory(t, dir, 5678, 0o777, gocache, "1234")
		}, "", no + "/caches/go-build-cache/1234 belongs to user 5678\n"},
		"open to all, of the user's name": {func(dir string) {
			directory(t, dir, 1234, 0o777|os.ModeSticky, gocache, "1234")
		}, "", no + "others than user 1234 can write to /caches/go-build-cache/1234\n"},
		"a link": {func(dir string) {
			require.NoError(t, os.Symlink("/elsewhere", filepath.Join(dir, gocache)))
		}, "", no + "/caches/go-build-cache is a link, or no directory\n"},
		"a link to what is not there": {func(dir string) {
			require.NoError(t, os.Symlink("/elsewhere/new", filepath.Join(dir, gocache)))
		}, "", no + "/caches/go-build-cache is a link, or no directory\n"},
		"a link of the user's name": {func(dir string) {
			directory(t, dir, 0, 0o777|os.ModeSticky, gocache)
			require.NoError(t, os.Symlink("/elsewhere", filepath.Join(dir, gocache, "1234")))
		}, "", no + "/caches/go-build-cache/1234 is a link, or no directory\n"},
	} {
		dir, elsewhere := t.TempDir(), directory(t, "", 0, 0o750)
		require.NoError(t, os.Chmod(dir, 0o755))
		test.make(dir)
		flags := append(environment("LOCAL_USER_ID=1234"), "--volume", dir+":/caches", "--volume", elsewhere+":/elsewhere")
		r := container(t, flags, "sh", "-c", `echo $GOCACHE $GOMODCACHE; [ -z "$GOCACHE" ] || touch "$GOCACHE/file" "$GOMODCACHE/file"`)
		assert.Zero(t, r.Status, name)
		assert.Equal(t, test.want+"\n", r.Stdout, name)
		want := test.said
		if want != "" {
			want += hint
		}
		assert.Equal(t, want, r.Stderr, name)
		info, err := os.Stat(elsewhere)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o750), info.Mode().Perm(), name)
		entries, err := os.ReadDir(elsewhere)
		require.NoError(t, err)
		assert.Empty(t, entries, name)
	}

	// Nor by root; and nothing is made that the caller has chosen otherwise.
	dir := directory(t, "", 1234, 0o755)
	r := container(t, append(environment("RUN_AS_ROOT=true"), "--volume", dir+":/caches"), "sh", "-c", "echo $GOCACHE")
	assert.Equal(t, "\n", r.Stdout)
	assert.Contains(t, r.Stderr, "/caches belongs to user 1234\n")
	dir = directory(t, "", 5678, 0o755)
	r = container(t, append(environment("LOCAL_USER_ID=1234", "GOCACHE=/a", "GOMODCACHE=/b"), "--volume", dir+":/caches"), "sh", "-c", "echo $GOCACHE $GOMODCACHE")
	assert.Equal(t, "/a /b\n", r.Stdout)
	assert.Empty(t, r.Stderr)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// Translations are kept beside them, if that is asked for; where the user has chosen
// a directory, or there is no place, nothing is changed.
func TestTranslationsAreKeptBesideCaches(t *testing.T) {
	root(t)
	for _, test := range []struct {
		owner     int
		variables []string
		want      string
	}{
		{0, nil, ""},
		{0, []string{"CROSSRUN_TRANSLATIONS=off"}, "off"},
		{0, []string{"CROSSRUN_TRANSLATIONS=/chosen"}, "/chosen"},
		{0, []string{"CROSSRUN_TRANSLATIONS=on"}, "/caches/translations/1234"},
		{1234, []string{"CROSSRUN_TRANSLATIONS=on"}, "/caches/translations/1234"},
		{5678, []string{"CROSSRUN_TRANSLATIONS=on"}, "on"},
	} {
		dir := directory(t, "", test.owner, 0o755)
		flags := append(environment(append(test.variables, "LOCAL_USER_ID=1234", "GOCACHE=/a", "GOMODCACHE=/b")...), "--volume", dir+":/caches")
		r := container(t, flags, "sh", "-c", `echo "$CROSSRUN_TRANSLATIONS"; crossrun --cache | head -n 1`)
		assert.Zero(t, r.Status, r.Stderr)
		said, directory, _ := strings.Cut(r.Stdout, "\n")
		assert.Equal(t, test.want, said)
		if filepath.IsAbs(test.want) {
			assert.Equal(t, "directory: "+test.want+"\n", directory, "crossrun uses it")
		} else {
			assert.Equal(t, "directory: /home/user/.cache/crossrun/translations\n", directory)
		}
		assert.Empty(t, r.Stderr)
	}
}

// So it is with the home directory, where /home is a volume.
func TestHomeIsMadeInNobodyElsesDirectory(t *testing.T) {
	root(t)
	show := []string{"sh", "-c", "stat -c %u ~ || true"}
	for owner, want := range map[int]string{0: "1234\n", 1234: "1234\n", 5678: ""} {
		dir := directory(t, "", owner, 0o755)
		r := container(t, append(environment("LOCAL_USER_ID=1234"), "--volume", dir+":/home"), show...)
		assert.Zero(t, r.Status, owner)
		assert.Equal(t, want, r.Stdout, owner)
		if want == "" {
			assert.Contains(t, r.Stderr, "entrypoint: warning: no home directory: /home belongs to user 5678\nentrypoint: hint: docker run --tmpfs /home gives one\n")
		}
	}
	dir, elsewhere := t.TempDir(), directory(t, "", 0, 0o750)
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Symlink("/elsewhere/new", filepath.Join(dir, "user")))
	r := container(t, append(environment("LOCAL_USER_ID=1234"), "--volume", dir+":/home", "--volume", elsewhere+":/elsewhere"), show...)
	assert.Contains(t, r.Stderr, "entrypoint: warning: no home directory: mkdir: cannot create directory")
	entries, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// Where nothing can be written to, what needs no writing works, and the hints are
// enough for the rest.
func TestAReadOnlyContainer(t *testing.T) {
	version := "go version go" + pinned(t).Go + " linux/" + goarch(t)
	for _, variable := range []string{"LOCAL_USER_ID=1234", "RUN_AS_ROOT=true"} {
		r := container(t, append(environment(variable), "--read-only"), "go", "version")
		assert.Zero(t, r.Status, variable)
		assert.Equal(t, version+"\n", r.Stdout, variable)
		assert.NotContains(t, r.Stderr, "useradd")
		assert.Contains(t, r.Stderr, "entrypoint: hint: docker run --tmpfs /caches:exec, or ")
		assert.Equal(t, variable != "RUN_AS_ROOT=true", strings.Contains(r.Stderr, "entrypoint: hint: docker run --tmpfs /home gives one\n"))
	}
	flags := append(source(t, "module")[:4], "--read-only", "--tmpfs", "/home", "--tmpfs", "/caches:exec", "--tmpfs", "/tmp:exec")
	r := container(t, flags, "sh", "-c", "go build -o hello . && ./hello && touch ~/file")
	assert.Zero(t, r.Status, r.Stderr)
	assert.Equal(t, "hello from "+goarch(t)+"\n", r.Stdout)
	assert.Empty(t, r.Stderr)
}

// Root without capabilities cannot be the user, and is not root instead.
func TestWithoutCapabilities(t *testing.T) {
	flags := append(environment("LOCAL_USER_ID=1234"), "--cap-drop", "ALL")
	r := container(t, flags, "id", "-u")
	assert.Equal(t, 125, r.Status)
	assert.Empty(t, r.Stdout)
	assert.Regexp(t, `^entrypoint: error: this container's root cannot become user 1234: setpriv: \S+ failed: Operation not permitted
entrypoint: hint: docker run --cap-add SETUID --cap-add SETGID --cap-add CHOWN, or --user 1234:1234 --env HOME=/tmp
$`, r.Stderr)

	src := source(t, "module")[:4]
	build := []string{"sh", "-c", "id -u && go build -o /tmp/hello . && /tmp/hello && touch ~/file"}
	want := "1234\nhello from " + goarch(t) + "\n"
	for _, more := range [][]string{
		{"--cap-add", "SETUID", "--cap-add", "SETGID", "--cap-add", "CHOWN"},
		{"--user", "1234:1234", "--env", "HOME=/tmp"},
	} {
		r := container(t, slices.Concat(flags, src, more), build...)
		assert.Zero(t, r.Status, "%v: %s", more, r.Stderr)
		assert.Equal(t, want, r.Stdout, more)
		assert.Empty(t, r.Stderr, more)
	}
	r = container(t, append(flags, "--cap-add", "SETUID", "--cap-add", "SETGID"), "id", "-u")
	assert.Equal(t, "1234\n", r.Stdout)
	assert.Contains(t, r.Stderr, "entrypoint: hint: docker run --cap-add CHOWN gives one\n")

	for _, variable := range []string{"LOCAL_USER_ID=0", "RUN_AS_ROOT=true"} {
		assert.Equal(t, "0", prints(t, append(environment(variable), "--cap-drop", "ALL"), "id", "-u"), variable)
	}
}

// As with an engine of a user's who has few IDs, or one.
func TestAUserWhomTheUserNamespaceLacks(t *testing.T) {
	unshare := slices.Concat(instead, []string{"--entrypoint", "unshare"})
	if foreign(t) && strings.Contains(container(t, unshare, "--user", "true").Stderr, "Invalid argument") {
		t.Skip("the emulator that the image runs under makes no user namespace (E4 of docs/emulators.md)")
	}
	for _, test := range []struct{ variable, want, said string }{
		{"LOCAL_USER_ID=1234", "", "entrypoint: error: there is no user 1234 in this container's user namespace: setpriv: setresuid failed: Invalid argument\nentrypoint: hint: RUN_AS_ROOT=true runs as its root, who is you with a rootless engine\n"},
		{"RUN_AS_ROOT=true", "0\n", ""},
	} {
		flags := slices.Concat(environment(test.variable, "GOCACHE=/a", "GOMODCACHE=/b"), unshare)
		r := container(t, flags, "--user", "--map-root-user", "/usr/local/bin/entrypoint", "id", "-u")
		assert.Equal(t, test.want, r.Stdout, test.variable)
		assert.Equal(t, test.said, r.Stderr, test.variable)
	}
}
