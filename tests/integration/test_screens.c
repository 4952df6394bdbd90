/* SPDX-License-Identifier: MIT */
/* The screens of the command, top and plot, in a real terminal (tmux): they show what was published. */
#include "tools.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char tmux_name[32];
/* The server, and the program it runs: each becomes our child when who started it has gone. */
static pid_t tmux_server;
static pid_t tmux_program;

/* Runs tmux on a server of this test's own; false where there is no tmux. */
static bool tmux(const struct broker *b, struct program_result *result, const char *const words[])
{
	const char *argv[24] = { "/usr/bin/tmux", "-f", "/dev/null", "-L", tmux_name };
	const char *environment[] = { b->environment, "NO_COLOR=1", "TERM=xterm", "LC_ALL=C.UTF-8", "TMUX_TMPDIR=/tmp", NULL };
	struct program_options options = { .environment = environment, .without_wrapper = true };
	size_t count = 5;

	while (*words != NULL)
		argv[count++] = *words++;
	argv[count] = NULL;
	if (access(argv[0], X_OK) < 0)
		return false;
	program_run(result, &options, argv);
	return true;
}

static void tmux_do(const struct broker *b, const char *const words[])
{
	struct program_result result;

	tmux(b, &result, words);
	ck_assert_msg(result.status == 0, "tmux %s: %s", words[0], result.err);
	program_result_deinit(&result);
}

#define TMUX(b, ...) tmux_do(b, ARGV(__VA_ARGS__))

/* Waits until the screen shows the text; returns the screen. The caller frees it. */
static char *tmux_see(const struct broker *b, const char *text)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct program_result result;
	char *out;

	for (;;) {
		tmux(b, &result, ARGV("capture-pane", "-p"));
		if (strstr(result.out, text) != NULL)
			break;
		ck_assert_msg(suite_pause(deadline), "the screen does not show '%s':\n%s", text, result.out);
		program_result_deinit(&result);
	}
	out = strdup(result.out);
	program_result_deinit(&result);
	return out;
}

static void tmux_start(struct broker *b, const char *command)
{
	struct program_result result;
	char line[512];

	snprintf(tmux_name, sizeof(tmux_name), "shmb-%d", (int)getpid());
	snprintf(line, sizeof(line), "%s %s", path_shmbctl(), command);
	TMUX(b, "new-session", "-d", "-x", "120", "-y", "20", line);
	tmux(b, &result, ARGV("display-message", "-p", "#{pid} #{pane_pid}"));
	ck_assert_int_eq(sscanf(result.out, "%d %d", &tmux_server, &tmux_program), 2);
	program_result_deinit(&result);
}

/* Waits until the program, and with it tmux, has ended. */
static void tmux_ended(void)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	while (kill(tmux_server, 0) == 0 || kill(tmux_program, 0) == 0) {
		waitpid(tmux_server, NULL, WNOHANG);
		waitpid(tmux_program, NULL, WNOHANG);
		ck_assert_msg(suite_pause(deadline), "tmux has not ended: the program still runs");
	}
}

/* The line of the screen that begins with this text. */
static const char *line_of(const char *screen, const char *text)
{
	static char line[512];
	const char *at = strncmp(screen, text, strlen(text)) == 0 ? screen : NULL;

	for (const char *newline = screen; at == NULL && (newline = strchr(newline, '\n')) != NULL; newline++)
		at = strncmp(newline + 1, text, strlen(text)) == 0 ? newline + 1 : NULL;
	ck_assert_msg(at != NULL, "no line %s in\n%s", text, screen);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

START_TEST(top_shows_what_flows)
{
	struct program pub;
	struct broker b;
	char expected[64];
	char *screen;

	if (access("/usr/bin/tmux", X_OK) < 0)
		TEST_SKIP("there is no tmux");
	if (getenv("SHMB_TEST_WRAPPER") != NULL)
		TEST_SKIP("tmux starts the command itself, without the wrapper");
	broker_start(&b, NULL);
	EXPECT(&b, 0, NULL, "pub", "quiet/one", "--schema", "uint64 x", "x=1", "--no-legend");
	tmux_start(&b, "top --interval 200ms");
	free(tmux_see(&b, "quiet/one"));
	program_start(&pub, plain(&b),
		      ARGV(path_shmbctl(), "pub", "busy/one", "--kind", "ring", "--schema", "float64[100] x", "--rate", "50", "x[0]=1"));
	snprintf(expected, sizeof(expected), "alive %d shmbctl", (int)pub.pid);
	free(tmux_see(&b, expected));
	screen = tmux_see(&b, "2 segments");
	ck_assert_ptr_nonnull(strstr(line_of(screen, "quiet/one"), "closed"));
	ck_assert_ptr_nonnull(strstr(line_of(screen, "busy/one"), "ring"));
	ck_assert_msg(strstr(screen, "busy/one") < strstr(screen, "quiet/one"), "not by name:\n%s", screen);
	free(screen);

	/* Sorted, filtered, helped, made smaller. */
	TMUX(&b, "send-keys", "n", "i");
	screen = tmux_see(&b, "reversed");
	ck_assert_msg(strstr(screen, "busy/one") > strstr(screen, "quiet/one"), "not reversed:\n%s", screen);
	free(screen);
	TMUX(&b, "send-keys", "i", "r");
	free(tmux_see(&b, "sort: rate "));
	TMUX(&b, "send-keys", "/", "q", "u", "i");
	screen = tmux_see(&b, "names with: qui_");
	free(screen);
	screen = tmux_see(&b, "1 segment,");
	ck_assert_ptr_null(strstr(screen, "busy/one"));
	free(screen);
	TMUX(&b, "send-keys", "Escape");
	free(tmux_see(&b, "busy/one"));
	TMUX(&b, "send-keys", "h");
	free(tmux_see(&b, "Page Down"));
	TMUX(&b, "send-keys", "h");

	/* The clients, with rates after the second look, and back. */
	TMUX(&b, "send-keys", "c");
	free(tmux_see(&b, "REQUESTS/s"));
	{
		uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
		char pid[16];
		int id, uid;
		char comm[32];

		snprintf(pid, sizeof(pid), "%8d ", (int)pub.pid);
		for (;;) {
			screen = tmux_see(&b, pid);
			if (sscanf(line_of(screen, pid), "%d %d %31s", &id, &uid, comm) == 3 && strstr(screen, " 1       0") != NULL)
				break;
			ck_assert_msg(suite_pause(deadline), "the writer's handle is not shown:\n%s", screen);
			free(screen);
		}
		ck_assert_int_eq(uid, (int)getuid());
		ck_assert_str_eq(comm, "shmbctl");
		ck_assert_ptr_null(strstr(screen, "busy/one"));
		free(screen);
	}
	TMUX(&b, "send-keys", "u");
	screen = tmux_see(&b, "OVER QUOTA");
	ck_assert_ptr_nonnull(strstr(screen, "       all "));
	ck_assert_ptr_null(strstr(screen, "busy/one"));
	free(screen);
	TMUX(&b, "send-keys", "h"); /* help has no column heads but the segments', which it explains */
	screen = tmux_see(&b, "Page Down");
	ck_assert_msg(strstr(screen, "RATE/s") == NULL && strstr(screen, "OVER QUOTA") == NULL, "column heads over the help:\n%s", screen);
	free(screen);
	TMUX(&b, "send-keys", "h");
	free(tmux_see(&b, "OVER QUOTA"));
	TMUX(&b, "send-keys", "u");
	free(tmux_see(&b, "busy/one"));
	TMUX(&b, "resize-window", "-x", "70", "-y", "10");
	free(tmux_see(&b, "busy/one"));
	TMUX(&b, "resize-window", "-x", "120", "-y", "20");

	/* The daemon goes and comes. */
	broker_kill(&b);
	free(tmux_see(&b, "does not answer"));
	broker_restart(&b);
	free(tmux_see(&b, expected));
	{
		uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

		for (;;) {
			screen = tmux_see(&b, "busy/one");
			if (strstr(screen, "does not answer") == NULL)
				break;
			ck_assert_msg(suite_pause(deadline), "still no answer:\n%s", screen);
			free(screen);
		}
		free(screen);
	}
	TMUX(&b, "send-keys", "q");
	tmux_ended();
	program_signal(&pub, SIGINT);
	ck_assert_int_eq(program_wait(&pub), 0);
	broker_finish(&b);
}
END_TEST

START_TEST(top_counts_as_the_writer_does)
{
	struct shmb_ring_writer *writer = NULL;
	struct point point = { 0 };
	struct shmb *client;
	struct program top;
	struct broker b;
	json_t *json;
	json_t *row;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "r", &point_type, NULL));
	for (int i = 0; i < 7; i++)
		ASSERT_OK(shmb_ring_insert(writer, &point));
	program_start(&top, plain(&b), ARGV(path_shmbctl(), "top", "--json", "--count", "2", "--interval", "2s"));
	json = object(program_line(&top, SUITE_PATIENCE_MS));
	row = json_array_get(json_object_get(json, "segments"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(row, "name")), "r");
	ck_assert(number_of(row, "next") == 7 && number_of(row, "per_s") == 0);
	ck_assert(number_of(row, "writer_pid") == getpid());
	json_decref(json);
	for (int i = 0; i < 5; i++)
		ASSERT_OK(shmb_ring_insert(writer, &point));
	json = object(program_line(&top, SUITE_PATIENCE_MS));
	row = json_array_get(json_object_get(json, "segments"), 0);
	ck_assert(number_of(row, "next") == 12 && number_of(row, "per_s") > 0);
	ck_assert(number_of(row, "per_s") <= 2.51 && fabs(number_of(row, "bytes_per_s") / number_of(row, "per_s") - sizeof(point)) < 1e-6);
	json_decref(json);
	ck_assert_int_eq(program_wait(&top), 0);
	EXPECT(&b, 2, "--sort", "top", "--sort", "colour", "--json");
	EXPECT(&b, 1, "terminal", "top");
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(plot_draws_the_published_values)
{
	struct shmb_ring_writer *writer = NULL;
	struct point point = { .p = { 0, -5, 0 } };
	struct shmb *client;
	struct broker b;
	char *screen;

	if (access("/usr/bin/tmux", X_OK) < 0)
		TEST_SKIP("there is no tmux");
	if (getenv("SHMB_TEST_WRAPPER") != NULL)
		TEST_SKIP("tmux starts the command itself, without the wrapper");
	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "r", &point_type, NULL));
	EXPECT(&b, 2, "no field", "plot", "r", "zz");
	EXPECT(&b, 2, "1s to 1h", "plot", "r", "k", "--interval", "2h");
	EXPECT(&b, 2, "1s to 1h", "plot", "r", "k", "--interval", "100ms", "--json", "--count", "1");
	EXPECT(&b, 2, "FIELD[INDEX]", "plot", "r", "p");
	EXPECT(&b, 2, "no element", "plot", "r", "p[9]");
	EXPECT(&b, 2, "no element", "plot", "r", "k[0]");
	EXPECT(&b, 1, "terminal", "plot", "r", "k");
	ASSERT_OK(shmb_ring_insert(writer, &point));
	tmux_start(&b, "plot r 'p[1]'");
	free(tmux_see(&b, "#0  -5"));
	for (int i = 0; i < 5; i++) {
		sleep_ms(60);
		point.p[1] = i == 4 ? 20 : 10 * i;
		ASSERT_OK(shmb_ring_insert(writer, &point));
	}
	screen = tmux_see(&b, "#5  20");
	/* the range of all that was written, and dots */
	ck_assert_int_eq(atoi(line_of(screen, "        30") + 8), 30);
	ck_assert_int_eq(atoi(line_of(screen, "        -5") + 8), -5);
	ck_assert_ptr_nonnull(strstr(screen, "\xe2\xa0"));
	free(screen);
	TMUX(&b, "resize-window", "-x", "60", "-y", "12");
	screen = tmux_see(&b, "\xe2\xa0");
	free(screen);
	TMUX(&b, "send-keys", "-");
	free(tmux_see(&b, "last 20.0 s"));
	TMUX(&b, "send-keys", "+", "+", " ");
	free(tmux_see(&b, "paused"));
	shmb_ring_writer_close(writer);
	free(tmux_see(&b, "the writer closed"));
	TMUX(&b, "send-keys", "q");
	tmux_ended();
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("screens");

	suite_add(suite, top_shows_what_flows, 120);
	suite_add(suite, top_counts_as_the_writer_does, 60);
	suite_add(suite, plot_draws_the_published_values, 120);
	return suite_run(suite);
}
