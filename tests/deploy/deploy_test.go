// Package deploy is for tests of deploy/kubernetes: that its manifests are rendered, by
// kustomize and by Helm as libraries, and that Kubernetes' own types take them.
package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/projectcalico/go-build/tests/deploy/render"
)

const manifests = "../../deploy/kubernetes"

// A rendered has each object's text, by its kind.
type rendered map[string]string

func (r rendered) add(t *testing.T, text string) {
	t.Helper()
	var kind struct{ Kind string }
	require.NoError(t, yaml.Unmarshal([]byte(text), &kind))
	require.NotContains(t, r, kind.Kind)
	r[kind.Kind] = text
}

// object reads an object as Kubernetes' type, which has to know each field.
func object[T any](t *testing.T, text string) T {
	t.Helper()
	var o T
	require.NotEmpty(t, text)
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &o), text)
	return o
}

// kustomized is what kustomize makes of the base with components.
func kustomized(t *testing.T, components ...string) rendered {
	t.Helper()
	root, err := filepath.Abs(manifests)
	require.NoError(t, err)
	fs := filesys.MakeFsOnDisk()
	dir, err := os.MkdirTemp(root, ".test-") // kustomize takes paths below one directory
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../base]\ncomponents:\n"
	for _, component := range components {
		text += "- ../components/" + component + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, dir)
	require.NoError(t, err)
	objects := rendered{}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		require.NoError(t, err)
		objects.add(t, string(text))
	}
	return objects
}

// templated is what Helm makes of the chart with values.
func templated(t *testing.T, name, values string) (rendered, error) {
	t.Helper()
	texts, err := render.Chart(filepath.Join(manifests, "chart"), name, values)
	if err != nil {
		return nil, err
	}
	objects := rendered{}
	for _, text := range texts {
		objects.add(t, text)
	}
	return objects, nil
}

func mustTemplate(t *testing.T, name, values string) rendered {
	t.Helper()
	objects, err := templated(t, name, values)
	require.NoError(t, err)
	return objects
}

// One of both ways is as good as the other.
func TestKustomizeAndHelmMakeTheSame(t *testing.T) {
	for name, test := range map[string]struct {
		components []string
		values     string
	}{
		"as it is": {},
		"all":      {[]string{"mount", "node-feature-discovery", "pod-monitor"}, "mount: {enabled: true}\nnodeFeatureDiscovery: {enabled: true}\npodMonitor: {enabled: true}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			by, as := kustomized(t, test.components...), mustTemplate(t, "register", test.values)
			assert.Equal(t, object[appsv1.DaemonSet](t, by["DaemonSet"]), object[appsv1.DaemonSet](t, as["DaemonSet"]))
			assert.Equal(t, object[networkingv1.NetworkPolicy](t, by["NetworkPolicy"]), object[networkingv1.NetworkPolicy](t, as["NetworkPolicy"]))
			assert.Equal(t, len(by), len(as))
		})
	}
}

func TestThePodHasTheLeastPrivilege(t *testing.T) {
	spec := object[appsv1.DaemonSet](t, kustomized(t)["DaemonSet"]).Spec.Template.Spec
	assert.False(t, spec.HostPID || spec.HostIPC || spec.HostNetwork)
	assert.False(t, *spec.AutomountServiceAccountToken)
	assert.Empty(t, spec.InitContainers)
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, spec.SecurityContext.SeccompProfile.Type)
	require.Len(t, spec.Containers, 1)
	c := spec.Containers[0]
	assert.Nil(t, c.SecurityContext.Privileged)
	assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
	assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
	assert.Equal(t, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, c.SecurityContext.Capabilities)
	require.Len(t, spec.Volumes, 1)
	assert.Equal(t, "/proc/sys/fs/binfmt_misc", spec.Volumes[0].HostPath.Path)

	// Where the host has not mounted it, an init container has more, and nobody else.
	spec = object[appsv1.DaemonSet](t, kustomized(t, "mount")["DaemonSet"]).Spec.Template.Spec
	assert.True(t, spec.HostPID)
	require.Len(t, spec.InitContainers, 1)
	assert.True(t, *spec.InitContainers[0].SecurityContext.Privileged)
	assert.Equal(t, c.SecurityContext, spec.Containers[0].SecurityContext)
}

func TestValuesAreWhatTheCommandIsGiven(t *testing.T) {
	objects := mustTemplate(t, "emulators", `
image: {repository: registry.example.com/register, digest: "sha256:`+strings.Repeat("0", 64)+`", pullPolicy: Always}
architectures: [linux/arm64, s390x]
yield: [rosetta, /opt/*]
checkEvery: 1m30s
uninstallOnExit: true
port: 8080
networkPolicy: {enabled: false}
seLinuxOptions: {type: spc_t}
nodeFeatureDiscovery: {enabled: true}
`)
	assert.Len(t, objects, 1)
	d := object[appsv1.DaemonSet](t, objects["DaemonSet"])
	c := d.Spec.Template.Spec.Containers[0]
	assert.Equal(t, "emulators", d.Name)
	assert.Equal(t, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels)
	assert.Equal(t, "registry.example.com/register@sha256:"+strings.Repeat("0", 64), c.Image)
	assert.Equal(t, []string{"--watch", "--output=json", "--mount=/binfmt_misc", "--listen=*:8080", "--yield=rosetta,/opt/*", "--check-every=1m30s", "--uninstall-on-exit", "--features-file=/features.d/emulators", "linux/arm64", "s390x"}, c.Args)
	assert.Equal(t, int32(8080), c.Ports[0].ContainerPort)
	assert.Equal(t, "spc_t", d.Spec.Template.Spec.SecurityContext.SELinuxOptions.Type)
}

func TestWrongValuesAreRefused(t *testing.T) {
	for _, values := range []string{"architecture: [arm64]", "port: no", "checkEvery: often", "checkEvery: 0s", "checkEvery: 0.0h0m", "checkEvery: 0.5s", "checkEvery: 0.01m", "checkEvery: 0h0.0001h", "yield: ['[a']", "yield: ['a\"b']", "image: {digest: latest}", "yield: []"} {
		_, err := templated(t, "register", values)
		assert.Error(t, err, values)
	}
	for _, values := range []string{"checkEvery: 0.5h", "checkEvery: 0h30m", "checkEvery: 10s", "checkEvery: 1h0m0s", "checkEvery: 1s", "checkEvery: 0.1m", "checkEvery: 0.01h", "checkEvery: 1.5s", "checkEvery: 0.5s1m"} {
		_, err := templated(t, "register", values)
		assert.NoError(t, err, values)
	}
}

// Names of entries and interpreters may have anything in them.
func TestAPatternIsOneArgument(t *testing.T) {
	for _, pattern := range []string{"a: b", "a #b", "a 'b'", "{a}", "*"} {
		objects := mustTemplate(t, "register", "yield: [x, \""+pattern+"\"]\n")
		args := object[appsv1.DaemonSet](t, objects["DaemonSet"]).Spec.Template.Spec.Containers[0].Args
		assert.Equal(t, "--yield=x,"+pattern, args[len(args)-1])
	}
}

// Two releases in one namespace: no object has the other's name, and no selector takes the other's
// pods, also of the release that is named as the manifests for kustomize are.
func TestReleasesAreKeptApart(t *testing.T) {
	type monitor struct {
		Spec struct {
			Selector struct{ MatchLabels map[string]string }
		}
	}
	values := "nodeFeatureDiscovery: {enabled: true}\npodMonitor: {enabled: true}\n"
	one, another := mustTemplate(t, "register", values), mustTemplate(t, "emulators", values)
	for _, pair := range [][2]rendered{{one, another}, {another, one}} {
		pods := labels.Set(object[appsv1.DaemonSet](t, pair[1]["DaemonSet"]).Spec.Template.Labels)
		d := object[appsv1.DaemonSet](t, pair[0]["DaemonSet"])
		var m monitor
		require.NoError(t, yaml.Unmarshal([]byte(pair[0]["PodMonitor"]), &m))
		for what, selector := range map[string]map[string]string{
			"DaemonSet":     d.Spec.Selector.MatchLabels,
			"NetworkPolicy": object[networkingv1.NetworkPolicy](t, pair[0]["NetworkPolicy"]).Spec.PodSelector.MatchLabels,
			"PodMonitor":    m.Spec.Selector.MatchLabels,
		} {
			assert.True(t, labels.SelectorFromSet(selector).Matches(labels.Set(d.Spec.Template.Labels)), what)
			assert.False(t, labels.SelectorFromSet(selector).Matches(pods), "%s of %s takes another release's pods", what, d.Name)
		}
		for kind, text := range pair[0] {
			assert.NotEqual(t, nameOf(t, text), nameOf(t, pair[1][kind]), kind)
		}
	}
	features := func(r rendered) string {
		args := object[appsv1.DaemonSet](t, r["DaemonSet"]).Spec.Template.Spec.Containers[0].Args
		return args[len(args)-1]
	}
	assert.NotEqual(t, features(one), features(another), "of a node they write one file each")
}

func nameOf(t *testing.T, text string) string {
	t.Helper()
	var o metav1.PartialObjectMetadata
	require.NoError(t, yaml.Unmarshal([]byte(text), &o))
	return o.Name
}

// A name that is wrong would fail in each node's pod, where the init container says it to few.
func TestUnknownArchitecturesAreRefused(t *testing.T) {
	for values, name := range map[string]string{
		"architectures: [amr64]":                             "amr64",
		"architectures: [arm64, linux/amr64]":                "linux/amr64",
		"architectures: ['arm64,bogus']":                     "bogus",
		"architectures: ['arm64,']":                          "",
		"architectures: [all, arm64]":                        "all",
		"architectures: [s390x, '']\nmount: {enabled: true}": "",
	} {
		_, err := templated(t, "register", values)
		if assert.Error(t, err, values) && name != "" {
			assert.ErrorContains(t, err, `values: architectures: unknown architecture "`+name+`"`, values)
		}
	}
	names := []string{"arm64", "linux/arm64/v8", "linux/arm/v7", "AArch64", "armhf", "ppc64el", "armv7l", "qemu-s390x-static", "aarch64-unknown-linux-gnu", "riscv64,loong64"}
	objects := mustTemplate(t, "register", "mount: {enabled: true}\narchitectures: ['"+strings.Join(names, "', '")+"']\n")
	spec := object[appsv1.DaemonSet](t, objects["DaemonSet"]).Spec.Template.Spec
	assert.Equal(t, append([]string{"--no-probe"}, names...), spec.InitContainers[0].Args)
	assert.Equal(t, names, spec.Containers[0].Args[4:])
	objects = mustTemplate(t, "register", "architectures: [all]")
	assert.Equal(t, []string{"all"}, object[appsv1.DaemonSet](t, objects["DaemonSet"]).Spec.Template.Spec.Containers[0].Args[4:])
}

// Of what is wrong on a node only, kubectl get and describe say what the container said last.
func TestWhyAContainerFailedIsInThePodsStatus(t *testing.T) {
	for _, spec := range []corev1.PodSpec{
		object[appsv1.DaemonSet](t, kustomized(t, "mount")["DaemonSet"]).Spec.Template.Spec,
		object[appsv1.DaemonSet](t, mustTemplate(t, "register", "mount: {enabled: true}")["DaemonSet"]).Spec.Template.Spec,
	} {
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			assert.Equal(t, corev1.TerminationMessageFallbackToLogsOnError, c.TerminationMessagePolicy, c.Name)
		}
	}
}

// What the command is given are flags that it has.
func TestFlagsAreTheCommands(t *testing.T) {
	help, err := os.ReadFile("../../cmd/register/testdata/help.txt")
	require.NoError(t, err)
	objects := mustTemplate(t, "register", "mount: {enabled: true}\nnodeFeatureDiscovery: {enabled: true}\nyield: [a]\ncheckEvery: 1m\nuninstallOnExit: true\n")
	spec := object[appsv1.DaemonSet](t, objects["DaemonSet"]).Spec.Template.Spec
	pods := []corev1.PodSpec{spec}
	for _, path := range []string{"foreign-pod.yaml", "sidecar.yaml"} {
		text, err := os.ReadFile(filepath.Join(manifests, "examples", path))
		require.NoError(t, err)
		pods = append(pods, object[corev1.Pod](t, string(text)).Spec)
	}
	seen := 0
	for _, pod := range pods {
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			for _, arg := range c.Args {
				if name, _, _ := strings.Cut(arg, "="); strings.HasPrefix(name, "--") {
					assert.Contains(t, string(help), name+" ")
					seen++
				}
			}
		}
	}
	assert.Greater(t, seen, 10)
}
