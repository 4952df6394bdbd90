/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_STEP_H
#define SHMB_PROTO_STEP_H

/*
 * Step hooks: named points between two instructions where a test can kill or stop a process. They exist only in the test build of the
 * same sources (-DSHMB_STEPS); in what is shipped they are nothing at all. tests/support/step.c implements shmb_step().
 */

#ifdef SHMB_STEPS
void shmb_step(const char *name);
#define SHMB_STEP(name) shmb_step(name)
#else
#define SHMB_STEP(name) ((void)0)
#endif

#endif
