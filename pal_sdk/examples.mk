# SPDX-License-Identifier: MIT
# Rules of the examples (pal_sdk/examples.am has the list).
#
# The released image is the one for ELF: it is embedded in ELF and PE programs alike,
# so that a PAL has one identity under both systems. Images by MinGW are built beside them.

example_cc_elf64 = $(CC)
example_cc_elf32 = $(CC) -m32
example_cc_pe64 = $(MINGW64)
example_cc_pe32 = $(MINGW32)
example_palcc = XMHF_BUILD="$(abs_builddir)" "$(abs_builddir)/pal_sdk/tools/pal-cc"
example_headers = $(wildcard $(srcdir)/pal_sdk/include/pal/*.h $(srcdir)/pal_sdk/rt/include/*.h \
	$(srcdir)/include/xmhf/*.h) $(srcdir)/pal_sdk/examples/example.h

# $(1): example; $(2): kind of image. The sources are named from their own folder, so that no path
# of this machine is in the symbols.
define example_image
pal_sdk/examples/$(1)/$(1)-$(2).pal: $$(srcdir)/pal_sdk/examples/$(1)/$(1)_pal.c \
		$$(srcdir)/pal_sdk/examples/$(1)/$(1)_interface.h $$(example_headers) \
		libpal-rt-$(2).a pal_sdk/tools/pal-cc pal_sdk/tools/pal-lint
	@$$(MKDIR_P) $$(@D)
	$$(AM_V_GEN)out="`pwd`/$$@" && cd $$(srcdir)/pal_sdk/examples/$(1) && $$(example_palcc) \
		--cc "$$(example_cc_$(2))" --name $(1) $$(example_$(1)_flags) \
		$$(example_image_flags) --interface $(1)_interface.h -o "$$$$out" $(1)_pal.c
endef
$(foreach name,$(examples),$(foreach kind,$(rt_targets), \
	$(eval $(call example_image,$(name),$(kind)))))

examples: $(example_images)
.PHONY: examples

# Programs: NAME and NAME32 for Linux, NAME.exe and NAME32.exe for Windows, all with the released
# image; NAME-pe.exe and NAME-pe32.exe with the one by MinGW. Each of them again with -native, by
# libpal-native: the same image in the process itself.
example_host_64 = $(CC)
example_host_32 = $(CC) -m32
example_host_w64 = $(MINGW64)
example_host_w32 = $(MINGW32)
example_compile = $(example_cflags) $(pal_cppflags)

# $(1): example; $(2): kind of library; $(3): kind of image; $(4), $(5): the program's name behind
# the example's and -native.
define example_program
pal_sdk/examples/$(1)/$(1)-$(3)-$(2).o: pal_sdk/examples/$(1)/$(1)-$(3).pal
	$$(AM_V_GEN)$$(example_palcc) --host-cc "$$(example_host_$(2))" -o $$@ $$<
pal_sdk/examples/$(1)/$(1)$(4)$(5) pal_sdk/examples/$(1)/$(1)-native$(4)$(5): \
		$$(patsubst %,$$(srcdir)/pal_sdk/examples/$(1)/%.c,$(1) $$(example_$(1)_more)) \
		pal_sdk/examples/$(1)/$(1)-$(3)-$(2).o $$(example_headers) \
		$$(wildcard $$(srcdir)/pal_sdk/examples/$(1)/*.h)
	$$(AM_V_CCLD)$$(example_host_$(2)) -static $$(example_compile) -o $$@ \
		$$(filter %.c %.o %.a,$$^) -lpthread
pal_sdk/examples/$(1)/$(1)$(4)$(5): pal_sdk/lib/$(2)/libpal.a
pal_sdk/examples/$(1)/$(1)-native$(4)$(5): pal_sdk/lib/$(2)/libpal-native.a
endef
define example_programs_of
$(call example_program,$(1),64,elf64,,)
$(call example_program,$(1),32,elf32,32,)
$(call example_program,$(1),w64,elf64,,.exe)
$(call example_program,$(1),w32,elf32,32,.exe)
$(call example_program,$(1),w64,pe64,-pe,.exe)
$(call example_program,$(1),w32,pe32,-pe32,.exe)
endef
$(foreach name,$(examples),$(eval $(call example_programs_of,$(name))))

examples: $(example_programs)

# wide: the image has 64 bits, the program 32.
wide_folder = $(srcdir)/pal_sdk/examples/wide
wide_sources = $(wildcard $(wide_folder)/*.[ch])
pal_sdk/examples/wide/wide-elf64.pal: $(wide_sources) $(example_headers) libpal-rt-elf64.a \
		pal_sdk/tools/pal-cc pal_sdk/tools/pal-lint
	@$(MKDIR_P) $(@D)
	$(AM_V_GEN)out="`pwd`/$@" && cd $(wide_folder) && $(example_palcc) \
		--cc "$(example_cc_elf64)" --caller 32 --name wide $(example_image_flags) \
		--interface wide_interface.h -o "$$out" wide_pal.c
pal_sdk/examples/wide/wide-elf64-32.o: pal_sdk/examples/wide/wide-elf64.pal
	$(AM_V_GEN)$(example_palcc) --caller 32 --host-cc "$(example_host_32)" -o $@ $<
pal_sdk/examples/wide/wide32: $(wide_folder)/wide.c pal_sdk/examples/wide/wide-elf64-32.o \
		$(wide_sources) pal_sdk/lib/32/libpal.a
	$(AM_V_CCLD)$(example_host_32) -static $(example_compile) -o $@ $(wide_folder)/wide.c \
		$(filter %.o %.a,$^) -lpthread

# crc16: 16-bit code, linked flat for its address in the PAL.
pal_sdk/examples/crc16/crc16_code.bin: $(srcdir)/pal_sdk/examples/crc16/crc16_code.c
	@$(MKDIR_P) $(@D)
	$(AM_V_CC)$(CC) -m16 -march=i386 -O2 -std=gnu11 -ffreestanding -fno-pic -fno-pie \
		-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables $(warnings) \
		-nostdlib -static -Wl,--build-id=none -Wl,-Ttext=0x1000 -Wl,-e,crc \
		-Wl,--oformat=binary -o $@ $<
pal_sdk/examples/crc16/crc16: $(srcdir)/pal_sdk/examples/crc16/crc16.c \
		pal_sdk/examples/crc16/crc16_code.bin $(example_headers) pal_sdk/lib/64/libpal.a
	$(AM_V_CCLD)$(CC) -static $(example_compile) \
		-DCRC16_CODE='"$(@D)/crc16_code.bin"' -o $@ $(filter %.c %.a,$^)
