// False is a program that does nothing and fails.
package main

import "os"

func main() { os.Exit(1) }
