// One side of a mutual TLS handshake with Go's own library: `client ADDRESS WANTED` or `server ADDRESS`,
// in a folder with chain.pem, key.pem and root.pem.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	return value
}

// One answer on each connection: net/http serves no protocol of ALPN that it does not know.
func serve(connection *tls.Conn) {
	defer connection.Close()
	if _, err := http.ReadRequest(bufio.NewReader(connection)); err != nil {
		return
	}
	body := fmt.Sprint("caller ", connection.ConnectionState().PeerCertificates[0].URIs[0])
	fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func main() {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile("root.pem")))
	pair := must(tls.LoadX509KeyPair("chain.pem", "key.pem"))
	address := os.Args[2]
	if os.Args[1] == "server" {
		config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: roots,
			ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"istio", "http/1.1"}}
		listener := must(tls.Listen("tcp", address, config))
		for {
			go serve(must(listener.Accept()).(*tls.Conn))
		}
	}
	verify := func(state tls.ConnectionState) error {
		inner := x509.NewCertPool()
		for _, one := range state.PeerCertificates[1:] {
			inner.AddCert(one)
		}
		options := x509.VerifyOptions{Roots: roots, Intermediates: inner}
		if _, err := state.PeerCertificates[0].Verify(options); err != nil {
			return err
		}
		if found := state.PeerCertificates[0].URIs[0].String(); found != os.Args[3] {
			return fmt.Errorf("the server is %s", found)
		}
		return nil
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, VerifyConnection: verify,
		NextProtos: []string{"istio-http/1.1", "http/1.1"}}
	connection := must(tls.Dial("tcp", address, config))
	fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	fmt.Println(string(must(io.ReadAll(connection))))
}
