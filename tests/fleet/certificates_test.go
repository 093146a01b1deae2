package fleet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An authority issues the cluster's certificates, into files.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
	issued      int64
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{dir: dir}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	a.certificate = &x509.Certificate{Subject: pkix.Name{CommonName: "fleet"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, key := a.issue(t, "ca", a.certificate)
	var err error
	a.certificate, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.key = key
	return a
}

// client issues what a client is known by: its name, and its group.
func (a *authority) client(t *testing.T, file, name, group string) {
	t.Helper()
	a.issue(t, file, &x509.Certificate{
		Subject:  pkix.Name{CommonName: name, Organization: []string{group}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// server issues what a server is known by: its addresses.
func (a *authority) server(t *testing.T, file string, addresses ...string) {
	t.Helper()
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: file},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	a.issue(t, file, template)
}

// issue writes FILE.crt and FILE.key. Without a certificate of its own the authority
// issues that.
func (a *authority) issue(t *testing.T, file string, template *x509.Certificate) (der []byte, key crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a.issued++
	template.SerialNumber = big.NewInt(a.issued)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	by := a.key
	if by == nil {
		by = key
	}
	der, err = x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), by)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	a.write(t, file+".crt", "CERTIFICATE", der)
	a.write(t, file+".key", "PRIVATE KEY", private)
	return der, key
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// kubeconfig writes, for a client that was issued, how it finds the API server, and
// returns the file.
func (a *authority) kubeconfig(t *testing.T, client string) string {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: fleet, cluster: {server: "https://%s:6443", certificate-authority: %s}}]
users: [{name: user, user: {client-certificate: %s, client-key: %s}}]
contexts: [{name: fleet, context: {cluster: fleet, user: user}}]
current-context: fleet
`, controlAddress, a.path("ca.crt"), a.path(client+".crt"), a.path(client+".key"))
	file := a.path(client + ".kubeconfig")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}
