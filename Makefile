# Fairlead. `make help` lists the verbs; CONTRIBUTING.md explains them.

PREFIX   ?= /usr/local
DESTDIR  ?=
ifeq ($(origin CC),default)
CC := gcc
endif
SAN      ?=
OPT      ?= -O2
T        ?=

comma := ,
BUILD := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(COV),-cov)
VERSION := $(shell sed -n 's/^\#define FL_VERSION "\(.*\)"/\1/p' base/version.h)
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
        -Wvla -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wno-missing-field-initializers
CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS ?= -g $(OPT)
ALL_CFLAGS = -std=c11 $(WARN) $(CFLAGS) -fno-omit-frame-pointer -fstack-protector-strong -fPIE \
             $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN))
LIBS_net := -luv -lssl -lcrypto
LIBS_config := -lyaml
LIBS_json := -ljansson
LIBS := $(LIBS_net) $(LIBS_config) $(LIBS_json) -lpthread -ldl -lm

FOLDERS := base net cloudevents routes config connectors connectors/memory gateway
SOURCES := $(foreach f,$(FOLDERS),$(sort $(wildcard $(f)/*.c)))
MAIN := gateway/main.c
LIB_SOURCES := $(filter-out $(MAIN),$(SOURCES))
object = $(patsubst %.c,$(BUILD)/%.o,$(1))
archive = $(BUILD)/lib$(subst /,-,$(1)).a
BIN := $(BUILD)/fairlead

# What each folder may use, lowest last: the order of linking, and the arrows of `make map`.
LAYERS := gateway connectors-memory connectors routes cloudevents config net base
ARCHIVES := $(foreach l,$(LAYERS),$(BUILD)/lib$(l).a)

.DEFAULT_GOAL := all
.PHONY: all help deps setup demo test check-fast map bench fuzz soak install uninstall fmt fmt-check \
        compdb clean test-unit test-programs tour

all: ## build build/fairlead and the examples
all: $(BIN) $(BUILD)/examples/subscriber

help: ## this list
	@sed -n 's/^\([a-z-]*\): ## /  \1\t/p' Makefile | expand -t 16
	@echo "  variables: SAN=address,undefined | SAN=thread   T=name (one test)   PREFIX= DESTDIR= (install)"
	@echo "             CC=clang   PEER=/path/to/other/gateway (bench)"

$(BIN): $(call object,$(MAIN)) $(ARCHIVES)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(call object,$(MAIN)) $(ARCHIVES) $(ARCHIVES) $(LIBS)

define folder_archive
$(call archive,$(1)): $(call object,$(filter-out $(MAIN),$(sort $(wildcard $(1)/*.c))))
	@mkdir -p $$(@D) && rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_archive,$(f))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gateway/version.o: CPPFLAGS += -DFL_COMMIT='"$(COMMIT)"'

$(BUILD)/examples/subscriber: examples/subscriber/subscriber.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

# --- tests ---------------------------------------------------------------------------------------

TEST_SOURCES := $(sort $(wildcard tests/unit/*/*_test.c tests/conformance/*_test.c))
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SOURCES))

$(BUILD)/tests/%: tests/%.c $(ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(ARCHIVES) $(ARCHIVES) $(LIBS) -lcmocka

deps: ## say which packages are missing
	@tests/support/deps --check

setup:
	@tests/support/deps

demo: ## build, start the gateway and a subscriber, publish a few messages, show each CloudEvent
demo: setup
	@$(MAKE) -s all
	@examples/demo

test: ## everything CI runs: three builds, unit, conformance, integration (T=name: one test)
test: setup
	@tests/run $(T)

test-programs: $(TESTS)

test-unit: ## unit and conformance programs of this build only (SAN=... for another)
test-unit: $(TESTS)
	@tests/run-unit $(BUILD) $(T)

check-fast: ## format, layers, names and unit tests of the plain build, in seconds
check-fast: fmt-check
	@tests/support/map --check
	@tests/support/names
	@$(MAKE) -s -j2 all test-unit

map: ## the graph of folders, from the #include lines; fails on an upward arrow
	@tests/support/map

bench: ## ratios to the floors in ../shared/floor (PEER=/path: another gateway beside)
bench: setup
	@$(MAKE) -s all
	@bench/run $(BENCH)

fuzz: ## fuzz every target for SECONDS (60) each, under sanitizers
	@tests/fuzz/run

soak: ## the long forms of the tests; figures go to tests/soak.md
	@tests/soak

install: all ## into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/fairlead \
	  $(DESTDIR)$(PREFIX)/include/fairlead/connectors $(DESTDIR)$(PREFIX)/include/fairlead/cloudevents \
	  $(DESTDIR)$(PREFIX)/include/fairlead/base
	install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/fairlead
	install -m 644 README.md LICENSE docs/*.md $(DESTDIR)$(PREFIX)/share/doc/fairlead
	install -m 644 connectors/connector.h $(DESTDIR)$(PREFIX)/include/fairlead/connectors
	install -m 644 cloudevents/event.h $(DESTDIR)$(PREFIX)/include/fairlead/cloudevents
	install -m 644 base/error.h base/slice.h base/log.h $(DESTDIR)$(PREFIX)/include/fairlead/base

uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/bin/fairlead $(DESTDIR)$(PREFIX)/share/doc/fairlead $(DESTDIR)$(PREFIX)/include/fairlead

C_FILES = $(shell git ls-files -co --exclude-standard '*.c' '*.h')
fmt: ## format the sources
	@clang-format-14 -i $(C_FILES)

fmt-check:
	@clang-format-14 --dry-run -Werror $(C_FILES)

compdb: ## compile_commands.json for editors and clang-tidy
	@tests/support/compdb $(SOURCES) > compile_commands.json

tour: ## the longest files and functions, to read, not to gate on
	@tests/support/tour

clean: ## remove all builds
	rm -rf build build-*

-include $(patsubst %.c,$(BUILD)/%.d,$(SOURCES)) $(addsuffix .d,$(TESTS))
