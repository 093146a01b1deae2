// Package file opens, compares and locks files, makes programs in memory, and
// executes open files.
package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"
	"os"
	"strings"
)

// chunk is how many bytes of each file are compared at once.
const chunk = 64 << 10

// Same reports whether an open file has the same content as the one at
// path. Where they are one and the same nothing is read.
func Same(f *os.File, path string) (bool, error) {
	other, err := os.Open(path)
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

// Digest returns the digest of a file's content, as the OCI image specification
// writes it: "sha256:" and 64 hexadecimal digits.
func Digest(f *os.File) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(f, 0, math.MaxInt64)); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

// SHA256 returns the digest of the file at path: 64 hexadecimal digits.
func SHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	digest, err := Digest(f)
	return strings.TrimPrefix(digest, "sha256:"), err
}
