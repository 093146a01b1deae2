// Package crossenv says what a build needs to be told so that it builds for
// another architecture and runs its tests there with crossrun: environment
// variables for Go, C, pkg-config, Cargo and CMake, a CMake toolchain file, a
// Meson cross file, and the links that the go command looks for.
//
// Compilers and directories are named as Debian has them.
package crossenv
