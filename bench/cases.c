/* SPDX-License-Identifier: MIT */
/* The table of cases: one row each. */
#include "bench.h"

#include "parts.h"
#include "store_load.h"

#define STORE(bytes)                                                                                                                       \
	{                                                                                                                                  \
		"value.store", 1, bytes, 4,                                                                                                \
		{                                                                                                                          \
			&store_memcpy, &store_shmbroker, &store_seqlock                                                                    \
		}                                                                                                                          \
	}
#define LOAD(bytes)                                                                                                                        \
	{                                                                                                                                  \
		"value.load", 1, bytes, 4,                                                                                                 \
		{                                                                                                                          \
			&load_memcpy, &load_shmbroker, &load_seqlock                                                                       \
		}                                                                                                                          \
	}
#define BOTH(bytes)                                                                                                                        \
	{                                                                                                                                  \
		"value.store_load", 1, bytes, 4,                                                                                           \
		{                                                                                                                          \
			&store_load_memcpy, &store_load_shmbroker, &store_load_seqlock, &one_pipe, &one_mqueue, &one_seqpacket,            \
				&one_zeromq, &one_nng, &one_iceoryx, &one_iceoryx2                                                         \
		}                                                                                                                          \
	}
#define RING(bytes)                                                                                                                        \
	{                                                                                                                                  \
		"ring.insert_latest", 1, bytes, 8,                                                                                         \
		{                                                                                                                          \
			&insert_latest_memcpy, &insert_latest_shmbroker, &store_load_seqlock, &one_pipe, &one_mqueue, &one_seqpacket       \
		}                                                                                                                          \
	}
#define FRAME(bytes)                                                                                                                       \
	{                                                                                                                                  \
		"frame.handover", 1, bytes, 4,                                                                                             \
		{                                                                                                                          \
			&store_load_memcpy, &handover_shmbroker, &handover_iceoryx, &handover_iceoryx2                                     \
		}                                                                                                                          \
	}
#define SPIN(bytes)                                                                                                                        \
	{                                                                                                                                  \
		"latency.spin", 2, bytes, 4,                                                                                               \
		{                                                                                                                          \
			&spin_raw_flag, &spin_shmbroker, &spin_zeromq, &spin_nng, &spin_iceoryx, &spin_iceoryx2                            \
		}                                                                                                                          \
	}
#define DISTINCT(bytes)                                                                                                                    \
	{                                                                                                                                  \
		"throughput.distinct", 2, bytes, 8,                                                                                        \
		{                                                                                                                          \
			&distinct_seqlock, &distinct_shmbroker, &distinct_pipe, &distinct_mqueue, &distinct_seqpacket, &distinct_zeromq,   \
				&distinct_nng, &distinct_iceoryx, &distinct_iceoryx2                                                       \
		}                                                                                                                          \
	}

#ifdef BENCH_CK
#define QUEUE_CK &queue_two_ck,
#else
#define QUEUE_CK
#endif

enum { SMALL = 64, PAGE = 4096, MIB = 1 << 20, FULL_HD = 1920 * 1080 * 3 };

const struct bench_case bench_cases[] = {
	STORE(SMALL),
	STORE(PAGE),
	STORE(MIB),
	STORE(FULL_HD),
	LOAD(SMALL),
	LOAD(PAGE),
	LOAD(MIB),
	LOAD(FULL_HD),
	BOTH(SMALL),
	BOTH(PAGE),
	BOTH(MIB),
	BOTH(FULL_HD),
	RING(SMALL),
	RING(PAGE),
	RING(MIB),
	{ "ring.closest", 1, SMALL, 128, { &pick_memcpy, &closest_shmbroker } },
	{ "ring.bracket", 1, SMALL, 128, { &pick_two_memcpy, &bracket_shmbroker } },
	{ "ring.fresh", 1, SMALL, 128, { &pick_memcpy, &fresh_shmbroker } },
	FRAME(SMALL),
	FRAME(PAGE),
	FRAME(MIB),
	FRAME(FULL_HD),
	{ "queue.spsc", 1, SMALL, 256, { &insert_latest_memcpy, &queue_shmbroker } },
	SPIN(56),
	SPIN(SMALL),
	{ "latency.blocked",
	  2,
	  SMALL,
	  4,
	  { &blocked_raw_futex, &blocked_shmbroker, &blocked_pipe, &blocked_mqueue, &blocked_seqpacket, &blocked_zeromq, &blocked_nng,
	    &blocked_iceoryx, &blocked_iceoryx2 } },
	DISTINCT(SMALL),
	DISTINCT(PAGE),
	DISTINCT(MIB),
	{ "queue.spsc", 2, SMALL, 256, { &queue_two_shmbroker, QUEUE_CK &queue_zeromq, &queue_nng, &queue_iceoryx, &queue_iceoryx2 } },
	{ "control.open", 2, SMALL, 4, { &open_bare, &open_shmbroker } },
	{ "control.open_10k", 2, SMALL, 4, { &open_bare, &open_many_shmbroker } },
	{ "control.open_cold", 2, SMALL, 4, { &open_bare, &open_cold_shmbroker } },
	{ "death.notice", 2, SMALL, 4, { &death_pidfd, &death_shmbroker } },
	{ "adopt.10k", 2, SMALL, 4, { &adopt_shmbroker } },
};
const size_t bench_case_count = sizeof(bench_cases) / sizeof(bench_cases[0]);
