# SPDX-License-Identifier: MIT
# The checks that configure.ac makes, one macro each.

# XMHF_UNIT_TESTS
# Unit tests need cmocka; without it everything else still builds. Sets SANITIZE.
AC_DEFUN([XMHF_UNIT_TESTS], [
AC_CHECK_HEADER([cmocka.h], [have_cmocka=yes], [have_cmocka=no],
    [#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>])
AM_CONDITIONAL([HAVE_CMOCKA], [test "$have_cmocka" = yes])
AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--disable-sanitizers], [unit tests without ASan and UBSan (default: with, if they work)])],
    [], [enable_sanitizers=auto])
SANITIZE=
AS_IF([test "$enable_sanitizers" != no], [
    xmhf_saved=$CFLAGS
    CFLAGS="$CFLAGS -fsanitize=address,undefined"
    AC_MSG_CHECKING([whether $CC can link with ASan and UBSan])
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [xmhf_san=yes], [xmhf_san=no])
    AC_MSG_RESULT([$xmhf_san])
    CFLAGS=$xmhf_saved
    AS_IF([test $xmhf_san = yes],
        [SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all"],
        [test "$enable_sanitizers" = yes],
        [AC_MSG_ERROR([$CC lacks the sanitizer runtime; for clang:  apt-get install libclang-rt-dev])])
    enable_sanitizers=$xmhf_san
])
AC_SUBST([SANITIZE])
])

# XMHF_M32
# Tests of 32-bit PALs are 32-bit programs; without a C library for them the rest still builds.
AC_DEFUN([XMHF_M32], [
xmhf_saved=$CFLAGS
CFLAGS="$CFLAGS -m32 -static"
AC_MSG_CHECKING([whether $CC can make 32-bit programs])
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("");]])],
    [have_m32=yes], [have_m32="no: run  apt-get install gcc-multilib libc6-dev-i386"])
AC_MSG_RESULT([$have_m32])
CFLAGS=$xmhf_saved
AM_CONDITIONAL([HAVE_M32], [test "$have_m32" = yes])
])

# XMHF_MINGW
# PAL programs for Windows have compilers of their own; without them, or with MINGW64=no, the rest
# still builds.
AC_DEFUN([XMHF_MINGW], [
AC_ARG_VAR([MINGW64], [compiler of 64-bit Windows programs, or no])
AC_ARG_VAR([MINGW32], [compiler of 32-bit Windows programs])
AC_CHECK_PROGS([MINGW64], [x86_64-w64-mingw32-gcc])
AC_CHECK_PROGS([MINGW32], [i686-w64-mingw32-gcc])
AS_IF([test "$MINGW64" = no], [have_mingw=no],
    [test -n "$MINGW64" && test -n "$MINGW32"], [have_mingw=yes],
    [have_mingw="no: run  apt-get install gcc-mingw-w64-x86-64-win32 gcc-mingw-w64-i686-win32"])
AM_CONDITIONAL([HAVE_MINGW], [test "$have_mingw" = yes])
])

# XMHF_EFI
# xmhf.efi: headers of the firmware's interface, and a linker that makes PE images of ELF objects.
# Sets EFI_INCLUDE and PE_LD.
AC_DEFUN([XMHF_EFI], [
AC_ARG_VAR([EFI_INCLUDE], [folder of gnu-efi's headers])
AS_VAR_SET_IF([EFI_INCLUDE], [], [EFI_INCLUDE=/usr/include/efi])
AS_IF([test -f "$EFI_INCLUDE/efi.h"], [],
    [AC_MSG_ERROR([gnu-efi's headers are missing: run  apt-get install gnu-efi])])
AC_ARG_VAR([PE_LD], [ld of GNU binutils that makes PE images of 64 bits])
AC_CHECK_PROGS([PE_LD], [ld.bfd ld x86_64-linux-gnu-ld], [no])
AS_IF(["$PE_LD" -V 2>/dev/null | grep i386pep >/dev/null], [],
    [AC_MSG_ERROR([$PE_LD can't make PE images: run  apt-get install binutils])])
])

# XMHF_LIBDW
# tools/logdecode reads DWARF with elfutils; without that everything else still builds.
AC_DEFUN([XMHF_LIBDW], [
AC_CHECK_HEADER([elfutils/libdw.h], [have_libdw=yes],
    [have_libdw="no: run  apt-get install libdw-dev"])
AM_CONDITIONAL([HAVE_LIBDW], [test "$have_libdw" = yes])
])

# XMHF_FUZZ_COMPILER
# libFuzzer comes with clang only, so the fuzzers have a compiler of their own.
AC_DEFUN([XMHF_FUZZ_COMPILER], [
AC_ARG_VAR([FUZZ_CC], [clang with libFuzzer, for the fuzzers in tests/fuzz])
AC_CHECK_PROGS([FUZZ_CC], [clang clang-14], [no-clang-for-fuzzing])
])

# XMHF_FREESTANDING
# The compiler's own headers (stdint.h ...) without the host's libc. Sets FREESTANDING, and
# ASM_DEBUG: clang 14 writes real paths into the line tables of .S files whatever
# -ffile-prefix-map says, and then the build id would depend on the folder.
AC_DEFUN([XMHF_FREESTANDING], [
AC_MSG_CHECKING([for the compiler's own headers])
xmhf_inc=
ASM_DEBUG=
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#ifndef __clang__
#error not clang
#endif]])],
    [xmhf_inc=`$CC -print-resource-dir`/include],
    [xmhf_inc=`$CC -print-file-name=include`
     ASM_DEBUG=-g])
AS_IF([test -f "$xmhf_inc/stdint.h"], [],
    [AC_MSG_ERROR([$CC does not say where its stdint.h is])])
AC_MSG_RESULT([$xmhf_inc])
AC_SUBST([ASM_DEBUG])
AC_SUBST([FREESTANDING], ["-ffreestanding -nostdinc -isystem $xmhf_inc"])
])

# XMHF_SOURCE(NAME, name, VARIABLE, file)
# The source tree of a library: given, or fetched (and cached) from Debian. `file` is one that it has.
# Sets VARIABLE.
AC_DEFUN([XMHF_SOURCE], [
AC_ARG_WITH([$2],
    [AS_HELP_STRING([--with-$2=DIR], [source tree of $1 (default: fetched from Debian with apt)])],
    [$3=$withval],
    [AC_MSG_NOTICE([no --with-$2=DIR: asking tools/fetch-source])
     $3=`$PYTHON "$srcdir/tools/fetch-source" $2` ||
        AC_MSG_ERROR([no $1: see the message above, or give --with-$2=DIR])])
AS_IF([test -f "$$3/$4"], [],
    [AC_MSG_ERROR(["$$3" is not the source tree of $1: it has no $4])])
$3=`cd "$$3" && pwd`
case $$3 in
*[[\\\"\@%:@\$\&\'\`\ \	]]*) # not for make: by a link
    rm -f $2-link
    ln -s "$$3" $2-link || AC_MSG_ERROR([the link $2-link can't be made in `pwd`])
    $3=$2-link ;;
esac
AC_SUBST([$3])
])

# XMHF_BEARSSL
# Sets BEARSSL_DIR.
AC_DEFUN([XMHF_BEARSSL],
[XMHF_SOURCE([BearSSL], [bearssl], [BEARSSL_DIR], [src/hash/sha2small.c])])

# XMHF_LIBSODIUM
# Sets LIBSODIUM_DIR.
AC_DEFUN([XMHF_LIBSODIUM],
[XMHF_SOURCE([libsodium], [libsodium], [LIBSODIUM_DIR],
    [src/libsodium/crypto_sign/ed25519/ref10/sign.c])])
