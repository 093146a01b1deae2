//go:build watch

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/binfmt/keep"
)

func TestAddressesAreLoopbackUnlessGiven(t *testing.T) {
	for s, want := range map[string]string{"9100": "127.0.0.1:9100", ":9100": "127.0.0.1:9100", "0.0.0.0:9100": "0.0.0.0:9100", "[::]:1": "[::]:1", "*:9100": ":9100", "10.0.0.7:9100": "10.0.0.7:9100"} {
		got, err := listenAddress(s)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, s := range []string{"host", "99999999", ""} {
		_, err := listenAddress(s)
		assert.ErrorContains(t, err, "--listen "+s)
	}
}

func TestWhatIsServed(t *testing.T) {
	r := &keep.Report{Made: time.Now()}
	s := newServer(func() *keep.Report { return r })
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	status, text := get("/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "nothing was tried yet\n", text)
	status, _ = get("/healthz")
	assert.Equal(t, http.StatusOK, status)

	held := &install.Held{Path: "/usr/bin/qemu-aarch64", Version: "10.2.2", Digest: "sha256:0"}
	arm64, s390x := lookup(t, "arm64"), lookup(t, "s390x")
	r = &keep.Report{Made: time.Now(), Archs: []keep.Status{
		{Arch: arm64, Runs: true, Tried: time.Unix(1000, 0), Took: 3 * time.Millisecond, Entry: "qemu-aarch64", Holds: held, Foreign: 2},
		{Arch: s390x, Err: errors.New("no emulator")},
	}}
	status, text = get("/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "linux/s390x: no emulator\n", text)
	s.Event(keep.Event{Kind: keep.Tried})
	s.Event(keep.Event{Kind: keep.Tried}) // nothing was run again since
	s.Event(keep.Event{Kind: keep.Healed, Arch: arm64, Cause: keep.Removed, Took: time.Millisecond})
	s.Event(keep.Event{Kind: keep.HandedOver, Arch: arm64})
	status, text = get("/metrics")
	assert.Equal(t, http.StatusOK, status)
	for _, line := range []string{
		"register_ready 0", "register_blocked 0",
		`register_architecture_runs{architecture="linux/arm64"} 1`, `register_architecture_runs{architecture="linux/s390x"} 0`,
		`register_foreign_entries{architecture="linux/arm64"} 2`,
		`register_emulator_info{architecture="linux/arm64",digest="sha256:0",entry="qemu-aarch64",path="/usr/bin/qemu-aarch64",version="10.2.2"} 1`,
		`register_probe_duration_seconds_count{architecture="linux/arm64"} 1`,
		`register_probe_timestamp_seconds{architecture="linux/arm64"} 1000`,
		`register_heals_total{architecture="linux/arm64",cause="removed"} 1`,
		"register_heal_duration_seconds_sum 0.001",
		`register_events_total{event="handed_over"} 1`,
	} {
		assert.Contains(t, text, "\n"+line+"\n")
	}

	r.Archs[0].Entry = "other\xff" // names of entries are any bytes
	status, text = get("/metrics")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, `entry="other�"`)

	r = &keep.Report{Made: time.Now().Add(-time.Hour)}
	status, text = get("/healthz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, text, "it hangs: nothing was done for 1h0m0s")
	status, _ = get("/other")
	assert.Equal(t, http.StatusNotFound, status)
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	report := func() *keep.Report { return &keep.Report{} }
	first, err := serve("127.0.0.1:0", report, func(err error) { t.Error(err) })
	require.NoError(t, err)
	first.Close()
	_, err = serve("192.0.2.1:1", report, nil) // nobody's (RFC 5737)
	assert.ErrorContains(t, err, "--listen 192.0.2.1:1: ")
}
