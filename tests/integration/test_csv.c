/* SPDX-License-Identifier: MIT */
/* The examples csv_player and align: names of fields, pace, loops, bad files, and a real IMU aligned to a real position tracker. */
#include "tests/support/broker.h"
#include "tests/support/client.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

static void player_start(struct program *player, struct broker *broker, const char *file, const char *name, const char *speed,
			 const char *more, const char *more_value)
{
	struct program_options options = { .name = name, .environment = ARGV(broker->environment) };

	program_start(player, &options,
		      ARGV(SHMB_BUILT_CSV_PLAYER, "--name", name, "--speed", speed, "--capacity", "65536", file, more, more_value));
}

static void must_say(struct program *program, const char *beginning)
{
	const char *line = program_line(program, SUITE_PATIENCE_MS);

	ck_assert_msg(line != NULL && strncmp(line, beginning, strlen(beginning)) == 0, "'%s', expected '%s...'", line != NULL ? line : "",
		      beginning);
}

static void csv_write(struct broker *broker, char path[256], const char *text)
{
	snprintf(path, 256, "%s/log.csv", broker->dir);
	file_write(path, text, strlen(text));
}

START_TEST(headings_become_field_names)
{
	static const char log[] = "# Time Stamp [us],w_RS_S_x [rad s^-1],Temp. (C),,3D fix,temp_c,Voltage[V],voltage\r\n"
				  "1000001,1.5,-2e3,4,,6,7,8\r\n";
	static const char schema[] = "uint64 time_stamp\nfloat64 w_rs_s_x\nfloat64 temp_c\nfloat64 column_4\nfloat64 f_3d_fix\n"
				     "float64 temp_c_2\nfloat64 voltage\nfloat64 voltage_2\n";
	struct shmb_ring_reader *reader = NULL;
	struct program player;
	struct shmb *client;
	struct broker broker;
	char path[256];
	struct {
		uint64_t time;
		double values[7];
	} row;

	broker_start(&broker, NULL);
	csv_write(&broker, path, log);
	player_start(&player, &broker, path, "log", "1", "--hold", NULL);
	must_say(&player, "publishing log key time_stamp");
	must_say(&player, "ready");
	must_say(&player, "written log 1");
	client = broker_connect(&broker);
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "log", NULL, SHMB_NO_WAIT));
	ck_assert_str_eq(shmb_ring_type(reader)->schema, schema);
	ck_assert_int_eq(shmb_ring_clock(reader), SHMB_CLOCK_REALTIME);
	ASSERT_OK(shmb_ring_latest(reader, &row, NULL));
	ck_assert_uint_eq(row.time, UINT64_C(1000001000));
	ck_assert(row.values[0] == 1.5 && row.values[1] == -2000 && isnan(row.values[3]) && row.values[6] == 8);
	program_signal(&player, SIGINT);
	ck_assert_int_eq(program_wait(&player), 0);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(rows_come_at_the_recorded_pace)
{
	struct shmb_ring_reader *reader = NULL;
	struct program player;
	struct shmb *client;
	struct broker broker;
	char text[1024] = "t [ms],x\n";
	char path[256];
	uint64_t begin;

	broker_start(&broker, NULL);
	for (int i = 0; i < 11; i++)
		sprintf(text + strlen(text), "%d.25,%d\n", 5000 + i * 40, i);
	csv_write(&broker, path, text);
	client = broker_connect(&broker);
	begin = now_ns();
	player_start(&player, &broker, path, "log", "2", NULL, NULL);
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "log", NULL, deadline_in(SUITE_PATIENCE_MS)));
	ASSERT_OK(shmb_ring_seek(reader, 0));
	for (uint64_t i = 0; i < 11; i++) {
		struct {
			uint64_t time;
			double x;
		} row;

		ASSERT_OK(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)));
		ASSERT_OK(shmb_ring_read_next(reader, &row, NULL));
		ck_assert_uint_eq(row.time, (5000 + i * 40) * MS + MS / 4);
		ck_assert(row.x == (double)i);
	}
	/* 400 ms of log at twice the speed, and what the start took. */
	ck_assert_uint_ge(now_ns() - begin, 200 * MS);
	ck_assert_int_eq(program_wait(&player), 0);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(a_loop_begins_a_new_run_of_keys)
{
	struct shmb_rule_realtime any = shmb_rule_range_realtime(0, UINT64_MAX);
	struct shmb_ring_reader *reader = NULL;
	struct shmb_key_realtime key;
	struct program player;
	struct shmb *client;
	struct broker broker;
	char path[256];
	struct {
		uint64_t time;
		double x;
	} row;
	uint64_t lag;

	broker_start(&broker, NULL);
	csv_write(&broker, path, "timestamp [s],x\n1.00,1\n1.02,2\n1.04,3\n");
	client = broker_connect(&broker);
	player_start(&player, &broker, path, "log", "1", "--loop", NULL);
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "log", NULL, deadline_in(SUITE_PATIENCE_MS)));
	ASSERT_OK(shmb_ring_seek(reader, 0));
	WAIT_UNTIL(shmb_ring_lag(reader, &lag) == 0 && lag >= 10);
	for (uint64_t i = 0; i < 10; i++) {
		ASSERT_OK(shmb_ring_read_next(reader, &row, NULL));
		ck_assert_uint_eq(row.time, 1000 * MS + i % 3 * 20 * MS);
	}
	/* Of the run that is on: never one of those before, so the closest to the beginning is always the beginning. */
	ASSERT_OK(shmb_key_make(&key, 0, &any));
	for (int i = 0; i < 100; i++) {
		int r = shmb_ring_closest(reader, key, SHMB_ANY_DISTANCE, &row, NULL);

		ck_assert(r == -ENODATA || (r == 0 && row.time == 1000 * MS));
	}
	program_signal(&player, SIGTERM);
	ck_assert_int_eq(program_wait(&player), 0);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(bad_files_are_named_with_their_line)
{
	static const struct {
		const char *text, *error;
	} files[] = {
		{ "", "log.csv:1: the file has no line of headings" },
		{ "x,y\n1,2\n", "log.csv:1: no column is named like a time" },
		{ "time,x\n1,2\n2\n", "log.csv:3: 1 cells, but 2 headings" },
		{ "time,x\n1,2,3\n", "log.csv:2: more cells than headings" },
		{ "time,x\n1,2\n\n2,abc\n", "log.csv:4: 'abc' is no number" },
		{ "time,x\nyesterday,2\n", "log.csv:2: 'yesterday' is no time" },
		{ "time,x\n-5,2\n", "log.csv:2: '-5' is no time" },
		{ "time,x\n99999999999999999999,2\n", "log.csv:2: '99999999999999999999' is too large" },
		{ "time,x\n5,2\n4,3\n", "after 1 rows the time goes back" },
	};
	struct broker broker;

	broker_start(&broker, NULL);
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct program_options options = { .environment = ARGV(broker.environment) };
		struct program_result result;
		char path[256];

		csv_write(&broker, path, files[i].text);
		program_run(&result, &options, ARGV(SHMB_BUILT_CSV_PLAYER, "--speed", "0", path));
		ck_assert_msg(strstr(result.err, files[i].error) != NULL, "'%s', expected '%s'", result.err, files[i].error);
		ck_assert_int_eq(result.status, i == sizeof(files) / sizeof(files[0]) - 1 ? 0 : 1);
		program_result_deinit(&result);
	}
	broker_finish(&broker);
}
END_TEST

/* ---- a real alignment ---- */

enum { ROWS_MAX = 40000, COLUMNS_MAX = 7 };

struct log_row {
	uint64_t time;
	double values[COLUMNS_MAX - 1];
};

/* The log itself, read without any of our code. */
static unsigned log_read(struct log_row *rows, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	unsigned count = 0;

	if (file == NULL)
		return 0;
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	while (count < ROWS_MAX && fgets(line, sizeof(line), file) != NULL) {
		struct log_row *row = &rows[count++];
		char *at;

		row->time = strtoull(line, &at, 10);
		for (unsigned i = 0; i < COLUMNS_MAX - 1 && *at == ','; i++)
			row->values[i] = strtod(at + 1, &at);
	}
	fclose(file);
	return count;
}

static double field(const char **at)
{
	char *end;
	double value = strtod(*at, &end);

	*at = *end == ',' ? end + 1 : end;
	return value;
}

START_TEST(imu_is_aligned_to_the_position_tracker)
{
	static struct log_row imu[ROWS_MAX], leica[ROWS_MAX];
	const char *data = getenv("SHMB_TEST_DATA");
	struct program players[2];
	struct program_options options;
	struct program align;
	char folder[1024], imu_path[1100], leica_path[1100], start[32], origin[32], summary[160];
	unsigned imu_count, leica_count, low = 0, expected = 0;
	const char *line;
	struct broker broker;
	char *err;
	char err_path[256];
	FILE *err_file;

	snprintf(folder, sizeof(folder), "%s%s", data != NULL ? data : path_source(), data != NULL ? "" : "/../shared/data");
	snprintf(imu_path, sizeof(imu_path), "%s/euroc-mh/imu0.csv", folder);
	snprintf(leica_path, sizeof(leica_path), "%s/euroc-mh/leica0.csv", folder);
	imu_count = log_read(imu, imu_path);
	leica_count = log_read(leica, leica_path);
	if (imu_count == 0 || leica_count == 0)
		TEST_SKIP("no sensor logs at %s/euroc-mh (SHMB_TEST_DATA says where)", folder);
	ck_assert_uint_gt(imu_count, 36000);
	ck_assert_uint_gt(leica_count, 3000);

	broker_start(&broker, NULL);
	/* 190 s of log in under 2 s: both players go by one clock. */
	snprintf(start, sizeof(start), "%lu", (unsigned long)(now_ns() + 300 * MS));
	snprintf(origin, sizeof(origin), "%lu", (unsigned long)leica[0].time);
	options = (struct program_options){ .environment = ARGV(broker.environment) };
	snprintf(err_path, sizeof(err_path), "%s/align.err", broker.dir);
	err_file = fopen(err_path, "we");
	ck_assert_ptr_nonnull(err_file);
	options.stderr_fd = fileno(err_file);
	program_start(&align, &options, ARGV(SHMB_BUILT_ALIGN, "imu", "leica"));
	options.stderr_fd = 0;
	program_start(&players[0], &options,
		      ARGV(SHMB_BUILT_CSV_PLAYER, "--name", "imu", "--speed", "100", "--capacity", "65536", "--start", start, "--origin",
			   origin, imu_path));
	program_start(&players[1], &options,
		      ARGV(SHMB_BUILT_CSV_PLAYER, "--name", "leica", "--speed", "100", "--start", start, "--origin", origin, leica_path));
	must_say(&align, "time,before,after,alpha,w_rs_s_x,w_rs_s_y,w_rs_s_z,a_rs_s_x,a_rs_s_y,a_rs_s_z,p_rs_r_x,p_rs_r_y,p_rs_r_z");
	for (unsigned i = 0; i < leica_count; i++) {
		uint64_t t = leica[i].time;
		const char *at;
		char *end;
		double alpha;

		while (low + 1 < imu_count && imu[low + 1].time <= t)
			low++;
		if (imu[low].time > t || low + 1 == imu_count)
			continue;
		expected++;
		alpha = (double)(t - imu[low].time) / (double)(imu[low + 1].time - imu[low].time);
		line = program_line(&align, SUITE_PATIENCE_MS);
		ck_assert_ptr_nonnull(line);
		ck_assert_uint_eq(strtoull(line, &end, 10), t);
		at = end + 1;
		ck_assert_uint_eq((uint64_t)field(&at), low);
		ck_assert_uint_eq((uint64_t)field(&at), low + 1);
		ck_assert_double_eq_tol(field(&at), alpha, 1e-12);
		for (unsigned c = 0; c < 6; c++) {
			double direct = imu[low].values[c] + alpha * (imu[low + 1].values[c] - imu[low].values[c]);

			ck_assert_double_eq_tol(field(&at), direct, 1e-9);
		}
		for (unsigned c = 0; c < 3; c++)
			ck_assert(field(&at) == leica[i].values[c]);
	}
	ck_assert_uint_gt(expected, 3000);
	ck_assert_ptr_null(program_line(&align, SUITE_PATIENCE_MS));
	ck_assert_int_eq(program_wait(&align), 0);
	ck_assert_int_eq(program_wait(&players[0]), 0);
	ck_assert_int_eq(program_wait(&players[1]), 0);
	fclose(err_file);
	err = file_read(err_path, NULL);
	snprintf(summary, sizeof(summary), "aligned %u, ", expected);
	ck_assert_msg(err != NULL && strstr(err, summary) != NULL && strstr(err, "lost 0") != NULL, "%s", err);
	free(err);
	broker_finish(&broker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("csv");

	suite_add(suite, headings_become_field_names, 60);
	suite_add(suite, rows_come_at_the_recorded_pace, 60);
	suite_add(suite, a_loop_begins_a_new_run_of_keys, 60);
	suite_add(suite, bad_files_are_named_with_their_line, 60);
	suite_add(suite, imu_is_aligned_to_the_position_tracker, 120);
	return suite_run(suite);
}
