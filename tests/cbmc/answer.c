/* SPDX-License-Identifier: MIT */
/*
 * A good answer of any bytes, once its fixed part has been copied out of the packet (reply.c), with a tail of any bytes and of any length that a packet has
 * room for: no check reads outside, and of what is accepted everything holds that the library relies on. The tail has as many records as are counted, and
 * the strings in each of them end. CBMC takes one opcode at a time, CASE. CLIENTS, whose records differ in length, is not among them: its loop in a loop is
 * too long for CBMC.
 */
#include "record.h"

#define EACH(count, type) ((uint64_t)(count) * sizeof(struct type))

static void prove_list(const struct shmb_msg_list_answer *list)
{
	PROVE(list->head.tail_bytes == EACH(list->count, shmb_msg_segment));
	if (list->count > 0 && RECORD_AT(0, shmb_msg_segment)) {
		PROVE(RECORD_ENDS(shmb_msg_segment, name));
		PROVE(RECORD_ENDS(shmb_msg_segment, type));
		PROVE(RECORD_ENDS(shmb_msg_segment, writer_comm));
	}
}

static void prove_figures(const struct shmb_msg_figures_answer *figures)
{
	PROVE(figures->head.tail_bytes == EACH(figures->count, shmb_msg_figure));
	if (figures->count > 0 && RECORD_AT(0, shmb_msg_figure)) {
		PROVE(RECORD_ENDS(shmb_msg_figure, name));
		PROVE(RECORD_ENDS(shmb_msg_figure, type));
		PROVE(RECORD_ENDS(shmb_msg_figure, writer_comm));
	}
}

static void prove_events(const struct shmb_msg_events *events)
{
	PROVE(events->head.tail_bytes == EACH(events->count, shmb_msg_event));
	if (events->count > 0 && RECORD_AT(0, shmb_msg_event)) {
		PROVE(RECORD_ENDS(shmb_msg_event, comm));
		PROVE(RECORD_ENDS(shmb_msg_event, kind));
		PROVE(RECORD_ENDS(shmb_msg_event, reason));
		PROVE(RECORD_ENDS(shmb_msg_event, segment));
		PROVE(RECORD_ENDS(shmb_msg_event, text));
	}
}

static void prove_info(const struct shmb_msg_info_answer *info)
{
	uint64_t readers = EACH(info->reader_count, shmb_msg_reader);

	PROVE(ENDS(info->segment.name) && ENDS(info->segment.type) && ENDS(info->segment.writer_comm));
	PROVE(info->head.tail_bytes == readers + info->schema_bytes);
	if (watched < readers && RECORD_AT(0, shmb_msg_reader))
		PROVE(RECORD_ENDS(shmb_msg_reader, comm));
}

static void prove_policy(const struct shmb_msg_policy_answer *policy)
{
	uint64_t patterns = EACH(policy->pattern_count, shmb_msg_policy_pattern);

	PROVE(ENDS(policy->read_why) && ENDS(policy->write_why));
	PROVE(policy->head.tail_bytes == patterns + EACH(policy->setting_count, shmb_msg_policy_setting));
	if (watched < patterns && RECORD_AT(0, shmb_msg_policy_pattern)) {
		PROVE(RECORD_ENDS(shmb_msg_policy_pattern, pattern));
		PROVE(RECORD_ENDS(shmb_msg_policy_pattern, source));
	}
	if (policy->setting_count > 0 && watched >= patterns && RECORD_AT(patterns, shmb_msg_policy_setting)) {
		PROVE(RECORD_ENDS(shmb_msg_policy_setting, name));
		PROVE(RECORD_ENDS(shmb_msg_policy_setting, value));
		PROVE(RECORD_ENDS(shmb_msg_policy_setting, source));
	}
}

static void prove_gc(const struct shmb_msg_gc_answer *gc)
{
	PROVE(gc->head.tail_bytes == EACH(gc->count, shmb_msg_gc_item));
	if (gc->count > 0 && RECORD_AT(0, shmb_msg_gc_item)) {
		PROVE(RECORD_ENDS(shmb_msg_gc_item, name));
		PROVE(RECORD_ENDS(shmb_msg_gc_item, reason));
	}
}

static void prove_metrics(const struct shmb_msg_metrics_answer *metrics)
{
	uint64_t buckets = EACH(metrics->bucket_count, shmb_msg_bucket);
	uint64_t counts = (uint64_t)metrics->refusal_count + metrics->event_count;

	PROVE(ENDS(metrics->version));
	PROVE(metrics->head.tail_bytes == buckets + EACH(counts, shmb_msg_count));
	if (counts > 0 && watched >= buckets && RECORD_AT(buckets, shmb_msg_count))
		PROVE(RECORD_ENDS(shmb_msg_count, name));
}

static void prove_status(const struct shmb_msg_status_answer *status)
{
	PROVE(ENDS(status->version) && ENDS(status->shm_dir));
}

/* Whole lines, in which no string ends. */
static void prove_lines(const struct shmb_msg_head *head, const char *tail)
{
	PROVE(head->tail_bytes == 0 || (tail[head->tail_bytes - 1] == '\n' && tail[watched] != '\0'));
}

static void prove_users(const struct shmb_msg_users_answer *users)
{
	PROVE(users->head.tail_bytes == EACH(users->count, shmb_msg_user));
}

static void prove_hello(const struct shmb_msg_hello_answer *hello)
{
	PROVE(hello->head.tail_bytes == 0);
	PROVE(hello->version >= SHMB_PROTOCOL_OLDEST && hello->version <= SHMB_PROTOCOL_VERSION);
}

/* Descriptors, cells and areas index arrays of the library. */
static void prove_open(const struct shmb_msg_open_answer *open)
{
	PROVE(open->head.tail_bytes == 0);
	PROVE(open->fd_count <= SHMB_FDS_MAX);
	PROVE(open->cell < SHMB_CELLS_MAX || open->cell == UINT32_MAX);
	PROVE(open->area < SHMB_AREAS_MAX || open->area == UINT32_MAX);
}

static void prove_done(const struct shmb_msg_answer *done)
{
	PROVE(done->head.tail_bytes == 0 && ENDS(done->text) && ENDS(done->holder_comm));
}

static void prove_accepted(uint16_t opcode, const void *answer, const char *tail)
{
	switch ((enum shmb_opcode)opcode) {
	case SHMB_OP_HELLO:
		prove_hello(answer);
		break;
	case SHMB_OP_OPEN_WRITER:
	case SHMB_OP_OPEN_READER:
		prove_open(answer);
		break;
	case SHMB_OP_LIST:
		prove_list(answer);
		break;
	case SHMB_OP_FIGURES:
		prove_figures(answer);
		break;
	case SHMB_OP_EVENT:
		prove_events(answer);
		break;
	case SHMB_OP_INFO:
		prove_info(answer);
		break;
	case SHMB_OP_POLICY:
		prove_policy(answer);
		break;
	case SHMB_OP_GC:
		prove_gc(answer);
		break;
	case SHMB_OP_METRICS:
		prove_metrics(answer);
		break;
	case SHMB_OP_STATUS:
		prove_status(answer);
		prove_lines(answer, tail);
		break;
	case SHMB_OP_RELOAD:
		prove_lines(answer, tail);
		break;
	case SHMB_OP_USERS:
		prove_users(answer);
		break;
	default:
		prove_done(answer);
		break;
	}
}

#ifndef __CPROVER
/* Mostly zeros, and for most opcodes with as many bytes behind it as it says: where that depends on a count, up to three records. */
static uint32_t draw_answer(uint16_t opcode, void *answer)
{
	static const struct {
		size_t count, record; /* offset of a count, size of what it counts */
	} counts[SHMB_OP_COUNT][2] = {
		[SHMB_OP_LIST] = { { offsetof(struct shmb_msg_list_answer, count), sizeof(struct shmb_msg_segment) } },
		[SHMB_OP_FIGURES] = { { offsetof(struct shmb_msg_figures_answer, count), sizeof(struct shmb_msg_figure) } },
		[SHMB_OP_EVENT] = { { offsetof(struct shmb_msg_events, count), sizeof(struct shmb_msg_event) } },
		[SHMB_OP_INFO] = { { offsetof(struct shmb_msg_info_answer, reader_count), sizeof(struct shmb_msg_reader) },
				   { offsetof(struct shmb_msg_info_answer, schema_bytes), 1 } },
		[SHMB_OP_POLICY] = { { offsetof(struct shmb_msg_policy_answer, pattern_count), sizeof(struct shmb_msg_policy_pattern) },
				     { offsetof(struct shmb_msg_policy_answer, setting_count), sizeof(struct shmb_msg_policy_setting) } },
		[SHMB_OP_GC] = { { offsetof(struct shmb_msg_gc_answer, count), sizeof(struct shmb_msg_gc_item) } },
		[SHMB_OP_METRICS] = { { offsetof(struct shmb_msg_metrics_answer, bucket_count), sizeof(struct shmb_msg_bucket) },
				      { offsetof(struct shmb_msg_metrics_answer, event_count), sizeof(struct shmb_msg_count) } },
		[SHMB_OP_USERS] = { { offsetof(struct shmb_msg_users_answer, count), sizeof(struct shmb_msg_user) } },
	};
	struct shmb_msg_head head = { .opcode = opcode, .tail_bytes = draw(16) ? 0 : 1 };

	memset(answer, 0, shmb_answer_size(opcode));
	if (opcode == SHMB_OP_HELLO)
		((struct shmb_msg_hello_answer *)answer)->version = SHMB_PROTOCOL_VERSION;
	for (int i = 0; i < 2 && counts[opcode][i].count != 0; i++) {
		uint32_t count = (uint32_t)draw(4);

		memcpy((char *)answer + counts[opcode][i].count, &count, sizeof(count));
		head.tail_bytes += count * (uint32_t)counts[opcode][i].record;
	}
	memcpy(answer, &head, sizeof(head));
	return head.tail_bytes;
}

static uint16_t draw_opcode(void)
{
	uint16_t opcode = (uint16_t)(1 + draw(SHMB_OP_COUNT - 1));

	return opcode == SHMB_OP_CLIENTS ? SHMB_OP_LIST : opcode;
}

static void draw_tail(char *tail, uint32_t bytes)
{
	memset(tail, 0, bytes);
	if (bytes > 0)
		tail[draw(bytes)] = 'x';
}

#define CASE draw_opcode()
#endif

/* Of small records a whole packet would hold up to two thousand, which CBMC does not see the end of. */
static size_t tail_max(uint16_t opcode)
{
	switch (opcode) {
	case SHMB_OP_INFO:
		return 8192;
	case SHMB_OP_METRICS:
		return 4096;
	default:
		return SHMB_MESSAGE_MAX - shmb_answer_size(opcode);
	}
}

void harness(void)
{
	uint16_t opcode = CASE;
	size_t size = shmb_answer_size(opcode);
	struct shmb_msg_head head;
	char *answer = malloc(size);
	char *tail;
	int sound;

	ASSUME(answer != NULL);
	DRAW(draw_answer(opcode, answer));
	memcpy(&head, answer, sizeof(head));
	ASSUME(head.tail_bytes <= tail_max(opcode));
	tail = malloc(head.tail_bytes);
	ASSUME(tail != NULL);
	DRAW(draw_tail(tail, head.tail_bytes));
	ANY(watched);
	DRAW(watched = head.tail_bytes > 0 ? watched % head.tail_bytes : 0);
	ASSUME(head.tail_bytes > 0 ? watched < head.tail_bytes : watched == 0);
	watched_at = tail + watched;
	sound = answer_check(opcode, answer, tail);
	if (sound)
		prove_accepted(opcode, answer, tail);
	free(answer);
	free(tail);
	ASSUME(sound);
	END();
}
