// Looker says who it is, where it is, and what the paths are that its arguments
// name.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(os.Getuid(), os.Getgid(), dir, os.Getenv("HOME"), os.Getenv("PATH"))
	for _, path := range os.Args[1:] {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			fmt.Println(err)
		case info.IsDir():
			entries, err := os.ReadDir(path)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			fmt.Println(strings.TrimSpace(path + ": " + strings.Join(names, " ") + errorText(err)))
		case info.Mode()&os.ModeDevice != 0:
			fmt.Println(path + ": device")
		default:
			fmt.Printf("%s: %d bytes\n", path, info.Size())
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
