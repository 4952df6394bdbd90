/* SPDX-License-Identifier: MIT */
/* Connections that say nothing (hello.h). */
#include "hello.h"

#include "broker.h"
#include "config.h"
#include "log.h"
#include "peer.h"

static void timer_set(struct broker *broker)
{
	const struct peer *oldest = TAILQ_FIRST(&broker->hellos.peers);
	uint64_t most = broker->config->hello_ns;
	uint64_t waited;

	if (oldest == NULL || most == UINT64_MAX) {
		loop_timer_stop(broker->hellos.timer);
		return;
	}
	waited = loop_now_ns() - oldest->accepted_ns;
	loop_timer_set(broker->hellos.timer, waited < most ? most - waited : 0);
}

static void on_timer(void *user)
{
	struct broker *broker = user;
	uint64_t now = loop_now_ns();
	struct peer *peer;

	while ((peer = TAILQ_FIRST(&broker->hellos.peers)) != NULL && now - peer->accepted_ns >= broker->config->hello_ns) {
		log_info("process %d of uid %u has connected and not introduced itself in time: closed", peer->holder.pid,
			 peer->holder.uid);
		peer_close(peer);
	}
	timer_set(broker);
}

int hello_init(struct broker *broker)
{
	return loop_timer_new(broker->loop, on_timer, broker, &broker->hellos.timer);
}

void hello_deinit(struct broker *broker)
{
	broker->hellos.timer = loop_timer_free(broker->hellos.timer);
}

void hello_wait(struct peer *peer)
{
	struct hello_list *list = &peer->broker->hellos;

	peer->accepted_ns = loop_now_ns();
	peer->says_hello = true;
	TAILQ_INSERT_TAIL(&list->peers, peer, hello_link);
	if (TAILQ_FIRST(&list->peers) == peer)
		timer_set(peer->broker);
}

void hello_follow(struct broker *broker)
{
	timer_set(broker);
}

void hello_end(struct peer *peer)
{
	struct hello_list *list = &peer->broker->hellos;

	if (!peer->says_hello)
		return;
	peer->says_hello = false;
	TAILQ_REMOVE(&list->peers, peer, hello_link);
	if (TAILQ_EMPTY(&list->peers))
		loop_timer_stop(list->timer);
}
