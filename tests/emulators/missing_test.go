package emulators

import "testing"

// missingPackages are of programs that start others, by the name of their part. There is no shell beside ninja.
var missingPackages = map[string]string{
	"python": pythonPackages,
	"make":   "make dash base-files base-passwd",
	"ninja":  "ninja-build base-files base-passwd",
	"cargo":  "cargo dash base-files base-passwd",
}

// What they say of programs that are not there, which they start by posix_spawn(3) or vfork(2).
var missingPrograms = []smallProgram{
	{part: "python", name: "subprocess", argv: []string{python, "-c", "import subprocess; subprocess.run(['nosuch'])"}, want: "FileNotFoundError: [Errno 2] No such file or directory: 'nosuch'", fails: true},
	{part: "python", name: "subprocess, descriptors kept", argv: []string{python, "-c", "import subprocess; subprocess.run(['/nosuch'], close_fds=False)"}, want: "FileNotFoundError: [Errno 2] No such file or directory: '/nosuch'", fails: true},
	{part: "python", name: "posix_spawn", argv: []string{python, "-c", "import os; os.posix_spawn('/nosuch', ['nosuch'], {})"}, want: "FileNotFoundError: [Errno 2] No such file or directory: '/nosuch'", fails: true},
	{part: "python", name: "posix_spawnp", argv: []string{python, "-c", "import os; os.posix_spawnp('nosuch', ['nosuch'], {'PATH': '/bin'})"}, want: "FileNotFoundError: [Errno 2] No such file or directory: 'nosuch'", fails: true},
	{part: "make", name: "recipe", argv: []string{"make", "--eval", "all:;nosuch with words"}, want: "nosuch: No such file or directory", fails: true},
	{part: "make", name: "function", argv: []string{"make", "--eval", "$(info <$(shell nosuch with words)>)", "--eval", "all:;@:"}, want: "nosuch: No such file or directory"},
	{part: "ninja", name: "nothing to start", argv: []string{"ninja", "--version"}},
	{part: "ninja", name: "rule", argv: []string{"ninja", "-C", "DIR/."}, want: "posix_spawn: No such file or directory", fails: true, files: map[string]string{
		"build.ninja": "rule r\n  command = nosuch\nbuild out: r\n",
	}},
	{part: "cargo", name: "nothing to start", argv: []string{"cargo", "--version"}, want: "cargo "},
	{part: "cargo", name: "compiler", argv: []string{"cargo", "build", "--offline", "--manifest-path", "DIR/Cargo.toml", "--config", "build.rustc='/nosuch'"}, want: "No such file or directory (os error 2)", fails: true, files: map[string]string{
		"Cargo.toml":  "[package]\nname = \"nothing\"\nversion = \"0.1.0\"\n",
		"src/main.rs": "fn main() {}\n",
	}},
}

// missingPorts are Debian's names of the targets.
var missingPorts = []string{"arm64", "armhf", "s390x", "ppc64el"}

// TestMissingSuite has programs start what is not there.
func TestMissingSuite(t *testing.T) {
	testSmallPrograms(t, "Programs that are not there", missingPorts, missingPackages, missingPrograms)
}
