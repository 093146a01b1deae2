package fleet

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long anything may take where others have the machine.
const patience = 90 * time.Second

// startEtcd starts etcd, which is ready when it answers.
func (f *fleet) startEtcd(t *testing.T) {
	t.Helper()
	f.start(t, "etcd", f.program(t, "server"), "--data-dir", f.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=default=http://127.0.0.1:2380")
	f.untilAnswers(t, "http://127.0.0.1:2379/health")
}

// startServer starts the API server. It asks for kubelets' client certificates, and for
// RBAC and the node authorizer, as clusters do.
func (f *fleet) startServer(t *testing.T) {
	t.Helper()
	ca := f.authority
	ca.server(t, "server", controlAddress, "127.0.0.1", "10.96.0.1")
	ca.client(t, "server-to-kubelet", "kube-apiserver", "system:masters")
	ca.server(t, "accounts")
	f.start(t, "kube-apiserver", f.program(t, "kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address="+controlAddress, "--bind-address=0.0.0.0", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--client-ca-file="+ca.path("ca.crt"),
		"--tls-cert-file="+ca.path("server.crt"), "--tls-private-key-file="+ca.path("server.key"),
		"--kubelet-client-certificate="+ca.path("server-to-kubelet.crt"), "--kubelet-client-key="+ca.path("server-to-kubelet.key"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+ca.path("accounts.crt"), "--service-account-signing-key-file="+ca.path("accounts.key"))
	f.untilAnswers(t, "https://127.0.0.1:6443/readyz")
}

// startControllers starts the controller manager and the scheduler.
func (f *fleet) startControllers(t *testing.T) {
	t.Helper()
	ca := f.authority
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		ca.client(t, name, "system:"+name, "system:"+name)
		args := []string{"--kubeconfig=" + ca.kubeconfig(t, name), "--leader-elect=false"}
		if name == "kube-controller-manager" {
			args = append(args, "--use-service-account-credentials", "--service-account-private-key-file="+ca.path("accounts.key"), "--root-ca-file="+ca.path("ca.crt"))
		}
		f.start(t, name, f.program(t, name), args...)
	}
}

// program returns the path of one of the parts' programs.
func (f *fleet) program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range f.Programs {
		if path := filepath.Join(dir, name); isFile(path) {
			return path
		}
	}
	require.Fail(t, "no "+name)
	return ""
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// start starts a program of the control plane's, which ends with the cluster. What it
// says is in NAME.log.
func (f *fleet) start(t *testing.T, name, program string, args ...string) {
	t.Helper()
	log, err := os.Create(f.path(name + ".log"))
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	go func() {
		if err := cmd.Wait(); err != nil && !f.ended.Load() {
			t.Errorf("%s: %v", name, err)
		}
	}()
	t.Cleanup(func() { f.ended.Store(true); _ = cmd.Process.Kill() })
}

// untilAnswers waits until a server answers that all is well.
func (f *fleet) untilAnswers(t *testing.T, url string) {
	t.Helper()
	certificate, _ := tls.LoadX509KeyPair(f.authority.path("admin.crt"), f.authority.path("admin.key"))
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}, // it is on the loopback interface
	}}}
	var said string
	ok := assert.Eventually(t, func() bool {
		response, err := client.Get(url)
		if err != nil {
			said = err.Error()
			return false
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		said = string(text)
		return response.StatusCode == http.StatusOK
	}, patience, 200*time.Millisecond, url)
	require.True(t, ok, said)
}
