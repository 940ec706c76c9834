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
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
JOBS := $(shell nproc 2>/dev/null || echo 2)

# One short line a file; V=1 shows the commands, -s shows nothing.
ifeq ($(V),1)
say = @:
Q :=
else
say = @$(if $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),:,printf '  %-4s %s\n' $(1) '$@')
Q := @
endif
# make for another goal, on all cores unless the caller said how many.
submake = $(MAKE) -s $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
        -Wvla -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wno-missing-field-initializers
CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS ?= -g $(OPT)
ALL_CFLAGS = -std=c11 $(WARN) $(CFLAGS) -fno-omit-frame-pointer -fstack-protector-strong $(or $(PIC),-fPIE) \
             $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN))
LIBS_net := -luv -lssl -lcrypto
LIBS_config := -lyaml
LIBS_json := -ljansson
LIBS_sqlite := -lsqlite3
LIBS_http := -lcurl -lz -lssl -lcrypto
LIBS := $(LIBS_net) $(LIBS_config) $(LIBS_json) -lpthread -ldl -lm

# Every folder connectors/SYSTEM with a SYSTEM.c is a connector; what it links with stands above as
# LIBS_SYSTEM. Connectors are modules, opened when a component of their types is configured. Those
# named in STATIC_CONNECTORS are linked in instead; sanitizers see into nothing else, so they link
# in all.
CONNECTORS := $(filter-out memory,$(foreach d,$(notdir $(patsubst %/,%,$(wildcard connectors/*/))), \
  $(if $(wildcard connectors/$(d)/$(d).c),$(d))))
STATIC_CONNECTORS ?= $(if $(SAN),$(CONNECTORS))
MODULES := $(filter-out $(STATIC_CONNECTORS),$(CONNECTORS))

FOLDERS := base net cloudevents routes config connectors connectors/memory \
  $(CONNECTORS:%=connectors/%) gateway
SOURCES := $(foreach f,$(FOLDERS),$(sort $(wildcard $(f)/*.c)))
MAIN := gateway/main.c
# Compiled anew for every commit, so in no archive that others wait for.
VERSION := gateway/version.c
object = $(patsubst %.c,$(BUILD)/%.o,$(1))
archive = $(BUILD)/lib$(subst /,-,$(1)).a
BIN := $(BUILD)/fairlead
MODULE_FILES := $(MODULES:%=$(BUILD)/connectors/connector-%.so)

# The order of linking: a folder stands before those that it uses. What modules may call is linked
# whole, since the linker cannot see that somebody will.
UPPER := gateway connectors-memory routes
LOWER := connectors cloudevents config net base
archives = $(foreach l,$(1),$(BUILD)/lib$(l).a)
IN_PROGRAM := $(call archives,$(UPPER) $(STATIC_CONNECTORS:%=connectors-%) $(LOWER))
# Test programs have every connector in them.
ARCHIVES := $(call archives,$(UPPER) $(CONNECTORS:%=connectors-%) $(LOWER))
whole = -Wl,--start-group $(call archives,$(UPPER) $(1:%=connectors-%)) -Wl,--whole-archive \
  $(call archives,$(LOWER)) -Wl,--no-whole-archive -Wl,--end-group \
  $(foreach c,$(1),$(LIBS_$(c))) $(LIBS)

.DEFAULT_GOAL := all
.PHONY: all help deps setup demo test check-fast map docs docs-check bench fuzz soak install uninstall deb \
        fmt fmt-check compdb clean test-unit test-fast test-programs tour FORCE

all: ## build build/fairlead and the example (the goal when none is named)
all: $(BIN) $(MODULE_FILES) $(BUILD)/examples/subscriber

help: ## this list
	@sed -n 's/^\([a-z-]*\): ## /  \1\t/p' Makefile | expand -t 18
	@echo "variables:"
	@echo "  SAN=address,undefined | SAN=thread    a build with sanitizers, in a folder of its own"
	@echo "  CC=clang          the other compiler      OPT=-O0        optimisation     V=1   show commands"
	@echo "  T=NAME            test, test-unit: only tests whose file name holds NAME"
	@echo "  PREFIX= DESTDIR=  install, uninstall      SECONDS=60     fuzz: of each target"
	@echo "  PEER=/PATH        bench: another gateway beside          BENCH='--quick --only WORD'"

compile = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -MT $@
link = $(ALL_LDFLAGS) -o $@

$(BIN): $(call object,$(MAIN) $(VERSION)) $(IN_PROGRAM)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(link) -Wl,--dynamic-list=connectors/exports.list \
	  $(filter %.o,$^) $(call whole,$(STATIC_CONNECTORS))

# The module's one symbol is another name of its connector_type; what it does not have itself it
# finds in the executable.
$(BUILD)/connectors/connector-%.so: $(BUILD)/libconnectors-%.a connectors/module.list
	$(call say,LINK)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-z,relro,-z,now -Wl,-Bsymbolic -o $@ \
	  -Wl,--defsym=fairlead_connector=cn_$*_type -Wl,--version-script=connectors/module.list \
	  -Wl,--whole-archive $< -Wl,--no-whole-archive $(LIBS_$*)

$(foreach c,$(CONNECTORS),$(eval $(call object,$(wildcard connectors/$(c)/*.c)): PIC := -fPIC))
# registry.c and the printer of documents name connectors by a macro for each.
list_of = '-DCONNECTORS=$(foreach c,$(1),CONNECTOR($(c)))'
$(call object,connectors/registry.c): private CPPFLAGS += $(call list_of,$(STATIC_CONNECTORS))

define folder_archive
$(call archive,$(1)): $(call object,$(filter-out $(MAIN) $(VERSION),$(sort $(wildcard $(1)/*.c))))
	$$(call say,AR)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_archive,$(f))))

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(compile) -c -o $@ $<

$(BUILD)/examples/subscriber: examples/subscriber/subscriber.c $(BUILD)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(compile) -MF $@.d $(link) $<

# Files that change only when what they hold does: other flags, or another compiler, build all
# anew; another commit builds one file.
changed = @mkdir -p $(@D) && echo '$(1)' | cmp -s - $@ || echo '$(1)' > $@

$(BUILD)/flags: FORCE
	$(call changed,$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(CONNECTORS) $(STATIC_CONNECTORS))

$(BUILD)/commit: FORCE
	$(call changed,$(COMMIT))

$(call object,$(VERSION)): $(BUILD)/commit
$(call object,$(VERSION)): private CPPFLAGS += -DFL_COMMIT='"$(COMMIT)"'

# --- tests ---------------------------------------------------------------------------------------

TEST_SOURCES := $(sort $(wildcard tests/unit/*/*_test.c tests/conformance/*_test.c))
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SOURCES))

$(BUILD)/tests/%: tests/%.c $(BUILD)/flags $(ARCHIVES) | $(call object,$(VERSION))
	$(call say,TEST)
	@mkdir -p $(@D)
	$(Q)$(compile) -MF $@.d $(link) $< $(call object,$(VERSION)) \
	  -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(foreach c,$(CONNECTORS),$(LIBS_$(c))) \
	  $(LIBS) -lcmocka

deps: ## say which Debian packages are missing
	@tests/support/deps --check

setup: ## install them, as root or with password-less sudo
	@tests/support/deps

demo: ## build, start the gateway and a subscriber, publish a few messages, show each CloudEvent
demo: setup
	@[ -x $(BIN) ] || echo "demo: building"
	+@$(submake) all
	@examples/demo

test: ## everything CI runs: three builds, unit, conformance, integration (T=name: one test)
test: setup
	@tests/run $(T)

test-programs: ## build the unit and conformance programs, run nothing
test-programs: $(TESTS)

test-unit: ## unit and conformance programs of this build only (SAN=... for another)
test-unit: $(if $(T),$(foreach t,$(TESTS),$(if $(findstring $(T),$(notdir $(t))),$(t))),$(TESTS))
	@tests/run-unit $(BUILD) $(T)

# Most of their time is waiting, so there are more of them than cores.
test-fast: $(filter $(BUILD)/tests/unit/%,$(TESTS))
	@TEST_JOBS=4 tests/run-unit --unit $(BUILD)

check-fast: ## format, layers, names, generated pages, and unit tests of the plain build: seconds
check-fast: fmt-check
	@tests/support/map --check
	@tests/support/names
	+@$(submake) all docs-check test-fast

map: ## the graph of folders, from the #include lines; fails on an upward arrow
	@tests/support/map

# Pages that a program prints from the tables it runs on.
DOCS_TOOL := $(BUILD)/tests/support/docs
$(DOCS_TOOL): private CPPFLAGS += $(call list_of,$(CONNECTORS))

docs: ## print docs/flags.md, metrics.md, options/ and fairlead.1 anew
docs: $(DOCS_TOOL)
	@$(DOCS_TOOL) docs

docs-check: ## fail if those pages are not as they would be printed now
docs-check: $(DOCS_TOOL)
	@rm -rf $(BUILD)/docs
	@$(DOCS_TOOL) $(BUILD)/docs
	@cd $(BUILD)/docs && for page in *.* options/*; do \
	  diff -u $(CURDIR)/docs/$$page $$page || { echo "docs-check: run make docs" >&2; exit 1; }; \
	done

bench: ## CPU per message beside the floors, the least programs that could do the work
bench: setup
	+@$(submake) all
	@bench/run $(BENCH)

fuzz: ## fuzz every target for SECONDS (60) each, under sanitizers
	@tests/fuzz/run

soak: ## the long forms of the tests; figures go to tests/soak.md
	@tests/soak

# connector.h and what it includes: enough to compile a connector outside this tree.
PUBLIC_HEADERS := connectors/connector.h connectors/session.h cloudevents/event.h config/option.h config/note.h \
  config/values.h base/error.h base/slice.h base/log.h base/arena.h base/buffer.h base/alloc.h \
  base/list.h base/heap.h base/mailbox.h base/clock.h base/budget.h net/loop.h
EXAMPLES = $(shell find examples -type f ! -name "*.so" ! -name "*.o")
DOC_PAGES = README.md CONTRIBUTING.md LICENSE bench/results.md $(wildcard docs/*.md docs/connectors/*.md docs/options/*.md connectors/*/README.md) $(EXAMPLES)
COMPLETIONS := bash-completion/completions/fairlead zsh/vendor-completions/_fairlead \
  fish/vendor_completions.d/fairlead.fish
dest = $(DESTDIR)$(PREFIX)

install: ## into $(DESTDIR)$(PREFIX): bin/, lib/fairlead/, share/man/, share/doc/fairlead/, include/fairlead/
install: $(BIN) $(MODULE_FILES)
	@install -D -m 755 $(BIN) $(dest)/bin/fairlead
	@for f in $(MODULE_FILES); do \
	  install -D -m 644 $$f $(dest)/lib/fairlead/$$(basename $$f); done
	@install -D -m 644 docs/fairlead.1 $(dest)/share/man/man1/fairlead.1
	@for f in $(COMPLETIONS); do mkdir -p $(dest)/share/$$(dirname $$f); \
	  $(BIN) completion $${f%%[-/]*} > $(dest)/share/$$f; done
	@for f in $(DOC_PAGES); do install -D -m 644 $$f $(dest)/share/doc/fairlead/$$f; done
	@for f in $(PUBLIC_HEADERS); do install -D -m 644 $$f $(dest)/include/fairlead/$$f; done
	@echo "installed: $(dest)/bin/fairlead"

deb: ## Debian packages into $(BUILD)/deb: the gateway, one for each connector, the headers
deb: setup
	+@$(submake) all
	@rm -rf $(BUILD)/stage $(BUILD)/deb
	+@$(MAKE) -s install PREFIX=/usr DESTDIR=$(abspath $(BUILD))/stage
	@packaging/deb $(BUILD)/stage $(BUILD)/deb

uninstall: ## remove what install put there
	@rm -rf $(dest)/bin/fairlead $(dest)/lib/fairlead $(dest)/share/man/man1/fairlead.1 $(dest)/share/doc/fairlead \
	  $(dest)/include/fairlead $(COMPLETIONS:%=$(dest)/share/%)

C_FILES = $(shell git ls-files -co --exclude-standard '*.c' '*.h')
fmt: ## format the sources
	@clang-format-14 -i $(C_FILES)

fmt-check: ## fail if the sources are not formatted
	@clang-format-14 --dry-run -Werror $(C_FILES)

compdb: ## compile_commands.json for editors and clang-tidy
	@tests/support/compdb $(SOURCES) > $@.tmp && mv $@.tmp compile_commands.json

tour: ## the longest files and functions, to read, not to gate on
	@tests/support/tour

clean: ## remove all builds
	@rm -rf build build-*

-include $(patsubst %.c,$(BUILD)/%.d,$(SOURCES)) \
  $(addsuffix .d,$(TESTS) $(DOCS_TOOL) $(BUILD)/examples/subscriber)
