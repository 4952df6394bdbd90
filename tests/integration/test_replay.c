/* SPDX-License-Identifier: MIT */
/*
 * A part of a real sensor log (EuRoC MAV, SHMB_TEST_DATA/euroc-mh/imu0.csv) goes through a ring from one process to another and comes out the same,
 * field by field. Skipped where the log is not there.
 */
#include "../support/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 4000 };

SHMB_TYPE(imu, (uint64, stamp_ns)(float64, angular_velocity, 3)(float64, linear_acceleration, 3));

static unsigned rows_read(struct imu *rows, unsigned most, const char *path)
{
	FILE *in = fopen(path, "re");
	char line[512];
	unsigned count = 0;

	if (in == NULL)
		return 0;
	while (count < most && fgets(line, sizeof(line), in) != NULL) {
		struct imu *row = &rows[count];

		if (sscanf(line, "%lu,%lf,%lf,%lf,%lf,%lf,%lf", &row->stamp_ns, &row->angular_velocity[0], &row->angular_velocity[1],
			   &row->angular_velocity[2], &row->linear_acceleration[0], &row->linear_acceleration[1],
			   &row->linear_acceleration[2]) == 7)
			count++;
	}
	fclose(in);
	return count;
}

/* Another process writes the rows, ten times as fast as they were recorded. */
static void child_writes(struct broker *b, const struct imu *rows, unsigned count)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb *client = NULL;
	int r = shmb_connect(&client, b->socket);

	if (r == 0)
		r = shmb_ring_writer_open(&writer, client, "euroc/imu0", &imu_type, &(struct shmb_options){ .capacity = 4096 });
	for (unsigned i = 0; r == 0 && i < count; i++) {
		r = shmb_ring_insert(writer, &rows[i]);
		if (i % 100 == 99)
			sleep_ms(10);
	}
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	_exit(r == 0 ? 0 : 1);
}

START_TEST(real_imu_log_comes_out_as_it_went_in)
{
	const char *data = getenv("SHMB_TEST_DATA");
	static struct imu rows[ROWS];
	struct shmb_ring_reader *reader = NULL;
	struct shmb *client;
	struct broker b;
	char path[1024];
	unsigned count;
	unsigned got = 0;
	pid_t pid;
	int status;

	if (data != NULL)
		snprintf(path, sizeof(path), "%s/euroc-mh/imu0.csv", data);
	else
		snprintf(path, sizeof(path), "%s/../shared/data/euroc-mh/imu0.csv", path_source());
	count = rows_read(rows, ROWS, path);
	if (count == 0)
		TEST_SKIP("no sensor log at %s (SHMB_TEST_DATA says where)", path);
	ck_assert_uint_eq(count, ROWS);
	broker_start(&b, NULL);
	client = broker_connect(&b);
	pid = fork();
	if (pid == 0)
		child_writes(&b, rows, count);
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "euroc/imu0", &imu_type, deadline_in(SUITE_PATIENCE_MS)));
	ASSERT_OK(shmb_ring_seek(reader, 0));
	for (;;) {
		int r = shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS));

		if (r == -EPIPE)
			break;
		ASSERT_OK(r);
		for (;;) {
			struct shmb_sample sample;
			struct imu row;

			r = shmb_ring_read_next(reader, &row, &sample);
			if (r == -ENODATA)
				break;
			ASSERT_OK(r);
			ck_assert_uint_eq(sample.number, got);
			ck_assert_uint_eq(sample.missed, 0);
			ck_assert_uint_lt(got, count);
			ck_assert_uint_eq(row.stamp_ns, rows[got].stamp_ns);
			for (unsigned axis = 0; axis < 3; axis++) {
				ck_assert(row.angular_velocity[axis] == rows[got].angular_velocity[axis]);
				ck_assert(row.linear_acceleration[axis] == rows[got].linear_acceleration[axis]);
			}
			got++;
		}
	}
	ck_assert_uint_eq(got, count);
	WAIT_UNTIL(waitpid(pid, &status, WNOHANG) == pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replay");

	suite_add(suite, real_imu_log_comes_out_as_it_went_in, 60);
	return suite_run(suite);
}
