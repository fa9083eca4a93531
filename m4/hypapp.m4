# SPDX-License-Identifier: MIT
# --with-hypapp: one of the tree's own, or a folder that the user names.

# XMHF_HYPAPP(NAMES): what $with_hypapp is. A folder is used by the link "hypapp-source" in the build
# folder: so make sees no path of the machine's, and any name will do.
AC_DEFUN([XMHF_HYPAPP], [
hypapp_known=no
for hypapp_name in $1; do
    AS_IF([test "$with_hypapp" = $hypapp_name], [hypapp_known=yes])
done
AM_CONDITIONAL([HYPAPP_OUTSIDE], [test $hypapp_known = no])
AM_CONDITIONAL([HYPAPP_TRUSTVISOR], [test "$with_hypapp" = trustvisor])
AM_CONDITIONAL([HYPAPP_HELLOWORLD], [test "$with_hypapp" = helloworld])
AM_CONDITIONAL([HYPAPP_LOCKDOWN], [test "$with_hypapp" = lockdown])
AS_IF([test $hypapp_known = no], [
    AS_IF([test ! -d "$with_hypapp"],
        [AC_MSG_ERROR([no hypapp "$with_hypapp": give one of "$1", or a folder with the C files of your own])])
    hypapp_folder=`cd "$with_hypapp" && pwd -P`
    AS_IF([ls "$hypapp_folder"/*.c >/dev/null 2>&1], [],
        [AC_MSG_ERROR([no C files in $hypapp_folder: a hypapp's are directly in the folder that --with-hypapp names])])
    AS_IF([grep -q 'struct hypapp hypapp' "$hypapp_folder"/*.c], [],
        [AC_MSG_ERROR([no C file in $hypapp_folder has "const struct hypapp hypapp = { ... };": see notes/hypapps.md])])
    AS_IF([ls "$hypapp_folder"/*.c | sed 's|.*/||' | grep -q '@<:@^A-Za-z0-9_.+-@:>@'],
        [AC_MSG_ERROR([a C file in $hypapp_folder has a name that make can't have: letters, digits and _.+- only])])
    # Objects of another folder's files would be taken for this one's if they are newer.
    AS_IF([test "`readlink hypapp-source`" = "$hypapp_folder"], [], [rm -rf hypapp-outside])
    AS_IF([rm -f hypapp-source && ln -s "$hypapp_folder" hypapp-source], [],
        [AC_MSG_ERROR([can't make the link "hypapp-source" in this folder: move away what is there])])
])
])
