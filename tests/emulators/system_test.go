package emulators

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
)

// systemPort is the port of Debian whose system is made.
const systemPort = "s390x"

// volatile are files whose content is of the time when, or the place where, they
// were written.
var volatile = map[string]string{
	"var/log/":                    "logs have times",
	"var/cache/ldconfig/":         "has inode numbers and times",
	"var/lib/dpkg/status-old":     "is of how far dpkg was when it last wrote",
	"var/lib/apt/lists/":          "may be fetched anew in between",
	"etc/machine-id":              "is chosen at random",
	"var/lib/systemd/":            "is chosen at random",
	"etc/hostname":                "is the machine's",
	"etc/resolv.conf":             "is the machine's",
	"var/lib/apt/extended_states": "its order is that of a table",
}

// Some hundred package scripts, and all the programs that they start, make the
// same system.
func TestASystemIsMade(t *testing.T) {
	s := setup(t)
	if os.Geteuid() != 0 {
		t.Skip("makes a system of another architecture, which takes root")
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("image/base/install-tools: ", err)
	}
	if kept.Mode != "" {
		t.Skip("the directory of translations is not there in a root file system that mmdebstrap makes")
	}
	mirror, err := debian.Mirror()
	if err != nil {
		t.Skip(err)
	}
	arch, err := elfmagic.Lookup(systemPort)
	require.NoError(t, err)
	all := s.contestants(t, arch)
	cross := crossrun(t, s)
	contestants := nearest(all)
	contestants = contestants[len(contestants)-2:]
	var made []map[string]string
	for _, c := range contestants {
		archive := filepath.Join(s.work, "system-"+c.name+".tar")
		cmd := exec.CommandContext(t.Context(), cross, "--private", "mmdebstrap", "--variant=minbase", "--include=python3-minimal,perl", "--format=tar",
			"--architectures="+systemPort, "bookworm", archive, mirror)
		// mmdebstrap then gives files this time, if theirs is later.
		cmd.Env = append(os.Environ(), emulatorVariable(arch, c), "SOURCE_DATE_EPOCH=1700000000", "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", c.name, out)
		files, err := list(archive)
		require.NoError(t, err)
		require.NoError(t, os.Remove(archive))
		made = append(made, files)
	}
	stock, judged := made[0], made[1]
	t.Logf("%d files by %s, %d by %s", len(stock), contestants[0].name, len(judged), contestants[1].name)
	assert.Greater(t, len(stock), 1000)
	differ := 0
	for _, name := range slices.Sorted(maps.Keys(stock)) {
		if stock[name] != judged[name] {
			differ++
			t.Errorf("%s: %q with %s, %q with %s", name, stock[name], contestants[0].name, judged[name], contestants[1].name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(judged)) {
		if _, ok := stock[name]; !ok {
			differ++
			t.Errorf("%s: is there with %s only", name, contestants[1].name)
		}
	}
	tables.add("a system made by mmdebstrap", "port\tfiles\tdiffer\tstock", fmt.Sprintf("%s\t%d\t%d\t%s", systemPort, len(judged), differ, contestants[0].name))
}

// list says what is in an archive: for each name the kind of file, its mode,
// owner, link and content. Of what is volatile it says only that it is there.
func list(archive string) (map[string]string, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := map[string]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(h.Name, "./")
		sum := sha256.New()
		if _, err := io.Copy(sum, r); err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%c %o %d:%d %s", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname)
		if h.Typeflag == tar.TypeReg && !isVolatile(name) {
			what += fmt.Sprintf(" %d bytes %x", h.Size, sum.Sum(nil)[:8])
		}
		files[name] = what
	}
}

func isVolatile(name string) bool {
	for prefix := range volatile {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
