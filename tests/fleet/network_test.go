package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// The cluster's network is a bridge in its namespace. The control plane and the registry
// are at its own address.
const (
	bridge          = "fleet0"
	controlAddress  = "10.99.0.1"
	registryAddress = controlAddress + ":5000"
)

func nodeAddress(i int) string { return fmt.Sprintf("10.99.0.%d", 11+i) }

// pods are a node's pods' addresses.
func pods(i int) string { return fmt.Sprintf("10.244.%d.0/24", i) }

func ip(words string) error {
	cmd := exec.Command("ip", strings.Fields(words)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return nil
}

func ips(lines ...string) (err error) {
	for _, line := range lines {
		err = errors.Join(err, ip(line))
	}
	return err
}

// makeBridge makes the cluster's network.
func makeBridge() error {
	return ips("link set lo up", "link add "+bridge+" type bridge", "addr add "+controlAddress+"/24 dev "+bridge, "link set "+bridge+" up")
}

// plug connects a node's network namespace, which is its first process's.
func plug(i, pid int) error {
	outside := "to-" + nodeName(i)
	return ips("link add "+outside+" type veth peer name eth0 netns "+strconv.Itoa(pid), "link set "+outside+" master "+bridge, "link set "+outside+" up",
		"route replace "+pods(i)+" via "+nodeAddress(i))
}

// joinNetwork is a node's side of plug.
func joinNetwork(i int) error {
	err := ips("link set lo up", "addr add "+nodeAddress(i)+"/24 dev eth0", "link set eth0 up", "route add default via "+controlAddress)
	for other := range nodes {
		if other != i {
			err = errors.Join(err, ip("route add "+pods(other)+" via "+nodeAddress(other)))
		}
	}
	return errors.Join(err, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
}
