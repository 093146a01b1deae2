package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// socket is where containerd listens.
const socket = "/run/containerd/containerd.sock"

func (m machine) containerd() string { return filepath.Join(m.Dir, "containerd.toml") }
func (m machine) kubelet() string    { return filepath.Join(m.Dir, "kubelet.yaml") }

// configure writes the configurations of what a node has.
func (m machine) configure() error {
	hosts := filepath.Join(m.Dir, "hosts")
	network := mkdir("/run/fleet/network") // this machine has others in /etc/cni
	return errors.Join(
		os.WriteFile(filepath.Join(mkdir(filepath.Join(hosts, registryAddress)), "hosts.toml"), fmt.Appendf(nil, registryHosts, registryAddress), 0o644),
		os.WriteFile(m.containerd(), fmt.Appendf(nil, containerdConfiguration, socket, hosts, registryAddress, m.CNI, network), 0o644),
		os.WriteFile(filepath.Join(network, "fleet.conflist"), fmt.Appendf(nil, networkConfiguration, pods(m.Index)), 0o644),
		os.WriteFile(m.kubelet(), fmt.Appendf(nil, kubeletConfiguration, socket, m.Authority), 0o644),
	)
}

const registryHosts = `server = "http://%[1]s"
[host."http://%[1]s"]
  capabilities = ["pull", "resolve"]
`

// In a user namespace nobody gives a process a lower oom_score_adj.
const containerdConfiguration = `version = 3
[grpc]
  address = "%s"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "%s"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "%s/pause:latest"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["%s"]
    conf_dir = "%s"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
`

const networkConfiguration = `{"cniVersion": "1.0.0", "name": "fleet", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}
}]}
`

// Version 1 of control groups is refused since Kubernetes 1.35 unless one says otherwise.
const kubeletConfiguration = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://%s
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: %s}}
authorization: {mode: AlwaysAllow}
featureGates: {KubeletInUserNamespace: true}
failSwapOn: false
localStorageCapacityIsolation: false
evictionHard: {memory.available: 50Mi}
imageGCHighThresholdPercent: 100
resolvConf: ""
volumePluginDir: /var/lib/kubelet/plugins-of-volumes
clusterDNS: [10.96.0.10]
syncFrequency: 10s
`
