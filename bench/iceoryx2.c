/* SPDX-License-Identifier: MIT */
/* iceoryx2, whose crate is behind the functions of peers/iceoryx2: a shared library that `./run bench --peers` builds where cargo can. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"

static struct {
	void *loaded;
	int (*receiver_open)(void **end, const struct channel_place *place);
	int (*sender_open)(void **end, const struct channel_place *place);
	int (*send)(void *end, const void *payload);
	int (*receive)(void *end, void *payload, int how);
	int (*hand_over)(void *sender, void *receiver);
	void (*close)(void *end);
} crate;

/* POSIX's way from an object pointer to a function pointer. */
static bool find(void *function, const char *name)
{
	void *found = dlsym(crate.loaded, name);

	memcpy(function, &found, sizeof(found));
	return found != NULL;
}

/* BUILD/bench/bench -> BUILD/peers/release/libbench_iceoryx2.so */
static int iceoryx2_load(void)
{
	char path[PATH_MAX + sizeof("/peers/release/libbench_iceoryx2.so")];
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (crate.loaded != NULL)
		return 0;
	if (length < 0)
		return -errno;
	path[length] = '\0';
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(path, '/');

		if (slash == NULL)
			return -ENOENT;
		*slash = '\0';
	}
	strcat(path, "/peers/release/libbench_iceoryx2.so");
	crate.loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (crate.loaded == NULL)
		return channel_absent("its crate was not built: ./run bench --peers, with cargo 1.89 or later");
	if (!find(&crate.receiver_open, "bench_iceoryx2_receiver_open") || !find(&crate.sender_open, "bench_iceoryx2_sender_open") ||
	    !find(&crate.send, "bench_iceoryx2_send") || !find(&crate.receive, "bench_iceoryx2_receive") ||
	    !find(&crate.hand_over, "bench_iceoryx2_hand_over") || !find(&crate.close, "bench_iceoryx2_close"))
		return channel_absent("%s is of another version", strrchr(path, '/') + 1);
	return 0;
}

static int iceoryx2_receiver_open(void **out, const struct channel_place *place)
{
	return crate.receiver_open(out, place);
}

static int iceoryx2_sender_open(void **out, const struct channel_place *place)
{
	return crate.sender_open(out, place);
}

static int iceoryx2_send(void *end, const void *payload)
{
	return crate.send(end, payload);
}

static int iceoryx2_receive(void *end, void *payload, enum channel_wait how)
{
	return crate.receive(end, payload, (int)how);
}

static int iceoryx2_hand_over(void *sender, void *receiver)
{
	return crate.hand_over(sender, receiver);
}

static void iceoryx2_close(void *end)
{
	crate.close(end);
}

const struct channel_kind iceoryx2_kind = {
	.name = "iceoryx2",
	.load = iceoryx2_load,
	.receiver_open = iceoryx2_receiver_open,
	.sender_open = iceoryx2_sender_open,
	.send = iceoryx2_send,
	.receive = iceoryx2_receive,
	.hand_over = iceoryx2_hand_over,
	.close = iceoryx2_close,
};
