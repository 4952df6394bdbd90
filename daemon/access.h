/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_ACCESS_H
#define SHMB_DAEMON_ACCESS_H

/*
 * Who may read and write which segment, by what the kernel says of a client: uid, gid, supplementary groups.
 *
 *            writers = ...                          no such list
 *   write    those it names                         the owner; where there is no segment yet, who may read
 *
 *            readers = ...                          no such list
 *   read     those it names                         who may connect
 *
 * Root and the daemon's own user may do everything. Who may write may read, and the owner may read. Groups are those the client had when it
 * connected, as with files.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy.h"
#include "reply.h"

struct peer;
struct segment;

enum access_right { ACCESS_READ, ACCESS_WRITE };

struct access_who {
	uint32_t uid;
	const uint32_t *gids; /* all of them */
	size_t gid_count;
	uint32_t daemon_uid;
};

#define ACCESS_NO_OWNER UINT32_MAX

/* Pure. `why` (SHMB_TEXT_MAX bytes, NULL: not asked) gets the reason for either answer, naming the rule and where it stands. */
bool access_judge(const struct policy *policy, enum access_right right, uint32_t owner_uid, const struct access_who *who, char *why);

/* Of a connection; looked up once. The groups belong to the peer. */
void access_who_of(struct peer *peer, struct access_who *who);

/*
 * May this client read / write the segment of this name (NULL: there is none yet)? Where not, `reply` says so: -EACCES, or -EPERM for writing
 * what belongs to another.
 */
bool access_check(struct peer *peer, enum access_right right, const char *name, const struct segment *segment,
		  const struct shmb_msg_head *head, struct reply *reply);
/* May it see that there is this segment? Without an answer. */
bool access_sees(struct peer *peer, const struct segment *segment);
/* Is it root or the daemon's own user? */
bool access_is_operator(const struct peer *peer);
/* May a segment be made as large as this? Else -EFBIG, naming the rule. */
bool access_check_size(struct peer *peer, const struct shmb_msg_open_writer *open, struct reply *reply);

/*
 * What a process leaves in shared memory when it ends, a lease or a cell, names it by pid and start time: for the broker that comes next, and
 * for whoever asks. One that has no pid here gets neither, and reads: false, and the reply is -EOPNOTSUPP.
 */
bool access_seen(struct peer *peer, const char *name, const struct shmb_msg_head *head, struct reply *reply);

#endif
