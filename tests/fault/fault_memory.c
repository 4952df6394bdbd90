/* SPDX-License-Identifier: MIT */
/*
 * Memory that is not what it should be (lines 36 and 37 of the catalogue, and all bad input): parts cut off while the daemon and others have them
 * mapped, numbers near their end, cards with anything wrong in them, rubbish in every part that others can write. The daemon stays up, says
 * what it found and why it does not want it, and removes nothing of it.
 */
#include "../support/client.h"
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const parts[] = { "", ",data", ",record", ",area0" };
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* It is up and serves others. */
static void still_serves(struct broker *b)
{
	struct shmb *client;

	ck_assert_msg(!program_has_ended(&b->daemon), "the daemon has ended (status %#x)", (unsigned)b->daemon.status);
	client = broker_connect(b);
	ck_assert_int_eq(ring_writer_try(client, "others", 64, 8), 0);
	segments_count(client);
	shmb_disconnect(client);
}

/* ---- 36 ---- */

/* What makes the daemon come to the step with the segment in its hands: a command, and whom it asks. */
static const struct {
	const char *step, *client_step, *command;
	unsigned
		who; /* 0 the writer dies in a write, 1 a new process asks, 2 the frame's reader dies with a pin, 3 the lock's holder dies */
} cuts[] = {
	{ "release.begin", "slot.claimed", "write n=1", 0 },
	{ "release.state", "slot.claimed", "write n=1", 0 },
	{ "repair.slot", "slot.claimed", "write n=1", 0 },
	{ "repair.counter", "slot.published", "write n=1", 0 },
	{ "repair.verdict", "slot.claimed", "write n=1", 0 },
	{ "repair.waking", "slot.claimed", "write n=1", 0 },
	{ "repair.loan", "frame.filled", "frame-write n=1", 0 },
	{ "grant.cookie", NULL, "writer name=cut bytes=4096 salt=2", 1 },
	{ "grant.pid", NULL, "writer name=cut bytes=4096 salt=2", 1 },
	{ "cell.clear", NULL, "reader name=cut bytes=4096", 1 },
	{ "cell.pid", NULL, "reader name=cut bytes=4096", 1 },
	{ "remove.begin", NULL, "remove name=cut", 1 },
	{ "remove.state", NULL, "remove name=cut", 1 },
	{ "cell.unbit", NULL, NULL, 2 },
	{ "cell.left", NULL, NULL, 2 },
	{ "repair.lock", NULL, NULL, 3 },
};
enum { CUTS = sizeof(cuts) / sizeof(cuts[0]) };

static void truncate_part(struct broker *b, const char *part, off_t bytes)
{
	ck_assert_int_eq(truncate(look_path(b, "cut", part), bytes), 0);
}

/* The daemon stands at the step, with memory mapped; the part goes away under it. */
static void cut_at(unsigned at, unsigned part)
{
	struct broker_options options = { .steps = true, .step_at = cuts[at].step, .step_do = "stop" };
	struct program maker;
	struct program victim;
	struct program other;
	struct broker b;
	bool is_frame = cuts[at].who == 2 || strcmp(cuts[at].step, "repair.loan") == 0;

	/* Several of the steps are passed in the making already: all but the one that is meant happen under a first daemon. */
	broker_start(&b, NULL);
	worker_start(&maker, &b, "maker", true);
	worker_start(&victim, &b, "victim", false);
	if (is_frame) {
		worker_must(&maker, "frame-writer name=cut bytes=4096 history=1 pins=1");
		worker_must(&maker, "frame-write n=2");
		worker_must(&victim, "frame-reader name=cut");
		worker_must(&victim, "frame-pin");
	} else if (cuts[at].who == 3) {
		worker_must(&victim, "block name=cut");
		worker_must(&victim, "lock deadline=forever");
	} else {
		worker_must(&maker, "writer name=cut bytes=4096 salt=1");
		worker_must(&maker, "write n=3");
		if (cuts[at].who == 1)
			worker_must(&maker, "close-writer");
	}
	broker_kill(&b);
	b.options.steps = true;
	b.options.step_at = options.step_at;
	b.options.step_do = options.step_do;
	b.started_once = false;
	broker_restart(&b);
	worker_start(&other, &b, "other", false);
	if (cuts[at].who == 0) {
		worker_must(&maker, "step at=%s do=kill", cuts[at].client_step);
		program_send(&maker, "%s", cuts[at].command);
	} else if (cuts[at].who == 1) {
		program_send(&other, "%s", cuts[at].command);
	} else {
		program_kill(&victim);
	}
	program_wait_stopped(&b.daemon);
	truncate_part(&b, parts[part], 0);
	program_signal(&b.daemon, SIGCONT);
	if (cuts[at].who == 1)
		worker_answer(&other);
	still_serves(&b);
	program_kill(&maker);
	program_kill(&victim);
	program_kill(&other);
	still_serves(&b);
	/* The next daemon finds what is left of it. */
	broker_kill(&b);
	broker_restart(&b);
	still_serves(&b);
	broker_kill(&b);
	broker_drop(&b);
}

START_TEST(fault_36_truncated_while_mapped)
{
	unsigned forced = 0;

	for (unsigned at = 0; at < CUTS; at++) {
		for (unsigned part = 0; part < PARTS; part++, forced++)
			cut_at(at, part);
	}
	printf("forced: %u truncations of %d parts at %d steps of the daemon\n", forced, (int)PARTS, (int)CUTS);
}
END_TEST

/* ---- 37 ---- */

static void count_from(struct broker *b, const char *name, uint64_t number)
{
	size_t size;
	struct shmb_shm_data *data = look_map(b, name, ",data", &size);

	atomic_store(&data->counter, number);
	look_unmap(data, size);
}

START_TEST(fault_37_numbers_near_their_maximum)
{
	static const struct {
		const char *open, *write, *reader, *read;
	} kinds[] = {
		{ "writer name=end bytes=4096 capacity=4 salt=1", "write n=1", "reader name=end bytes=4096", "latest" },
		{ "writer name=end kind=value bytes=16 salt=1", "write n=1", "reader name=end kind=value bytes=16", "latest" },
		{ "frame-writer name=end bytes=4096 history=1 pins=1 salt=1", "frame-write n=1", "frame-reader name=end", "frame-pin" },
	};
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct program writer;
		struct program reader;
		struct answer answer;
		struct shmb *client = broker_connect(&b);
		struct listed listed;

		worker_start(&writer, &b, "writer", false);
		worker_start(&reader, &b, "reader", false);
		worker_must(&writer, "%s", kinds[i].open);
		worker_must(&writer, "%s", kinds[i].write);
		worker_must(&writer, i == 2 ? "frame-close" : "close-writer");
		count_from(&b, "end", SHMB_NUMBER_MAX - 3);
		ck_assert_uint_eq(worker_must(&writer, "%s", kinds[i].open).v[0], SHMB_NUMBER_MAX - 3);
		worker_must(&reader, "%s", kinds[i].reader);
		for (uint64_t n = SHMB_NUMBER_MAX - 3; n < SHMB_NUMBER_MAX - 1; n++) {
			worker_must(&writer, "%s", kinds[i].write);
			answer = worker_must(&reader, "%s", kinds[i].read);
			ck_assert_uint_eq(answer.v[0], n); /* its payload's pattern has no room for such a number */
			if (i == 2)
				worker_must(&reader, "frame-release");
		}
		/* The end: nothing wraps, nothing old is shown as new, and nobody is let on. */
		worker_ask(&writer, "%s", kinds[i].write);
		worker_ask(&writer, "%s", kinds[i].write);
		answer = worker_ask(&reader, "%s", kinds[i].read);
		ck_assert_msg(answer.result < 0 || answer.v[0] == SHMB_NUMBER_MAX - 1, "%d: number %llu", answer.result,
			      (unsigned long long)answer.v[0]);
		program_kill(&writer);
		wait_writer(client, "end", SHMB_WRITER_IS_DEAD);
		ck_assert_uint_ge(look_counter(&b, "end"), SHMB_NUMBER_MAX);
		/* What cannot be at all is no more believed than what is used up. */
		if (i == 1)
			count_from(&b, "end", UINT64_MAX);
		broker_kill(&b);
		broker_restart(&b);
		/* Whoever comes next begins again, in new memory: no number is used for two contents. */
		worker_start(&writer, &b, "writer", false);
		ck_assert_uint_eq(worker_must(&writer, "%s", kinds[i].open).v[0], 0);
		ck_assert(segment_listed(client, "end", &listed) && listed.generation == 2);
		worker_must(&writer, "%s", kinds[i].write);
		program_kill(&reader);
		worker_start(&reader, &b, "reader", false);
		worker_must(&reader, "%s", kinds[i].reader);
		answer = worker_must(&reader, "%s", kinds[i].read);
		ck_assert(answer.v[0] == 0 && answer.v[i == 2 ? 2 : 4] == 0);
		program_kill(&reader);
		program_kill(&writer);
		wait_writer(client, "end", SHMB_WRITER_IS_DEAD);
		WAIT_UNTIL(shmb_remove(client, "end") == 0);
		shmb_disconnect(client);
	}
	broker_finish(&b);
}
END_TEST

/* ---- bad input ---- */

enum { BAD = 160 };

/* Copies all files of the segment `from` under the name `to`; the card's name too, so that what is wrong with it is what is made wrong next. */
static void copy_segment(struct broker *b, const char *from, const char *to)
{
	static const char *const all[] = { ",record", ",data", ",area0", ",area1", ",area2", ",area3", ",area4", ",area5", "" };
	struct shmb_shm_card *card;
	size_t size;

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char *bytes = file_read(look_path(b, from, all[i]), &size);

		if (bytes == NULL)
			continue;
		file_write(look_path(b, to, all[i]), bytes, size);
		free(bytes);
	}
	card = look_map(b, to, "", &size);
	memset(card->name, 0, sizeof(card->name));
	strcpy(card->name, to);
	look_unmap(card, size);
}

/* Something wrong, each time something else; returns whether the card alone must show it. */
static void spoil(struct broker *b, const char *name, unsigned which)
{
	size_t size;
	char *card = look_map(b, name, "", &size);
	uint64_t word;

	/* Every 8 bytes of identity and geometry, of lease and state, in two ways; then sizes of files, and rubbish all over. */
	if (which < 48) {
		memcpy(&word, card + which / 2 * 8, 8);
		word = which % 2 == 0 ? ~word : word + 1;
		memcpy(card + which / 2 * 8, &word, 8);
	} else if (which < 80) {
		memcpy(&word, card + 448 + (which - 48) / 2 * 8, 8);
		word = which % 2 == 0 ? ~word : UINT64_C(0x8000000080000000);
		memcpy(card + 448 + (which - 48) / 2 * 8, &word, 8);
	} else if (which < 112) {
		srandom(which);
		for (unsigned i = 0; i < 12; i++)
			card[random() % 600] = (char)random();
	}
	look_unmap(card, size);
	if (which >= 112 && which < 128)
		ck_assert_int_eq(truncate(look_path(b, name, parts[which % 4]), which < 116   ? 0
										: which < 120 ? 8
										: which < 124 ? 4095
											      : 1 << 20),
				 0);
	else if (which >= 128 && which < 144)
		unlink(look_path(b, name, parts[which % 4]));
	else if (which >= 144) {
		/* Another thing in its place. */
		char path[1024];

		snprintf(path, sizeof(path), "%s", look_path(b, name, parts[which % 4]));
		unlink(path);
		if (which < 148)
			ck_assert_int_eq(mkdir(path, 0700), 0);
		else if (which < 152)
			ck_assert_int_eq(symlink(look_path(b, "good-ring", parts[which % 4]), path), 0);
		else if (which < 156)
			ck_assert_int_eq(mkfifo(path, 0600), 0);
		else
			ck_assert_int_eq(link(look_path(b, "good-ring", parts[(which + 1) % 4]), path), 0);
	}
}

/* Names of the spoilt segments' files that lie there. */
static unsigned spoilt_files(struct broker *b, const char *name)
{
	char *names = dir_names(b->shm);
	char prefix[64];
	unsigned count;

	snprintf(prefix, sizeof(prefix), "%s,1", name);
	count = text_count(names, prefix);
	free(names);
	return count;
}

/* Changes of a card that make another card, and nothing that cannot be. */
static bool may_be_served(unsigned which)
{
	/* one byte more of schema; its hash; the first number; the time of its making; a block of one byte more; stamps in a frame; its key's field */
	static const unsigned harmless[] = { 5, 6, 7, 13, 14, 15, 19, 29, 37 };

	for (unsigned i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		if (which == harmless[i])
			return true;
	}
	return which > 37; /* reserved bytes; leases of somebody who is not there; files of another size that say nothing */
}

/* Each of many segments has something else wrong with it; and those beside them have not. */
START_TEST(bad_input_in_the_directory)
{
	static const char *const from[] = { "good-ring", "good-frame", "good-queue", "good-block" };
	struct program writer;
	struct program reader;
	struct program frame;
	struct answer answer;
	struct shmb *client;
	unsigned refused = 0, accepted = 0, completed = 0;
	unsigned files[BAD];
	struct broker b;
	char name[32];

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_start(&frame, &b, "frame", false);
	worker_must(&writer, "writer name=good-ring bytes=4096 salt=1");
	worker_must(&writer, "write n=3");
	worker_must(&writer, "producer name=good-queue bytes=64 salt=1");
	worker_must(&writer, "push n=3");
	worker_must(&writer, "block name=good-block");
	worker_must(&frame, "frame-writer name=good-frame bytes=64 salt=1");
	worker_must(&frame, "frame-write n=2");
	worker_must(&reader, "reader name=good-ring bytes=4096");
	broker_kill(&b);
	for (unsigned i = 0; i < BAD; i++) {
		snprintf(name, sizeof(name), "bad%u-", i);
		copy_segment(&b, from[i % 4], name);
		spoil(&b, name, i);
		files[i] = spoilt_files(&b, name);
	}
	broker_restart(&b);
	client = broker_connect(&b);
	for (unsigned i = 0; i < BAD; i++) {
		char with_colon[40];

		snprintf(name, sizeof(name), "bad%u-", i);
		snprintf(with_colon, sizeof(with_colon), "%s: ", name);
		if (segment_listed(client, name, NULL)) {
			ck_assert_msg(may_be_served(i), "%s (spoilt by %u) is served", name, i);
			accepted++; /* a changed time, a reserved byte, a lease of somebody who is not there */
			continue;
		}
		if (look_log(&b, with_colon, "left alone: ") >= 1 || look_log(&b, name, " left alone: ") >= 1) {
			ck_assert_msg(spoilt_files(&b, name) == files[i], "%s: %u files where there were %u", name, spoilt_files(&b, name),
				      files[i]);
			refused++;
			continue;
		}
		/* Without a card, or with one that says REMOVED, it is what a removal leaves. */
		ck_assert_msg(look_log(&b, with_colon, "removed") + look_log(&b, with_colon, "removal is completed") >= 1,
			      "%s (spoilt by %u) is neither served nor spoken of", name, i);
		completed++;
	}
	printf("forced: %d spoilt segments: %u refused with a reason, %u served, %u removals completed\n", BAD, refused, accepted,
	       completed);
	ck_assert_uint_ge(refused, 60);
	still_serves(&b);
	worker_must(&writer, "write n=1");
	answer = worker_must(&reader, "latest");
	ck_assert(answer.v[0] == 3 && answer.v[4] == 0);
	worker_must(&frame, "frame-write n=1");
	worker_must(&writer, "push n=1");
	/* Every served one can be opened or is refused, and removed: whatever its data says. */
	for (unsigned i = 0; i < BAD; i++) {
		snprintf(name, sizeof(name), "bad%u-", i);
		if (!segment_listed(client, name, NULL))
			continue;
		ring_reader_try(client, name, SHMB_NO_WAIT);
		shmb_remove(client, name);
	}
	still_serves(&b);
	shmb_disconnect(client);
	worker_quit(&writer);
	worker_quit(&reader);
	worker_quit(&frame);
	broker_kill(&b);
	broker_drop(&b);
}
END_TEST

static bool is_free(struct broker *b, const char *name)
{
	struct shmb_shm_card card;

	look_card(b, name, &card);
	return atomic_load(&card.lease_pid) == 0;
}

static void rubbish(struct broker *b, const char *name, const char *part, bool zero)
{
	size_t size;
	char *bytes = look_map(b, name, part, &size);

	if (bytes == NULL)
		return;
	for (size_t i = 0; i < size; i++)
		bytes[i] = zero ? 0 : (char)random();
	look_unmap(bytes, size);
}

/* Entries that say what they should of everything but their slots, which are far away. */
static void entries_forge(struct broker *b, const char *name)
{
	struct shmb_shm_card card;
	struct shmb_shm_data *data;
	size_t size;

	look_card(b, name, &card);
	data = look_map(b, name, ",data", &size);
	for (uint64_t i = 0; i < card.entry_count; i++) {
		struct shmb_shm_entry *entry = (struct shmb_shm_entry *)((char *)data + card.entry_offset + (i << card.entry_shift));

		atomic_store(&entry->slot, UINT64_C(1) << 40);
		atomic_store(&entry->length, 64);
		atomic_store(&entry->id, shmb_id_done(i));
	}
	atomic_store(&data->counter, card.entry_count);
	look_unmap(data, size);
}

/* All that clients can write, full of rubbish, while the daemon does everything that it does with a segment; the card stays what it is. */
START_TEST(bad_input_in_every_writable_part)
{
	static const char *const writable[] = { ",data", ",area0", ",area1", ",area2", ",area3", ",area4", ",area5" };
	static const char *const names[] = { "r-ring", "r-value", "r-frame", "r-queue", "r-block" };
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	srandom(4);
	for (unsigned turn = 0; turn < 12; turn++) {
		struct program one;
		struct program two;

		worker_start(&one, &b, "one", false);
		worker_start(&two, &b, "two", false);
		worker_must(&one, "writer name=r-ring bytes=4096 salt=1");
		worker_must(&two, "reader name=r-ring bytes=4096");
		worker_must(&two, "writer name=r-value kind=value bytes=64 salt=1");
		worker_must(&one, "frame-writer name=r-frame bytes=64 salt=1");
		worker_must(&one, "frame-write n=1");
		worker_must(&two, "frame-reader name=r-frame");
		worker_must(&two, "frame-pin");
		worker_must(&one, "producer name=r-queue bytes=64 salt=1");
		worker_must(&two, "consumer name=r-queue");
		worker_must(&one, "block name=r-block");
		worker_must(&two, "block name=r-block");
		worker_must(&two, "lock deadline=forever");
		for (unsigned i = 0; i < 5; i++) {
			for (unsigned part = 0; part < sizeof(writable) / sizeof(writable[0]); part++)
				rubbish(&b, names[i], writable[part], turn % 4 == 3);
		}
		entries_forge(&b, "r-frame");
		segments_count(client);
		/* Whatever they are told, they are told something: nobody leaves the memory, nobody hangs. */
		worker_ask(&one, "write n=1");
		worker_ask(&two, "latest");
		worker_ask(&two, "frame-release");
		ASSERT_RESULT(worker_ask(&two, "frame-pin"), -EBADMSG);
		worker_ask(&one, "frame-write n=1");
		worker_ask(&one, "push n=1");
		program_send(&two, "consume n=1");
		while (strncmp(program_line(&two, SUITE_PATIENCE_MS), "item ", 5) == 0)
			;
		if (turn % 3 == 1)
			broker_kill(&b);
		program_kill(&two);
		program_kill(&one);
		if (turn % 3 == 1)
			broker_restart(&b);
		for (unsigned i = 0; i < 5; i++) {
			WAIT_UNTIL(look_cells(&b, names[i]) == 0 && is_free(&b, names[i]));
		}
		still_serves(&b);
		for (unsigned i = 0; i < 5; i++) {
			worker_start(&one, &b, "one", false);
			worker_ask(&one, "writer name=%s bytes=4096 salt=1", names[i]); /* granted or refused, as the rubbish says */
			worker_ask(&one, "reader name=%s bytes=0", names[i]);
			program_kill(&one);
			WAIT_UNTIL(shmb_remove(client, names[i]) == 0); /* refused as long as somebody has it */
		}
	}
	still_serves(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- defects of what was used before ---- */

/* L4: the heartbeat was read after the clock: a beat in between made the difference wrap, and the writer dead. Here nobody subtracts them. */
START_TEST(defect_L4_no_beat_makes_a_death)
{
	static const uint64_t beats[] = { 0, 1, UINT64_MAX, UINT64_MAX / 2 };
	struct broker_options options = { .config = "[segment *]\nstale-time = 1500ms\nlinger = infinity\n" };
	struct shmb_shm_data *data;
	struct program writer;
	struct shmb *client;
	struct listed listed;
	struct broker b;
	uint64_t until;
	uint64_t half;
	size_t size;

	broker_start(&b, &options);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=beat bytes=64 salt=1");
	worker_must(&writer, "run period=5000");
	data = look_map(&b, "beat", ",data", &size);
	until = now_ns() + 7200000000;
	half = now_ns() + 3600000000;
	for (unsigned i = 0; now_ns() < until; i++) {
		/* Now ever earlier, now all over the place. */
		atomic_store(&data->heartbeat_ns, now_ns() < half ? UINT64_MAX - i : i % 5 < 4 ? beats[i % 5] : now_ns() + 1000000);
		ck_assert(segment_listed(client, "beat", &listed));
		ck_assert_int_eq(listed.writer, SHMB_WRITER_IS_ALIVE);
		sleep_ms(1);
	}
	look_unmap(data, size);
	worker_must(&writer, "stop");
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* L5: the version was there and nobody looked at it. */
START_TEST(defect_L5_versions_are_looked_at)
{
	struct shmb_shm_card *card;
	struct program writer;
	struct program reader;
	struct answer answer;
	struct broker b;
	size_t size;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=later bytes=64 salt=1");
	worker_must(&writer, "write n=1");
	card = look_map(&b, "later", "", &size);
	card->version = SHMB_LAYOUT_VERSION + 8;
	card->oldest_reader = SHMB_LAYOUT_VERSION + 7;
	answer = worker_ask(&reader, "reader name=later bytes=64");
	ck_assert_msg(answer.result == -EPROTONOSUPPORT && answer.text[0] != '\0', "%d %s", answer.result, answer.text);
	broker_kill(&b);
	broker_restart(&b);
	ck_assert_uint_eq(look_log(&b, "later: ", "newer than this version can read"), 1);
	/* A later one that says that we may read it. */
	card->oldest_reader = SHMB_LAYOUT_OLDEST;
	broker_kill(&b);
	broker_restart(&b);
	worker_ask(&writer, "remove name=none");
	worker_must(&reader, "reader name=later bytes=64");
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 0);
	card->version = SHMB_LAYOUT_VERSION;
	look_unmap(card, size);
	worker_quit(&reader);
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: memory");

	suite_add(suite, fault_36_truncated_while_mapped, 120);
	suite_add(suite, fault_37_numbers_near_their_maximum, 60);
	suite_add(suite, bad_input_in_the_directory, 60);
	suite_add(suite, bad_input_in_every_writable_part, 60);
	suite_add(suite, defect_L4_no_beat_makes_a_death, 60);
	suite_add(suite, defect_L5_versions_are_looked_at, 60);
	return suite_run(suite);
}
