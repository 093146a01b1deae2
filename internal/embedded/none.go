//go:build !embedded

package embedded

// Emulators returns the archive that is in this command, or nil.
func Emulators() *Archive { return nil }
