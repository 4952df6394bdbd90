/* SPDX-License-Identifier: MIT */
/*
 * A wait set's descriptor in four event loops. The same story in each: a writer in another process publishes 200 numbers in bursts, the
 * loop calls on_readable() while the descriptor is readable, and each number must arrive in order; then the writer dies, which ends the
 * loop.
 */
#include "../support/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#ifdef HAVE_LIBEV
#include <ev.h>
#endif
#ifdef HAVE_GLIB
#include <glib-unix.h>
#endif

enum { NUMBERS = 200, BURST = 4, BYTES = 64 };

struct story {
	struct broker b;
	struct shmb *client;
	struct program writer;
	struct shmb_ring_reader *reader;
	struct shmb_waitset *set;
	uint64_t number;
	uint64_t asked; /* how many the writer was told to write */
	bool killed;
	bool over;
};

static void story_begin(struct story *story)
{
	memset(story, 0, sizeof(*story));
	broker_start(&story->b, NULL);
	story->client = broker_connect(&story->b);
	worker_start(&story->writer, &story->b, "writer", false);
	worker_must(&story->writer, "writer name=ring kind=ring bytes=64 capacity=1024");
	story->reader = ring_reader(story->client, "ring");
	ASSERT_OK(shmb_waitset_new(&story->set, story->client));
	ASSERT_OK(shmb_waitset_add(story->set, shmb_ring_waitable(story->reader), story->reader));
	story->asked = BURST;
	program_send(&story->writer, "write n=%d", BURST);
}

/* What a program does in its loop when the descriptor is readable. */
static void on_readable(struct story *story)
{
	void *user;
	int r;

	while ((r = shmb_waitset_next(story->set, &user)) != -ENODATA) {
		ck_assert_ptr_eq(user, story->reader);
		if (r == -EOWNERDEAD) {
			story->over = true;
			continue;
		}
		ASSERT_OK(r);
		ring_next(story->reader, story->number++, 0);
	}
	if (story->number == NUMBERS && !story->killed) {
		story->killed = true;
		program_kill(&story->writer);
	} else if (story->number == story->asked && !story->killed) {
		worker_answer(&story->writer);
		story->asked += BURST;
		program_send(&story->writer, "write n=%d", BURST);
	}
}

static void story_end(struct story *story)
{
	ck_assert(story->over);
	ck_assert_uint_eq(story->number, NUMBERS);
	shmb_waitset_free(story->set);
	shmb_ring_reader_close(story->reader);
	shmb_disconnect(story->client);
	broker_finish(&story->b);
}

START_TEST(in_epoll)
{
	struct story story;
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	story_begin(&story);
	ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, shmb_waitset_fd(story.set), &event), 0);
	while (!story.over) {
		ck_assert_int_eq(epoll_wait(epoll, &event, 1, SUITE_PATIENCE_MS), 1);
		on_readable(&story);
	}
	close(epoll);
	story_end(&story);
}
END_TEST

#ifdef HAVE_LIBEV
static void ev_on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct story *story = watcher->data;

	(void)events;
	on_readable(story);
	if (story->over)
		ev_break(loop, EVBREAK_ALL);
}
#endif

START_TEST(in_libev)
{
#ifdef HAVE_LIBEV
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct story story;
	ev_io watcher;

	story_begin(&story);
	ev_io_init(&watcher, ev_on_readable, shmb_waitset_fd(story.set), EV_READ);
	watcher.data = &story;
	ev_io_start(loop, &watcher);
	ev_run(loop, 0);
	ev_io_stop(loop, &watcher);
	ev_loop_destroy(loop);
	story_end(&story);
#else
	TEST_SKIP("built without libev");
#endif
}
END_TEST

#ifdef HAVE_GLIB
struct glib_story {
	struct story story;
	GMainLoop *loop;
};

static gboolean glib_on_readable(gint fd, GIOCondition condition, gpointer user)
{
	struct glib_story *glib = user;

	(void)fd;
	(void)condition;
	on_readable(&glib->story);
	if (glib->story.over)
		g_main_loop_quit(glib->loop);
	return G_SOURCE_CONTINUE;
}
#endif

START_TEST(in_glib)
{
#ifdef HAVE_GLIB
	GMainContext *context = g_main_context_new();
	struct glib_story glib;
	GSource *source;

	story_begin(&glib.story);
	glib.loop = g_main_loop_new(context, FALSE);
	source = g_unix_fd_source_new(shmb_waitset_fd(glib.story.set), G_IO_IN);
	g_source_set_callback(source, G_SOURCE_FUNC(glib_on_readable), &glib, NULL);
	g_source_attach(source, context);
	g_main_loop_run(glib.loop);
	g_source_destroy(source);
	g_source_unref(source);
	g_main_loop_unref(glib.loop);
	g_main_context_unref(context);
	story_end(&glib.story);
#else
	TEST_SKIP("built without glib");
#endif
}
END_TEST

/*
 * The descriptor alone is what asyncio needs: a Python process inherits it, adds it as a reader and reports each call of its callback;
 * this process does what the callback would do, and tells it to go on.
 */
START_TEST(in_asyncio)
{
	static const char script[] = "import asyncio, sys\n"
				     "fd = int(sys.argv[1])\n"
				     "loop = asyncio.new_event_loop()\n"
				     "def on_readable():\n"
				     "    print('readable', flush=True)\n"
				     "    if sys.stdin.readline().strip() == 'end':\n"
				     "        loop.remove_reader(fd)\n"
				     "        loop.stop()\n"
				     "loop.add_reader(fd, on_readable)\n"
				     "loop.run_forever()\n";
	struct program python;
	struct story story;
	char number[16];
	int fd;

	if (system("python3 -c 'import asyncio' 2>/dev/null") != 0)
		TEST_SKIP("no python3 with asyncio");
	story_begin(&story);
	fd = dup(shmb_waitset_fd(story.set));
	ck_assert_int_ge(fd, 0);
	snprintf(number, sizeof(number), "%d", fd);
	program_start(&python, &(struct program_options){ .name = "python3", .without_wrapper = true },
		      ARGV("/usr/bin/env", "python3", "-c", script, number));
	while (!story.over) {
		const char *line = program_line(&python, SUITE_PATIENCE_MS);

		ck_assert(line != NULL && strcmp(line, "readable") == 0);
		on_readable(&story);
		program_send(&python, story.over ? "end" : "go on");
	}
	ck_assert_int_eq(program_wait(&python), 0);
	close(fd);
	story_end(&story);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loops");

	suite_add(suite, in_epoll, 60);
	suite_add(suite, in_libev, 60);
	suite_add(suite, in_glib, 60);
	suite_add(suite, in_asyncio, 60);
	return suite_run(suite);
}
