package instances

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/commands"
)

// The kernel's limits for inotify hold for each user, and can be lowered for a user namespace
// by its root (user_namespaces(7), Linux 4.13 for these). Without inotify a watcher says so,
// and looks once in a second; when there is some again, it takes that up.
func TestAtTheLimitsOfInotifyChangesAreLookedFor(t *testing.T) {
	needNamespaces(t)
	program := commands.GoHello(t, goarch)
	dirs, _ := commands.TwoVersions(t, arch)
	readable(t, dirs[:])
	for _, limit := range []string{"max_inotify_instances", "max_inotify_watches"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			lowered := []string{"sh", "-c", "echo 0 >/proc/sys/user/" + limit + ` && exec "$@"`, "sh"}
			command := append(lowered, filepath.Join(commands.Dir(), "register"))
			i, err := newInstance(command, t.TempDir(), 0, 0, "--check-every", "2s", "--qemu-path", dirs[0], goarch)
			require.NoError(t, err)
			defer i.close()
			warnings := func() (list []event) {
				events, err := i.events()
				require.NoError(t, err)
				for _, e := range events {
					if e.Event == "warned" {
						list = append(list, e)
					}
				}
				return list
			}
			took, err := i.undo("status", "-1")
			require.NoError(t, err)
			assert.Less(t, took, patience)
			t.Log("healed after ", took)
			time.Sleep(5 * time.Second)
			require.Len(t, warnings(), 1, "it says so once, though it is tried again")
			assert.Contains(t, warnings()[0].Error, "no inotify: changes are looked for once in a second")
			assert.Contains(t, warnings()[0].Hint, "fs.inotify.max_user_instances")

			raise := i.inside("sh", "-c", "echo 1000 >/proc/sys/user/"+limit)
			out, err := raise.CombinedOutput()
			require.NoError(t, err, "%s", out)
			watches := func() bool {
				found, _ := exec.Command("grep", "-l", "^inotify", "-r", "/proc/"+i.pid()+"/fdinfo").Output()
				return strings.TrimSpace(string(found)) != ""
			}
			require.Eventually(t, watches, patience, 50*time.Millisecond, "inotify is taken up again")
			require.NoError(t, i.eventuallyRight(filepath.Join(dirs[0], name+"-static"), "", program))
		})
	}
}
