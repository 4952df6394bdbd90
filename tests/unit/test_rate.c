/* SPDX-License-Identifier: MIT */
/* Limits by cause, and entries for the journal. */
#include "daemon/journal.h"
#include "daemon/rate.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct rate rate;

static unsigned say(int kind, const char *label, unsigned times, uint64_t now_ns)
{
	struct rate_cause out;
	unsigned said = 0;

	while (times-- > 0)
		said += rate_admit(&rate, kind, label, now_ns, &out);
	return said;
}

START_TEST(burst)
{
	struct rate_cause out;

	ck_assert_uint_eq(say(3, "a", RATE_BURST, 5), RATE_BURST);
	ck_assert_uint_eq(say(3, "a", 7, 6), 0);
	/* another cause: another kind, another label */
	ck_assert_uint_eq(say(4, "a", 1, 6), 1);
	ck_assert_uint_eq(say(3, "b", 1, 6), 1);
	ck_assert(!rate_due(&rate, 5 + RATE_WINDOW_NS - 1, false, &out));
	ck_assert(rate_due(&rate, 5 + RATE_WINDOW_NS, false, &out));
	ck_assert_int_eq(out.kind, 3);
	ck_assert_str_eq(out.label, "a");
	ck_assert_uint_eq(out.suppressed, 7);
	/* told once */
	ck_assert(!rate_due(&rate, UINT64_MAX, true, &out));
	ck_assert_uint_eq(say(3, "a", RATE_BURST + 1, 5 + RATE_WINDOW_NS), RATE_BURST);
	ck_assert(rate_due(&rate, 0, true, &out) && out.suppressed == 1);
}
END_TEST

START_TEST(next_window)
{
	struct rate_cause out;

	ck_assert_uint_eq(say(1, "a", RATE_BURST + 4, 100), RATE_BURST);
	ck_assert(rate_admit(&rate, 1, "a", 100 + RATE_WINDOW_NS, &out));
	ck_assert_uint_eq(out.suppressed, 4);
	ck_assert_uint_eq(say(1, "a", RATE_BURST, 101 + RATE_WINDOW_NS), RATE_BURST - 1);
}
END_TEST

/* More causes than places: nothing is lost silently, and the ones in use stay. */
START_TEST(more_causes_than_places)
{
	struct rate_cause out;
	unsigned thrown_out = 0;
	char label[32];

	say(1, "busy", RATE_BURST + 3, 1);
	for (unsigned i = 0; i < 10 * RATE_CAUSES; i++) {
		snprintf(label, sizeof(label), "cause %u", i);
		ck_assert(rate_admit(&rate, 2, label, 10 + i, &out));
		thrown_out += out.suppressed;
		ck_assert_uint_eq(say(1, "busy", 1, 10 + i), 0);
	}
	ck_assert_uint_eq(thrown_out, 0);
	ck_assert(rate_due(&rate, 0, true, &out) && out.suppressed == 3 + 10 * RATE_CAUSES);
	say(1, "silent", RATE_BURST + 5, 1);
	for (unsigned i = 0; i <= RATE_CAUSES; i++) {
		snprintf(label, sizeof(label), "other %u", i);
		rate_admit(&rate, 2, label, 100000 + i, &out);
		thrown_out += out.suppressed;
	}
	ck_assert_uint_eq(thrown_out, 5);
}
END_TEST

static const struct journal_field fields[] = { { "MESSAGE", "one line" }, { "SHMB_SEGMENT", "imu/main" } };

START_TEST(journal)
{
	char dir[] = "/tmp/shmb-unit-XXXXXX";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char got[256];
	unsigned sent = 0;
	ssize_t length;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);
	journal_init(address.sun_path);
	ck_assert_int_eq(journal_send(fields, 2), -ENOENT);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(journal_send(fields, 2), 0);
	length = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
	ck_assert_int_gt(length, 0);
	got[length] = '\0';
	ck_assert_str_eq(got, "MESSAGE=one line\nSHMB_SEGMENT=imu/main\n");
	/* nobody reads: full, at once, and never more */
	while (journal_send(fields, 2) == 0)
		ck_assert_uint_lt(sent++, 100000);
	ck_assert_int_eq(journal_send(fields, 2), -EAGAIN);
	while (recv(fd, got, sizeof(got), MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq(journal_send(fields, 2), 0);
	/* gone, and there again */
	close(fd);
	ck_assert_int_eq(journal_send(fields, 2), -ECONNREFUSED);
	unlink(address.sun_path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(journal_send(fields, 2), 0);
	close(fd);
	unlink(address.sun_path);
	rmdir(dir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rate");

	unit_add(suite, burst, 5);
	unit_add(suite, next_window, 5);
	unit_add(suite, more_causes_than_places, 10);
	unit_add(suite, journal, 10);
	return unit_run(suite);
}
