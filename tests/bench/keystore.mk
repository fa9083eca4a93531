# SPDX-License-Identifier: MIT
# guest_keystore: the keystore as a PAL, and its functions with libpal-rt's, of which the program
# sees those that it measures.
keystore_folder = $(srcdir)/pal_sdk/examples/keystore
keystore_measured = import sign agree mac

tests/bench/keystore_pal.o: $(keystore_folder)/keystore_pal.c \
		$(keystore_folder)/keystore_interface.h $(example_headers) pal_sdk/tools/pal-cc \
		pal_sdk/tools/pal-lint
	@$(MKDIR_P) $(@D)
	$(AM_V_CC)$(example_palcc) --cc "$(CC)" $(example_image_flags) -c -o $@ $<
tests/bench/keystore_direct.o: tests/bench/keystore_pal.o libpal-rt-elf64.a
	$(AM_V_GEN)$(CC) -nostdlib -r -o $@ $^ && $(OBJCOPY) \
		$(keystore_measured:%=--keep-global-symbol=%) $@
tests/bench/guest_keystore: tests/bench/guest_keystore.c $(keystore_folder)/keystore_client.c \
		pal_sdk/examples/keystore/keystore-elf64-64.o tests/bench/keystore_direct.o \
		pal_sdk/lib/64/libpal.a
	$(AM_V_CCLD)$(CC) -static $(example_compile) -I$(keystore_folder) -o $@ $^
