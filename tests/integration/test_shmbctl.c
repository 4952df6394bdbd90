/* SPDX-License-Identifier: MIT */
/* The command: what it prints in each form, its exit codes, and its messages for wrong input. */
#include "../support/client.h"
#include "command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SHMB_TYPE(odd, (uint64, stamp_ns)(float64, gyro, 3)(bool, still)(int8, low)(float32, warm));

/* Runs; exit status, a word on stderr (NULL: stderr stays empty), and one line of it at most. */
static void expect(struct broker *b, const char *const argv[], int status, const char *word)
{
	struct program_result result;

	program_run(&result, plain(b), argv);
	ck_assert_msg(result.status == status, "%s %s: exit status %d, not %d: %s", argv[1], argv[1] != NULL ? argv[2] : "", result.status,
		      status, result.err);
	if (word == NULL)
		ck_assert_str_eq(result.err, "");
	else
		ck_assert_msg(strstr(result.err, word) != NULL && text_count(result.err, "\n") == 1, "not one line with '%s': %s", word,
			      result.err);
	program_result_deinit(&result);
}

#define EXPECT(b, status, word, ...) expect(b, ARGV(path_shmbctl(), __VA_ARGS__), status, word)

START_TEST(every_verb_in_both_forms)
{
	struct odd value = { .stamp_ns = 5, .gyro = { 0.5, -1.25, 3 }, .still = true, .low = -7, .warm = 21.5F };
	struct shmb_ring_writer *writer = NULL;
	struct program_result result;
	struct program reader;
	struct shmb *client;
	struct broker b;
	json_t *json;
	json_t *field;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	SHMBCTL(&result, &b, "list");
	ck_assert(result.status == 0 && result.err[0] == '\0');
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "list", "--json");
	ck_assert(result.status == 0 && result.out[0] == '\0');
	program_result_deinit(&result);

	ASSERT_OK(shmb_ring_writer_open(&writer, client, "host/odd", &odd_type, &(struct shmb_options){ .capacity = 8, .stamped = 1 }));
	ASSERT_OK(shmb_ring_insert(writer, &value));
	ASSERT_OK(shmb_ring_insert(writer, &value));
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=host/odd bytes=0");

	SHMBCTL(&result, &b, "list");
	ck_assert_msg(result.status == 0 && strstr(result.out, "host/odd") != NULL && strstr(result.out, "ring") != NULL, "%s", result.out);
	ck_assert_msg(strchr(result.out, '\x1b') == NULL, "colours where none are wanted");
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "list", "--json");
	ck_assert_uint_eq(text_count(result.out, "\n"), 1);
	json = object(result.out);
	ck_assert_str_eq(json_string_value(json_object_get(json, "name")), "host/odd");
	ck_assert_str_eq(json_string_value(json_object_get(json, "kind")), "ring");
	ck_assert_str_eq(json_string_value(json_object_get(json, "type")), "odd");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "capacity")), 8);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "readers")), 1);
	ck_assert(json_is_integer(json_object_get(json, "created_ns")) && json_is_integer(json_object_get(json, "bytes")));
	field = json_object_get(json, "writer");
	ck_assert_int_eq(json_integer_value(json_object_get(field, "pid")), getpid());
	ck_assert_str_eq(json_string_value(json_object_get(field, "condition")), "alive");
	json_decref(json);
	program_result_deinit(&result);

	SHMBCTL(&result, &b, "info", "host/odd");
	ck_assert_msg(result.status == 0 && strstr(result.out, "float64[3] gyro") != NULL, "%s", result.out);
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "info", "--json", "host/odd");
	json = object(result.out);
	ck_assert_str_eq(json_string_value(json_object_get(json, "schema")), odd_type.schema);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "next")), 2);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "reader_list")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(json_object_get(json, "reader_list"), 0), "pid")), reader.pid);
	json_decref(json);
	program_result_deinit(&result);

	SHMBCTL(&result, &b, "echo", "host/odd", "--count", "1");
	ck_assert_msg(result.status == 0 && strstr(result.out, "gyro") != NULL && strstr(result.out, "-1.25") != NULL, "%s", result.out);
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "echo", "host/odd", "--count", "1", "--json");
	ck_assert_uint_eq(text_count(result.out, "\n"), 1);
	json = object(result.out);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "number")), 1);
	ck_assert(json_is_integer(json_object_get(json, "stamp_ns")));
	field = json_object_get(json, "data");
	ck_assert_int_eq(json_integer_value(json_object_get(field, "stamp_ns")), 5);
	ck_assert(json_real_value(json_array_get(json_object_get(field, "gyro"), 1)) == -1.25);
	ck_assert(json_is_true(json_object_get(field, "still")));
	ck_assert_int_eq(json_integer_value(json_object_get(field, "low")), -7);
	ck_assert(json_number_value(json_object_get(field, "warm")) == 21.5);
	json_decref(json);
	program_result_deinit(&result);

	SHMBCTL(&result, &b, "status");
	ck_assert_msg(result.status == 0 && strstr(result.out, shmb_version()) != NULL && strstr(result.out, b.shm) != NULL, "%s",
		      result.out);
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "status", "--json");
	json = object(result.out);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "pid")), b.daemon.pid);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "segments")), 1);
	ck_assert(json_is_null(json_object_get(json, "linger_ns"))); /* infinite */
	json_decref(json);
	program_result_deinit(&result);

	EXPECT(&b, 1, "host/odd", "remove", "host/odd"); /* its writer lives */
	shmb_ring_writer_close(writer);
	worker_quit(&reader);
	SHMBCTL(&result, &b, "remove", "--json", "host/odd");
	ck_assert_int_eq(result.status, 0);
	json = object(result.out);
	ck_assert(json_is_true(json_object_get(json, "removed")));
	json_decref(json);
	program_result_deinit(&result);
	EXPECT(&b, 4, "host/odd", "remove", "host/odd");
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static void same_output(struct broker *b, const char *const one[], const char *const other[])
{
	struct program_result first, second;

	program_run(&first, plain(b), one);
	program_run(&second, plain(b), other);
	ck_assert_int_eq(first.status, 0);
	ck_assert_int_eq(second.status, 0);
	ck_assert_uint_gt(strlen(first.out), 100);
	ck_assert_str_eq(first.out, second.out);
	program_result_deinit(&first);
	program_result_deinit(&second);
}

START_TEST(exit_codes_and_messages)
{
	char missing[256];
	struct broker b;

	broker_start(&b, NULL);
	snprintf(missing, sizeof(missing), "%s/nowhere.sock", b.dir);
	EXPECT(&b, 2, "verb", NULL);
	EXPECT(&b, 2, "frobnicate", "frobnicate");
	EXPECT(&b, 2, "bogus", "list", "--bogus");
	EXPECT(&b, 2, "many", "list", "surplus");
	EXPECT(&b, 2, "name", "info");
	EXPECT(&b, 2, "many", "info", "a", "b");
	EXPECT(&b, 2, "name", "echo");
	EXPECT(&b, 2, "name", "remove");
	EXPECT(&b, 2, "count", "echo", "a", "--count", "none");
	EXPECT(&b, 2, "count", "echo", "a", "--count", "0");
	EXPECT(&b, 2, "count", "echo", "a", "--count");
	EXPECT(&b, 2, "rate", "echo", "a", "--rate", "-1");
	EXPECT(&b, 2, "list", "list", "--count", "1");
	EXPECT(&b, 2, "name", "info", "../x");
	EXPECT(&b, 2, "name", "remove", "a b");
	EXPECT(&b, 3, missing, "list", "--socket", missing);
	EXPECT(&b, 3, missing, "info", "a", "--socket", missing);
	EXPECT(&b, 3, missing, "echo", "a", "--socket", missing);
	EXPECT(&b, 3, missing, "status", "--socket", missing);
	EXPECT(&b, 3, missing, "remove", "a", "--socket", missing);
	EXPECT(&b, 4, "nothing", "info", "nothing");
	EXPECT(&b, 4, "nothing", "echo", "nothing");
	EXPECT(&b, 4, "nothing", "remove", "nothing");
	EXPECT(&b, 0, NULL, "--help");
	EXPECT(&b, 0, NULL, "echo", "--help");
	EXPECT(&b, 2, "no verb 'nonsense'", "help", "nonsense");
	EXPECT(&b, 2, "too many", "help", "echo", "hz");
	EXPECT(&b, 2, "--kind takes value", "pub", "new", "--kind", "nonsense", "x=1");
	EXPECT(&b, 2, "--kind takes value", "pub", "new", "--kind", "nonsense", "x=1", "--socket", missing);
	same_output(&b, ARGV(path_shmbctl(), "help"), ARGV(path_shmbctl(), "--help"));
	same_output(&b, ARGV(path_shmbctl(), "help", "pub"), ARGV(path_shmbctl(), "pub", "--help"));
	same_output(&b, ARGV(path_shmbctl(), "help", "help"), ARGV(path_shmbctl(), "help", "--help"));
	same_output(&b, ARGV(path_shmbctl(), "help", "--socket", missing), ARGV(path_shmbctl(), "--help"));
	EXPECT(&b, 0, NULL, "--version");
	broker_kill(&b);
	EXPECT(&b, 3, b.socket, "list"); /* a socket of the dead */
	broker_restart(&b);
	EXPECT(&b, 0, NULL, "list");
	broker_finish(&b);
}
END_TEST

/* What foreign text does to a terminal: nothing. */
START_TEST(foreign_text_is_escaped)
{
	struct program_result result;
	struct broker b;

	broker_start(&b, NULL);
	SHMBCTL(&result, &b, "info", "\x1b[31mred");
	ck_assert_int_eq(result.status, 2);
	ck_assert_msg(strchr(result.err, '\x1b') == NULL, "an escape sequence came through: %s", result.err);
	program_result_deinit(&result);
	SHMBCTL(&result, &b, "\x1b[31mred");
	ck_assert_msg(strchr(result.err, '\x1b') == NULL, "an escape sequence came through: %s", result.err);
	program_result_deinit(&result);
	broker_finish(&b);
}
END_TEST

/* It follows the writer through its death, and is no reader meanwhile. */
START_TEST(echo_follows_the_writer)
{
	struct program writer;
	struct program echo;
	struct shmb *client;
	struct listed listed;
	struct broker b;
	json_t *json;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=followed bytes=8");
	program_start(&echo, plain(&b), ARGV(path_shmbctl(), "echo", "followed", "--json", "--count", "4"));
	for (unsigned n = 0; n < 2; n++) {
		worker_must(&writer, "write n=1");
		json = object(program_line(&echo, SUITE_PATIENCE_MS));
		ck_assert_int_eq(json_integer_value(json_object_get(json, "number")), n);
		ck_assert_int_eq(json_integer_value(json_object_get(json, "missed")), 0);
		json_decref(json);
	}
	ck_assert(segment_listed(client, "followed", &listed) && listed.readers == 0);
	program_kill(&writer);
	json = object(program_line(&echo, SUITE_PATIENCE_MS));
	ck_assert_str_eq(json_string_value(json_object_get(json, "event")), "writer_dead");
	json_decref(json);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=followed bytes=8");
	worker_must(&writer, "write n=2");
	json = object(program_line(&echo, SUITE_PATIENCE_MS));
	ck_assert_int_eq(json_integer_value(json_object_get(json, "number")), 2);
	json_decref(json);
	json = object(program_line(&echo, SUITE_PATIENCE_MS));
	ck_assert_int_eq(json_integer_value(json_object_get(json, "number")), 3);
	json_decref(json);
	ck_assert_int_eq(program_wait(&echo), 0);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The next line of echo that is no event of the writer, or the event of this name. */
static json_t *echo_line(struct program *echo, const char *event)
{
	for (;;) {
		const char *line = program_line(echo, SUITE_PATIENCE_MS);
		json_t *json;
		const char *told;

		ck_assert_msg(line != NULL, "echo has ended");
		json = object(line);
		told = json_string_value(json_object_get(json, "event"));
		if (event == NULL ? told == NULL : told != NULL && strcmp(told, event) == 0)
			return json;
		/* It may be silent for the stale time before it is stopped, and after it goes on. */
		ck_assert_msg(told != NULL && strncmp(told, "writer_", 7) == 0, "%s", line);
		json_decref(json);
	}
}

/* A writer that is stopped is told of, and waited for. */
START_TEST(echo_waits_for_a_writer_that_hangs)
{
	struct program writer;
	struct program echo;
	struct broker b;
	json_t *json;

	broker_start(&b, &(struct broker_options){ .config = "[segment *]\nstale-time = 200ms\n" });
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=followed bytes=8");
	program_start(&echo, plain(&b), ARGV(path_shmbctl(), "echo", "followed", "--json", "--count", "2"));
	worker_must(&writer, "write n=1");
	json_decref(echo_line(&echo, NULL));
	program_signal(&writer, SIGSTOP);
	json = echo_line(&echo, "writer_stopped");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "next")), 1);
	json_decref(json);
	program_signal(&writer, SIGCONT);
	worker_must(&writer, "write n=1");
	json = echo_line(&echo, NULL);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "number")), 1);
	json_decref(json);
	ck_assert_int_eq(program_wait(&echo), 0);
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shmbctl");

	suite_add(suite, every_verb_in_both_forms, 60);
	suite_add(suite, exit_codes_and_messages, 60);
	suite_add(suite, foreign_text_is_escaped, 30);
	suite_add(suite, echo_follows_the_writer, 60);
	suite_add(suite, echo_waits_for_a_writer_that_hangs, 60);
	return suite_run(suite);
}
