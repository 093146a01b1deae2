package register

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// Several change the same table, some are killed: what ran before, and is asked for
// afterwards, never fails in between. TEST_CROWD says how often (default: 15 times).
func TestACrowdOfRegistersOfWhichSomeAreKilled(t *testing.T) {
	rounds := 15
	if n, err := strconv.Atoi(os.Getenv("TEST_CROWD")); err == nil {
		rounds = n
	}
	fs := kerneltest.Instance(t)
	hello := commands.CHello(t, commands.Port("aarch64-linux-gnu"), "static")
	dirs, _ := commands.TwoVersions(t, kerneltest.Lookup(t, "arm64"))
	for _, dir := range dirs {
		for _, name := range []string{"s390x", "riscv64"} {
			found := commands.FindEmulator(t, kerneltest.Lookup(t, name))
			commands.CopyFile(t, found.Path, filepath.Join(dir, filepath.Base(found.Path)))
		}
	}
	require.Equal(t, 0, commands.Register(t, "--qemu-path", dirs[0], "arm64").Status)

	var executions, failures atomic.Int32
	var failure atomic.Value
	stop := make(chan struct{})
	var watchers sync.WaitGroup
	for range 2 {
		watchers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if out, err := exec.Command(hello).CombinedOutput(); err != nil {
					failures.Add(1)
					failure.Store(fmt.Sprintf("execution %d: %v: %s", executions.Load(), err, out))
				}
				executions.Add(1)
			}
		})
	}

	const seed = 16
	random := rand.New(rand.NewPCG(seed, seed))
	killed, ended := 0, 0
	for round := range rounds {
		asBinfmt := commands.Command("register", "--install", "all")
		asBinfmt.Args[0] = "binfmt"
		asBinfmt.Env = append(os.Environ(), "QEMU_BINARY_PATH="+dirs[round%2])
		crowd := []*exec.Cmd{
			commands.Command("register", "--qemu-path", dirs[0], "arm64", "s390x"),
			commands.Command("register", "--qemu-path", dirs[1], "--no-probe", "arm64", "riscv64"),
			asBinfmt,
			commands.Command("register", "--uninstall", "s390x", "riscv64"),
		}
		for _, cmd := range crowd {
			require.NoError(t, cmd.Start())
			if random.IntN(2) == 0 {
				after := time.Duration(random.IntN(200)) * time.Millisecond
				timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
				defer timer.Stop()
			}
		}
		for _, cmd := range crowd {
			if cmd.Wait() != nil && cmd.ProcessState.ExitCode() < 0 {
				killed++
			} else {
				ended++
			}
		}
	}
	close(stop)
	watchers.Wait()
	assert.Zero(t, failures.Load(), "of %d executions; the last: %v", executions.Load(), failure.Load())
	assert.Positive(t, killed)
	assert.Positive(t, ended)
	assert.Greater(t, int(executions.Load()), rounds)
	t.Logf("%d rounds: %d were killed, %d came to their end, %d programs ran", rounds, killed, ended, executions.Load())

	// The next one finishes what they left.
	r := commands.Register(t, "--qemu-path", dirs[0], "arm64", "s390x", "riscv64")
	assert.Equal(t, 0, r.Status, r.Stderr)
	for _, e := range commands.List(t, fs) {
		assert.False(t, binfmt.Entry.Temporary(e), e.Name)
	}
}
