# comfypoold: build, test, demo, bench, install. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
BUILD ?= build

LIBS := libmicrohttpd libwebsockets jansson libcurl libuv sqlite3 yaml-0.1 libcrypto libsystemd libutf8proc zlib
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wformat=2 -Wswitch-enum -Wvla
CFLAGS_ALL := -std=c17 -D_GNU_SOURCE -Iinclude $(WARNINGS) $(if $(CI),-Werror)

# Three variants of everything: release (what is installed), asan (what is tested), fuzz (clang).
CFLAGS_release := -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fno-plt
LDFLAGS_release := -pie -Wl,-z,relro -Wl,-z,now
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS_asan := -fsanitize=address,undefined

# Asked once, when something is compiled; the packages may not be there before that.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(LIBS) | sed 's/-I/-isystem /g'))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $$(shell pkg-config --libs $(LIBS)))$(PKG_LIBS)

ROOMS := $(filter-out src/main.c,$(wildcard src/*/*.c) $(wildcard src/*.c))
SIM := $(wildcard tests/comfysim/*.c)
UNIT := $(wildcard tests/unit/*.c) tests/runner.c tests/integration/yaml_tree.c \
        $(filter-out tests/fuzz/libfuzzer.c,$(wildcard tests/fuzz/*.c))
INTEGRATION := $(wildcard tests/integration/*.c) tests/runner.c
BENCH := $(wildcard tests/bench/*.c)
TORTURE := $(wildcard tests/torture/*.c)
objects = $(patsubst %.c,$(BUILD)/$(1)/%.o,$(2))

.PHONY: all release asan help demo test unit integration goldens lint contract tour bench fuzz torture install uninstall clean packages packages-test packages-lint
.DEFAULT_GOAL := all

all: packages ## build comfypoold and comfysim (release)
	@$(MAKE) --no-print-directory release

release: $(BUILD)/release/comfypoold $(BUILD)/release/comfysim
	@:

asan: $(BUILD)/asan/comfypoold $(BUILD)/asan/comfysim $(BUILD)/asan/unit $(BUILD)/asan/integration \
      $(BUILD)/asan/fakenvml/libnvidia-ml.so.1 $(BUILD)/asan/fakenvml/old/libnvidia-ml.so.1
	@:

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

packages:
	@scripts/packages build
packages-test:
	@scripts/packages build test
packages-lint:
	@scripts/packages build test lint

demo: all ## two simulated ComfyUI servers, the daemon, one job, its profile
	@scripts/demo $(BUILD)/release

test: packages-test ## every test, under ASan and UBSan
	@$(MAKE) --no-print-directory asan
	@scripts/test $(BUILD)/asan

unit: packages-test ## the unit tests alone
	@$(MAKE) --no-print-directory asan
	@scripts/test $(BUILD)/asan unit

integration: packages-test ## the integration tests alone
	@$(MAKE) --no-print-directory asan
	@scripts/test $(BUILD)/asan integration

goldens: packages-test ## make tests/traces/formats again from what the code gives
	@$(MAKE) -s --no-print-directory $(BUILD)/asan/unit
	@scripts/goldens $(BUILD)/asan

lint: packages-lint ## format, clang-tidy, include directions, openapi, config and pages against the code, links
	@scripts/lint
	@scripts/contract $(BUILD)/release lint

contract: packages-test ## a client generated from api/openapi.yaml, compiled and run (Node.js 20.19)
	@$(MAKE) --no-print-directory release
	@scripts/contract $(BUILD)/release

tour: packages-test ## every command that the pages show, run and compared with what they print (Node.js 20.19)
	@$(MAKE) --no-print-directory release
	@scripts/tour $(BUILD)/release

FUZZ_SECONDS ?= 30
fuzz: packages-lint ## libFuzzer on each target for FUZZ_SECONDS (30)
	@scripts/fuzz $(BUILD)/fuzz $(FUZZ_SECONDS)

SEED ?= 1
SECONDS ?= 60
torture: packages-test ## a storm of faults and kills for SECONDS (60), by SEED (1), and an account
	@$(MAKE) -s --no-print-directory asan $(BUILD)/asan/torture
	@scripts/torture $(BUILD)/asan $(SEED) $(SECONDS)

bench: all ## the daemon beside the direct reference
	@$(MAKE) -s --no-print-directory $(BUILD)/release/bench
	@scripts/bench $(BUILD)/release

install: all ## install under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/comfypoold $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/comfypoold
	install -m 755 $(BUILD)/release/comfypoold $(DESTDIR)$(PREFIX)/bin/comfypoold
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/doc/comfypoold/,api config docs/decisions examples)
	install -m 644 README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/comfypoold/
	install -m 644 config/comfypoold.yaml $(DESTDIR)$(PREFIX)/share/doc/comfypoold/config/
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/comfypoold/docs/
	install -m 644 docs/decisions/*.md $(DESTDIR)$(PREFIX)/share/doc/comfypoold/docs/decisions/
	install -m 644 examples/* $(DESTDIR)$(PREFIX)/share/doc/comfypoold/examples/
	install -m 644 api/openapi.yaml $(DESTDIR)$(PREFIX)/share/comfypoold/openapi.yaml
	ln -sf ../../../comfypoold/openapi.yaml $(DESTDIR)$(PREFIX)/share/doc/comfypoold/api/openapi.yaml
	for unit in comfypoold.service comfypoold.socket; do \
	    sed 's|@PREFIX@|$(PREFIX)|g' systemd/$$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; done

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/comfypoold $(DESTDIR)$(PREFIX)/lib/systemd/system/comfypoold.service $(DESTDIR)$(PREFIX)/lib/systemd/system/comfypoold.socket
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/comfypoold $(DESTDIR)$(PREFIX)/share/comfypoold

clean: ## remove what was built
	rm -rf $(BUILD)

# ---- how things are made -------------------------------------------------------------------------

.SECONDEXPANSION:
define variant
$(BUILD)/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	@echo "  CC $(1) $$<"
	@$$(CC) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) $$(PKG_CFLAGS) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/gen/openapi.o: api/openapi.yaml
	@mkdir -p $$(@D)
	@scripts/embed openapi_yaml $$< > $(BUILD)/$(1)/gen/openapi.c
	@$$(CC) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) -c $(BUILD)/$(1)/gen/openapi.c -o $$@

$(BUILD)/$(1)/comfypoold: $$(call objects,$(1),$$(ROOMS) src/main.c) $(BUILD)/$(1)/gen/openapi.o
	@echo "  LD $$@"
	@$$(CC) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ $$(PKG_LIBS) -lm -o $$@

$(BUILD)/$(1)/comfysim: $$(call objects,$(1),$$(SIM))
	@echo "  LD $$@"
	@$$(CC) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ $$(PKG_LIBS) -lm -o $$@

$(BUILD)/$(1)/unit: $$(call objects,$(1),$$(ROOMS) $$(UNIT)) $(BUILD)/$(1)/gen/openapi.o
	@echo "  LD $$@"
	@$$(CC) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ $$(PKG_LIBS) $$$$(pkg-config --libs check) -lm -o $$@

$(BUILD)/$(1)/integration: $$(call objects,$(1),$$(INTEGRATION))
	@echo "  LD $$@"
	@$$(CC) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ $$(PKG_LIBS) $$$$(pkg-config --libs check) -lm -o $$@

$(BUILD)/$(1)/fakenvml/libnvidia-ml.so.1 $(BUILD)/$(1)/fakenvml/old/libnvidia-ml.so.1: tests/fakenvml/nvml.c
	@mkdir -p $$(@D)
	@echo "  LD $$@"
	@$$(CC) $$(CFLAGS_ALL) -O1 -g -fPIC -shared $$(if $$(findstring /old/,$$@),-DWITHOUT_V3) $$< -o $$@

$(BUILD)/$(1)/torture: $$(call objects,$(1),$$(TORTURE))
	@echo "  LD $$@"
	@$$(CC) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ $$(PKG_LIBS) -lm -o $$@

$(BUILD)/$(1)/bench: $$(call objects,$(1),$$(BENCH))
	@echo "  LD $$@"
	@$$(CC) $$(LDFLAGS_$(1)) $$(LDFLAGS) $$^ $$(PKG_LIBS) -lm -o $$@
endef
$(foreach v,release asan,$(eval $(call variant,$(v))))

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
