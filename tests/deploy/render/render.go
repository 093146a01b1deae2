// Package render renders the chart of deploy/kubernetes with Helm's library.
package render

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// Chart returns the objects that the chart in a directory makes as a release of a name in
// kube-system, with values.
func Chart(dir, name, values string) ([]string, error) {
	chart, err := loader.Load(dir)
	if err != nil {
		return nil, err
	}
	set, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: name, Namespace: "kube-system", IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, set, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var objects []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(path) == ".yaml" && strings.TrimSpace(files[path]) != "" {
			objects = append(objects, files[path])
		}
	}
	return objects, nil
}
