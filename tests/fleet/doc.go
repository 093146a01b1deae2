// Package fleet installs deploy/kubernetes in a cluster of real parts on this machine:
// etcd, Kubernetes' control plane, and nodes with kubelet, containerd and runc. All are
// built from the module proxy, once for a version.
//
// The cluster is in namespaces of its own, and each node in a user namespace of its own
// with its own binfmt_misc (Linux 6.7): nodes are told apart as machines are, and nothing
// of this machine's is changed. Kubernetes' feature KubeletInUserNamespace makes it so.
package fleet
