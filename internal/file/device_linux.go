package file

import "golang.org/x/sys/unix"

// Device returns the number of a path's file system, 0 if that cannot be found out.
func Device(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return uint64(st.Dev) // 32 bits wide on some architectures
}
