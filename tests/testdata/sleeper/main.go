// Sleeper is a program that does not end by itself.
package main

import "time"

func main() {
	for {
		time.Sleep(time.Hour)
	}
}
