# make help says what there is. Everything is in scripts/; this only names it.

# Go may be where its own installer puts it; mosquitto and kmod are in sbin.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

# A camera for make run, such as /dev/video0; without one, a clip is the camera.
CAMERA :=

.DEFAULT_GOAL := help
.PHONY: help run test test-cameras deb test-deb test-trixie accuracy mutants soak soak-consent soak-races soak-delivery soak-ledger build man fmt clean

help:
	@echo 'make run                       install what is missing, build, and show what it does, on a clip'
	@echo 'make run CAMERA=/dev/video0    the same with a camera'
	@echo 'make test                      install what the tests need and run everything'
	@echo 'make test-cameras              of that the virtual machine with the cameras: every fault of one, done to the daemon'
	@echo 'make deb                       build/deb/doorbelld_VERSION_ARCH.deb for amd64, arm64 and armhf (once it makes an OpenCV for each, for ten minutes)'
	@echo 'make test-deb                  the packages: what is in them, arm64 and armhf under qemu, the same bytes twice, and installed in a virtual machine (half an hour)'
	@echo 'make test-trixie               on Debian 12: build and test in a tree of Debian 13, and install the package there (it makes the tree, as root; half an hour)'
	@echo 'make accuracy                  measure what is seen and what that costs, and write docs/accuracy.md (minutes)'
	@echo 'make build                     build/doorbelld and build/doorbelld-eye, nothing installed'
	@echo 'make man                       manual pages and shell completions, in build/man and build/completion'
	@echo 'make mutants                   take out what keeps each promise; its test must fail'
	@echo 'make soak                      100,000 frames in which nothing happens: memory must stay flat'
	@echo 'make soak-consent              100,000,000 decisions compared with the rules in plain words (10 minutes)'
	@echo 'make soak-races                100,000 races of revoke, pause and replace against what is sent, with the race detector (4 minutes)'
	@echo 'make soak-delivery             an hour of faults between daemon and broker, one every 20 seconds: nothing is lost'
	@echo 'make soak-ledger               every bit, every cut, every fault of the disk, a thousand kills (an hour)'
	@echo 'make fmt                       format the Go code'
	@echo 'make clean                     remove build/ (what was fetched stays in ~/.cache/doorbelld)'

run:
	@scripts/run.sh $(if $(CAMERA),-camera '$(CAMERA)')

test:
	@scripts/install.sh test
	@scripts/clip.sh
	@mkdir -p build
	@go build -o build/check ./scripts/check
	@build/check

test-cameras:
	@scripts/install.sh test
	@go test -count=1 -v -tags vm -run Cameras -timeout 30m ./scripts/vm

deb:
	@scripts/install.sh deb
	@scripts/package/deb.sh

test-deb: deb
	@scripts/install.sh test
	@scripts/clip.sh
	@DOORBELLD_TEST_DEB=yes go test -count=1 -v -tags deb -timeout 60m ./scripts/package
	@DOORBELLD_TEST_DEB=yes go test -count=1 -v -tags vm -run Service -timeout 75m ./scripts/vm

test-trixie:
	@scripts/install.sh test
	@scripts/install.sh deb
	@scripts/install.sh trixie
	@scripts/clip.sh
	@scripts/package/opencv.sh amd64 >/dev/null
	@scripts/trixie/tree.sh >/dev/null
	@go test -count=1 -v -tags deb,trixie -run Trixie -timeout 2h ./scripts/package

accuracy:
	@scripts/install.sh test
	@$(MAKE) -s build
	@go run ./scripts/accuracy

mutants:
	@go run ./scripts/mutants

soak:
	@DOORBELLD_SOAK=100000 go test -count=1 -v -timeout 60m -run StaysFlat ./internal/eye

soak-consent:
	@DOORBELLD_DECISIONS=100000000 go test -count=1 -v -timeout 5h -run TestP4_OnlyWhatWasGranted ./internal/consent

soak-delivery:
	@DOORBELLD_SOAK_DELIVERY=1h go test -count=1 -v -timeout 80m -run TestP12_NothingAllowedIsLost ./internal/promises

soak-races:
	@DOORBELLD_RACES=100000 go test -count=1 -v -race -timeout 60m -run TestP3_NothingStartsAfterIt ./internal/gate

soak-ledger:
	@DOORBELLD_SOAK_LEDGER=1 go test -count=1 -v -timeout 3h -run 'TestP2_FaultsOfTheDisk|TestP5_KilledAtAnyMoment|TestP5_DiskErrors|TestP11_|TestP12_KillMinus9' ./internal/ledger ./internal/promises

build:
	@mkdir -p build
	@CGO_ENABLED=0 go build -o build/doorbelld ./cmd/doorbelld
	@go build -o build/doorbelld-eye ./cmd/doorbelld-eye

# The pages bear the date of the newest commit, so that a build can be repeated.
man:
	@rm -rf build/man build/completion
	@mkdir -p build
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} CGO_ENABLED=0 go run -tags manual ./cmd/doorbelld manual build configs/doorbelld.example.yaml

fmt:
	@gofmt -w .

clean:
	@rm -rf build
