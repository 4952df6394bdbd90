/* SPDX-License-Identifier: MIT */
#ifndef SHMB_METRICS_H
#define SHMB_METRICS_H

/*
 * What the broker counts and measures of itself, and who is connected to it. For tools; included by shmb.h. Pointers given to visitors are
 * valid during the call, no lock is held meanwhile.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shmb_metrics_bucket {
	uint64_t upto_ns; /* UINT64_MAX in the last one */
	uint64_t count;	  /* of requests that took at most that, and longer than those of the bucket before */
};

struct shmb_metrics_count {
	const char *name;
	uint64_t value;
};

struct shmb_metrics {
	const char *version;
	uint64_t started_ns; /* CLOCK_REALTIME; the counts below are since then */
	uint32_t segments;
	uint32_t clients;
	uint64_t bytes;	     /* of all segments */
	uint64_t deaths;     /* writers found dead */
	uint64_t repairs;    /* half-written elements mended, locks taken from the dead */
	uint64_t reaps;	     /* segments and foreign files removed by policy */
	uint64_t adopted;    /* segments taken over at its start */
	uint64_t latency_ns; /* of all requests together, from receiving one to its answer */
	uint64_t cpu_ns;
	uint64_t resident_bytes;  /* 0 unknown */
	uint32_t descriptors;	  /* open in the broker; UINT32_MAX unknown */
	uint32_t descriptors_max; /* that it may have open; UINT32_MAX unknown */
	uint32_t bucket_count;
	uint32_t refusal_count;
	uint32_t event_count;
	const struct shmb_metrics_bucket *buckets;
	const struct shmb_metrics_count *refusals; /* by the name of the errno; those that occurred */
	const struct shmb_metrics_count *events;   /* by kind, as in struct shmb_event; all kinds */
};

/* Calls `visit` once and returns what it returns. Errors as shmb_status(). */
SHMB_PUBLIC int shmb_metrics(struct shmb *broker, int (*visit)(const struct shmb_metrics *metrics, void *user), void *user);

enum shmb_handle_role {
	SHMB_HANDLE_WRITES = 1,
	SHMB_HANDLE_READS = 2,
	SHMB_HANDLE_OBSERVES = 3,
	SHMB_HANDLE_CONSUMES = 4,
	SHMB_HANDLE_SHARES = 5,
};

struct shmb_client_handle {
	enum shmb_handle_role role;
	const char *segment;
};

struct shmb_client_info {
	uint64_t id;	       /* of the connection, never used again while the broker runs */
	uint64_t connected_ns; /* CLOCK_REALTIME */
	uint64_t requests;     /* answered */
	uint64_t refusals;     /* of these with an error */
	uint64_t bytes;	       /* memory of the segments that it writes */
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
	const char *comm;
	int watches; /* it is sent events */
	uint32_t handle_count;
	const struct shmb_client_handle *handles;
};

/*
 * Calls `visit` for each connection, the newest first and the caller's own among them, until it returns other than 0, and returns that. Root and the broker's own
 * user are told of all, others of those of their own user. Errors as shmb_status().
 */
SHMB_PUBLIC int shmb_clients(struct shmb *broker, int (*visit)(const struct shmb_client_info *client, void *user), void *user);

/* What a user has, and its quotas. */
struct shmb_user_info {
	uint32_t uid;
	int is_total;	     /* of all users together; uid is of no meaning */
	uint32_t clients;    /* connections */
	uint32_t segments;   /* whose memory is charged to it, superseded generations as well */
	uint64_t bytes;	     /* of these, until nobody has them mapped any more */
	uint64_t requests;   /* answered; this and the next two as long as the broker remembers the user */
	uint64_t refusals;   /* of these with an error */
	uint64_t over_quota; /* requests and connections */
	uint64_t bytes_max;  /* quotas; UINT64_MAX: none */
	uint64_t segments_max;
	uint64_t clients_max;
	uint64_t request_rate; /* requests a second */
};

/*
 * Calls `visit` for all users together, then for each that has anything, by growing uid, until it returns other than 0, and returns that. Root and the broker's
 * own user are told of all, others of themselves. Errors as shmb_status().
 */
SHMB_PUBLIC int shmb_users(struct shmb *broker, int (*visit)(const struct shmb_user_info *info, void *user), void *user);

#ifdef __cplusplus
}
#endif

#endif
