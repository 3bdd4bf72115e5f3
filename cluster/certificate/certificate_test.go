package certificate

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

func authority(t *testing.T) *Authority {
	t.Helper()
	c, k, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	a, err := Parse(c, k)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func configs(t *testing.T, a *Authority, name string) (server, client *tls.Config) {
	t.Helper()
	server, client, err := a.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// shake makes a connection and gives the server's and the client's error.
func shake(t *testing.T, server, client *tls.Config) (error, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	y, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	x, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	deadline := time.Now().Add(5 * time.Second)
	x.SetDeadline(deadline)
	y.SetDeadline(deadline)
	served := make(chan error, 1)
	s, c := tls.Server(x, server), tls.Client(y, client)
	go func() {
		_, err := s.Read(make([]byte, 1))
		if err != nil {
			x.Close()
		}
		served <- err
	}()
	if _, err = c.Write([]byte{1}); err != nil {
		y.Close()
	}
	return <-served, err
}

func TestNodesOfOneAuthorityTrustEachOther(t *testing.T) {
	a := authority(t)
	server, _ := configs(t, a, "one")
	_, client := configs(t, a, "two")
	if s, c := shake(t, server, client); s != nil || c != nil {
		t.Errorf("server %v, client %v", s, c)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	a, other := authority(t), authority(t)
	server, client := configs(t, a, "one")
	strangeServer, strangeClient := configs(t, other, "two")
	nobody := client.Clone()
	nobody.GetClientCertificate = nil
	believing := strangeClient.Clone()
	believing.RootCAs = client.RootCAs
	for name, pair := range map[string][2]*tls.Config{
		"a client without a certificate": {server, nobody},
		"a client of another authority":  {server, believing},
		"a server of another authority":  {strangeServer, client},
	} {
		if s, c := shake(t, pair[0], pair[1]); s == nil {
			t.Errorf("%s was let in (client: %v)", name, c)
		}
	}
}

func TestKeyMustBelongToTheCertificate(t *testing.T) {
	c, _, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	_, k, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(c, k); err == nil {
		t.Error("a foreign key was taken")
	}
}
