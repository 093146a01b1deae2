package main

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/internal/cli"
)

// What is put onto a host is below hostDir, which distributions with a read-only /usr can
// write to, and which SELinux's policies let be executed (/opt/…/bin is bin_t).
const (
	hostDir      = "opt/register"
	hostBin      = hostDir + "/bin"
	hostManifest = hostDir + "/manifest.json"
	hostCommand  = "/" + hostBin + "/register"
)

// An initSystem is what starts services on a host.
type initSystem string

const (
	systemd initSystem = "systemd"
	openRC  initSystem = "OpenRC"
)

// A hostFile is a file, or a symbolic link, that is put onto a host.
type hostFile struct {
	Path   string `json:"path"`             // without the slash before it
	Target string `json:"target,omitempty"` // of a symbolic link
	SHA256 string `json:"sha256,omitempty"` // of a file's content

	mode   uint32
	source string // file that is copied, or
	text   string // what it has
}

// A hostPlan is all that is put onto a host.
type hostPlan struct {
	Version string     `json:"version"` // of register
	Init    initSystem `json:"init"`
	Files   []hostFile `json:"files"`
	Earlier []hostFile `json:"earlier,omitempty"` // what may be at their paths until all are put there
	start   []string   // commands that start it at once
}

// planHost returns what is put onto a host: the command, emulators by the paths that they
// have here, and what has the host start it at boot with the arguments, and those that only
// --watch has.
func planHost(init initSystem, command, version string, emulators map[string]string, args, watching []string) hostPlan {
	p := hostPlan{Version: version, Init: init}
	for _, arch := range slices.Sorted(maps.Keys(emulators)) {
		p.Files = append(p.Files, hostFile{Path: path.Join(hostBin, "qemu-"+arch+"-static"), source: emulators[arch], mode: 0o755})
	}
	p.Files = append(p.Files, hostFile{Path: hostBin + "/register", source: command, mode: 0o755})
	args = append([]string{"--watch"}, args...)
	switch init {
	case systemd:
		const unit = "etc/systemd/system/register-watch.service"
		p.Files = append(p.Files,
			hostFile{Path: unit, text: systemdUnit(slices.Concat(args[:1], watching, args[1:])), mode: 0o644},
			hostFile{Path: "etc/systemd/system/multi-user.target.wants/register-watch.service", Target: "../register-watch.service"})
		p.start = []string{"systemctl daemon-reload", "systemctl restart register-watch.service"}
	case openRC:
		p.Files = append(p.Files,
			hostFile{Path: "etc/init.d/register-watch", text: openRCScript(args, watching...), mode: 0o755},
			hostFile{Path: "etc/runlevels/default/register-watch", Target: "/etc/init.d/register-watch"})
		p.start = []string{"rc-service register-watch restart"}
	}
	return p
}

// systemdUnit returns the service's unit (systemd.service(5)). It has no mount namespace of
// its own, in which binfmt_misc would be mounted for nobody else. Ordinary users who log in,
// and containers that are started at boot, find programs running; they do not wait for ever. That it is in process 1's mount
// namespace, it can see with ptrace access only.
func systemdUnit(args []string) string {
	return `[Unit]
Description=Emulators for programs of other architectures
Documentation=https://github.com/projectcalico/go-build
After=systemd-binfmt.service proc-sys-fs-binfmt_misc.mount
Wants=proc-sys-fs-binfmt_misc.mount
Before=systemd-user-sessions.service docker.service containerd.service crio.service kubelet.service k3s.service podman-restart.service buildkit.service k3s-agent.service rke2-server.service rke2-agent.service k0scontroller.service k0sworker.service snap.docker.dockerd.service snap.microk8s.daemon-kubelite.service
RequiresMountsFor=/` + hostDir + `

[Service]
Type=notify
ExecStart=` + hostCommand + " " + unitWords(args) + `
ExecReload=/bin/kill -HUP $MAINPID
TimeoutStartSec=1min
Restart=always
RestartSec=1
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_MODULE CAP_SYS_PTRACE

[Install]
WantedBy=multi-user.target
`
}

// openRCScript returns the service's script (openrc-run(8)). supervise-daemon does not wait
// until a service is ready, as logins do for the runlevel: programs run before it begins. It
// needs no localmount, which Debian's and Devuan's OpenRC call mountall. The first argument is
// --watch; others, that go with that only, may follow.
func openRCScript(args []string, watching ...string) string {
	// OpenRC evaluates it once more.
	inQuotes := strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "$", "\\$", "`", "\\`")
	return `#!/sbin/openrc-run
# Emulators for programs of other architectures.
description="Emulators for programs of other architectures"
command="` + hostCommand + `"
command_args="` + inQuotes.Replace(cli.QuoteAll(slices.Concat(args[:1], watching, args[1:]))) + `"
supervisor="supervise-daemon"
respawn_delay=1

depend() {
	after localmount mountall procfs binfmt
	before docker containerd crio buildkitd kubelet k3s k3s-agent
}

start_pre() {
	timeout 60 ` + cli.QuoteAll(append([]string{hostCommand}, args[1:]...)) + ` >/dev/null || ewarn "programs of some architectures do not run"
	return 0
}
`
}

// A hostChange is what is to be done with one file of a host.
type hostChange struct {
	hostFile
	action string // install, keep, remove, leave
	reason string
}

// Actions of changes.
const (
	hostInstall = "install"
	hostKeep    = "keep"
	hostRemove  = "remove"
	hostLeave   = "leave"
)

// planHostChanges returns what leads from the files that were installed before to those
// that are wanted, given what is there now: what else is at a path is somebody else's. Of a
// path there may be several before, if an installation was interrupted. A file that was
// changed since it was installed is left, unless it is to be replaced.
func planHostChanges(want, before, there []hostFile, force bool) ([]hostChange, error) {
	var changes []hostChange
	for _, f := range want {
		now, known := named(there, f.Path), named(before, f.Path)
		switch {
		case now != nil && now.same(f) && now.mode == f.mode:
			changes = append(changes, hostChange{f, hostKeep, "is there already"})
		case now != nil && known == nil && !force:
			return nil, fmt.Errorf("/%s is there, and was not put there by register", f.Path)
		default:
			changes = append(changes, hostChange{f, hostInstall, ""})
		}
	}
	seen := make(map[string]bool)
	for _, f := range slices.Backward(before) {
		now := named(there, f.Path)
		again := seen[f.Path]
		seen[f.Path] = true
		switch {
		case again || named(want, f.Path) != nil || now == nil:
		case slices.ContainsFunc(before, func(g hostFile) bool { return g.Path == f.Path && now.same(g) }):
			changes = append(changes, hostChange{f, hostRemove, ""})
		default:
			changes = append(changes, hostChange{f, hostLeave, "was changed since it was installed"})
		}
	}
	return changes, nil
}

func named(files []hostFile, path string) *hostFile {
	if i := slices.IndexFunc(files, func(f hostFile) bool { return f.Path == path }); i >= 0 {
		return &files[i]
	}
	return nil
}

// same reports whether two files have the same content.
func (f hostFile) same(g hostFile) bool { return f.Target == g.Target && f.SHA256 == g.SHA256 }

// told is the change as it is told.
func (c hostChange) told() fileChange {
	return fileChange{Path: "/" + c.Path, Action: c.action, Reason: c.reason}
}

// String is the line of the report.
func (c hostChange) String() string {
	done := map[string]string{hostInstall: "installed", hostKeep: "kept", hostRemove: "removed", hostLeave: "left"}
	line := cmp.Or(done[c.action], c.action) + " /" + c.Path
	if c.reason != "" {
		line += ": " + c.reason
	}
	return line
}
