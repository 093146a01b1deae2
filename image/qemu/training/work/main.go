// Work is the longest of the training guests: what tests and tools in Go spend
// their time with. It prints one line, the same on all architectures.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

type record struct {
	ID     int               `json:"id"`
	Name   string            `json:"name"`
	Tags   []string          `json:"tags"`
	Values map[string]string `json:"values"`
	Ratio  float64           `json:"ratio"`
}

// numbers are pseudo-random: Marsaglia's xorshift.
type numbers uint32

func (n *numbers) next() int {
	*n ^= *n << 13
	*n ^= *n >> 17
	*n ^= *n << 5
	return int(*n >> 1)
}

func records(n int) []record {
	seed := numbers(2463534242)
	list := make([]record, n)
	for i := range list {
		r := record{ID: i, Name: fmt.Sprintf("node-%05d.zone%d", seed.next()%100000, i%7), Values: make(map[string]string)}
		for j := range 4 {
			r.Tags = append(r.Tags, strings.Repeat(string(rune('a'+seed.next()%26)), 1+j))
			r.Values[fmt.Sprint("key", j)] = fmt.Sprintf("%08x", seed.next())
		}
		r.Ratio = math.Trunc(math.Sqrt(float64(seed.next()%10000))*100) / 4
		list[i] = r
	}
	return list
}

// summary has workers take records from a channel, and counts their names.
func summary(list []record) map[string]int {
	named := regexp.MustCompile(`^node-(\d+)[0-9]\.(zone\d)$`)
	work, counts := make(chan record), make(chan map[string]int)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			count := make(map[string]int)
			for r := range work {
				if m := named.FindStringSubmatch(r.Name); m != nil {
					count[m[2]]++
				}
			}
			counts <- count
		})
	}
	go func() {
		for _, r := range list {
			work <- r
		}
		close(work)
		group.Wait()
		close(counts)
	}()
	total := make(map[string]int)
	for count := range counts {
		for name, n := range count {
			total[name] += n
		}
	}
	return total
}

func run() (string, error) {
	list := records(400)
	text, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	r, err := gzip.NewReader(&packed)
	if err != nil {
		return "", err
	}
	unpacked, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	var back []record
	if err := json.Unmarshal(unpacked, &back); err != nil {
		return "", err
	}
	slices.SortFunc(back, func(a, b record) int { return strings.Compare(a.Name, b.Name) })
	counts := summary(back)
	line := fmt.Sprintf("%x", sha256.Sum256(unpacked))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		line += fmt.Sprintf(" %s=%d", name, counts[name])
	}
	return line + " " + back[0].Name, nil
}

func main() {
	line, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(line)
}
