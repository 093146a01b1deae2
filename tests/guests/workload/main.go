// Workload does what Go programs do: JSON, compression, digests, regular
// expressions, sorting, maps, formatting, garbage, and goroutines.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

type record struct {
	ID     int               `json:"id"`
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Values []float64         `json:"values"`
}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(w io.Writer) error {
	records := make([]record, 2500)
	for i := range records {
		records[i] = record{
			ID:     i,
			Name:   fmt.Sprintf("record-%04x", i*7919%65521),
			Labels: map[string]string{"app": fmt.Sprint("a", i%17), "tier": fmt.Sprint("t", i%5)},
			Values: []float64{float64(i) / 3, float64(i*i) / 7},
		}
	}
	text, err := json.Marshal(records)
	if err != nil {
		return err
	}
	var back []record
	if err := json.Unmarshal(text, &back); err != nil {
		return err
	}
	slices.SortFunc(back, func(a, b record) int { return strings.Compare(a.Name, b.Name) })

	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	r, err := gzip.NewReader(&compressed)
	if err != nil {
		return err
	}
	again, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(bytes.Repeat(again, 4))
	matches := len(regexp.MustCompile(`"record-([0-9a-f]+)7"`).FindAll(again, -1))

	counts := make(map[string]int)
	for i := range 400000 {
		counts[fmt.Sprint("key", i%3001)] += i
	}

	jobs, sums := make(chan int, 32), make(chan int, 4)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			sum := 0
			for job := range jobs {
				sum += job % 97
			}
			sums <- sum
		})
	}
	for i := range 100000 {
		jobs <- i
	}
	close(jobs)
	group.Wait()
	total := 0
	for range 4 {
		total += <-sums
	}
	_, err = fmt.Fprintf(w, "%x %08x %d %d %d %s\n", digest[:6], crc32.ChecksumIEEE(again), matches, len(counts), total, back[7].Name)
	return err
}
