/* SPDX-License-Identifier: MIT */
/*
 * Start and end of the daemon.
 *
 * The order at the start: claim the socket's path (nobody else serves it), lock the directory (nobody else serves that), take over what
 * lies there, then listen, then wake the clients of the broker before, who now find us.
 */
#include "broker.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "adopt.h"
#include "config.h"
#include "event.h"
#include "inherited.h"
#include "kept.h"
#include "lineage.h"
#include "liveness.h"
#include "log.h"
#include "notify.h"
#include "peer.h"
#include "policy.h"
#include "proto/step.h"
#include "slice.h"
#include "stale.h"

enum {
	FDS_RESERVED = 32,  /* for what is opened and closed within one request, and ourselves */
	FDS_GONE_PART = 16, /* one in so many is for memory on its way out (gone.h) */
	FDS_GONE_MAX = 1024,
	FDS_KEPT_PART = 16,    /* one in so many is kept for readers (kept.h) */
	FDS_FOR_EACH_PEER = 8, /* socket and pidfd; and the descriptors of one answer under way count against us as well */
};

static void on_signal(int number, void *user)
{
	struct broker *broker = user;

	log_notice("%s: ending; the %u segments stay in %s for the next start", number == SIGINT ? "SIGINT" : "SIGTERM",
		   broker->registry.count, broker->store.path);
	loop_stop(broker->loop);
}

static void on_hangup(int number, void *user)
{
	(void)number;
	reload_now(user);
}

static int on_connection(int fd, void *user)
{
	return peer_new(user, fd);
}

/* Raises the limit of descriptors as far as it goes. */
static rlim_t descriptors_allowed(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur;
}

/* How many connections and, at most half of all, how many sealed parts they allow. */
static void descriptors_divide(struct broker *broker)
{
	rlim_t all = descriptors_allowed();
	rlim_t sealed = all / 2 < SEALED_MAX ? all / 2 : SEALED_MAX;
	rlim_t rest;

	broker->store.sealed_max = (uint32_t)sealed;
	/* In a private directory only what a policy asks for is sealed. */
	rest = all - (broker->store.seals_areas ? sealed : 0);
	broker->gone.max = (unsigned)(all / FDS_GONE_PART < FDS_GONE_MAX ? all / FDS_GONE_PART : FDS_GONE_MAX);
	if (all / FDS_KEPT_PART < broker->store.kept->fd_max)
		broker->store.kept->fd_max = (unsigned)(all / FDS_KEPT_PART);
	rest -= broker->gone.max;
	rest = rest > FDS_RESERVED ? (rest - FDS_RESERVED) / FDS_FOR_EACH_PEER : 0;
	if (rest < 1)
		rest = 1;
	broker->peers_max = rest < PEERS_MAX ? (uint32_t)rest : PEERS_MAX;
}

static void on_worker(int events, void *user)
{
	struct broker *broker = user;

	(void)events;
	worker_collect(broker->worker);
}

static const struct store_keeper keeper = { .keep = notify_store, .drop = notify_unstore };

static int init(struct broker *broker, const struct options *options)
{
	int r;

	memset(broker, 0, offsetof(struct broker, packet)); /* the buffers behind it cost memory only where they are used */
	broker->options = options;
	broker->listener.fd = -1;
	broker->listener.lock_fd = -1;
	broker->store.dir_fd = -1;
	LIST_INIT(&broker->peers);
	LIST_INIT(&broker->old_pages);
	LIST_INIT(&broker->interests);
	TAILQ_INIT(&broker->makings);
	TAILQ_INIT(&broker->gone.list);
	TAILQ_INIT(&broker->hellos.peers);
	TAILQ_INIT(&broker->leaving);
	LIST_INIT(&broker->watches.watches);
	broker->on_event = watch_event;
	registry_init(&broker->registry);
	broker->peer_next = 1;
	closer_init(&broker->closer);
	broker->started_ns = loop_realtime_ns();
	if (getrandom(&broker->broker_id, sizeof(broker->broker_id), 0) != (ssize_t)sizeof(broker->broker_id))
		return -errno;
	r = loop_new(&broker->loop);
	if (r < 0)
		return r;
	notify_init(broker->loop);
	r = worker_new(&broker->worker);
	if (r == 0)
		r = loop_fd_new(broker->loop, worker_fd(broker->worker), LOOP_READ, on_worker, broker, &broker->worker_watch);
	if (r == 0)
		r = chores_init(&broker->chores, broker->loop);
	if (r == 0)
		r = gone_init(broker);
	if (r == 0)
		r = account_list_init(broker);
	if (r == 0)
		r = hello_init(broker);
	if (r < 0)
		return r;
	process_table_init(&broker->processes, broker->loop, liveness_process_died, broker);
	broker->reaper.broker = broker;
	signal(SIGPIPE, SIG_IGN);
	r = loop_signal(broker->loop, SIGTERM, on_signal, broker);
	if (r == 0)
		r = loop_signal(broker->loop, SIGINT, on_signal, broker);
	return r < 0 ? r : loop_signal(broker->loop, SIGHUP, on_hangup, broker);
}

int broker_start(struct broker *broker, const struct options *options)
{
	struct inherited inherited = { 0 };
	char why[LISTENER_WHY_MAX] = "";
	char config_why[CONFIG_WHY_MAX];
	int r = init(broker, options);

	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		goto fail;
	}
	r = reload_start(broker, config_why);
	if (r < 0) {
		log_error("the configuration is refused: %s", config_why);
		goto fail;
	}
	r = inherited_take(&inherited, why);
	if (r == 0)
		r = listener_claim(&broker->listener, options, &inherited, why);
	if (r < 0)
		goto fail_why;
	r = store_open(&broker->store, options->shm_dir, SHMB_AREAS_MAX, why);
	if (r < 0) {
		broker->store.dir_fd = -1;
		goto fail_why;
	}
	/* Reader areas that were named files could be made shorter by their readers: only where no other user gets in. */
	broker->store.seals_areas = !broker->listener.is_private;
	broker->store.keeper = &keeper;
	broker->store.gone = gone_take;
	broker->store.left = gone_left;
	broker->store.gone_user = broker;
	broker->store.vault = inherited.vault;
	inherited.vault = NULL;
	descriptors_divide(broker);
	account_limits_changed(broker);
	SHMB_STEP("start.locked");
	r = adopt_all(broker);
	if (r < 0) {
		log_error("%s cannot be read: %s", options->shm_dir, strerror(-r));
		goto fail;
	}
	SHMB_STEP("start.adopted");
	r = listener_start(&broker->listener, broker->loop, on_connection, broker, why);
	if (r < 0)
		goto fail_why;
	SHMB_STEP("start.listening");
	strays_follow(broker);
	old_pages_bump(broker);
	log_notice("ready on %s, segments in %s%s", broker->listener.path, broker->store.path,
		   broker->listener.is_private ? "" : ", open to every user");
	if (broker->adopted > 0)
		log_notice("%u segment%s taken over from the daemon before", broker->registry.count,
			   broker->registry.count == 1 ? "" : "s");
	notify_ready(broker->registry.count);
	return 0;
fail_why:
	log_error("%s", why);
fail:
	inherited.vault = vault_free(inherited.vault, &broker->store, false);
	broker_stop(broker);
	return r;
}

void broker_run(struct broker *broker)
{
	slice_short();
	loop_run(broker->loop);
	notify_stopping();
}

void broker_stop(struct broker *broker)
{
	struct peer *peer;

	if (broker->loop == NULL)
		return;
	listener_close(&broker->listener);
	/*
	 * What clients hold stays theirs in the cards, and their event pages stay: they are told to look, find nobody, and come back to
	 * the next daemon.
	 */
	while ((peer = LIST_FIRST(&broker->peers)) != NULL) {
		while (!LIST_EMPTY(&peer->attachments))
			attachment_orphan(LIST_FIRST(&peer->attachments));
		peer_leave(peer);
	}
	while (!LIST_EMPTY(&broker->old_pages))
		old_pages_drop(broker, LIST_FIRST(&broker->old_pages)->process, NULL, false);
	while (broker->registry.count > 0) {
		struct segment *segment = lineage_oldest(registry_after(&broker->registry, 0));

		while (!LIST_EMPTY(&segment->attachments))
			attachment_free(LIST_FIRST(&segment->attachments));
		stale_end(segment);
		reaper_forget(segment);
		if (segment->newer != NULL)
			registry_drop(&broker->registry, segment);
		else
			registry_remove(&broker->registry, segment);
		segment_free(segment);
	}
	registry_deinit(&broker->registry);
	chores_deinit(&broker->chores);
	process_table_deinit(&broker->processes);
	broker->worker_watch = loop_fd_free(broker->worker_watch);
	broker->worker = worker_free(broker->worker);
	gone_deinit(broker);
	hello_deinit(broker);
	account_list_deinit(broker);
	/* Not scanned to the end: what was kept goes on being kept. */
	broker->store.vault = vault_free(broker->store.vault, &broker->store, false);
	if (broker->store.dir_fd >= 0)
		store_close(&broker->store);
	event_flush();
	notify_deinit();
	strays_deinit(broker);
	reload_deinit(broker);
	broker->config = config_free(broker->config);
	broker->policies = NULL;
	broker->loop = loop_free(broker->loop);
}
