package private_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
)

func needInstances(t *testing.T) {
	t.Helper()
	if err := private.Available(t.Context()); err != nil {
		t.Skip(err)
	}
}

// children returns the processes whose parent this one is.
func children(t *testing.T) []string {
	t.Helper()
	var all []string
	files, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(t, err)
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
}

func entry(name string) binfmt.Entry {
	return binfmt.Entry{Name: name, Pattern: elfmagic.Pattern{Magic: []byte("#?")}, Interpreter: "/bin/true"}
}

func TestAnInstanceThatIsNotEnteredLeavesNothing(t *testing.T) {
	needInstances(t)
	before, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for range 3 {
		i, err := private.NewInstance(t.Context(), private.InstanceOptions{
			Entries: func() ([]binfmt.Entry, error) { return []binfmt.Entry{entry("a"), entry("b")}, nil },
		})
		require.NoError(t, err)
		assert.Empty(t, children(t), "who set it up has ended, and was waited for")
		i.Close()
	}
	after, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	assert.Len(t, after, len(before), "no descriptor is left open")
}

func TestWhyThereIsNoInstance(t *testing.T) {
	needInstances(t)
	own := errors.New("there are none")
	none := func() ([]binfmt.Entry, error) { return nil, nil }
	for name, test := range map[string]struct {
		options private.InstanceOptions
		is      error
		text    string
	}{
		"no entries":    {private.InstanceOptions{Entries: func() ([]binfmt.Entry, error) { return nil, own }}, own, "there are none"},
		"a bad entry":   {private.InstanceOptions{Entries: func() ([]binfmt.Entry, error) { return []binfmt.Entry{{Name: "x"}}, nil }}, nil, "private instance of binfmt_misc: "},
		"entries twice": {private.InstanceOptions{Entries: func() ([]binfmt.Entry, error) { return []binfmt.Entry{entry("a"), entry("a")}, nil }}, fs.ErrExist, "a"},
		"no such root":  {private.InstanceOptions{Entries: none, Root: "/no/such/root"}, fs.ErrNotExist, "/no/such/root"},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := os.ReadDir("/proc/self/fd")
			require.NoError(t, err)
			i, err := private.NewInstance(t.Context(), test.options)
			require.Error(t, err)
			assert.Nil(t, i)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
			assert.ErrorContains(t, err, test.text)
			assert.Empty(t, children(t))
			after, err := os.ReadDir("/proc/self/fd")
			require.NoError(t, err)
			assert.Len(t, after, len(before), "no descriptor is left open")
		})
	}
}

// Who is root in a root file system looks into /proc/1/fd.
func TestProcess1OfARootHasNothingOfTheMachines(t *testing.T) {
	needInstances(t)
	root := t.TempDir()
	require.NoError(t, os.Chmod(root, 0o755))
	for _, name := range []string{"proc", "sys", "dev", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, name), 0o755))
	}
	for range 5 {
		i, err := private.NewInstance(t.Context(), private.InstanceOptions{Root: root})
		require.NoError(t, err)
		processes := children(t)
		require.Len(t, processes, 1)
		open, err := os.ReadDir(filepath.Join("/proc", processes[0], "fd"))
		require.NoError(t, err)
		assert.Len(t, open, 1, "the socket: when it is closed, process 1 ends")
		i.Close()
		assert.Empty(t, children(t))
	}
}
