package crossrun

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// limited returns the command that runs another with a resource limit.
func limited(limit string, cmd *exec.Cmd) *exec.Cmd {
	return exec.Command("/bin/sh", append([]string{"-c", "ulimit " + limit + `; exec "$@"`, "sh"}, cmd.Args...)...)
}

// A supervisor goes on without more threads than it has. QEMU itself does not do without
// one of its own: what is asked for is that all answers come, and crossrun ends well.
func TestASupervisorWithoutThreadsGoesOn(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	storm := commands.CProgram(t, commands.Port("x86_64-linux-gnu"), "storm", "../testdata/storm.c", "-O1", "-static")
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
	if os.Getuid() == 0 && !commands.SingleUser(t) {
		t.Skip("root may have as many processes as it likes: the run as an ordinary user shows it")
	}
	prlimit, err := exec.LookPath("prlimit") // dash has no ulimit -u
	if err != nil {
		t.Skip(err)
	}
	for range 3 {
		for _, program := range []string{"/bin/true", hello} {
			r := commands.Run(t, exec.Command(prlimit, "--nproc=120", commands.Command("crossrun").Path, "--watched", storm, program))
			assert.Zero(t, r.Status, r.Stderr)
			assert.NotContains(t, r.Stderr, "crossrun: ")
			assert.Contains(t, r.Stdout, " well, ")
			if program != hello {
				assert.Contains(t, r.Stdout, " 0 not\n")
			}
		}
	}
}

// A supervisor has few files open at a time where few are allowed.
func TestASupervisorWithFewDescriptors(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
	r := commands.Run(t, limited("-n 20", watched(`for i in $(seq 40); do "$1" $i & done; wait`, hello)))
	assert.Empty(t, r.Stderr)
	assert.Equal(t, 40, strings.Count(r.Stdout, "hello from C"), r.Stdout)
}

// Where no file may be written, as in a sandbox, neither can what others are executed by be made in
// memory: the program itself runs all the same, and it is said why not what it starts.
func TestAProgramRunsWhereNoFileMayBeWritten(t *testing.T) {
	kerneltest.Instance(t)
	commands.Foreigners(t)
	hello := commands.GoHello(t, "arm64")
	r := commands.Run(t, limited("-f 0", commands.Command("crossrun", hello)))
	assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, r)
	r = commands.Run(t, limited("-f 0", commands.Command("crossrun", "/bin/echo", "native")))
	assert.Equal(t, commands.Result{Stdout: "native\n"}, r)
	r = commands.Run(t, limited("-f 0", commands.Command("crossrun", "--watched", hello)))
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "cannot be watched: programs in memory are denied here: no file may be longer than 0 bytes (RLIMIT_FSIZE)")
	assert.Contains(t, r.Stderr, "crossrun: hint: ulimit -f unlimited")
	r = commands.Run(t, limited("-f 1", commands.Command("crossrun", "--private", hello)))
	assert.Equal(t, 126, r.Status)
	assert.Contains(t, r.Stderr, "write stub: file too large\ncrossrun: hint: what enters it is a program in memory, which is too long for the limit of files' sizes")
}
