// Template prints what the chart of deploy/kubernetes makes of the values that it reads,
// for tests/fleet, as helm template does.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/projectcalico/go-build/tests/deploy/render"
)

func main() {
	name := flag.String("name", "register", "the release's `name`")
	flag.Parse()
	values, err := io.ReadAll(os.Stdin)
	if err == nil {
		var objects []string
		if objects, err = render.Chart("../../deploy/kubernetes/chart", *name, string(values)); err == nil {
			fmt.Println(strings.Join(objects, "\n---\n"))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "template:", err)
		os.Exit(1)
	}
}
