/* SPDX-License-Identifier: MIT */
/*
 * OPEN_WRITER, OPEN_READER, CLOSE.
 *
 * Everything is checked before anything is changed, and what was changed is taken back when a later step fails. A request repeated by the
 * same client gets the same answer: the first one's may have been lost with a broker that was killed.
 */
#include "open.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "access.h"
#include "broker.h"
#include "lineage.h"
#include "liveness.h"
#include "log.h"
#include "match.h"
#include "peer.h"
#include "policy.h"
#include "proto/schema.h"
#include "proto/step.h"
#include "stale.h"

/* ---- what both have in common ---- */

/* An answer of -EPROTOTYPE shows the segment's schema. */
static void reply_schema(struct broker *broker, struct segment *segment, struct reply *reply)
{
	char *text = reply_tail(reply, segment->schema_length);

	if (text == NULL || segment_read_schema(&broker->store, segment, text) < 0)
		log_error("%s: its schema cannot be read", segment->name);
}

/* The client wants to hear when asking again makes sense. Answers with an error if that cannot be promised. */
static void want(struct peer *peer, const struct shmb_msg_head *head, uint32_t open_flags, const char *name, struct reply *reply)
{
	int r;

	if ((open_flags & SHMB_OPEN_NOTIFY) == 0)
		return;
	r = interest_add(&peer->broker->interests, peer, name);
	if (r == -ENOMEM)
		reply_error(reply, head, r, "the broker is out of memory, and cannot say when %s can be had", name);
	else if (r < 0)
		reply_error(reply, head, r, "a connection can wait for %d names: use a second one", PEER_INTERESTS_MAX);
}

static bool has_room(struct peer *peer, const struct shmb_msg_head *head, struct reply *reply)
{
	if (peer->attachment_count < PEER_ATTACHMENTS_MAX)
		return true;
	reply_error(reply, head, -EUSERS, "a connection can have %d handles: close some, or use a second connection", PEER_ATTACHMENTS_MAX);
	return false;
}

/* Fills the answer with what the attachment got. */
static int reply_open(struct broker *broker, const struct attachment *attachment, const struct shmb_msg_head *head, struct reply *reply)
{
	struct segment *segment = attachment->segment;
	struct shmb_msg_open_answer *answer = reply_begin(reply, head, sizeof(*answer));
	bool is_writer = attachment->role == SHMB_ROLE_WRITER;
	int r = segment_open_fds(&broker->store, segment, attachment->role, attachment->area, reply->fds, &reply->fd_count,
				 &reply->are_lent);

	if (r < 0) {
		reply->fd_count = 0;
		reply_error(reply, head, r == -EEXIST ? -EIO : store_error(r), "the files of %s cannot be opened: %s", segment->name,
			    strerror(-r));
		return r;
	}
	answer->segment_id = segment->segment_id;
	answer->generation = segment->geometry.generation;
	answer->epoch = is_writer ? segment->epoch : 0;
	answer->state = is_writer ? shmb_state_word(segment->epoch, segment->state) : 0;
	answer->cell = attachment->cell;
	answer->incarnation = attachment->incarnation;
	answer->fd_count = reply->fd_count;
	answer->area = attachment->area;
	return 0;
}

/* The handle is in use: the same request again, or a mistake. */
static void reply_repeated(struct peer *peer, const struct attachment *attachment, enum shmb_role role, const char *name,
			   const struct shmb_msg_head *head, struct reply *reply)
{
	if (attachment->role == role && strcmp(attachment->segment->name, name) == 0)
		reply_open(peer->broker, attachment, head, reply);
	else
		reply_in_use(reply, head, attachment->handle);
}

/*
 * Areas are named files where the broker that made them lay in a private directory, else sealed. If it no longer does, named ones are not for
 * other users, who could make them shorter under the writer's feet.
 */
static bool may_have_area(const struct broker *broker, const struct segment *segment, const struct holder *who)
{
	if (segment->areas_lost)
		return false;
	return segment->area_backing == SHMB_BACKING_SEALED || broker->listener.is_private || who->uid == broker->store.uid;
}

static int take_cell(struct broker *broker, struct attachment *attachment)
{
	int r = segment_cell_take(&broker->store, attachment->segment, &attachment->holder, attachment->role, &attachment->cell,
				  &attachment->incarnation, &attachment->area);

	if (r == -EUSERS && liveness_settle(broker, attachment->segment)) /* the dead had some */
		r = segment_cell_take(&broker->store, attachment->segment, &attachment->holder, attachment->role, &attachment->cell,
				      &attachment->incarnation, &attachment->area);
	if (r < 0) {
		attachment->cell = UINT32_MAX;
		attachment->area = UINT32_MAX;
		return r;
	}
	if (!may_have_area(broker, attachment->segment, &attachment->holder))
		attachment->area = UINT32_MAX;
	return 0;
}

/* ---- writer and sharer ---- */

/* Is the schema text what the request says it is? */
static bool check_schema(const struct shmb_msg_open_writer *open, const char *text, struct reply *reply)
{
	struct shmb_schema schema;
	unsigned line = 0;
	const char *why = "";
	bool good = false;
	int r = shmb_schema_parse(text, open->head.tail_bytes, &schema, &line, &why);

	if (r == -ENOMEM) {
		reply_error(reply, &open->head, r, "the broker is out of memory");
		return false;
	}
	if (r < 0) {
		reply_error(reply, &open->head, r, "the schema of %s, line %u: %s", open->type, line, why);
		return false;
	}
	if (schema.hash != open->schema_hash)
		reply_error(reply, &open->head, -EINVAL, "the schema's hash is not the one stated: client and broker hash differently");
	else if (schema.size != open->payload_bytes)
		reply_error(reply, &open->head, -EINVAL, "the schema describes %" PRIu64 " bytes, but the payload has %" PRIu64,
			    schema.size, open->payload_bytes);
	else
		good = true;
	shmb_schema_deinit(&schema);
	return good;
}

/*
 * May this request have the segment that is there? *reason: it gets a new generation, and why; NULL: in the memory that is there, if the lease is
 * free.
 */
static bool check_existing(struct peer *peer, struct segment *segment, const struct shmb_msg_open_writer *open, struct reply *reply,
			   const char **reason)
{
	struct shmb_request request = match_request(open);
	bool other_type = segment->schema_hash != open->schema_hash;
	char text[SHMB_TEXT_MAX];
	int r;

	*reason = NULL;
	r = match_geometry(&segment->geometry, &request, text);
	if (r < 0 && r != -EEXIST) {
		reply_error(reply, &open->head, r, "%s cannot be made: %s", segment->name, text);
		return false;
	}
	*reason = lineage_why_replace(peer->broker, segment, peer, other_type || r < 0);
	if (*reason != NULL || (!other_type && r == 0))
		return true;
	if (liveness_is_ending(segment)) {
		reply_error(reply, &open->head, -EBUSY,
			    "%s: its writer has ended, which the broker has no descriptors or memory left to see to: it tries again",
			    segment->name);
		want(peer, &open->head, open->open_flags, segment->name, reply);
		return false;
	}
	if (other_type) {
		reply_error(reply, &open->head, -EPROTOTYPE,
			    "%s is in use with another type, %s of %" PRIu64 " bytes: use that, or end its writer first", segment->name,
			    segment->type, segment->geometry.payload_bytes);
		reply_schema(peer->broker, segment, reply);
	} else {
		reply_error(reply, &open->head, r, "%s is in use, but %s: open it like that, or end its writer first", segment->name, text);
	}
	return false;
}

static void reply_held(struct peer *peer, struct segment *segment, const struct attachment *attachment,
		       const struct shmb_msg_open_writer *open, struct reply *reply)
{
	const char *comm = attachment != NULL ? attachment->process->comm : "?";

	reply_error(
		reply, &open->head, -EBUSY,
		"%s is written by process %d (%s) of uid %u, and has one writer at a time: end that one, or wait for it with a deadline",
		segment->name, segment->lease.pid, comm, segment->lease.uid);
	reply_holder(reply, &segment->lease, comm);
	want(peer, &open->head, open->open_flags, segment->name, reply);
}

/* The lease is not free. True when it is this very client's, whose first answer was lost: it then has it again. */
static bool take_back(struct peer *peer, struct segment *segment, struct attachment *attachment)
{
	if (attachment == NULL || attachment->peer != NULL || !holder_is_same(&attachment->holder, &peer->holder))
		return false;
	if (attachment->given_up) {
		if (segment_resume(&peer->broker->store, segment) < 0)
			return false;
		attachment->given_up = false;
	}
	return true;
}

/* Grants the free lease. NULL: answered with an error, or *spent. */
static struct attachment *grant_lease(struct peer *peer, struct segment *segment, const struct shmb_msg_open_writer *open,
				      struct reply *reply, bool *spent)
{
	struct attachment *attachment = attachment_new(segment, peer->process, &peer->holder, SHMB_ROLE_WRITER);
	int r = attachment == NULL ? -ENOMEM : segment_grant(&peer->broker->store, segment, &peer->holder);

	if (r == 0)
		return attachment;
	attachment_free(attachment);
	*spent = r == -EOVERFLOW;
	if (r != -EOVERFLOW)
		reply_error(reply, &open->head, r == -EBUSY || r == -EOPNOTSUPP ? r : store_error(r),
			    "the lease of %s cannot be granted: %s", segment->name, strerror(-r));
	return NULL;
}

/* The lease, free or this client's already. NULL: answered with an error; or *spent: its numbers are used up, or its last writer has spoilt them. */
static struct attachment *take_lease(struct peer *peer, struct segment *segment, const struct shmb_msg_open_writer *open,
				     struct reply *reply, bool *spent)
{
	struct attachment *attachment = liveness_lease_holder(peer->broker, segment, peer->process);

	*spent = false;
	if (segment->state == SHMB_STATE_FREE)
		return grant_lease(peer, segment, open, reply, spent);
	if (take_back(peer, segment, attachment))
		return attachment;
	reply_held(peer, segment, attachment, open, reply);
	return NULL;
}

/* A cell in a block. Nobody can be in the way of a sharer, but its lock knows holders by their cells. NULL: answered with an error. */
static struct attachment *take_share(struct peer *peer, struct segment *segment, const struct shmb_msg_open_writer *open,
				     struct reply *reply)
{
	struct attachment *attachment = attachment_new(segment, peer->process, &peer->holder, SHMB_ROLE_SHARER);
	int r = attachment == NULL ? -ENOMEM : take_cell(peer->broker, attachment);

	if (r == 0)
		return attachment;
	attachment_free(attachment);
	if (r == -EUSERS)
		reply_error(reply, &open->head, r,
			    "%s has no cell left, or none for uid %u: as many processes as it has cells have it open; end some",
			    segment->name, peer->holder.uid);
	else
		reply_error(reply, &open->head, r, "%s has no place for the sharer: %s", segment->name, strerror(-r));
	return NULL;
}

/* Makes the segment, or where `old` is given its next generation. NULL: answered with an error. */
static struct segment *make_segment(struct peer *peer, const struct shmb_msg_open_writer *open, const char *schema, struct segment *old,
				    const char *reason, struct reply *reply)
{
	struct broker *broker = peer->broker;
	struct segment_spec spec = {
		.name = open->name,
		.type = open->type,
		.schema = schema,
		.schema_length = open->head.tail_bytes,
		.schema_hash = open->schema_hash,
		.request = match_request(open),
		.owner_uid = peer->holder.uid,
		.owner_gid = peer->gid,
		.policy = policy_find(broker->policies, open->name),
		.writer_uid = peer->holder.uid,
	};
	struct segment *segment = NULL;
	const char *why = NULL;
	int r = 0;

	if (!account_check(peer, &spec, &open->head, reply) || making_defer(peer, &open->head, &spec, reply))
		return NULL;
	if (old != NULL)
		segment = lineage_replace(broker, old, &spec, reason, peer, &r, &why);
	else
		r = segment_create(&broker->store, &spec, &segment, &why);
	if (r == -ENOSPC && why != NULL) {
		account_reply_full(peer, open->name, why, &open->head, reply);
		return NULL;
	}
	if (r < 0) {
		reply_error(reply, &open->head, r, "%s cannot be made: %s", open->name, why != NULL ? why : strerror(-r));
		return NULL;
	}
	if (old != NULL)
		return segment;
	r = registry_add(&broker->registry, segment);
	if (r < 0) {
		segment_remove(&broker->store, segment);
		reply_error(reply, &open->head, r, "%s cannot be made: %s", open->name, strerror(-r));
		return NULL;
	}
	account_charge(broker, segment);
	segment->policy = policy_find(broker->policies, segment->name);
	return segment;
}

static void tell_made(struct broker *broker, const struct attachment *attachment)
{
	const struct segment *segment = attachment->segment;
	struct event event = attachment_event(attachment, EVENT_CREATED, match_kind_name(segment->geometry.kind));

	event_tell(broker, &event, "%s: made by process %d (%s); a %s of %u times %" PRIu64 " bytes, type %s", event.segment, event.pid,
		   event.comm, event.reason, segment->geometry.pool_count, segment->geometry.payload_bytes, segment->type);
}

static void tell_writer(struct broker *broker, const struct attachment *attachment, bool is_new, bool same_lease)
{
	struct event event = attachment_event(attachment, EVENT_WRITER_UP, is_new ? "first" : same_lease ? "back" : "next");

	event_tell(broker, &event, "%s: %s by writer %d (%s)", event.segment,
		   is_new	? "written"
		   : same_lease ? "taken back"
				: "taken over",
		   event.pid, event.comm);
}

static void tell_joined(struct broker *broker, const struct attachment *attachment)
{
	const char *how = attachment->role == SHMB_ROLE_SHARER ? "shared" : attachment->role == SHMB_ROLE_CONSUMER ? "consumed" : "read";
	struct event event = attachment_event(attachment, EVENT_READER_JOINED, how);

	event_tell(broker, &event, "%s: %s by process %d (%s)", event.segment, how, event.pid, event.comm);
}

/* Lease or share; where the numbers are spent, in a new generation. NULL: answered with an error. */
static struct attachment *take_role(struct peer *peer, struct segment **segment, const struct shmb_msg_open_writer *open,
				    const char *schema, struct reply *reply)
{
	struct attachment *attachment;
	bool spent = false;

	if (open->role == SHMB_ROLE_SHARER)
		return take_share(peer, *segment, open, reply);
	attachment = take_lease(peer, *segment, open, reply, &spent);
	if (spent) {
		struct segment *next = make_segment(peer, open, schema, *segment, "numbers used up", reply);

		if (next == NULL)
			return NULL;
		*segment = next;
		attachment = take_lease(peer, next, open, reply, &spent);
	}
	return attachment;
}

void open_writer(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	const struct shmb_msg_open_writer *open = &request->open_writer;
	struct broker *broker = peer->broker;
	struct attachment *attachment = attachment_by_handle(peer, open->handle);
	struct segment *segment;
	struct segment *found;
	const char *reason = NULL;
	uint64_t epoch;
	bool is_new = false;

	if (attachment != NULL) {
		reply_repeated(peer, attachment, (enum shmb_role)open->role, open->name, &open->head, reply);
		return;
	}
	if (!has_room(peer, &open->head, reply) || !check_schema(open, tail, reply) || !access_seen(peer, open->name, &open->head, reply))
		return;
	found = registry_find(&broker->registry, open->name);
	if (!access_check(peer, ACCESS_WRITE, open->name, found, &open->head, reply))
		return;
	if (found != NULL && !check_existing(peer, found, open, reply, &reason))
		return;
	segment = found;
	if (found == NULL || reason != NULL) {
		segment = access_check_size(peer, open, reply) ? make_segment(peer, open, tail, found, reason, reply) : NULL;
		if (segment == NULL)
			return;
		is_new = found == NULL;
	}
	epoch = segment->epoch;
	attachment = take_role(peer, &segment, open, tail, reply);
	if (attachment != NULL) {
		attachment_set_peer(attachment, peer, open->handle);
		SHMB_STEP("open.granted");
		if (reply_open(broker, attachment, &open->head, reply) < 0) {
			liveness_close_asked(broker, attachment);
			attachment = NULL;
		}
	}
	if (attachment == NULL) {
		if (is_new)
			reaper_remove(broker, segment);
		else
			reaper_look(&broker->reaper, segment);
		return;
	}
	if (is_new)
		tell_made(broker, attachment);
	if (attachment->role == SHMB_ROLE_SHARER)
		tell_joined(broker, attachment);
	else
		tell_writer(broker, attachment, is_new, segment->epoch == epoch);
	stale_follow(broker, segment);
	reaper_look(&broker->reaper, segment);
	liveness_tell_readers(segment);
	if (is_new)
		interest_tell(&broker->interests, segment->name);
}

/* ---- reader, observer and consumer ---- */

static bool check_readable(struct peer *peer, struct segment *segment, const struct shmb_msg_open_reader *open, struct reply *reply)
{
	if (open->kind != SHMB_KIND_NONE && open->kind != segment->geometry.kind) {
		reply_error(reply, &open->head, -EMEDIUMTYPE, "%s is a %s, not a %s: open it as that", segment->name,
			    match_kind_name(segment->geometry.kind), match_kind_name(open->kind));
		return false;
	}
	if (!role_fits(open->role, segment->geometry.kind)) {
		reply_error(reply, &open->head, -EOPNOTSUPP,
			    "%s is a queue: its items are taken out by one consumer, not read; open it as that, or observe it",
			    segment->name);
		return false;
	}
	if (open->schema_hash != 0 && open->schema_hash != segment->schema_hash) {
		reply_error(reply, &open->head, -EPROTOTYPE,
			    "%s holds another type, %s of %" PRIu64 " bytes: open it as that, or as whatever it is", segment->name,
			    segment->type, segment->geometry.payload_bytes);
		reply_schema(peer->broker, segment, reply);
		return false;
	}
	return true;
}

/* Who has the items of any generation. */
static struct attachment *any_consumer(struct segment *newest)
{
	struct attachment *consumer = NULL;

	for (; newest != NULL && consumer == NULL; newest = newest->older)
		consumer = attachment_consumer(newest);
	return consumer;
}

/* Sees to those who are dead. Superseded generations may go with them. */
static void bury_consumers(struct peer *peer, struct segment *newest)
{
	struct attachment *consumer = any_consumer(newest);

	while (consumer != NULL && liveness_consumer(peer->broker, consumer->segment, peer->process) == NULL)
		consumer = any_consumer(newest);
}

/* False: answered with an error. */
static bool check_consumer(struct peer *peer, struct segment *segment, const struct shmb_msg_open_reader *open, struct reply *reply)
{
	const struct attachment *consumer;

	if (segment->geometry.area_count == 0 || !may_have_area(peer->broker, segment, &peer->holder)) {
		reply_error(
			reply, &open->head, -EUSERS,
			"%s has no reader areas for uid %u, without which nothing can be consumed: its policy gave it none, it was made "
			"where no other user could connect, or they were lost with a daemon that had no descriptor store; remove it",
			segment->name, peer->holder.uid);
		return false;
	}
	if (open->follows != 0)
		consumer = liveness_consumer(peer->broker, segment, peer->process);
	else
		consumer = any_consumer(registry_find(&peer->broker->registry, segment->name));
	if (consumer == NULL)
		return true;
	reply_error(
		reply, &open->head, -EBUSY,
		"%s is consumed by process %d (%s) of uid %u, and has one consumer at a time: end that one, or wait for it with a deadline",
		segment->name, consumer->holder.pid, consumer->process->comm, consumer->holder.uid);
	reply_holder(reply, &consumer->holder, consumer->process->comm);
	want(peer, &open->head, open->open_flags, segment->name, reply);
	return false;
}

/* A consumer begins with the oldest items of its type that nobody has consumed. */
static struct segment *choose_undrained(struct broker *broker, struct segment *newest, const struct shmb_msg_open_reader *open)
{
	struct segment *segment = lineage_oldest(newest);

	while (segment != newest && (segment->geometry.kind != SHMB_KIND_QUEUE || segment_is_drained(&broker->store, segment) ||
				     (open->schema_hash != 0 && open->schema_hash != segment->schema_hash)))
		segment = segment->newer;
	return segment;
}

/* The generation that is asked for, of `segment`'s (the newest; NULL none). NULL: answered with an error. */
static struct segment *choose_generation(struct peer *peer, struct segment *segment, const struct shmb_msg_open_reader *open,
					 struct reply *reply)
{
	const struct attachment *before;

	if (segment == NULL) {
		reply_error(reply, &open->head, -ENOENT, "there is no segment %s: it appears when its writer opens it", open->name);
		want(peer, &open->head, open->open_flags, open->name, reply);
		return NULL;
	}
	if (open->follows == 0 && open->role == SHMB_ROLE_CONSUMER) {
		bury_consumers(peer, segment);
		return choose_undrained(peer->broker, segment, open);
	}
	if (open->follows == 0)
		return segment;
	before = attachment_by_handle(peer, open->follows);
	if (before == NULL || before->role != open->role || strcmp(before->segment->name, open->name) != 0) {
		reply_error(reply, &open->head, -ESTALE, "handle %u is no such handle on %s: open the name itself", open->follows,
			    open->name);
		return NULL;
	}
	if (before->segment->newer == NULL)
		reply_error(reply, &open->head, -ENODATA, "generation %" PRIu64 " of %s is the newest",
			    before->segment->geometry.generation, open->name);
	return before->segment->newer;
}

static void reply_no_cell(struct peer *peer, struct segment *segment, const struct shmb_msg_open_reader *open, int error,
			  struct reply *reply)
{
	if (error == -EBUSY)
		reply_error(reply, &open->head, error,
			    "%s is consumed by a process that this daemon found when it started and cannot watch: restart the daemon",
			    segment->name);
	else if (error == -EPERM)
		reply_error(reply, &open->head, error,
			    "%s was consumed by another user before: uid %u cannot go on with it; remove it first", segment->name,
			    peer->holder.uid);
	else
		reply_error(reply, &open->head, error, "%s has no place for the %s: %s", segment->name,
			    open->role == SHMB_ROLE_CONSUMER ? "consumer" : "reader", strerror(-error));
}

void open_reader(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	const struct shmb_msg_open_reader *open = &request->open_reader;
	struct broker *broker = peer->broker;
	struct attachment *attachment = attachment_by_handle(peer, open->handle);
	struct segment *segment = registry_find(&broker->registry, open->name);
	int r = 0;

	(void)tail;
	/* First of all: a handle that was resumed, for which nothing but the segment's id is asked, must not be a way round it. */
	if (!access_check(peer, ACCESS_READ, open->name, segment, &open->head, reply))
		return;
	if (attachment != NULL) {
		reply_repeated(peer, attachment, (enum shmb_role)open->role, open->name, &open->head, reply);
		return;
	}
	segment = choose_generation(peer, segment, open, reply);
	if (segment == NULL)
		return;
	if (!has_room(peer, &open->head, reply) || !check_readable(peer, segment, open, reply))
		return;
	if (open->role == SHMB_ROLE_CONSUMER &&
	    (!access_seen(peer, open->name, &open->head, reply) || !check_consumer(peer, segment, open, reply)))
		return;
	attachment = attachment_new(segment, peer->process, &peer->holder, (enum shmb_role)open->role);
	if (attachment == NULL) {
		reply_error(reply, &open->head, -ENOMEM, "the broker is out of memory");
		return;
	}
	if (role_has_cell(open->role))
		r = take_cell(broker, attachment);
	if ((r == -EUSERS || r == -EOPNOTSUPP) && open->role == SHMB_ROLE_READER)
		r = 0; /* readers beyond the cells there are, and those that cannot be seen, read all the same */
	if (r < 0) {
		attachment_free(attachment);
		reply_no_cell(peer, segment, open, r, reply);
		return;
	}
	attachment_set_peer(attachment, peer, open->handle);
	if (role_has_cell(open->role))
		tell_joined(broker, attachment);
	reaper_look(&broker->reaper, segment);
	/* Last of all: what is lent for it is good as long as nothing else is done. */
	if (reply_open(broker, attachment, &open->head, reply) < 0)
		liveness_close_asked(broker, attachment);
}

void open_close(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct attachment *attachment = attachment_by_handle(peer, request->close.handle);
	int r;

	(void)tail;
	/* Nothing there is what closing is for: the segment was removed meanwhile, or this is the request again. */
	if (attachment != NULL) {
		char name[sizeof(attachment->segment->name)];

		memcpy(name, attachment->segment->name, sizeof(name));
		r = liveness_close_asked(peer->broker, attachment);
		if (r < 0) {
			reply_error(reply, &request->close.head, r, "%s is closed, but its files are damaged: %s", name, strerror(-r));
			return;
		}
	}
	reply_done(reply, &request->close.head);
	gone_look(peer->broker);
}
