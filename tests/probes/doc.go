// Package probes shows what emulators do that Linux does not, and the other way round: a battery of small C and
// Go programs (testdata, golang), of which each asks for one thing that programs rely on. They run natively, under
// stock emulators and under those to judge, each in a process and a directory of its own, as an ordinary user, and
// as users start them: by an entry in a private instance of binfmt_misc. What is right natively and wrong under
// the emulators to judge is a failure unless testdata/known has it with the reason. docs/probes.md is written from
// the counts.
//
// TEST_EMULATORS names the directory of the emulators to judge, TEST_STOCK those of stock ones. TEST_VIA
// is an emulator that runs all of these, which are for another host then (qemu-aarch64: those of arm64 hosts).
// TEST_PROBES_ONLY are families, with commas.
package probes
