/* SPDX-License-Identifier: MIT */
/* The test hypapp's use of services. */
#ifndef TESTAPP_SERVICES_H
#define TESTAPP_SERVICES_H

#include <hypapp/hypapp.h>

/* The services of testapp.h's list. */
enum hc_result testapp_service(struct vcpu *v, uint64_t op, uint64_t a, uint64_t b);

/* A sandbox of nine pages with three instructions in it. Boot CPU; each CPU: 0 or -1. */
int testapp_sandbox_init(void);
int testapp_sandbox_cpu(struct vcpu *v);
void testapp_sandbox_exit(struct vcpu *v, const struct exit *e);

#endif
