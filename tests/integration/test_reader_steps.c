/* SPDX-License-Identifier: MIT */
/*
 * A reader held at each step of a read or a wait while the writer goes on, and a reader killed there: nothing torn is returned, no wake-up is
 * lost, and the writer never notices. And clients that die at each stage of opening.
 */
#include "../support/client.h"
#include "../support/gate.h"
#include "../support/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const kinds[] = { "ring", "value" };

/* Q1 and Q2: torn data was accepted. The slot is overwritten between the look at its id and the copy, or the copy and the second look. */
START_TEST(defect_Q1_Q2_overtaken_copy_is_not_returned)
{
	static const char *const steps[] = { "read.checked", "read.copied" };
	static const size_t sizes[] = { 8, 56, 64, 4096 };
	struct program writer;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned step = 0; step < 2; step++) {
			for (unsigned s = 0; s < 4; s++) {
				struct program reader;
				struct answer got;
				struct gate gate;

				worker_must(&writer, "writer name=%s/%s/%zu kind=%s bytes=%zu capacity=4 salt=1", kinds[k], steps[step],
					    sizes[s], kinds[k], sizes[s]);
				worker_must(&writer, "write n=3");
				worker_start(&reader, &b, "reader", true);
				worker_must(&reader, "reader name=%s/%s/%zu kind=%s bytes=%zu", kinds[k], steps[step], sizes[s], kinds[k],
					    sizes[s]);
				gate_hold(&gate, &b, &reader, steps[step]);
				program_send(&reader, "latest");
				gate_wait(&gate);
				worker_must(&writer, "write n=9");
				gate_open(&gate);
				got = worker_answer(&reader);
				ASSERT_RESULT(got, 0);
				ck_assert_msg(got.v[0] == 11 && got.v[4] == 0, "number %d, torn %d", (int)got.v[0], (int)got.v[4]);
				if (k == 0) { /* a number that is overtaken is gone, not something else */
					struct program other;

					worker_start(&other, &b, "other", true);
					worker_must(&other, "reader name=%s/%s/%zu bytes=%zu", kinds[k], steps[step], sizes[s], sizes[s]);
					gate_hold(&gate, &b, &other, steps[step]);
					program_send(&other, "read n=10");
					gate_wait(&gate);
					worker_must(&writer, "write n=9");
					gate_open(&gate);
					ASSERT_RESULT(worker_answer(&other), -ESTALE);
					worker_quit(&other);
				}
				worker_quit(&reader);
				worker_must(&writer, "close-writer");
			}
		}
	}
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

/* The write comes between the reader's last look and its sleep: it wakes all the same. */
START_TEST(no_wakeup_is_lost)
{
	static const char *const steps[] = { "wait.looked", "wait.flagged", "wait.sleeping" };
	struct program writer;
	struct program reader;
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned step = 0; step < 3; step++) {
			struct gate gate;

			worker_start(&writer, &b, "writer", false);
			worker_start(&reader, &b, "reader", true);
			worker_must(&writer, "writer name=%s/%s kind=%s bytes=64", kinds[k], steps[step], kinds[k]);
			worker_must(&reader, "reader name=%s/%s kind=%s bytes=64", kinds[k], steps[step], kinds[k]);
			gate_hold(&gate, &b, &reader, steps[step]);
			program_send(&reader, "wait deadline=forever");
			gate_wait(&gate);
			worker_must(&writer, "write n=1");
			gate_open(&gate);
			ASSERT_RESULT(worker_answer(&reader), 0);
			ck_assert_uint_eq(worker_must(&reader, "next").v[0], 0);
			/* the same for the writer's death */
			program_send(&reader, "wait deadline=forever");
			program_wait_asleep(&reader);
			program_kill(&writer);
			ASSERT_RESULT(worker_answer(&reader), -EOWNERDEAD);
			worker_quit(&reader);
		}
	}
	broker_finish(&b);
}
END_TEST

/* The writer dies between the reader's last look and its sleep. */
START_TEST(no_death_is_missed)
{
	static const char *const steps[] = { "wait.looked", "wait.flagged", "wait.sleeping" };
	struct program writer;
	struct program reader;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned step = 0; step < 3; step++) {
		for (unsigned outage = 0; outage < 2; outage++) {
			struct gate gate;
			char name[64];

			snprintf(name, sizeof(name), "%s/%u", steps[step], outage);
			worker_start(&writer, &b, "writer", false);
			worker_start(&reader, &b, "reader", true);
			worker_must(&writer, "writer name=%s bytes=64", name);
			worker_must(&reader, "reader name=%s bytes=64", name);
			gate_hold(&gate, &b, &reader, steps[step]);
			program_send(&reader, "wait deadline=forever");
			gate_wait(&gate);
			if (outage)
				broker_kill(&b);
			program_kill(&writer);
			if (outage)
				broker_restart(&b);
			wait_writer(client, name, SHMB_WRITER_IS_DEAD);
			gate_open(&gate);
			ASSERT_RESULT(worker_answer(&reader), -EOWNERDEAD);
			worker_quit(&reader);
		}
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A reader dies anywhere: its cell is freed, the writer and the other readers go on. */
START_TEST(reader_killed_at_each_step)
{
	static const char *const steps[] = { "read.checked", "read.copied", "wait.looked", "wait.flagged", "wait.sleeping" };
	struct program writer;
	struct program other;
	struct shmb *client;
	struct listed listed;
	struct broker b;
	uint64_t next = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned k = 0; k < 2; k++) {
		worker_start(&writer, &b, "writer", false);
		worker_start(&other, &b, "other", false);
		worker_must(&writer, "writer name=%s kind=%s bytes=64", kinds[k], kinds[k]);
		worker_must(&other, "reader name=%s kind=%s bytes=64", kinds[k], kinds[k]);
		next = 0;
		for (unsigned step = 0; step < 5; step++) {
			struct program reader;

			worker_start(&reader, &b, "reader", true);
			worker_must(&reader, "reader name=%s kind=%s bytes=64", kinds[k], kinds[k]);
			worker_must(&writer, "write n=1");
			next++;
			if (step >= 2)
				worker_must(&reader, "latest");
			worker_must(&reader, "step at=%s do=kill", steps[step]);
			program_send(&reader, step < 2 ? "latest" : "wait deadline=forever");
			ck_assert_msg(program_wait(&reader) == -SIGKILL, "the reader never came to %s", steps[step]);
			WAIT_UNTIL(segment_listed(client, kinds[k], &listed) && listed.readers == 1);
			worker_must(&writer, "write n=1");
			next++;
			worker_must(&other, "wait deadline=15000");
			ck_assert_uint_eq(worker_must(&other, "latest").v[0], next - 1);
		}
		worker_quit(&writer);
		worker_quit(&other);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Readers die asleep, again and again: cells and areas do not run out. */
START_TEST(killed_sleepers_leave_nothing)
{
	enum { ROUNDS = 12, SLEEPERS = 8 };
	struct program sleepers[SLEEPERS];
	struct program writer;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=sleepers bytes=64");
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < SLEEPERS; i++) {
			worker_start(&sleepers[i], &b, "sleeper", false);
			worker_must(&sleepers[i], "reader name=sleepers bytes=64");
			if (round > 0)
				worker_must(&sleepers[i], "latest");
			program_send(&sleepers[i], "wait deadline=forever");
		}
		for (unsigned i = 0; i < SLEEPERS; i++) {
			if (i % 2 == 0)
				program_wait_asleep(&sleepers[i]);
			program_kill(&sleepers[i]);
		}
		worker_must(&writer, "write n=1");
	}
	WAIT_UNTIL(segment_listed(client, "sleepers", &listed) && listed.readers == 0);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- opening ---- */

enum stage { BEFORE_HELLO, AFTER_HELLO_SENT, AFTER_HELLO, AFTER_READY, AFTER_OPEN_SENT, AFTER_OPEN, STAGES };

static void child_dies(struct broker *b, enum stage stage, bool writes, bool closes)
{
	static const char schema[] = "uint64[8] words\n";
	static struct raw_answer answer;
	static char packet[4096];
	struct shmb_msg_hello hello = { .head = { .opcode = SHMB_OP_HELLO, .serial = 1 },
					.magic = SHMB_MESSAGE_MAGIC,
					.version = SHMB_PROTOCOL_VERSION,
					.oldest = SHMB_PROTOCOL_OLDEST,
					.cookie = { 1, (uint8_t)stage } };
	struct shmb_msg_open_writer *writer = (struct shmb_msg_open_writer *)packet;
	struct shmb_msg_open_reader *reader = (struct shmb_msg_open_reader *)packet;
	struct raw raw = { 0 };
	size_t size;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = stage <= AFTER_HELLO_SENT ? raw_connect(&raw, b->socket)
	    : stage == AFTER_HELLO    ? raw_hello(&raw, b->socket)
				      : raw_start(&raw, b->socket);
	if (r == 0 && stage == AFTER_HELLO_SENT)
		r = raw_send(&raw, &hello, sizeof(hello));
	if (r == 0 && stage >= AFTER_OPEN_SENT) {
		if (writes) {
			raw_open_writer(writer, "opening/writer", schema, 64);
			writer->head =
				(struct shmb_msg_head){ .opcode = SHMB_OP_OPEN_WRITER, .serial = 9, .tail_bytes = sizeof(schema) - 1 };
			memcpy(packet + sizeof(*writer), schema, sizeof(schema) - 1);
			size = sizeof(*writer) + sizeof(schema) - 1;
		} else {
			raw_open_reader(reader, "opening/reader");
			reader->head = (struct shmb_msg_head){ .opcode = SHMB_OP_OPEN_READER, .serial = 9 };
			size = sizeof(*reader);
		}
		r = raw_send(&raw, packet, size);
		if (r == 0 && stage == AFTER_OPEN)
			r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS) > 0 ? answer.head.result : -EPROTO;
	}
	if (closes)
		raw_close(&raw);
	if (r == 0)
		raise(SIGKILL);
	_exit(1);
}

START_TEST(clients_die_at_each_stage_of_opening)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct listed listed;
	struct broker b;
	char *names;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "opening/reader", 64, 8);
	for (unsigned stage = BEFORE_HELLO; stage < STAGES; stage++) {
		for (unsigned variant = 0; variant < 4; variant++) {
			pid_t pid = fork();
			int status;

			if (pid == 0)
				child_dies(&b, (enum stage)stage, (variant & 1) != 0, (variant & 2) != 0);
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			ck_assert_msg(WIFSIGNALED(status), "stage %u, variant %u: the child could not do its part", stage, variant);
		}
		ring_write(writer, 64, 1, 1);
	}
	WAIT_UNTIL(segment_listed(client, "opening/reader", &listed) && listed.readers == 0);
	ASSERT_OK(ring_writer_try(client, "opening/writer", 64, 8));
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_settle(&b);
	names = dir_names(b.shm);
	ck_assert_msg(strstr(names, "event") == NULL, "event pages are left: %s", names);
	free(names);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reader steps");

	suite_add(suite, defect_Q1_Q2_overtaken_copy_is_not_returned, 60);
	suite_add(suite, no_wakeup_is_lost, 60);
	suite_add(suite, no_death_is_missed, 60);
	suite_add(suite, reader_killed_at_each_step, 60);
	suite_add(suite, killed_sleepers_leave_nothing, 60);
	suite_add(suite, clients_die_at_each_stage_of_opening, 60);
	return suite_run(suite);
}
