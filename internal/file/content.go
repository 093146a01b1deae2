// Package file opens, compares and locks files, makes programs in memory, and
// executes open files.
package file

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"
	"os"
	"strings"
)

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
