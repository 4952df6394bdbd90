/* SPDX-License-Identifier: MIT */
/* What the operator says about memory that clients map: the frames a reader may hold, and huge pages. */
#include "../support/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* linux/mman.h of Linux 6.1 */
#endif

/* How many frames a reader of this segment can hold: the next pin is -EMFILE. */
static unsigned holds(struct shmb *client, const char *name)
{
	struct shmb_frame held[SHMB_FRAME_PINS + 1];
	struct shmb_frame_reader *reader;
	struct shmb_type *type = pattern_type(4096);
	struct shmb_frame_writer *writer;
	unsigned count = 0;
	size_t capacity;
	void *payload;
	int r;

	ASSERT_OK(shmb_frame_writer_open(&writer, client, name, type, NULL));
	ASSERT_OK(shmb_frame_reader_open(&reader, client, name, NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
	ASSERT_OK(shmb_frame_commit(writer, 8));
	while ((r = shmb_frame_pin_newest(reader, &held[count])) == 0)
		ck_assert_uint_le(++count, SHMB_FRAME_PINS);
	ck_assert_int_eq(r, -EMFILE);
	/* One let go is one to take. */
	ASSERT_OK(shmb_frame_release(reader, &held[0]));
	ASSERT_OK(shmb_frame_pin_newest(reader, &held[0]));
	ck_assert_int_eq(shmb_frame_pin_newest(reader, &held[count]), -EMFILE);
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	return count;
}

START_TEST(pins_by_policy)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b,
		     &(struct broker_options){ .config = "[segment one]\npins = 1\n[segment three]\npins = 3\n", .linger = "infinity" });
	client = broker_connect(&b);
	ck_assert_uint_eq(holds(client, "one"), 1);
	ck_assert_uint_eq(holds(client, "three"), 3);
	ck_assert_uint_eq(holds(client, "other"), SHMB_FRAME_PINS);
	shmb_disconnect(client);
	/* A daemon that adopts it reads it in the card: it is the generation's, whatever is configured by now. */
	broker_settle(&b);
	broker_kill(&b);
	broker_configure(&b, "[segment *]\npins = 5\n");
	broker_restart(&b);
	client = broker_connect(&b);
	ck_assert_uint_eq(holds(client, "three"), 3);
	ck_assert_uint_eq(holds(client, "new"), 5);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

struct mapped {
	unsigned mappings, advised; /* of this file; of them with the flag of MADV_HUGEPAGE */
	long huge_kb;		    /* in huge pages, of all of them */
};

static struct mapped mapped(const char *file)
{
	FILE *in = fopen("/proc/self/smaps", "r");
	struct mapped out = { 0 };
	char line[1024];
	bool inside = false;

	ck_assert_ptr_nonnull(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (strchr(line, '-') != NULL && strchr(line, '-') < line + 20) {
			inside = strstr(line, file) != NULL;
			out.mappings += inside;
		} else if (inside && strncmp(line, "ShmemPmdMapped:", 15) == 0) {
			out.huge_kb += atol(line + 15);
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			out.advised += strstr(line, " hg") != NULL;
		}
	}
	fclose(in);
	return out;
}

START_TEST(huge_pages_by_policy)
{
	static const char *const names[] = { "huge", "small" };
	struct shmb_ring_writer *writers[2];
	struct shmb_ring_reader *readers[2];
	struct shmb *client;
	struct broker b;

	if (madvise(NULL, 0, MADV_HUGEPAGE) < 0)
		TEST_SKIP("this kernel has no huge pages");
	broker_start(&b, &(struct broker_options){ .config = "[segment huge]\nhuge-pages = yes\n", .linger = "infinity" });
	client = broker_connect(&b);
	for (unsigned i = 0; i < 2; i++) {
		writers[i] = ring_writer(client, names[i], 8192, 1024); /* 8 MiB and a little */
		readers[i] = ring_reader(client, names[i]);
		ring_write(writers[i], 8192, 1023, 1);
		for (uint64_t number = 0; number < 1023; number++)
			ck_assert_uint_eq(ring_at(readers[i], number), 1);
	}
	ck_assert_uint_eq(mapped("/huge,1,data").mappings, 2);
	ck_assert_uint_eq(mapped("/huge,1,data").advised, 2);
	ck_assert_uint_eq(mapped("/small,1,data").advised, 0);
	if (madvise(NULL, 0, MADV_COLLAPSE) < 0)
		printf("skipped in part: this kernel (before 6.1) has huge pages where the tmpfs is mounted with huge= only\n");
	else
		ck_assert_int_ge(mapped("/huge,1,data").huge_kb, 2 * 8192); /* the writer's mapping and the reader's */
	ck_assert_int_eq(mapped("/small,1,data").huge_kb, 0);
	for (unsigned i = 0; i < 2; i++) {
		shmb_ring_reader_close(readers[i]);
		shmb_ring_writer_close(writers[i]);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_memory");

	suite_add(suite, pins_by_policy, 30);
	suite_add(suite, huge_pages_by_policy, 30);
	return suite_run(suite);
}
