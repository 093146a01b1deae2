package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/projectcalico/go-build/binfmt/private"
)

// role is the environment variable that says what this program is in the cluster; empty:
// who prepares it.
const role = "TEST_FLEET_ROLE"

// setting is the environment variable with a role's settings, as JSON.
const setting = "TEST_FLEET_SETTING"

const (
	asTest = "test" // in the cluster's namespaces, beside the control plane
	asNode = "node" // a node's first process, before it has a cgroup namespace
	asInit = "init" // that process, after
	asLoop = "loop" // executes a foreign program on a node again and again
	asHeal = "heal" // undoes a node's entries again and again
)

func TestMain(m *testing.M) {
	private.Main()
	if os.Getenv("TEST_FLEET") == "" {
		os.Exit(m.Run()) // each test says why it is skipped
	}
	var err error
	switch os.Getenv(role) {
	case "":
		err = prepare()
	case asTest:
		os.Exit(m.Run())
	case asNode:
		err = enterNode()
	case asInit:
		err = nodeInit()
	case asLoop:
		err = loop()
	case asHeal:
		err = heal()
	}
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// as has a command be this program in a role.
func as(name string, settings any, cmd *exec.Cmd) *exec.Cmd {
	text, err := json.Marshal(settings)
	if err != nil {
		panic(err) // they are ours
	}
	cmd.Env = append(os.Environ(), role+"="+name, setting+"="+string(text))
	return cmd
}

// settings reads a role's settings.
func settings(into any) error { return json.Unmarshal([]byte(os.Getenv(setting)), into) }

// prepare makes what the cluster is made of, and runs the tests in namespaces that end
// with them.
func prepare() error {
	p, err := prepareFiles(context.Background())
	if p.Dir != "" {
		defer os.RemoveAll(p.Dir)
	}
	if err != nil {
		return err
	}
	groups, err := makeGroups(nodes)
	defer groups.remove()
	if err != nil {
		return err
	}
	p.Groups = groups
	cmd := as(asTest, p, exec.Command("/proc/self/exe", os.Args[1:]...))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	return cmd.Run()
}
