/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_STEP_H
#define SHMB_PROTO_STEP_H

/*
 * Step hooks: named points between two instructions where a test can kill or stop a process. They exist only in the test build of the
 * same sources (-DSHMB_STEPS); in what is shipped they are nothing at all. tests/support/step.c implements shmb_step().
 *
 * SHMB_STEP_NUMBER(name, usual) is a number that a test may change there; in what is shipped it is `usual`.
 */

#ifdef SHMB_STEPS
#include <stdint.h>

void shmb_step(const char *name);
uint64_t shmb_step_number(const char *name, uint64_t usual);
#define SHMB_STEP(name) shmb_step(name)
#define SHMB_STEP_NUMBER(name, usual) shmb_step_number(name, usual)
#else
#define SHMB_STEP(name) ((void)0)
#define SHMB_STEP_NUMBER(name, usual) (usual)
#endif

#endif
