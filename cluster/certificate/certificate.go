// Package certificate makes what nodes know each other by: the cluster has an
// authority whose key every node can read, each node signs a certificate of its
// own when it starts, and connections are made between holders of such
// certificates only.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"time"
)

// serverName is in every node's certificate: nodes are known by their authority,
// and their addresses change with every start.
const serverName = "node.fluxbase.cluster"

const (
	authorityLife = 20 * 365 * 24 * time.Hour
	nodeLife      = 90 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
	// Clocks of nodes differ.
	backdate = 24 * time.Hour
)

// Authority signs the certificates of nodes.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes an authority and gives it in the form that Parse reads.
func NewAuthority() (certificate, private []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Fluxbase cluster"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	if template.SerialNumber, err = serial(); err != nil {
		return nil, nil, err
	}
	if certificate, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		return nil, nil, err
	}
	private, err = x509.MarshalPKCS8PrivateKey(key)
	return certificate, private, err
}

// Parse reads an authority.
func Parse(certificate, private []byte) (*Authority, error) {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(c.PublicKey) {
		return nil, errors.New("the key is not that of the certificate")
	}
	return &Authority{c, key}, nil
}

// Node gives the TLS settings of a node, one for its server and one for its
// clients. The certificate is signed anew before it ends.
func (a *Authority) Node(name string) (server, client *tls.Config, err error) {
	n := &node{authority: a, name: name}
	if _, err := n.current(); err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	server = &tls.Config{
		MinVersion: tls.VersionTLS13, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return n.current() },
	}
	client = &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: serverName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return n.current() },
	}
	return server, client, nil
}

// node is the certificate of this node.
type node struct {
	authority *Authority
	name      string

	mu   sync.Mutex
	held *tls.Certificate
}

func (n *node) current() (*tls.Certificate, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held != nil && time.Until(n.held.Leaf.NotAfter) > renewBefore {
		return n.held, nil
	}
	fresh, err := n.authority.issue(n.name)
	if err != nil {
		return nil, err
	}
	n.held = fresh
	return fresh, nil
}

func (a *Authority) issue(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(nodeLife),
		DNSNames:    []string{serverName},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if template.SerialNumber, err = serial(); err != nil {
		return nil, err
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(signed)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key, Leaf: leaf}, nil
}

func serial() (*big.Int, error) { return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) }
