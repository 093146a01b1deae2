package register

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// counting counts what is registered and removed in an instance, whoever does it, until stop
// is called. The kernel tells of writes to the file register, of none for what that makes (seen
// on 6.18).
func counting(t testing.TB, fs binfmt.FS) (stop func() (made, removed int)) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	require.NoError(t, err)
	_, err = unix.InotifyAddWatch(fd, fs.Dir(), unix.IN_MODIFY|unix.IN_DELETE)
	require.NoError(t, err)
	file := os.NewFile(uintptr(fd), "inotify")
	var made, removed int
	var reading sync.WaitGroup
	reading.Go(func() {
		buffer := make([]byte, 16<<10)
		for {
			n, err := file.Read(buffer)
			if err != nil {
				return // closed
			}
			for at := 0; at+unix.SizeofInotifyEvent <= n; {
				mask := binary.NativeEndian.Uint32(buffer[at+4:])
				end := at + unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buffer[at+12:]))
				name := strings.TrimRight(string(buffer[at+unix.SizeofInotifyEvent:end]), "\x00")
				switch {
				case mask&unix.IN_DELETE != 0:
					removed++
				case name == "register":
					made++
				}
				at = end
			}
		}
	})
	return func() (int, int) {
		require.NoError(t, file.Close())
		reading.Wait()
		return made, removed
	}
}

// A fight is what watchers, and others beside them, do to one instance.
type fight struct {
	name     string
	watchers []string // directories of their emulators
	flags    []string
	each     func(fs binfmt.FS) int // is done once in a second; returns how many entries it made
	most     float64                // registrations in a second, of all watchers
}

func fights(t *testing.T, arch *elfmagic.Arch, dirs [2]string) []fight {
	t.Helper()
	entry := "qemu-" + arch.Name
	others := filepath.Join(dirs[1], entry+"-static")
	again := func(fs binfmt.FS) int { // as `binfmt --uninstall qemu-s390x; binfmt --install s390x` does
		_ = fs.Remove(entry)
		if fs.Register(binfmt.Entry{Name: entry, Pattern: arch.Pattern(), Interpreter: others, Flags: binfmt.FixBinary}) != nil {
			return 0
		}
		return 1
	}
	list := []fight{
		{"another watcher", dirs[:], nil, nil, 0},
		{"another watcher, and somebody who removes all entries each second", dirs[:], nil, func(fs binfmt.FS) int {
			_ = os.WriteFile(filepath.Join(fs.Dir(), "status"), []byte("-1"), 0)
			return 0
		}, 8},
		{"somebody who registers anew each second, as tonistiigi/binfmt does", dirs[:1], nil, again, 2},
		{"the same, not to be yielded to", dirs[:1], []string{"--yield", "nobody"}, again, 4},
	}
	restart := restarting(t, arch, others)
	if restart == nil {
		t.Log("systemd-binfmt is not installed")
		return list
	}
	return append(list, fight{"`systemctl restart systemd-binfmt` each second", dirs[:1], nil, func(binfmt.FS) int {
		if restart().Run() != nil {
			return 0
		}
		return 1
	}, 4})
}

// durationVariable is for how long others are let do their worst.
const durationVariable = "TEST_WATCH_FOR"

// What several who register the same do to one another is bounded: nobody writes because
// somebody else has, again and again.
func TestWatchesDoNotFightWithOthers(t *testing.T) {
	long := 2 * time.Second
	if text := os.Getenv(durationVariable); text != "" {
		var err error
		long, err = time.ParseDuration(text)
		require.NoError(t, err)
		if commands.SingleUser(t) {
			t.Skip("root's run shows it")
		}
	}
	arch := kerneltest.Lookup(t, "s390x")
	dirs, _ := commands.TwoVersions(t, arch)
	var text strings.Builder
	text.WriteString("| for " + long.String() + ", beside | others' registrations | the watchers' | entries removed, by all |\n| --- | ---: | ---: | ---: |\n")
	for _, test := range fights(t, arch, dirs) {
		t.Run(test.name, func(t *testing.T) {
			fs := kerneltest.Instance(t)
			for _, dir := range test.watchers {
				args := append([]string{"--qemu-path", dir}, test.flags...)
				watch(t, filepath.Join(commands.Dir(), "register"), 1, append(args, arch.Name)...)
			}
			time.Sleep(time.Second)
			stop := counting(t, fs)
			theirs := 0
			for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Second) {
				if test.each != nil {
					theirs += test.each(fs)
				}
			}
			made, removed := stop()
			ours := made - theirs
			fmt.Fprintf(&text, "| %s | %d | %d | %d |\n", test.name, theirs, ours, removed)
			assert.LessOrEqual(t, float64(ours), test.most*long.Seconds()+float64(len(test.watchers)))
			assert.NotEmpty(t, binfmt.Catching(commands.List(t, fs), arch.Heads()), "programs run")
		})
	}
	t.Log(text.String())
	if kerneltest.Updating() && !commands.SingleUser(t) {
		commands.WriteSection(t, "../../docs/nodes.md", "fights", text.String()+"\n"+commands.Conditions(t)+".")
	}
}
