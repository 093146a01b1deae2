// Package jsonfile keeps values in files.
package jsonfile

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/projectcalico/go-build/internal/file"
)

// Read reads a value from a file.
func Read(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Write writes a value to a file, whole or not at all.
func Write(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return file.ReplaceWith(path, 0o644, append(data, '\n'))
}
