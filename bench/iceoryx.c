/* SPDX-License-Identifier: MIT */
/*
 * iceoryx 2.0 through its C binding: a publisher and a subscriber whose queue holds as many chunks as the case has slots; a payload is copied into a
 * loaned chunk and out of the one that was taken, or handed over as it lies. Who sleeps waits with a wait set.
 *
 * Its daemon, RouDi, is started before the first case that needs it, with memory pools for the sizes of the cases, and ended with this program. It
 * can run only once on a machine, so it is skipped where one runs already.
 */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"

#ifdef BENCH_ICEORYX
#include <fcntl.h>
#include <iceoryx_binding_c/enums.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/types.h>
#include <iceoryx_binding_c/wait_set.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "proto/copy.h"

enum { PATH_ROOM = 256, START_TRIES = 1000, TRY_NS = 10000000, QUEUE_MAX = 256, NAME_ROOM = 100 };

static struct {
	pid_t pid;
	bool failed;
	bool joined; /* this process is a client */
} roudi;

/* ---- RouDi ---- */

static const char pools[] = "[general]\nversion = 1\n[[segment]]\n"
			    "[[segment.mempool]]\nsize = 128\ncount = 2000\n"
			    "[[segment.mempool]]\nsize = 4224\ncount = 200\n"
			    "[[segment.mempool]]\nsize = 1048704\ncount = 40\n"
			    "[[segment.mempool]]\nsize = 6220928\ncount = 20\n";

static int write_pools(const char *path)
{
	FILE *file = fopen(path, "we");
	int r;

	if (file == NULL)
		return -errno;
	r = fputs(pools, file) < 0 ? -EIO : 0;
	return fclose(file) != 0 ? -EIO : r;
}

static _Noreturn void exec_roudi(pid_t parent, const char *config, const char *log_path)
{
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	peer_unpin(0);
	if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 || getppid() != parent)
		_exit(127);
	execlp("iox-roudi", "iox-roudi", "-c", config, (char *)NULL);
	_exit(127);
}

static bool is_ready(const char *log_path)
{
	FILE *log = fopen(log_path, "re");
	char line[512];
	bool ready = false;

	if (log == NULL)
		return false;
	while (!ready && fgets(line, sizeof(line), log) != NULL)
		ready = strstr(line, "RouDi is ready") != NULL;
	fclose(log);
	return ready;
}

/*
 * It waits, as long as 45 seconds, for clients that are there when it is to end; and the runtime, which ends with the process, waits for it. So it goes
 * last: what was registered before the runtime runs after the runtime's end.
 */
static void end_roudi(void)
{
	if (roudi.pid <= 0)
		return;
	kill(roudi.pid, SIGTERM);
	waitpid(roudi.pid, NULL, 0);
	roudi.pid = 0;
}

static int start_roudi(void)
{
	char config[PATH_ROOM], log[PATH_ROOM];
	pid_t parent = getpid();
	int r;

	snprintf(config, sizeof(config), "%s/roudi.toml", bench_directory());
	snprintf(log, sizeof(log), "%s/roudi.log", bench_directory());
	r = write_pools(config);
	if (r < 0)
		return r;
	roudi.pid = fork();
	if (roudi.pid == 0)
		exec_roudi(parent, config, log);
	if (roudi.pid < 0) {
		roudi.pid = 0;
		return -errno;
	}
	for (int i = 0; i < START_TRIES; i++) {
		if (is_ready(log))
			return 0;
		if (waitpid(roudi.pid, NULL, WNOHANG) == roudi.pid) {
			roudi.pid = 0;
			return channel_absent("iox-roudi does not start: is another one running?");
		}
		nanosleep(&(struct timespec){ .tv_nsec = TRY_NS }, NULL);
	}
	return channel_absent("iox-roudi does not get ready");
}

/* The runtime is one for the life of a process, and ends it when there is no RouDi. */
static void join_once(void)
{
	char name[NAME_ROOM];

	if (roudi.joined)
		return;
	snprintf(name, sizeof(name), "shmbroker-bench-%d", (int)getpid());
	iox_set_loglevel(Iceoryx_LogLevel_Off); /* it tells of memory it maps, and at the end of the RouDi that is gone */
	iox_runtime_init(name);
	roudi.joined = true;
}

static int iceoryx_prepare(void)
{
	int r;

	if (roudi.failed)
		return channel_absent("iox-roudi did not start");
	if (roudi.pid > 0)
		return 0;
	r = atexit(end_roudi) == 0 ? start_roudi() : -ENOMEM;
	roudi.failed = r < 0;
	return r;
}

/* ---- ends ---- */

struct end {
	iox_pub_storage_t publisher_storage;
	iox_sub_storage_t subscriber_storage;
	iox_ws_storage_t waiting_storage;
	iox_pub_t publisher;
	iox_sub_t subscriber;
	iox_ws_t waiting;
	size_t bytes;
};

static void iceoryx_close(void *state)
{
	struct end *end = state;

	if (end->waiting != NULL) {
		iox_ws_detach_subscriber_event(end->waiting, end->subscriber, SubscriberEvent_DATA_RECEIVED);
		iox_ws_deinit(end->waiting);
	}
	if (end->subscriber != NULL)
		iox_sub_deinit(end->subscriber);
	if (end->publisher != NULL)
		iox_pub_deinit(end->publisher);
	free(end);
}

static struct end *end_new(const struct channel_place *place, char size[NAME_ROOM])
{
	struct end *end = calloc(1, sizeof(*end));

	if (end == NULL)
		return NULL;
	join_once();
	end->bytes = place->bytes;
	snprintf(size, NAME_ROOM, "%llu-%u-%d", (unsigned long long)place->bytes, place->slots, place->lossy);
	return end;
}

static int iceoryx_receiver_open(void **out, const struct channel_place *place)
{
	char size[NAME_ROOM];
	struct end *end = end_new(place, size);
	iox_sub_options_t options;

	if (end == NULL)
		return -ENOMEM;
	iox_sub_options_init(&options);
	options.queueCapacity = place->slots < QUEUE_MAX ? place->slots : QUEUE_MAX;
	options.queueFullPolicy = place->lossy ? QueueFullPolicy_DISCARD_OLDEST_DATA : QueueFullPolicy_BLOCK_PRODUCER;
	end->subscriber = iox_sub_init(&end->subscriber_storage, "shmbroker-bench", size, place->name, &options);
	if (place->wakes) {
		end->waiting = iox_ws_init(&end->waiting_storage);
		if (iox_ws_attach_subscriber_event(end->waiting, end->subscriber, SubscriberEvent_DATA_RECEIVED, 1, NULL) !=
		    WaitSetResult_SUCCESS) {
			iceoryx_close(end);
			return -EIO;
		}
	}
	*out = end;
	return 0;
}

static int iceoryx_sender_open(void **out, const struct channel_place *place)
{
	char size[NAME_ROOM];
	struct end *end = end_new(place, size);
	iox_pub_options_t options;

	if (end == NULL)
		return -ENOMEM;
	iox_pub_options_init(&options);
	options.subscriberTooSlowPolicy =
		place->lossy ? ConsumerTooSlowPolicy_DISCARD_OLDEST_DATA : ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
	end->publisher = iox_pub_init(&end->publisher_storage, "shmbroker-bench", size, place->name, &options);
	/* RouDi connects them within its next round. */
	for (int i = 0; i < START_TRIES && !iox_pub_has_subscribers(end->publisher); i++)
		nanosleep(&(struct timespec){ .tv_nsec = TRY_NS }, NULL);
	if (!iox_pub_has_subscribers(end->publisher)) {
		iceoryx_close(end);
		return -ETIMEDOUT;
	}
	*out = end;
	return 0;
}

static int iceoryx_send(void *state, const void *payload)
{
	const struct end *end = state;
	void *chunk;

	if (iox_pub_loan_chunk(end->publisher, &chunk, (uint32_t)end->bytes) != AllocationResult_SUCCESS)
		return -ENOMEM;
	if (payload != NULL)
		memcpy(chunk, payload, end->bytes);
	iox_pub_publish_chunk(end->publisher, chunk);
	return 0;
}

static int iceoryx_receive(void *state, void *payload, enum channel_wait how)
{
	const struct end *end = state;
	enum iox_ChunkReceiveResult result;
	const void *chunk;

	for (;;) {
		iox_notification_info_t told;
		uint64_t missed;

		result = iox_sub_take_chunk(end->subscriber, &chunk);
		if (result != ChunkReceiveResult_NO_CHUNK_AVAILABLE || how == CHANNEL_TRY)
			break;
		if (how == CHANNEL_SLEEP && end->waiting != NULL)
			iox_ws_wait(end->waiting, &told, 1, &missed);
	}
	if (result != ChunkReceiveResult_SUCCESS)
		return result == ChunkReceiveResult_NO_CHUNK_AVAILABLE ? -EAGAIN : -EIO;
	if (payload != NULL)
		memcpy(payload, chunk, end->bytes);
	iox_sub_release_chunk(end->subscriber, chunk);
	return 0;
}

static int iceoryx_hand_over(void *sender, void *receiver)
{
	int r = iceoryx_send(sender, NULL);

	return r < 0 ? r : iceoryx_receive(receiver, NULL, CHANNEL_SPIN);
}

const struct channel_kind iceoryx_kind = {
	.name = "iceoryx",
	.prepare = iceoryx_prepare,
	.receiver_open = iceoryx_receiver_open,
	.sender_open = iceoryx_sender_open,
	.send = iceoryx_send,
	.receive = iceoryx_receive,
	.hand_over = iceoryx_hand_over,
	.close = iceoryx_close,
};

#else

static int iceoryx_prepare(void)
{
	return channel_absent("libiceoryx-binding-c-dev was not there when this was built");
}

const struct channel_kind iceoryx_kind = { .name = "iceoryx", .prepare = iceoryx_prepare };

#endif
