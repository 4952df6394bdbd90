// SPDX-License-Identifier: MIT
#ifndef SHMB_CONNECTION_HPP
#define SHMB_CONNECTION_HPP

// The connection, what comes with elements, and waiting, for shmb.hpp, which includes it.

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "shmb_type.hpp"

namespace shmbroker
{

// shmb_connect(): nullptr looks for the socket in the usual places.
class connection : public detail::owner<::shmb, shmb_disconnect>
{
      public:
	explicit connection(const char *socket_path = nullptr, on_error ec = {})
	{
		ec(shmb_connect(&handle_, socket_path), true);
	}
	explicit connection(std::error_code &code) : connection(nullptr, code)
	{
	}
	// enum shmb_mapping: SHMB_PREFAULT, SHMB_LOCK; for what is opened from now on.
	void set_mapping(unsigned flags, on_error ec = {})
	{
		ec(shmb_set_mapping(handle_, flags), true);
	}
	// Calls visit(const shmb_segment_info &) for each segment.
	template <class Visit> void list(Visit &&visit, on_error ec = {})
	{
		each<::shmb_segment_info>(visit, ec, [this](auto call, void *user) { return shmb_list(handle_, call, user); });
	}
	// visit(const shmb_segment_info &, const char *schema, const shmb_reader_info *readers): info.readers of them.
	template <class Visit> void info(const char *name, Visit &&visit, on_error ec = {})
	{
		auto call = [](const ::shmb_segment_info *info, const char *schema, const ::shmb_reader_info *readers, void *user) {
			(*static_cast<std::remove_reference_t<Visit> *>(user))(*info, schema, readers);
			return 0;
		};

		ec(shmb_info(handle_, name, call, user_of(visit)), true);
	}
	// visit(const shmb_broker_status &): the daemon.
	template <class Visit> void status(Visit &&visit, on_error ec = {})
	{
		each<::shmb_broker_status>(visit, ec, [this](auto call, void *user) { return shmb_status(handle_, call, user); });
	}
	// visit(const shmb_figures &) for each segment whose name matches: what changes all the time (shmb_figures.h).
	template <class Visit> void figures(const char *pattern, Visit &&visit, on_error ec = {})
	{
		each<struct ::shmb_figures>(visit, ec, [&](auto call, void *user) { return ::shmb_figures(handle_, pattern, call, user); });
	}
	// visit(const shmb_user_info &) for all users together, then for each: what it has, and its quotas (shmb_metrics.h).
	template <class Visit> void users(Visit &&visit, on_error ec = {})
	{
		each<::shmb_user_info>(visit, ec, [this](auto call, void *user) { return ::shmb_users(handle_, call, user); });
	}
	// For operators (shmb_operator.h). Reads the configuration again; visit(const shmb_reload_result &).
	template <class Visit> void reload(Visit &&visit, on_error ec = {})
	{
		each<::shmb_reload_result>(visit, ec, [this](auto call, void *user) { return shmb_reload(handle_, call, user); });
	}
	// What holds for a name, and what this user (nullptr: the caller) may do with it; visit(const shmb_policy_info &).
	template <class Visit> void policy(const char *name, const ::shmb_user *asked, Visit &&visit, on_error ec = {})
	{
		each<::shmb_policy_info>(visit, ec, [&](auto call, void *user) { return shmb_policy(handle_, name, asked, call, user); });
	}
	// Removes what policy lets go, or tells it (SHMB_GC_TELL); visit(const shmb_gc_info &) for each.
	template <class Visit> void gc(unsigned what, Visit &&visit, on_error ec = {})
	{
		each<::shmb_gc_info>(visit, ec, [&](auto call, void *user) { return shmb_gc(handle_, what, call, user); });
	}
	void remove(const char *name, on_error ec = {})
	{
		ec(shmb_remove(handle_, name), true);
	}

      private:
	template <class Visit> static void *user_of(Visit &visit) noexcept
	{
		return const_cast<void *>(static_cast<const void *>(std::addressof(visit)));
	}
	// One whose visitor sees everything.
	template <class What, class Visit, class Call> static void each(Visit &visit, const on_error &ec, Call call)
	{
		int (*one)(const What *, void *) = [](const What *what, void *user) {
			(*static_cast<Visit *>(user))(*what);
			return 0;
		};

		ec(call(one, user_of(visit)), true);
	}
};

// What is known of an element besides its bytes.
struct sample_info {
	std::uint64_t number = 0;				    // of the write, never used for two contents
	std::uint64_t missed = 0;				    // writes between this one and the one this handle read before it
	std::optional<std::chrono::steady_clock::time_point> stamp; // of the write, where the segment is stamped

	sample_info() = default;
	explicit sample_info(const ::shmb_sample &sample) noexcept : number(sample.number), missed(sample.missed)
	{
		if (sample.stamp_ns != 0)
			stamp = std::chrono::steady_clock::time_point(std::chrono::nanoseconds(static_cast<std::int64_t>(sample.stamp_ns)));
	}
};

template <class T> struct sample : sample_info {
	T value{};
};

// Options of writers, each with the meaning of struct shmb_options.
class options
{
      public:
	options &capacity(std::uint32_t slots) noexcept
	{
		raw_.capacity = slots;
		return *this;
	}
	options &stamped(bool on = true) noexcept
	{
		raw_.stamped = on ? 1 : 0;
		return *this;
	}
	// Waits for the lease while another process holds it.
	options &wait(deadline until) noexcept
	{
		raw_.deadline_ns = until.ns();
		return *this;
	}
	// By which clock, and which field of the payload, elements are found in time; nullptr is the stamp. The text is borrowed.
	options &key(::shmb_clock clock, const char *field = nullptr) noexcept
	{
		raw_.key_clock = clock;
		raw_.key_field = field;
		return *this;
	}
	const ::shmb_options &raw() const noexcept
	{
		return raw_;
	}

      private:
	::shmb_options raw_ = {};
};

// A place in a wait for several handles: every reader, and a queue's producer, gives one (waitable()). Ends with its handle.
class waitable
{
      public:
	explicit waitable(::shmb_waitable *raw) noexcept : raw_(raw)
	{
	}
	// Ends the wait that is under way in another thread, or else the next one.
	void cancel(on_error ec = {}) const
	{
		ec(shmb_cancel(raw_));
	}
	// How long each wait looks before it sleeps.
	template <class Rep, class Period> void spin(std::chrono::duration<Rep, Period> time, on_error ec = {}) const
	{
		auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();

		ec(shmb_set_spin(raw_, ns > 0 ? static_cast<std::uint64_t>(ns) : 0), true);
	}
	// Of a reader: goes on to the segment's next generation now, whether or not all of this one was read (shmb_wait.h). False: that is not there
	// yet, or, of a queue, items are left. Where there is no other one it is true as well. Asks the broker.
	bool follow(on_error ec = {}) const
	{
		return detail::follow(raw_, ec);
	}
	::shmb_waitable *get() const noexcept
	{
		return raw_;
	}

      private:
	::shmb_waitable *raw_;
};

struct wait_result {
	wake what;
	std::size_t which; // place in the list; its size at the deadline
};

// The first of 1 to SHMB_WAIT_MAX that has something to say.
inline wait_result wait_any(std::initializer_list<waitable> list, deadline until, on_error ec = {})
{
	::shmb_waitable *raw[SHMB_WAIT_MAX] = {};
	std::size_t count = 0;
	std::size_t which = 0;

	for (const waitable &one : list) {
		if (count < SHMB_WAIT_MAX)
			raw[count] = one.get();
		count++;
	}
	int result = shmb_wait_any(raw, count, until.ns(), &which);
	return { detail::wake_of(result, ec), which };
}

// A descriptor for event loops: readable while a member has something to say.
class wait_set : public detail::owner<::shmb_waitset, shmb_waitset_free>
{
      public:
	explicit wait_set(connection &broker, on_error ec = {})
	{
		ec(shmb_waitset_new(&handle_, broker.get()), true);
	}
	int fd() const noexcept
	{
		return shmb_waitset_fd(handle_);
	}
	// `user` is what next() gives for it.
	void add(waitable member, void *user = nullptr, on_error ec = {})
	{
		ec(shmb_waitset_add(handle_, member.get(), user), true);
	}
	void remove(waitable member, on_error ec = {})
	{
		ec(shmb_waitset_remove(handle_, member.get()), true);
	}
	struct member {
		wake what;
		void *user;
	};
	// The next one that has something to say; nothing: the pass is over.
	std::optional<member> next(on_error ec = {})
	{
		void *user = nullptr;
		int result = shmb_waitset_next(handle_, &user);

		if (result == -ENODATA) {
			ec.good();
			return std::nullopt;
		}
		return member{ detail::wake_of(result, ec), user };
	}
};

} // namespace shmbroker

#endif
