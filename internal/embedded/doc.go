// Package embedded is about emulators inside a command: an archive of them,
// which is linked into commands that are built with the tag embedded (make
// dist), and what it takes to execute one of them: a copy in the user's cache,
// or in memory.
//
// Without the tag there are none, and nothing that unpacks is linked.
package embedded
