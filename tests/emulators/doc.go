// Package emulators shows that emulators do what stock ones do: QEMU's own test
// programs, Go's tests of its standard library, compilers and interpreters, and
// making a whole system, under both, with the same results; and that ours do what
// Linux does where stock ones do not. TEST_EMULATORS names
// the directory of those to prove, TEST_STOCK the directories of stock ones.
package emulators
