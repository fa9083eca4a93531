/* SPDX-License-Identifier: MIT */
/* Does this CPU have what we need of SVM? Also linked into tools/probe. */
#ifndef XMHF_SVM_CAPS_H
#define XMHF_SVM_CAPS_H

#define SVM_ASIDS_MIN 3 /* the host, the OS, and one for sandboxes */

/* NULL, or what the CPU lacks or its firmware has switched off. */
const char *svm_missing(void);

#endif
