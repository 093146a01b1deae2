package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// groups are control groups for nodes: by hierarchy the directory that has one for each
// node. The kernel's are of version 1 here: kubelet has to be told not to refuse them.
type groups map[string]string

// makeGroups makes them below those that this process is in.
func makeGroups(nodes int) (groups, error) {
	g := groups{}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return g, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || fields[1] == "" {
			continue // version 2
		}
		hierarchy := strings.TrimPrefix(fields[1], "name=")
		dir := filepath.Join("/sys/fs/cgroup", hierarchy, fields[2], fmt.Sprintf("go-build-fleet-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return g, err
		}
		g[hierarchy] = dir
		for i := range nodes {
			node := filepath.Join(dir, nodeName(i))
			err = errors.Join(err, os.Mkdir(node, 0o755))
			if hierarchy == "cpuset" {
				err = errors.Join(err, inheritCPUs(dir), inheritCPUs(node))
			}
		}
	}
	if len(g) == 0 {
		return g, errors.New("nodes take control groups of version 1, in /sys/fs/cgroup")
	}
	return g, err
}

// inheritCPUs gives a group what the one above it has; no process can be in it before.
func inheritCPUs(dir string) (err error) {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, e := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		err = errors.Join(err, e, os.WriteFile(filepath.Join(dir, name), text, 0))
	}
	return errors.Join(err, os.WriteFile(filepath.Join(dir, "cgroup.clone_children"), []byte("1"), 0))
}

// remove removes the groups, when all processes have ended.
func (g groups) remove() {
	for _, dir := range g {
		var below []string
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				below = append(below, path)
			}
			return nil
		})
		for i := range below {
			if err := os.Remove(below[len(below)-1-i]); err != nil && !errors.Is(err, os.ErrNotExist) {
				fmt.Fprintln(os.Stderr, "fleet:", err)
			}
		}
	}
}

// open opens what a node's first process joins its groups by, in the hierarchies' order.
func (g groups) open(hierarchies []string, node int) (files []*os.File, err error) {
	for _, hierarchy := range hierarchies {
		f, err := os.OpenFile(filepath.Join(g[hierarchy], nodeName(node), "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// join has this process join groups by descriptors that it was given.
func join(descriptors int) (err error) {
	for i := range descriptors {
		f := os.NewFile(uintptr(3+i), "cgroup.procs")
		_, e := f.WriteString("0")
		err = errors.Join(err, e, f.Close())
	}
	return err
}

// hideGroups unmounts what shows the machine's groups: nodes are to see their own only.
func hideGroups() error { return unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH) }
