// Package qemu builds QEMU's user-mode emulators from Debian's source, for
// speed: static, for a fixed address, by clang with whole-program optimisation
// that is guided by profiles of real programs.
//
// What is built is a value: Recipe, versions, patches and guests give the key
// that a finished emulator is kept under, and the arguments that it is
// configured with. Builder fetches, trains, builds and proves.
package qemu
