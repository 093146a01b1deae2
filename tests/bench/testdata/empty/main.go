// Empty does nothing: what it takes is what Go's run time takes to start.
package main

func main() {}
