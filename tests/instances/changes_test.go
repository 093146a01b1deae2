package instances

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/projectcalico/go-build/tests/commands"
)

// A change is what somebody does to an instance. It returns how long programs had no entry,
// where they had none.
type change struct {
	name string
	do   func(i *instance, others string) (time.Duration, error)
}

// foreign is the name of other owners' entries, but for those that have the watcher's.
const foreign = "other"

var changes = []change{
	{"entry removed", func(i *instance, _ string) (time.Duration, error) { return i.undo(name, "-1") }},
	{"entry disabled", func(i *instance, _ string) (time.Duration, error) { return i.undo(name, "0") }},
	{"all removed", func(i *instance, _ string) (time.Duration, error) { return i.undo("status", "-1") }},
	{"all disabled, and enabled", func(i *instance, _ string) (time.Duration, error) {
		err := i.write("status", "0")
		time.Sleep(100 * time.Millisecond)
		return 0, errors.Join(err, i.write("status", "1"))
	}},
	{"newer entry of another owner", func(i *instance, others string) (time.Duration, error) {
		if i.other != "" {
			return 0, nil
		}
		i.other = foreign
		return 0, i.register(foreign, others)
	}},
	{"replaced, as systemd-binfmt does", func(i *instance, others string) (time.Duration, error) {
		if i.other != "" {
			return 0, nil
		}
		if _, err := i.undo(name, "-1"); err != nil {
			return 0, err
		}
		// The watcher's own comes back under this name within a second.
		if err := i.register(name, others); err != nil && !errors.Is(err, fs.ErrExist) {
			return 0, err
		} else if err == nil {
			i.other = name
		}
		return 0, nil
	}},
	{"other owner's entry removed", func(i *instance, _ string) (time.Duration, error) {
		if i.other == "" {
			return 0, nil
		}
		other := i.other
		i.other = ""
		return i.undo(other, "-1")
	}},
	{"watcher killed, and started", func(i *instance, _ string) (time.Duration, error) {
		i.kill()
		i.anew()
		return 0, i.again()
	}},
	{"all removed while it was killed", func(i *instance, _ string) (time.Duration, error) {
		i.kill()
		err := i.write("status", "-1")
		i.other = ""
		return 0, errors.Join(err, i.again())
	}},
	{"SIGHUP", func(i *instance, _ string) (time.Duration, error) {
		i.anew()
		return 0, i.cmd.Process.Signal(syscall.SIGHUP)
	}},
}

// anew is said of a watcher that registers as register does: it replaces what has its entry's
// name.
func (i *instance) anew() {
	if i.other == name {
		i.other = ""
	}
}

// undo writes to a file of the instance, and waits until there is an entry for the programs.
func (i *instance) undo(file, text string) (time.Duration, error) {
	switch err := i.write(file, text); {
	case errors.Is(err, fs.ErrNotExist): // another owner has taken its place
		return 0, nil
	case err != nil:
		return 0, err
	}
	if file == "status" || file == i.other {
		i.other = ""
	}
	return i.healed(), nil
}

// A record is what was done to all instances.
type record struct {
	mu    sync.Mutex
	did   map[string]int
	heals commands.Heals
	errs  []error
}

// changeAtRandom has something done to an instance each time that apart is over, for as long as
// it is to be.
func changeAtRandom(instances []*instance, others string, apart, long time.Duration) *record {
	r := &record{did: make(map[string]int), heals: make(commands.Heals)}
	ticker := time.NewTicker(apart)
	defer ticker.Stop()
	var all sync.WaitGroup
	for end := time.Now().Add(long); time.Now().Before(end); <-ticker.C {
		i, c := instances[rand.IntN(len(instances))], changes[rand.IntN(len(changes))]
		if i.mu.TryLock() {
			all.Go(func() {
				defer i.mu.Unlock()
				took, err := c.do(i, others)
				r.note(i, c.name, took, err)
			})
		}
	}
	all.Wait()
	return r
}

func (r *record) note(i *instance, what string, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did[what]++
	switch {
	case err != nil:
		r.errs = append(r.errs, errors.Join(errors.New(what), err))
	case took > 0 && i.polls:
		r.heals[what+", without inotify"] = append(r.heals[what+", without inotify"], took)
	case took > 0:
		r.heals[what] = append(r.heals[what], took)
	}
}
