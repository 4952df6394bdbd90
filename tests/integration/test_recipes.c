/* SPDX-License-Identifier: MIT */
/* The recipes of docs/recipes: each is read by --check-config, and does what it says. Those with other users are skipped without root. */
#include "access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *recipe(const char *name)
{
	struct program_result result;
	char copy[64];
	char path[1024];
	char *text;

	snprintf(copy, sizeof(copy), "/tmp/shmb-test-recipe-%d.conf", (int)getpid());
	snprintf(path, sizeof(path), "%s/docs/recipes/%s", path_source(), name);
	text = file_read(path, NULL);
	ck_assert_ptr_nonnull(text);
	file_write(copy, text, strlen(text)); /* the tree's own may belong to anybody, and be refused */
	ck_assert_int_eq(chmod(copy, 0644), 0);
	program_run(&result, NULL, ARGV(path_daemon(), "--check-config", copy));
	unlink(copy);
	ck_assert_msg(result.status == 0, "%s: %s", name, result.err);
	program_result_deinit(&result);
	return text;
}

START_TEST(recipe_camera_rig)
{
	char *text = recipe("camera-rig.conf");
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("its users are root");
	broker_start(&b, &(struct broker_options){ .config = text, .linger = "0" });
	client = broker_connect(&b);
	ck_assert_int_eq(ring_writer_try(client, "camera/front/calibration", 8192, 64), -EFBIG);
	writer = ring_writer(client, "camera/front/calibration", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "other", 64, 8);
	shmb_ring_writer_close(writer);
	WAIT_UNTIL(segments_count(client) == 1); /* the other went, the calibration is kept */
	ck_assert(segment_listed(client, "camera/front/calibration", &(struct listed){ 0 }));
	shmb_disconnect(client);
	broker_finish(&b);
	free(text);
}
END_TEST

static int child_plugin(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(writes(client, "proposal/lanes") == 0);
	CHILD_CHECK(writes(client, "proposal/parking") == -EACCES && writes(client, "proposal/new") == -EACCES);
	CHILD_CHECK(writes(client, "world/map") == -EACCES && reads(client, "world/map") == 0);
	CHILD_CHECK(reads(client, "state") == -EACCES && writes(client, "state") == -EACCES);
	shmb_disconnect(client);
	return 0;
}

START_TEST(recipe_planner_plugins)
{
	char *text = recipe("planner-plugins.conf");
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	broker_start(&b, &(struct broker_options){ .config = text, .runtime_mode = 0755, .linger = "infinity" });
	client = broker_connect(&b);
	writer = ring_writer(client, "world/map", 64, 8);
	ring_write(writer, 64, 1, 1);
	as_user(3001, 0, child_plugin, &b);
	WAIT_UNTIL(segments_count(client) == 1); /* its proposal ended with it */
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
	free(text);
}
END_TEST

static int child_driver(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(writes(client, "sensor/lidar") == 0);
	shmb_disconnect(client);
	return 0;
}

static int child_consumer(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(reads(client, "sensor/lidar") == 0 && writes(client, "sensor/lidar") == -EACCES);
	CHILD_CHECK(writes(client, "planner/path") == 0);
	shmb_disconnect(client);
	return 0;
}

START_TEST(recipe_containers)
{
	char *text = recipe("containers.conf");
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	broker_start(&b, &(struct broker_options){ .config = text, .runtime_mode = 0755 });
	as_user(100000, 0, child_driver, &b);
	as_user(100007, 0, child_consumer, &b);
	broker_finish(&b);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recipes");

	suite_add(suite, recipe_camera_rig, 30);
	suite_add(suite, recipe_planner_plugins, 30);
	suite_add(suite, recipe_containers, 30);
	return suite_run(suite);
}
