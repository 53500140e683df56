# SPDX-License-Identifier: Apache-2.0
# The front door. Meson does the work; each door first installs the Debian packages it lacks (tools/packages), showing them.
B       ?= build
PREFIX  ?= /usr/local
MINUTES ?= 15
LIVES   ?= 100000
CMD     ?= sh -c 'uname -r; cat /sys/fs/cgroup/cgroup.controllers; ls -l /dev/kvm'
MESON   ?= meson
NEED     = @tools/install-packages
SAN      = -Dwerror=true -Db_lundef=false

.PHONY: all check check-long soak bench bench-lab demo lab install test asan tsan fuzz lint fmt help clean
all:                           ## build everything into build/
	$(NEED) build
	@test -f $(B)/build.ninja || $(MESON) setup $(B) $(SETUP) >$(B).log || { cat $(B).log; exit 1; }
	@rm -f $(B).log
	@ninja -C $(B) --quiet
check:                         ## everything that must hold before a change lands
	$(NEED) build run check lab callers
	@tools/check
check-long:                    ## fuzzers, TSan, weakened builds, soak, kill sweeps, sharing MINUTES=15
	$(NEED) build run check lab
	@tools/check-long $(MINUTES)
soak: all                      ## LIVES=100000 containers, 100 at once; nothing of them may be left
	$(NEED) build run check
	@HULL=$(CURDIR)/$(B)/src/hull LIVES=$(LIVES) SECONDS_GIVEN=86400 sh tests/soak/oci-lives.sh
bench: all                     ## figures beside those of others, as ratios
	$(NEED) build run bench
	@bench/run
bench-lab: all                 ## in the lab: the OCI runtimes' figures on cgroup v2; how machines start, what they take and move
	$(NEED) build run bench lab
	@ninja -C $(B) --quiet bench-programs
	@BUILD=$(CURDIR)/$(B) LAB_INIT=systemd LAB_ENV='ROUNDS PAUSE MANY' LAB_SECONDS=1500 tools/lab run bench/oci
	@BUILD=$(CURDIR)/$(B) bench/lab-boot
	@BUILD=$(CURDIR)/$(B) bench/lab-io
demo: all                      ## one image, both isolations, from nothing
	$(NEED) build run demo
	@tools/demo
lab:                           ## CMD='…' in an emulated host with real KVM and cgroup v2
	$(NEED) build run lab
	@tools/lab run $(CMD)
install: all                   ## programs, man pages, completions below PREFIX=/usr/local (and DESTDIR)
	@$(MESON) configure $(B) --prefix $(PREFIX)
	@$(MESON) install -C $(B) --quiet
test: all                      ## the quick tests alone: tree, unit, integration
	@$(MESON) test -C $(B) --print-errorlogs; s=$$?; tools/test-summary $(B); exit $$s
asan:                          ## unit tests under the address and undefined-behaviour sanitizers
	$(NEED) build check
	@tools/variant asan $(SAN) -Doptimization=1 -Db_sanitize=address,undefined
tsan:                          ## unit tests under the thread sanitizer
	$(NEED) build check
	@tools/variant tsan $(SAN) -Db_sanitize=thread
fuzz:                          ## run every fuzzer, sharing MINUTES=15
	$(NEED) build check
	@tools/fuzz run $$(($(MINUTES) * 60))
lint:                          ## clang-tidy and gcc -fanalyzer over the tree
	$(NEED) build check
	@tools/lint
fmt:                           ## reformat every source
	$(NEED) check
	@git ls-files '*.[ch]' | xargs clang-format -i
help:                          ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20
clean:                         ## remove what was built (the lab in .lab/ stays)
	@rm -rf build build-* fuzz-*.log
