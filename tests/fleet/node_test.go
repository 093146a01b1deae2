package fleet

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// nodes is how many there are.
const nodes = 3

func nodeName(i int) string { return fmt.Sprintf("node-%d", i+1) }

// A node is namespaces with containerd and kubelet.
type node struct {
	name string
	cmd  *exec.Cmd // its first process
}

// A machine is what a node's first process is told.
type machine struct {
	Index       int
	Dir         string   // for its logs and configurations
	Hierarchies []string // of control groups, in the order of descriptors that join them
	Path        string   // with containerd's and runc's directories
	CNI         string   // directory of the network's plugins
	Kubelet     string
	Kubeconfig  string
	Authority   string
}

// startNode starts a node, and waits for nothing. It ends with the fleet, not with the step
// that started it.
func (f *fleet) startNode(t *testing.T, i int) *node {
	t.Helper()
	n := &node{name: nodeName(i)}
	f.authority.client(t, n.name, "system:node:"+n.name, "system:nodes")
	m := machine{
		Index: i, Dir: mkdir(f.path(n.name)), Hierarchies: f.hierarchies,
		Path: filepath.Dir(f.program(t, "containerd")) + ":" + filepath.Dir(f.program(t, "runc")),
		CNI:  filepath.Dir(f.program(t, "bridge")), Kubelet: f.program(t, "kubelet"),
		Kubeconfig: f.authority.kubeconfig(t, n.name), Authority: f.authority.path("ca.crt"),
	}
	log, err := os.OpenFile(filepath.Join(m.Dir, "node.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	require.NoError(t, err)
	defer log.Close()
	n.cmd = as(asNode, m, exec.Command("/proc/self/exe"))
	n.cmd.ExtraFiles = f.groups[i]
	n.cmd.Stdout, n.cmd.Stderr = log, log
	connected, err := n.cmd.StdinPipe()
	require.NoError(t, err)
	// All users but the last: what sees less than all knows that it is in a user namespace
	// (runc's and kubelet's test for it), and kubelet gives pods any of them.
	users := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: math.MaxUint32 - 1}}
	n.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UidMappings: users, GidMappings: users, GidMappingsEnableSetgroups: true, Pdeathsig: syscall.SIGKILL,
	}
	// The thread that starts it lives as long as the node: its death is the signal.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		started <- n.cmd.Start()
		_ = n.cmd.Wait()
	}()
	require.NoError(t, <-started)
	require.NoError(t, plug(i, n.cmd.Process.Pid))
	require.NoError(t, connected.Close())
	return n
}

// in returns a command on a node. It is in all its namespaces.
func (n *node) in(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", fmt.Sprint(n.cmd.Process.Pid), "--all", "--", name}, args...)...)
}

// enterNode is a node's first process: user 0 in the node's namespaces.
func enterNode() error {
	var m machine
	if err := settings(&m); err != nil {
		return err
	}
	if err := join(len(m.Hierarchies)); err != nil {
		return err
	}
	// Of control groups the node sees those below its own.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return err
	}
	if err := errors.Join(unix.Sethostname([]byte(nodeName(m.Index))), mountNode(m)); err != nil {
		return err
	}
	if _, err := os.Stdin.Read(make([]byte, 1)); err == nil { // until it is connected
		return errors.New("something is on standard input")
	}
	if err := joinNetwork(m.Index); err != nil {
		return err
	}
	if err := errors.Join(os.Setenv(role, asInit), os.Setenv("PATH", m.Path+":"+os.Getenv("PATH"))); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args[:1], os.Environ())
}

// mountNode makes the node's files: this machine's, but for what a node writes to.
func mountNode(m machine) (err error) {
	mount := func(kind, target, options string) {
		if e := unix.Mount(kind, target, kind, unix.MS_NOSUID|unix.MS_NODEV, options); e != nil {
			err = errors.Join(err, fmt.Errorf("mount %s: %w", target, e))
		}
	}
	mount("proc", "/proc", "")
	mount("sysfs", "/sys", "")
	mount("tmpfs", "/sys/fs/cgroup", "mode=755")
	for _, hierarchy := range m.Hierarchies {
		options := hierarchy
		if hierarchy == "systemd" {
			options = "none,name=systemd"
		}
		mount("cgroup", mkdir("/sys/fs/cgroup/"+hierarchy), options)
	}
	mount("tmpfs", "/run", "mode=755")
	mount("tmpfs", "/var/lib", "mode=755")
	mount("tmpfs", "/var/log", "mode=755")
	mount("overlay", "/etc", "userxattr,lowerdir=/etc,upperdir="+mkdir("/run/etc/upper")+",workdir="+mkdir("/run/etc/work"))
	mount("binfmt_misc", "/proc/sys/fs/binfmt_misc", "")
	return errors.Join(err, unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""))
}

// nodeInit is the node's first process from then on: it starts what a node has, and waits
// for all processes that nobody else waits for.
func nodeInit() error {
	var m machine
	if err := settings(&m); err != nil {
		return err
	}
	if err := m.configure(); err != nil {
		return err
	}
	essential := map[int]string{}
	start := func(name string, words ...string) error {
		log, err := os.OpenFile(filepath.Join(m.Dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer log.Close()
		path, err := exec.LookPath(words[0])
		if err != nil {
			return err
		}
		env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, role+"=") })
		process, err := os.StartProcess(path, words, &os.ProcAttr{Env: env, Files: []*os.File{nil, log, log}})
		if err == nil {
			essential[process.Pid] = name
		}
		return err
	}
	if err := start("containerd", "containerd", "--config", m.containerd()); err != nil {
		return err
	}
	for began := time.Now(); !isFile(socket); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			return errors.New("containerd does not listen")
		}
	}
	if err := start("kubelet", m.Kubelet, "--config", m.kubelet(), "--kubeconfig", m.Kubeconfig, "--hostname-override", nodeName(m.Index), "--node-ip", nodeAddress(m.Index)); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if name := essential[pid]; name != "" {
			return fmt.Errorf("%s ended: %v", name, status)
		} else if err != nil && err != unix.EINTR {
			return err
		}
	}
}
