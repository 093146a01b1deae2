// Package tests has below it what is shown with whole programs on a real kernel:
// the two commands as they are built (commands), real emulators, and programs of
// every architecture that there is a compiler for. Packages whose TestMain is
// commands.Main work in a private binfmt_misc, as root and as an ordinary user;
// the machine's own is compared before and after.
//
// Its own tests hold the documents against the commands.
package tests
