// SPDX-License-Identifier: MIT
#ifndef SHMB_WATCH_HPP
#define SHMB_WATCH_HPP

// What happens to segments, in C++, for shmb.hpp, which includes it (shmb_watch.h).
//
//   shmbroker::watch watch("camera*");
//   while (auto event = watch.next(shmbroker::forever))
//           std::cout << event->kind << ' ' << event->text << '\n';

#include "shmb_connection.hpp"

namespace shmbroker
{

// struct shmb_event with strings of its own.
struct event {
	std::chrono::system_clock::time_point time;
	std::string kind; // created, writer-up, writer-dead, ...: shmb_watch.h
	std::string segment;
	std::string comm;
	std::string reason;
	std::string text;
	std::int32_t pid;
	std::uint32_t uid;
	std::uint32_t level;
	std::uint64_t lost;

	explicit event(const ::shmb_event &raw)
	    : time(std::chrono::duration_cast<std::chrono::system_clock::duration>(
		      std::chrono::nanoseconds(static_cast<std::int64_t>(raw.time_ns)))),
	      kind(raw.kind), segment(raw.segment), comm(raw.comm), reason(raw.reason), text(raw.text), pid(raw.pid), uid(raw.uid),
	      level(raw.level), lost(raw.lost)
	{
	}
};

// A connection of its own, which comes back by itself when the daemon does.
class watch : public detail::owner<::shmb_watch, shmb_watch_close>
{
      public:
	// Segments whose names match (* any bytes, ? one); nullptr: everything, also what concerns no segment.
	explicit watch(const char *pattern = nullptr, const char *socket_path = nullptr, on_error ec = {})
	{
		ec(shmb_watch_open(&handle_, socket_path, pattern), true);
	}
	// The next event. Nothing: none came until the deadline.
	std::optional<event> next(deadline until, on_error ec = {})
	{
		::shmb_event raw = {};
		int result = shmb_watch_next(handle_, &raw, until.ns());

		if (result == -ETIMEDOUT) {
			ec.nothing(result);
			return std::nullopt;
		}
		if (ec(result, true) < 0)
			return std::nullopt;
		return event(raw);
	}
	// For event loops: readable while there may be an event; then call next(no_wait) until there is nothing.
	int fd() const noexcept
	{
		return shmb_watch_fd(handle_);
	}
};

} // namespace shmbroker

#endif
