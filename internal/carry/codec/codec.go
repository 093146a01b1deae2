// Package codec compresses emulators that a command carries, and unpacks them.
package codec

import (
	"github.com/klauspost/compress/zstd"
)

// Decoder returns a function that appends what was packed to dst. It is for one
// goroutine.
func Decoder() func(dst, src []byte) ([]byte, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return func([]byte, []byte) ([]byte, error) { return nil, err }
	}
	return func(dst, src []byte) ([]byte, error) { return d.DecodeAll(src, dst) }
}

// Encoder returns a function that packs, as small as it can. The same content is
// packed into the same bytes.
func Encoder() (func(src []byte) []byte, error) {
	// A checksum would be of what the archive has one of, too.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	return func(src []byte) []byte { return e.EncodeAll(src, nil) }, nil
}
