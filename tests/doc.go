// Package tests holds what is shown with whole programs on a real kernel: the
// two commands as they are built, real emulators, and programs of every
// architecture that there is a compiler for. Everything happens in a private
// binfmt_misc, as root and as an ordinary user; the machine's own is compared
// before and after.
package tests
