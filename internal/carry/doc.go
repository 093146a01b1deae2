// Package carry is about emulators that a command carries inside: an archive
// of them, which is linked into commands that are built with the tag carry
// (make dist), and what it takes to execute one of them: a copy in the user's
// cache, or in memory.
//
// Without the tag nothing is carried, and nothing that unpacks is linked.
package carry
