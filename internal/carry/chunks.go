package carry

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// errDiffers says that a file is not what it should be.
var errDiffers = errors.New("its content has changed")

// unpack writes the emulator to a file.
func (e *Emulator) unpack(to *os.File) error {
	starts := make([]int, len(e.chunks)+1)
	for i, c := range e.chunks {
		starts[i+1] = starts[i] + c.length
	}
	return inParallel(len(e.chunks), func() func(int) error {
		buffer := make([]byte, chunkSize)
		return func(i int) error {
			content := buffer[:e.length(i)]
			if err := e.decode(content, e.data[starts[i]:starts[i+1]]); err != nil {
				return fmt.Errorf("this command is damaged: cannot unpack the emulator for %s: %w", e.Arch, err)
			}
			_, err := to.WriteAt(content, int64(i)*chunkSize)
			return err
		}
	})
}

// Is returns nil if a file has the emulator's content, as far as its length and
// the checksums of its parts say. They tell damage from what was written; whoever
// can make a file of the same checksums can execute anything in its place, too.
func (e *Emulator) Is(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != e.Size {
		return errDiffers
	}
	return inParallel(len(e.chunks), func() func(int) error {
		buffer := make([]byte, 128<<10)
		return func(i int) error {
			sum := uint32(0)
			for at, left := int64(i)*chunkSize, e.length(i); left > 0; {
				n, err := f.ReadAt(buffer[:min(left, len(buffer))], at)
				if n == 0 {
					return errors.Join(errDiffers, err)
				}
				sum = crc32.Update(sum, castagnoli(), buffer[:n])
				at, left = at+int64(n), left-n
			}
			if sum != e.chunks[i].sum {
				return errDiffers
			}
			return nil
		}
	})
}

// length returns how long the emulator's part is that a chunk is of.
func (e *Emulator) length(i int) int {
	return int(min(chunkSize, e.Size-int64(i)*chunkSize))
}

// inParallel has each number from 0 to n-1 done by one of as many goroutines as
// may run at once, and returns the first error. A goroutine's function is made
// by worker.
func inParallel(n int, worker func() func(i int) error) error {
	var next atomic.Int64
	var once sync.Once
	var first error
	work := func() {
		do := worker()
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			if err := do(i); err != nil {
				once.Do(func() { first = err })
				next.Store(int64(n))
				return
			}
		}
	}
	var wait sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) - 1 {
		wait.Go(work)
	}
	work()
	wait.Wait()
	return first
}
