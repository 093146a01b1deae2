package instances

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what the watchers and the kernel use.
type usage struct {
	when      time.Time
	resident  int // KiB, of all watchers (VmRSS, proc_pid_status(5))
	largest   int // KiB, of one
	own       int // KiB, what no other process shares (Pss, proc_pid_smaps_rollup(5))
	anonymous int // KiB, what is not of its file (RssAnon)
	threads   int
	watches   int                      // of inotify
	cpu       map[string]time.Duration // of each instance's watcher, by its process ID, and of what it ran
	kernel    map[string]int           // KiB, lines of /proc/meminfo
}

// kernels are the lines of /proc/meminfo that are memory of the kernel's own.
var kernels = []string{"Slab", "KernelStack", "PageTables", "Percpu"}

// use looks at what is used now.
func use(instances []*instance) (u usage, err error) {
	u = usage{when: time.Now(), cpu: make(map[string]time.Duration)}
	if u.kernel, err = fields("/proc/meminfo"); err != nil {
		return u, err
	}
	for _, i := range instances {
		i.mu.Lock() // it is not started just now
		pid := i.cmd.Process.Pid
		err := u.add(fmt.Sprintf("/proc/%d", pid))
		i.mu.Unlock()
		if err != nil {
			return u, err
		}
	}
	return u, nil
}

func (u *usage) add(proc string) error {
	status, err := fields(proc + "/status")
	if err != nil {
		return err
	}
	shares, err := fields(proc + "/smaps_rollup")
	if err != nil {
		return err
	}
	u.resident += status["VmRSS"]
	u.anonymous += status["RssAnon"]
	u.largest = max(u.largest, status["VmRSS"])
	u.own += shares["Pss"]
	u.threads += status["Threads"]
	if u.cpu[proc], err = cpuTime(proc); err != nil {
		return err
	}
	files, err := filepath.Glob(proc + "/fdinfo/*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil { // it may be closed since
			u.watches += strings.Count("\n"+string(text), "\ninotify ")
		}
	}
	return err
}

// fields reads a file of lines like "Name:   12 kB".
func fields(path string) (map[string]int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list := make(map[string]int)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		if words := strings.Fields(rest); len(words) > 0 {
			if n, err := strconv.Atoi(words[0]); err == nil {
				list[name] = n
			}
		}
	}
	return list, nil
}

// clockTick is the unit of times in /proc: sysconf(_SC_CLK_TCK) is 100 on every architecture
// that both commands are built for.
const clockTick = time.Second / 100

// cpuTime returns the time of a process and of its children that it waited for (utime to
// cstime, proc_pid_stat(5)).
func cpuTime(proc string) (time.Duration, error) { return times(proc, 4) }

// ownTime returns the time of a process alone.
func ownTime(proc string) (time.Duration, error) { return times(proc, 2) }

func times(proc string, fields int) (time.Duration, error) {
	text, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	var sum time.Duration
	for _, word := range strings.Fields(rest)[11 : 11+fields] {
		n, err := strconv.Atoi(word)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * clockTick
	}
	return sum, nil
}

// cpuSince returns how much of one core the watchers that are in both used in between, each on
// average, and the one that used most.
func (u usage) cpuSince(before usage) (each, most float64, same int) {
	var sum time.Duration
	var greatest time.Duration
	for proc, now := range u.cpu {
		if then, ok := before.cpu[proc]; ok {
			sum += now - then
			greatest = max(greatest, now-then)
			same++
		}
	}
	took := u.when.Sub(before.when).Seconds()
	if same == 0 {
		return 0, 0, 0
	}
	return sum.Seconds() / took / float64(same), greatest.Seconds() / took, same
}
