# SPDX-License-Identifier: MIT
# Rules of libpal-rt (pal_sdk/rt.am has its lists). One set of them for each kind of image.

rt_elf64_cc = $(CC)
rt_elf32_cc = $(CC) -m32
rt_pe64_cc = $(MINGW64)
rt_pe32_cc = $(MINGW32)
rt_elf64_flags = -DHAVE_TI_MODE
rt_elf32_flags =
rt_pe64_flags = -DHAVE_TI_MODE
rt_pe32_flags =
# How C's names begin in objects; programs of the host for the tests; whether there is C++.
rt_pe32_prefix = _
rt_elf64_link = -no-pie
rt_elf32_link = -no-pie
rt_pe64_exe = .exe
rt_pe32_exe = .exe
rt_elf64_cxx = cxx
rt_elf32_cxx = cxx
rt_cxxflags = -std=gnu++17 -fno-exceptions -fno-rtti -fno-use-cxa-atexit -Wall -Wextra $(WERROR)

# $(1): kind of image. The compiler's own headers come behind ours.
define rt_rules
rt_$(1)_own := $$(if $$(shell $$(rt_$(1)_cc) --version | grep clang),,$$(rt_gcc_own))
rt_$(1)_include := $$(shell if $$(rt_$(1)_cc) --version | grep -q clang; \
	then echo `$$(rt_$(1)_cc) -print-resource-dir`/include; \
	else $$(rt_$(1)_cc) -print-file-name=include; fi)
rt_$(1)_compile = $$(rt_$(1)_cc) $$(rt_includes) -isystem $$(rt_$(1)_include) $$(rt_cflags) \
	$$(rt_$(1)_flags) -MMD -MP
rt_$(1)_ours := $$(rt_sources:%=pal_sdk/rt/$(1)/%.o) $$(rt_assembly:%=pal_sdk/rt/$(1)/%.o)
rt_$(1)_objects := $$(rt_$(1)_ours) \
	$$(rt_bearssl:%=pal_sdk/rt/$(1)/bearssl/%.o) $$(rt_sodium:%=pal_sdk/rt/$(1)/sodium/%.o)

$$(rt_bearssl:%=pal_sdk/rt/$(1)/bearssl/%.o): pal_sdk/rt/$(1)/bearssl/%.o: \
	$$(BEARSSL_DIR)/src/%.c
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_CC)$$(rt_$(1)_compile) -std=gnu11 $$(rt_bearssl_flags) $$(rt_bearssl_own) $$(rt_$(1)_own) -c -o $$@ $$<
$$(rt_sodium:%=pal_sdk/rt/$(1)/sodium/%.o): pal_sdk/rt/$(1)/sodium/%.o: \
	$$(LIBSODIUM_DIR)/src/libsodium/%.c
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_CC)$$(rt_$(1)_compile) -std=gnu11 $$(rt_sodium_flags) -c -o $$@ $$<
pal_sdk/rt/$(1)/ed25519.o: rt_extra = $$(rt_sodium_includes) -DSODIUM_STATIC
pal_sdk/rt/$(1)/seeder.o pal_sdk/rt/$(1)/x25519.o: rt_extra = $$(rt_bearssl_flags)
$$(rt_sources:%=pal_sdk/rt/$(1)/%.o): pal_sdk/rt/$(1)/%.o: $$(srcdir)/pal_sdk/rt/%.c
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_CC)$$(rt_$(1)_compile) -std=gnu11 $$(rt_warnings) $$(rt_extra) -c -o $$@ $$<
$$(rt_assembly:%=pal_sdk/rt/$(1)/%.o): pal_sdk/rt/$(1)/%.o: $$(srcdir)/pal_sdk/rt/%.S
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_CC)$$(rt_$(1)_compile) -c -o $$@ $$<
libpal-rt-$(1).a: $$(rt_$(1)_objects)
	@rm -f $$@
	$$(AM_V_GEN)$$(AR) crD $$@ $$(rt_$(1)_objects) && $$(RANLIB) -D $$@

rt_$(1)_tests := $$(rt_test_sources:%=tests/pal_rt/$(1)/%.o) tests/pal_rt/$(1)/gate.o \
	$$(rt_$(1)_cxx:%=tests/pal_rt/$(1)/%.o)
rt_$(1)_test_flags = $$(rt_test_flags) $$(rt_bearssl_flags) $$(rt_warnings) $$(if $$(rt_$(1)_cxx),-DRT_TEST_CXX)
tests/pal_rt/$(1)/%.o: $$(srcdir)/tests/pal_rt/%.c
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_CC)$$(rt_$(1)_compile) -std=gnu11 $$(rt_$(1)_test_flags) -c -o $$@ $$<
tests/pal_rt/$(1)/%.o: $$(srcdir)/tests/pal_rt/%.S
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_CC)$$(rt_$(1)_compile) -c -o $$@ $$<
tests/pal_rt/$(1)/%.o: $$(srcdir)/tests/pal_rt/%.cc
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_CC)$$(rt_$(1)_compile) $$(rt_cxxflags) -c -o $$@ $$<
# As one object, of which the host sees two functions and a variable.
tests/pal_rt/$(1)/all.o: $$(rt_$(1)_tests) libpal-rt-$(1).a
	$$(AM_V_GEN)$$(rt_$(1)_cc) -nostdlib -r -o $$@ $$^ && \
		`$$(rt_$(1)_cc) -print-prog-name=objcopy` $$(patsubst %,--keep-global-symbol=$$(rt_$(1)_prefix)%, \
		rt_test_run rt_test_look rt_test_error) $$@
tests/pal_rt/rt_$(1)$$(rt_$(1)_exe): $$(srcdir)/tests/pal_rt/host.c tests/pal_rt/$(1)/all.o
	$$(AM_V_CCLD)$$(rt_$(1)_cc) $$(rt_$(1)_link) -I$$(srcdir)/pal_sdk/include -std=gnu11 -O1 -g $$(warnings) -o $$@ $$^

-include $$(rt_$(1)_objects:%.o=%.d) $$(rt_$(1)_tests:%.o=%.d)
endef
$(foreach target,$(rt_targets),$(eval $(call rt_rules,$(target))))
