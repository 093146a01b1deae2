// Hello is the shortest of the training guests: what it costs is the start of
// Go's run time, which starts threads, and its end.
package main

import "os"

func main() { os.Stdout.WriteString("hello\n") }
