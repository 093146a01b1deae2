package private

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSubordinateUsersAreRead(t *testing.T) {
	const text = "# comment\nme:100000:65536\nother:200000:65536\n1234:300000:10\nme:0:5\nme:1:-1\nme:x:1\nme:1\n\nme:400000:1:2\n"
	assert.Equal(t, []idRange{{100000, 65536}, {300000, 10}}, subordinates([]byte(text), "me", "1234"))
	assert.Empty(t, subordinates([]byte(text), "nobody", "65534"))
	assert.Empty(t, subordinates(nil, "me", "1"))
}

func TestRootIsTheCallerAndOthersFollow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	m := mapper{"newuidmap", file, 1000}
	_, err := m.arguments(7)
	assert.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("someone-else:1:1\n"), 0o644))
	_, err = m.arguments(7)
	assert.ErrorContains(t, err, "subuid has no range for ")
	id := []byte(strconv.Itoa(os.Geteuid()))
	require.NoError(t, os.WriteFile(file, append(id, append([]byte(":100000:65536\n"), append(id, ":300000:5\n"...)...)...), 0o644))
	args, err := m.arguments(7)
	require.NoError(t, err)
	assert.Equal(t, []string{"7", "0", "1000", "1", "1", "100000", "65536", "65537", "300000", "5"}, args)
}

func TestAShiftedRootHasRootsRangeIfThereIsOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	is := func(base int) {
		t.Helper()
		assert.Equal(t, []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: shiftedSize}}, shift(file))
	}
	is(shiftedBase)
	require.NoError(t, os.WriteFile(file, []byte("root:5000:10\nme:100000:65536\n"), 0o644))
	is(shiftedBase)
	require.NoError(t, os.WriteFile(file, []byte("root:5000:10\nroot:1000000:65536\n"), 0o644))
	is(1000000)
}

func TestWhoTheUsersAre(t *testing.T) {
	file := filepath.Join(t.TempDir(), "map")
	for _, test := range []struct {
		text         string
		root, hasTTY bool
	}{
		{"         0          0 4294967295\n", true, true},
		{"         0       1000          1\n", false, false},
		{"         0       1000          1\n         1     100000      65536\n", false, true},
		{"      1000          0          1\n", true, false},
		{"", false, false},
	} {
		require.NoError(t, os.WriteFile(file, []byte(test.text), 0o644))
		assert.Equal(t, test.root, isRoot(file), test.text)
		assert.Equal(t, test.hasTTY, hasGroup(file, ttyGroup), test.text)
	}
}

func TestWhatCannotBeOpenedIsNoDescriptor(t *testing.T) {
	socket, err := os.CreateTemp(t.TempDir(), "") // which is none
	require.NoError(t, err)
	defer socket.Close()
	for name, try := range map[string]func() (int, error){
		"a file":  func() (int, error) { return open("/nosuch", unix.O_PATH) },
		"a mount": func() (int, error) { return cloneMount("/nosuch", 0) },
		"another": func() (int, error) { return newMount("nosuch", 0) },
		"one":     func() (int, error) { return receive(int(socket.Fd())) },
	} {
		fd, err := try()
		assert.Error(t, err, name)
		assert.Negative(t, fd, "%s: 0 would be standard input, which whoever cleans up closes", name)
	}
}
