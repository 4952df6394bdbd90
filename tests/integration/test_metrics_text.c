/* SPDX-License-Identifier: MIT */
/* The text for Prometheus and the lines of JSON that shmbctl makes of what the broker counts and of its clients. */
#include "../support/client.h"
#include "command.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void has_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	ck_assert_msg(at != NULL && at[strlen(line)] == '\n' && (at == text || at[-1] == '\n'), "no line '%s' in\n%s", line, text);
}

/* The strict reader of the format finds nothing to complain of. */
static void check_format(struct broker *b, const char *path)
{
	struct program_result result;
	char script[512];

	snprintf(script, sizeof(script), "%s/tests/scripts/openmetrics.py", path_source());
	program_run(&result, &(struct program_options){ .environment = ARGV(b->environment), .without_wrapper = true },
		    ARGV("python3", script, path));
	ck_assert_msg(result.status == 0, "%s%s", result.out, result.err);
	program_result_deinit(&result);
}

START_TEST(the_text_is_open_metrics)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct program_result result;
	struct program worker;
	struct shmb *client;
	char path[512];
	struct broker b;
	struct stat st;
	FILE *file;

	if (path_shmbctl() == NULL)
		TEST_SKIP("shmbctl is not built");
	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "o/ring", 64, 8);
	reader = ring_reader(client, "o/ring");
	ring_write(writer, 64, 5, 1);
	ck_assert_int_eq(ring_reader_try(client, "o/nothing", SHMB_NO_WAIT), -ENOENT);
	worker_start(&worker, &b, "worker", false);
	worker_must(&worker, "writer name=o/dead bytes=64");
	program_kill(&worker);
	wait_writer(client, "o/dead", SHMB_WRITER_IS_DEAD);
	snprintf(path, sizeof(path), "%s/metrics.prom", b.dir);
	SHMBCTL(&result, &b, "metrics", "--output", path);
	ck_assert_msg(result.status == 0 && result.out[0] == '\0' && result.err[0] == '\0', "%s%s", result.out, result.err);
	program_result_deinit(&result);
	check_format(&b, path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0644);

	SHMBCTL(&result, &b, "metrics", "o/*");
	ck_assert_int_eq(result.status, 0);
	has_line(result.out, "shmbroker_up 1");
	has_line(result.out, "shmbroker_segments 2");
	has_line(result.out, "shmbroker_deaths_total 1");
	has_line(result.out, "shmbroker_refusals_total{reason=\"ENOENT\"} 1");
	has_line(result.out, "shmbroker_events_total{kind=\"writer-dead\"} 1");
	{
		char line[64];

		has_line(result.out, "shmbroker_users 1");
		snprintf(line, sizeof(line), "shmbroker_user_segments{uid=\"%u\"} 2", (unsigned)getuid());
		has_line(result.out, line);
		snprintf(line, sizeof(line), "shmbroker_user_over_quota_total{uid=\"%u\"} 0", (unsigned)getuid());
		has_line(result.out, line);
		ck_assert_ptr_null(strstr(result.out, "shmbroker_user_memory_max_bytes{")); /* no quota */
	}
	has_line(result.out, "shmbroker_segment_writer{segment=\"o/ring\",state=\"alive\"} 1");
	has_line(result.out, "shmbroker_segment_writer{segment=\"o/dead\",state=\"dead\"} 1");
	has_line(result.out, "shmbroker_segment_published_total{segment=\"o/ring\"} 5");
	has_line(result.out, "shmbroker_segment_readers{segment=\"o/ring\"} 1");
	has_line(result.out, "shmbroker_segment_lag{segment=\"o/ring\"} 5");
	ck_assert_ptr_null(strstr(result.out, "shmbroker_segment_lag{segment=\"o/dead\"}"));
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "metrics", "none/*");
	ck_assert_int_eq(result.status, 0);
	ck_assert_ptr_null(strstr(result.out, "segment=\""));
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(result.out, file);
	fclose(file);
	program_result_deinit(&result);
	check_format(&b, path);

	/* What cannot be written is said, and leaves nothing behind. */
	SHMBCTL(&result, &b, "metrics", "--output", "/nonexistent/file");
	ck_assert_int_eq(result.status, 1);
	ck_assert_ptr_nonnull(strstr(result.err, "/nonexistent/file"));
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "metrics", "--output", path, "--json");
	ck_assert_int_eq(result.status, 2);
	program_result_deinit(&result);

	/* Without a daemon the file says so. */
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_settle(&b);
	broker_stop(&b);
	SHMBCTL(&result, &b, "metrics", "--output", path);
	ck_assert_int_eq(result.status, 3);
	program_result_deinit(&result);
	check_format(&b, path);
	program_run(&result, &(struct program_options){ .without_wrapper = true }, ARGV("cat", path));
	has_line(result.out, "shmbroker_up 0");
	ck_assert_ptr_null(strstr(result.out, "shmbroker_segments"));
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "metrics");
	ck_assert_int_eq(result.status, 3);
	ck_assert_str_eq(result.out, "");
	program_result_deinit(&result);
	unlink(path);
	broker_restart(&b);
	broker_finish(&b);
}
END_TEST

static json_int_t integer(json_t *json, const char *key)
{
	json_t *value = json_object_get(json, key);

	ck_assert_msg(json_is_integer(value), "no number %s", key);
	return json_integer_value(value);
}

START_TEST(objects_for_programs)
{
	struct shmb_ring_writer *writer;
	struct program_result result;
	struct shmb *client;
	struct broker b;
	json_t *json;
	json_t *handle;

	if (path_shmbctl() == NULL)
		TEST_SKIP("shmbctl is not built");
	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "j/ring", 64, 8);
	SHMBCTL(&result, &b, "metrics", "--json");
	ck_assert_int_eq(result.status, 0);
	json = object(result.out);
	ck_assert_int_eq(integer(json, "segments"), 1);
	ck_assert_int_eq(integer(json_object_get(json, "events"), "created"), 1);
	ck_assert(json_is_null(json_object_get(json_array_get(json_object_get(json, "request_buckets"), 16), "upto_ns")));
	ck_assert_int_gt(integer(json, "descriptors"), 4);
	json_decref(json);
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "clients", "--json");
	ck_assert_int_eq(result.status, 0);
	ck_assert_uint_eq(text_count(result.out, "\n"), 2);
	json = object(strchr(result.out, '\n') + 1); /* the newest is the command itself */
	ck_assert_int_eq(integer(json, "pid"), getpid());
	ck_assert_int_eq(integer(json, "refusals"), 0);
	handle = json_array_get(json_object_get(json, "handles"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(handle, "role")), "writes");
	ck_assert_str_eq(json_string_value(json_object_get(handle, "segment")), "j/ring");
	json_decref(json);
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "users", "--json");
	ck_assert_int_eq(result.status, 0);
	ck_assert_uint_eq(text_count(result.out, "\n"), 2);
	json = object(result.out);
	ck_assert(json_is_null(json_object_get(json, "uid")) && json_is_null(json_object_get(json, "bytes_max")));
	ck_assert_int_eq(integer(json, "segments"), 1);
	json_decref(json);
	json = object(strchr(result.out, '\n') + 1);
	ck_assert_int_eq(integer(json, "uid"), getuid());
	ck_assert_int_eq(integer(json, "clients"), 2);
	ck_assert_int_eq(integer(json, "over_quota"), 0);
	json_decref(json);
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "users");
	ck_assert_int_eq(result.status, 0);
	ck_assert_ptr_nonnull(strstr(result.out, "OVER QUOTA"));
	ck_assert_ptr_nonnull(strstr(result.out, "\nall "));
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "clients");
	ck_assert_int_eq(result.status, 0);
	ck_assert_ptr_nonnull(strstr(result.out, "writes j/ring\n"));
	ck_assert_ptr_nonnull(strstr(result.out, "2 clients"));
	program_result_deinit(&result);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics_text");

	suite_add(suite, the_text_is_open_metrics, 60);
	suite_add(suite, objects_for_programs, 60);
	return suite_run(suite);
}
