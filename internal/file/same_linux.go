package file

import (
	"bytes"
	"io"
	"os"
)

// chunk is how many bytes of each file are compared at once.
const chunk = 64 << 10

// Same reports whether an open file has the same content as the one at
// path. Where they are one and the same nothing is read.
func Same(f *os.File, path string) (bool, error) {
	other, err := OpenRegular(path)
	if err != nil {
		return false, err
	}
	defer other.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	otherInfo, err := other.Stat()
	if err != nil {
		return false, err
	}
	if os.SameFile(info, otherInfo) {
		return true, nil
	}
	if info.Size() != otherInfo.Size() {
		return false, nil
	}
	a, b := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); at < info.Size(); at += chunk {
		n, err := f.ReadAt(a, at)
		if err != nil && err != io.EOF {
			return false, err
		}
		m, err := other.ReadAt(b, at)
		if err != nil && err != io.EOF {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
	}
	return true, nil
}
