package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"sync"
)

// errDiffers says that a file is not what it should be.
var errDiffers = errors.New("its content has changed")

// unpack writes the emulator to a file.
func (e *Emulator) unpack(to io.WriterAt) error {
	return e.each(func(c chunk, content []byte, offset int64) error {
		if err := e.decode(content, c.packed); err != nil {
			return fmt.Errorf("this command is damaged: cannot unpack the emulator for %s: %w", e.Arch, err)
		}
		_, err := to.WriteAt(content, offset)
		return err
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
	return e.each(func(c chunk, content []byte, offset int64) error {
		if _, err := f.ReadAt(content, offset); err == io.EOF {
			return errDiffers
		} else if err != nil {
			return err
		}
		if crc32.Checksum(content, castagnoli()) != c.sum {
			return errDiffers
		}
		return nil
	})
}

// each has each chunk done by one of as many goroutines as may run at once, with
// a buffer as long as what was packed, and where that is in the emulator.
func (e *Emulator) each(do func(c chunk, content []byte, offset int64) error) error {
	workers := min(len(e.chunks), runtime.GOMAXPROCS(0))
	errs := make([]error, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			buffer := make([]byte, chunkSize)
			for i := w; i < len(e.chunks) && errs[w] == nil; i += workers {
				offset := int64(i) * chunkSize
				errs[w] = do(e.chunks[i], buffer[:min(chunkSize, e.Size-offset)], offset)
			}
		})
	}
	wait.Wait()
	return cmp.Or(errs...)
}
