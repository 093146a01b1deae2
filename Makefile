# What one can do here. CI runs nothing else.

GO      ?= go
IMAGE   := $(GO) run ./image
BIN     := bin
ifneq ($(BIN),bin)
$(error BIN cannot be set: images and emulators are looked for in bin, and make clean removes it)
endif
HOSTS   := amd64 arm64 ppc64le s390x riscv64
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# For which architecture, by any of its names (default: this machine's), what the
# images' names begin with, and what they are made from.
ARCH       ?=
REPOSITORY ?= calico
BASE_IMAGE ?=
# Another branch of Calico's than that of image/versions.yaml: release-v3.32.
CALICO     ?=
FOR        := --file image/versions$(patsubst %,-%,$(filter-out master,$(CALICO))).yaml

# Which emulators are registered, and go into images and single files: debian,
# built (by emulators), or a directory. Those that were built are the default.
EMULATORS ?=

# Static, and the same bytes wherever they are built from the same source.
export CGO_ENABLED := 0
MODULE := github.com/projectcalico/go-build
LINKED := -s -w -X $(MODULE)/internal/cli.linked=$(VERSION)
# crossrun starts in internal/entry.
GOFLAGS_BUILD := -trimpath -buildvcs=false -ldflags '$(LINKED)' -ldflags '$(MODULE)/cmd/crossrun=$(LINKED) -E crossrun_start'

SCRIPTS := .ci/run ci/install.sh ci/setup image/base/install-tools image/entrypoint image/gobuild/check-versions image/install-packages image/packages/files/preremove tests/gobuild/install-tools tests/install-tools tests/kernels/install-tools

FUZZTIME ?= 30s
FUZZ     := elfmagic:FuzzIdentify elfmagic:FuzzMatch elfmagic:FuzzLookup binfmt:FuzzEntry binfmt:FuzzFlags binfmt:FuzzConf internal/cli:FuzzUnknownNames cmd/crossrun:FuzzSettings

ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Commands that make starts by itself, without a shell, it ends when it is ended.
define NEWLINE


endef

.DEFAULT_GOAL := help
# What a release is made of writes its checksums, one after the other.
.NOTPARALLEL:
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(MAKEFILE_LIST))

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 18

build: ## build register and crossrun for this machine, into bin/
	@$(GO) build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/...
	@ls $(BIN)/register $(BIN)/crossrun
cross: ## build both commands for every host architecture, as they are shipped, into dist/
	@$(IMAGE) commands --arch '$(HOSTS)'

register: build ## build, get emulators if there are none, register, show what runs (root)
	@$(IMAGE) register --emulators '$(EMULATORS)'

emulators: ## build QEMU's static emulators for hosts of ARCH, all or TARGETS="aarch64 s390x" (root, for clang; forty minutes for all)
	@$(IMAGE) emulators --install --arch '$(ARCH)' --update=$(if $(filter yes,$(UPDATE)),true,false) $(TARGETS)
debian-emulators: ## install Debian's static emulators, if there are none (root)
	@$(IMAGE) debian-emulators
plain-emulators: ## build emulators of the same source without our patches and optimisation, to compare with (a quarter of an hour)
	@$(IMAGE) emulators --install --plain $(TARGETS)

# Emulators to be judged beside stock ones: a directory of qemu-TARGET-static.
# STOCK are directories of those, with colons between them, or Debian's.
HOSTARCH = $(shell $(GO) env GOHOSTARCH)
PROVE ?= $(BIN)/emulators/$(HOSTARCH)
PLAIN := $(BIN)/emulators-plain
WITH_COMMANDS := ./tests/programs ./tests/translation ./tests/register ./tests/crossrun ./tests/single
VIA ?= $(firstword $(wildcard $(BIN)/emulators/$(HOSTARCH)/qemu-aarch64-static /usr/bin/qemu-aarch64-static /usr/bin/qemu-aarch64))
STOCK ?= $(if $(wildcard $(PLAIN)/$(HOSTARCH)/manifest.json),$(abspath $(PLAIN)/$(HOSTARCH)):/usr/bin)

test: test-tools ## install what the tests need, and run them all, with Linux's own binfmt_misc left as it is
	$(GO) vet ./...
	$(GO) test -count=1 ./...
	$(GO) test -count=1 -tags watch ./cmd/register
test-deploy: ## render deploy/kubernetes with kustomize and Helm, as libraries (the first time they are compiled: some minutes)
	cd tests/deploy && $(GO) test -count=1 ./...
test-fleet: ## install deploy/kubernetes in a cluster of three nodes, made of etcd, Kubernetes, containerd and runc (root; three minutes, the first time a quarter of an hour more on an idle core)
	TEST_FLEET=1 $(GO) test -count=1 -v -timeout 90m ./tests/fleet
test-kernels: base-tools ## try register on other kernels and hosts, in virtual machines (a few minutes)
	@tests/kernels/install-tools
	TEST_KERNELS=1 $(GO) test -count=1 -v -parallel 2 -timeout 80m ./tests/kernels
test-instances: test-tools ## watch a thousand private instances for an hour, while they are changed at random (root); write docs/nodes.md
	TEST_INSTANCES=1000 TEST_INSTANCES_FOR=1h $(GO) test -count=1 -v -timeout 2h -run Random ./tests/instances -update
test-rootfs: test-tools debian-emulators base-tools ## try crossrun with Debian systems of other architectures, as an ordinary user (root makes them; some minutes)
	TEST_ROOTFS=1 $(GO) test -count=1 -v -timeout 60m ./tests/rootfs
test-anywhere: test-tools base-tools ## try whole trees in each of crossrun's ways, on several kinds of hosts, with the emulators in PROVE, if any, and Debian's (root, Docker; an hour)
	@tests/kernels/install-tools
	TEST_ANYWHERE=1 TEST_EMULATORS='$(if $(wildcard $(PROVE)),$(abspath $(PROVE)))' $(GO) test -count=1 -v -timeout 3h ./tests/anywhere $(TESTFLAGS)
test-emulators: test-tools base-tools ## see that the emulators in PROVE do what those in STOCK do: QEMU's tests, Go's, programs, systems; and run our tests with them (an hour)
	TEST_EMULATORS='$(abspath $(PROVE))' TEST_STOCK='$(STOCK)' $(GO) test -count=1 -v -parallel 2 -timeout 12h ./tests/emulators ./tests/probes $(TESTFLAGS)
	TEST_EMULATORS='$(abspath $(PROVE))' $(GO) test -count=1 $(WITH_COMMANDS)
test-translations: test-tools ## see that the emulators in PROVE do the same when they keep translations: cold, warm, and comparing what they make with what is kept (hours)
	for mode in cold warm compared; do \
		TEST_TRANSLATIONS=$$mode TEST_EMULATORS='$(abspath $(PROVE))' $(GO) test -count=1 -v -parallel 2 -timeout 12h ./tests/emulators ./tests/probes $(TESTFLAGS) || exit 1; \
	done
test-foreign-emulators: PROVE = $(BIN)/emulators/arm64
test-foreign-emulators: test-tools ## see that the emulators in PROVE, which are for arm64 hosts, keep memory in order and pass the battery, under VIA, an emulator of this machine's (half an hour for each target)
	TEST_EMULATORS='$(abspath $(PROVE))' TEST_VIA='$(abspath $(VIA))' $(GO) test -count=1 -v -parallel 2 -timeout 12h -run 'Test(Order|Barriers|Probes)$$' ./tests/emulators ./tests/probes $(TESTFLAGS)
test-suites: test-tools ## run whole test suites of others' natively, and under the emulators in STOCK and PROVE: Go's, CPython's (hours; TEST_SUITES_ONLY=net,os for some)
	TEST_SUITES=1 TEST_EMULATORS='$(abspath $(PROVE))' TEST_STOCK='$(STOCK)' $(GO) test -count=1 -v -parallel 2 -timeout 48h -run 'Suite' ./tests/emulators $(TESTFLAGS)
test-toolchains: test-tools base-tools ## have Cargo, Bazel, GoReleaser and ko run what they build, as docs/toolchains.md says, and a runner the action; hold examples of libraries against Podman and BuildKit (root; five minutes, the first time ten more)
	TEST_TOOLCHAINS=1 $(GO) test -count=1 -v -timeout 40m -run '^Test(GoReleaser|AnImageOfKo|ARunner|DebiansTools|PodmansOwn|BuildKitsAnswers)' ./tests/documents ./tests/library
test-buildkit: debian-emulators base-tools ## build images for four platforms in rootless BuildKit, with nothing registered (root, uidmap, runc; some minutes)
	TEST_BUILDKIT=1 $(GO) test -count=1 -v -timeout 60m ./tests/buildkit
test-images: base-tools ## try the images to register from, in containers, with this machine's kernel (root, Docker; some minutes)
	TEST_IMAGES=1 $(GO) test -count=1 -v -timeout 60m ./tests/images
test-image: image image-test-tools ## build the go-build image for ARCH and try all that is in it, in containers (Docker; the first time half an hour)
	TEST_IMAGE=$(REPOSITORY)/go-build:$$($(IMAGE) versions latest $(FOR) --arch '$(ARCH)') $(GO) test -count=1 -v -timeout 60m ./tests/gobuild
test-image-core: base-image image-test-tools ## build the core of the go-build image for ARCH and try it: a few minutes (root, Docker)
	@$(IMAGE) build --core --arch '$(ARCH)' --emulators '$(EMULATORS)' --repository $(REPOSITORY)
	TEST_IMAGE=$(REPOSITORY)/go-build:$$($(IMAGE) versions core --arch '$(ARCH)') $(GO) test -count=1 -v -timeout 20m ./tests/gobuild

test-tools: debian-emulators ## install the compilers and tools that the tests need and that are missing (root)
	@tests/install-tools
base-tools:
	@image/base/install-tools
image-test-tools:
	@tests/gobuild/install-tools

register-image: ## build the images to register from, for ARCH (Docker; default: this machine's): qemu-user-static, binfmt
	@$(IMAGE) register-images --arch '$(ARCH)' --emulators '$(EMULATORS)' --repository $(REPOSITORY)
image: build ## build the go-build image for ARCH, from BASE_IMAGE (Docker; root registers a foreign ARCH)
	@$(IMAGE) build --register $(FOR) --arch '$(ARCH)' --emulators '$(EMULATORS)' --base '$(BASE_IMAGE)' --repository $(REPOSITORY)
image-all: ARCH := all
image-all: $(if $(filter yes,$(BASE)),base-image) image ## build the go-build images for all architectures (Docker; an hour or two, the first time)
base-image: build ## make a base image for ARCH from Debian's packages, for machines without a registry (root, Docker)
	@$(IMAGE) base --install --register --arch '$(ARCH)' --emulators '$(EMULATORS)' --repository $(REPOSITORY)

push: ## push the go-build image for ARCH to REGISTRY (Docker, and its credentials)
	@$(IMAGE) push $(FOR) --arch '$(ARCH)' --registry '$(REGISTRY)' --repository $(REPOSITORY)
push-register: ## push the images to register from, and one for each emulator, for every host to REGISTRY, and join them (no Docker)
	@$(IMAGE) register-images --arch '$(HOSTS)' --emulators '$(EMULATORS)' --load=false --push --guests all --repository '$(REGISTRY)/$(REPOSITORY)'
manifest: ## join the images for ARCHS (default: all) that REGISTRY has into one image for all (no Docker)
	@$(IMAGE) manifest $(FOR) --arch '$(ARCHS)' --registry '$(REGISTRY)' --repository $(REPOSITORY)
tag: ## print the go-build image's tag for ARCH
	@$(IMAGE) versions tag $(FOR) --arch '$(ARCH)'
updates: ## print what there are newer versions of than those in image/versions.yaml, as a pull request's text
	@$(IMAGE) updates
branch-name: ## print the name of the branch for the versions in image/versions.yaml
	@$(IMAGE) versions branch-name

DIST_HOSTS ?= amd64 arm64
dist: ## build both commands with the emulators inside, single files for DIST_HOSTS (amd64 arm64), into dist/
	@$(IMAGE) single-files --arch '$(DIST_HOSTS)' --emulators '$(EMULATORS)' $(ARCHIVES)

packages: ## make deb, rpm and apk packages of both commands for DIST_HOSTS, into dist/; MAINTAINER is said to look after them
	@$(IMAGE) packages --arch '$(DIST_HOSTS)' $(if $(MAINTAINER),--maintainer '$(MAINTAINER)')
release: DIST_HOSTS = $(HOSTS)
release: ARCHIVES = --archives
release: installer sources dist images packages ## make all that is released, for every host, into dist/: single files, images, packages, sources, notes, checksums, provenance
	@$(IMAGE) notes >dist/NOTES.md
	@$(IMAGE) provenance --arch '$(DIST_HOSTS)' --emulators '$(EMULATORS)' $(if $(BUILDER),--builder '$(BUILDER)') $(if $(INVOCATION),--invocation '$(INVOCATION)')
images: ## write the images to register from, for each of DIST_HOSTS an archive for docker load, into dist/ (no Docker)
	$(foreach arch,$(DIST_HOSTS),@$(IMAGE) register-images --arch $(arch) --emulators '$(EMULATORS)' --repository $(REPOSITORY) \
		--load=false --dir dist/work/images --tarball dist/register-images-linux-$(arch).tar$(NEWLINE))
installer:
	@mkdir -p dist && cp ci/install.sh dist/
sources: ## collect the source of the emulators for DIST_HOSTS into dist/ (devscripts; PARTIAL=yes: even if some of it is unavailable)
	@$(IMAGE) sources --arch '$(DIST_HOSTS)' --emulators '$(EMULATORS)' $(if $(filter yes,$(PARTIAL)),--partial)
test-packages: base-tools ## make this machine's packages twice, compare, lint, install, upgrade and remove them, in fresh systems, too (root, lintian, rpm; some minutes)
	@$(IMAGE) packages --dir dist/packages
	@$(IMAGE) packages --dir dist/packages-again
	TEST_PACKAGES='$(abspath dist/packages):$(abspath dist/packages-again)' $(GO) test -count=1 -v ./image/packages
# Two clones, of which one is of somebody whose settings, time zone and language are others
# and who has compiled nothing yet; the sources of trixie's emulators are on its mirrors.
TWICE := dist/work/twice
test-release: EMULATORS := $(or $(EMULATORS),debian:trixie)
test-release: ## make a release of the last commit twice, compare all bytes, try it (root, dpkg-dev; half an hour)
	@rm -rf $(TWICE)
	@git clone --quiet . $(TWICE)/one
	@git clone --quiet . $(TWICE)/another/directory
	@$(MAKE) -C $(TWICE)/one release EMULATORS='$(EMULATORS)'
	@cd $(TWICE)/another/directory && umask 077 && mkdir ../home && \
		env HOME='$(abspath $(TWICE))/another/home' XDG_CACHE_HOME='$(abspath $(TWICE))/another/cache' GOCACHE='$(abspath $(TWICE))/another/gocache' \
		GOMODCACHE="$$($(GO) env GOMODCACHE)" GOFLAGS='-tags=other -gcflags=-N' GOAMD64=v2 TZ=Asia/Kathmandu LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 GZIP=-1 \
		$(MAKE) release EMULATORS='$(EMULATORS)'
	TEST_RELEASE='$(abspath $(TWICE)/one/dist):$(abspath $(TWICE)/another/directory/dist)' $(GO) test -count=1 -v ./image/release
	@rm -rf $(TWICE)

bench: DIST_HOSTS :=
bench: build dist ## time parsing, register and crossrun, side by side with the tools that people know
	$(GO) test -run '^$$' -bench . -benchmem ./elfmagic ./binfmt
	$(GO) run ./tests/bench
	@[ ! -e $(PROVE)/manifest.json ] || $(GO) run ./tests/emulatorbench -emulators built=$(PROVE) $(BENCHFLAGS)
bench-watch: test-tools ## time how long programs fail until register --watch heals, what it writes and uses; write docs/nodes.md (root; a quarter of an hour)
	TEST_WATCH_ROUNDS=40 TEST_WATCH_FOR=1m $(GO) test -count=1 -v -timeout 30m -run 'TestALoopOf|DoNotFightWithOthers' ./tests/register -update
	TEST_WATCH_REST=330s $(GO) test -count=1 -v -timeout 30m -run AtRest ./tests/instances -update
bench-emulators: test-tools ## time the emulators in PROVE beside Debian's (BENCHFLAGS="-targets aarch64,s390x"), write docs/emulators.*
	$(GO) run ./tests/emulatorbench -emulators built=$(PROVE) -starts -json dist/emulators.json -markdown docs/emulators.md $(BENCHFLAGS)
	cd tests/emulatorbench/plot && $(GO) run . -in '$(CURDIR)/dist/emulators.json' -out '$(CURDIR)/docs/emulators.svg'

fuzz: ## fuzz each parser for FUZZTIME (default 30s)
	@set -e; for f in $(FUZZ); do $(GO) test ./$${f%%:*} -run '^$$' -fuzz "^$${f##*:}\$$" -fuzztime $(FUZZTIME); done
lint: ## gofmt, go vet, staticcheck, govulncheck, actionlint; shellcheck if it is there
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted, run gofmt -w: $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags watch ./cmd/register
	for os in darwin freebsd windows; do GOOS=$$os $(GO) vet ./elfmagic ./binfmt/... || exit 1; done
	cd tests/emulatorbench/plot && $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	@GOBIN='$(abspath $(BIN))' $(GO) install $(GOVULNCHECK)
	@$(BIN)/govulncheck ./...; case $$? in 0) ;; 3) exit 1 ;; *) echo "govulncheck: the vulnerability database is unreachable: not checked" ;; esac
	@$(GO) mod tidy -diff
	$(GO) run $(ACTIONLINT)
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else echo "shellcheck is not installed: scripts not checked"; fi
clean: ## remove what was built
	rm -rf $(BIN) dist
