//go:build watch

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/projectcalico/go-build/binfmt/keep"
	"github.com/projectcalico/go-build/internal/cli"
)

// alive is how old what a keeper knows may be. It runs programs meanwhile, each of which
// has seconds.
const alive = 2 * time.Minute

// A server serves /healthz, /readyz and /metrics.
type server struct {
	report func() *keep.Report
	http   *http.Server

	heals   *prometheus.CounterVec
	events  *prometheus.CounterVec
	healing prometheus.Histogram
	probes  *prometheus.HistogramVec

	mu    sync.Mutex
	tried map[string]time.Time // of which probes are counted already
}

// listenAddress returns where to listen: on the loopback interface, unless an
// address is given, or *, for all.
func listenAddress(s string) (string, error) {
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		s = ":" + s
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("--listen %s: %w", s, err)
	}
	if host == "*" {
		return ":" + port, nil
	}
	return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port), nil
}

// canServe says what is wrong with an address.
func canServe(address string) error {
	_, err := listenAddress(address)
	return err
}

// serve serves what report returns until it is closed.
func serve(address string, report func() *keep.Report, failed func(error)) (monitor, error) {
	address, err := listenAddress(address)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, cli.WithHint(fmt.Errorf("--listen %s: %w", address, err), "another --watch on this host may have it; 127.0.0.1:0 takes any that is free")
	}
	s := newServer(report)
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}()
	return s, nil
}

func newServer(report func() *keep.Report) *server {
	latency := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	s := &server{
		report:  report,
		tried:   make(map[string]time.Time),
		heals:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "register_heals_total", Help: "Entries that somebody undid and that were registered again."}, []string{"architecture", "cause"}),
		events:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "register_events_total", Help: "What the watcher did or saw."}, []string{"event"}),
		healing: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "register_heal_duration_seconds", Help: "From notice to the entry that was registered again.", Buckets: latency}),
		probes:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "register_probe_duration_seconds", Help: "How long a program of the architecture ran.", Buckets: latency}, []string{"architecture"}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s, s.heals, s.events, s.healing, s.probes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	return s
}

// Close ends what is served.
func (s *server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.http.Shutdown(ctx)
}

// Event counts.
func (s *server) Event(e keep.Event) {
	s.events.WithLabelValues(strings.ReplaceAll(string(e.Kind), " ", "_")).Inc()
	switch e.Kind {
	case keep.Healed:
		s.heals.WithLabelValues(e.Arch.Platform(), string(e.Cause)).Inc()
		s.healing.Observe(e.Took.Seconds())
	case keep.Tried:
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, a := range s.report().Archs {
			if platform := a.Arch.Platform(); a.Runs && a.Tried.After(s.tried[platform]) {
				s.tried[platform] = a.Tried
				s.probes.WithLabelValues(platform).Observe(a.Took.Seconds())
			}
		}
	}
}

// healthz says whether the watcher does its work: what it may wait for has an end.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	if age := time.Since(s.report().Made); age > alive {
		http.Error(w, fmt.Sprintf("it hangs: nothing was done for %v", age.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// readyz says whether a program of each architecture that is wanted ran.
func (s *server) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := s.report().Ready(); len(why) > 0 {
		http.Error(w, strings.Join(why, "\n"), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

var (
	readyDesc   = prometheus.NewDesc("register_ready", "Whether a program of each architecture that is wanted ran, and nothing was undone since.", nil, nil)
	blockedDesc = prometheus.NewDesc("register_blocked", "Whether somebody disabled all of binfmt_misc.", nil, nil)
	pollsDesc   = prometheus.NewDesc("register_polls", "Whether changes are looked for once in a second, as there is no inotify to be had.", nil, nil)
	runsDesc    = prometheus.NewDesc("register_architecture_runs", "Whether programs of the architecture run.", []string{"architecture"}, nil)
	triedDesc   = prometheus.NewDesc("register_probe_timestamp_seconds", "When a program of the architecture was last run.", []string{"architecture"}, nil)
	foreignDesc = prometheus.NewDesc("register_foreign_entries", "Entries of other owners for the architecture's programs.", []string{"architecture"}, nil)
	yieldedDesc = prometheus.NewDesc("register_architecture_yielded", "Whether another owner's entry runs the architecture's programs.", []string{"architecture"}, nil)
	infoDesc    = prometheus.NewDesc("register_emulator_info", "The emulator that runs the architecture's programs.", []string{"architecture", "entry", "path", "version", "digest"}, nil)
)

// Describe implements prometheus.Collector.
func (s *server) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readyDesc, blockedDesc, pollsDesc, runsDesc, triedDesc, foreignDesc, yieldedDesc, infoDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *server) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		for i, label := range labels { // names of entries and files are any bytes
			labels[i] = strings.ToValidUTF8(label, "\uFFFD")
		}
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	r := s.report()
	gauge(readyDesc, number(len(r.Ready()) == 0))
	gauge(blockedDesc, number(r.Blocked))
	gauge(pollsDesc, number(r.Polls))
	for _, a := range r.Archs {
		platform := a.Arch.Platform()
		gauge(runsDesc, number(a.Runs || a.Native), platform)
		gauge(foreignDesc, float64(a.Foreign), platform)
		gauge(yieldedDesc, number(a.Other != ""), platform)
		if !a.Tried.IsZero() {
			gauge(triedDesc, float64(a.Tried.UnixMilli())/1000, platform)
		}
		if a.Holds != nil {
			gauge(infoDesc, 1, platform, a.Entry, a.Holds.Path, a.Holds.Version, a.Holds.Digest)
		}
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
