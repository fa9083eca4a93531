# SPDX-License-Identifier: MIT
# Rules of libpal-rt's tests as images (tests/pal_rt/image.am). Linux programs for all four: an
# image by MinGW is called by its own convention in a program of any system.

rt_image_flags = -DRT_TEST_IMAGE -O2 -fstack-protector-strong -Wextra $(WERROR) \
	-Wno-atomic-alignment
rt_image_bits_elf64 = 64
rt_image_bits_elf32 = 32
rt_image_bits_pe64 = 64
rt_image_bits_pe32 = 32

# $(1): kind of image
define rt_image_rules
tests/pal_rt/$(1)/rt.pal: $$(rt_test_sources:%=$$(srcdir)/tests/pal_rt/%.c) \
		$$(srcdir)/tests/pal_rt/image_pal.c \
		$$(rt_$(1)_cxx:%=$$(srcdir)/tests/pal_rt/%.cc) $$(wildcard $$(srcdir)/tests/pal_rt/*.h) \
		$$(example_headers) libpal-rt-$(1).a pal_sdk/tools/pal-cc pal_sdk/tools/pal-lint
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_GEN)$$(example_palcc) --cc "$$(rt_$(1)_cc)" --stack 32768 $$(rt_image_flags) \
		$$(if $$(rt_$(1)_cxx),-DRT_TEST_CXX) -I $$(srcdir)/pal_sdk/include --name rt -o $$@ \
		--interface $$(srcdir)/tests/pal_rt/image_interface.h $$(filter %.c %.cc,$$^)
tests/pal_rt/$(1)/rt_image.o: tests/pal_rt/$(1)/rt.pal
	$$(AM_V_GEN)$$(example_palcc) --host-cc "$$(example_host_$$(rt_image_bits_$(1)))" -o $$@ $$<
tests/pal_rt/image-$(1) tests/pal_rt/image-native-$(1): $$(srcdir)/tests/pal_rt/image_host.c \
		tests/pal_rt/$(1)/rt_image.o $$(example_headers)
	$$(AM_V_CCLD)$$(example_host_$$(rt_image_bits_$(1))) -static $$(example_compile) -o $$@ \
		$$(filter %.c %.o %.a,$$^) -lpthread
tests/pal_rt/image-$(1): pal_sdk/lib/$$(rt_image_bits_$(1))/libpal.a
tests/pal_rt/image-native-$(1): pal_sdk/lib/$$(rt_image_bits_$(1))/libpal-native.a
endef
$(foreach target,$(rt_targets),$(eval $(call rt_image_rules,$(target))))
