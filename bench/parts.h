/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BENCH_PARTS_H
#define SHMB_BENCH_PARTS_H

/* The implementations of all cases but those of store_load.h; what they do stands at the head of their files. */

#include "bench.h"

/* frame.c */
extern const struct bench_impl handover_shmbroker;
/* temporal.c */
extern const struct bench_impl closest_shmbroker, bracket_shmbroker, fresh_shmbroker, pick_memcpy, pick_two_memcpy;
/* queue.c */
extern const struct bench_impl queue_shmbroker, queue_two_shmbroker;
#ifdef BENCH_CK
/* ck.c */
extern const struct bench_impl queue_two_ck;
#endif
/* latency.c */
extern const struct bench_impl spin_raw_flag, spin_shmbroker, blocked_raw_futex, blocked_shmbroker;
/* control.c */
extern const struct bench_impl open_bare, open_shmbroker, open_many_shmbroker, open_cold_shmbroker;
/* death.c */
extern const struct bench_impl death_pidfd, death_shmbroker;
/* adopt.c */
extern const struct bench_impl adopt_shmbroker;
/* distinct.c */
extern const struct bench_impl distinct_seqlock, distinct_shmbroker;
/* channel.c, of the kinds of channel.h */
extern const struct bench_impl one_pipe, one_mqueue, one_seqpacket, one_zeromq, one_nng, one_iceoryx, one_iceoryx2;
extern const struct bench_impl handover_iceoryx, handover_iceoryx2;
extern const struct bench_impl spin_zeromq, spin_nng, spin_iceoryx, spin_iceoryx2;
extern const struct bench_impl blocked_pipe, blocked_mqueue, blocked_seqpacket, blocked_zeromq, blocked_nng, blocked_iceoryx,
	blocked_iceoryx2;
extern const struct bench_impl distinct_pipe, distinct_mqueue, distinct_seqpacket, distinct_zeromq, distinct_nng, distinct_iceoryx,
	distinct_iceoryx2;
extern const struct bench_impl queue_zeromq, queue_nng, queue_iceoryx, queue_iceoryx2;

#endif
