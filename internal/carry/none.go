//go:build !carry

package carry

// Embedded returns the archive that this command carries, or nil.
func Embedded() *Archive { return nil }
