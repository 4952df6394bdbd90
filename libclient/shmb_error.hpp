// SPDX-License-Identifier: MIT
#ifndef SHMB_ERROR_HPP
#define SHMB_ERROR_HPP

// Errors and time, for shmb.hpp, which includes it.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <type_traits>

#include "shmb.h"

namespace shmbroker
{

namespace detail
{

class category_impl final : public std::error_category
{
      public:
	const char *name() const noexcept override
	{
		return "shmbroker";
	}
	std::string message(int value) const override
	{
		return shmb_strerror(-value);
	}
	std::error_condition default_error_condition(int value) const noexcept override
	{
		return { value, std::generic_category() };
	}
};

} // namespace detail

// Values are the positive errno of the C library's negative ones.
inline const std::error_category &category() noexcept
{
	static const detail::category_impl instance;
	return instance;
}

inline std::error_code make_error(int result) noexcept
{
	return { -result, category() };
}

// what() is shmb_text(): what was wrong and what to do about it; for reads and writes, few of which have a sentence, the words of the code.
class error : public std::system_error
{
      public:
	error(std::error_code code, const std::string &text) : std::system_error(code), text_(text)
	{
	}
	const char *what() const noexcept override
	{
		return text_.c_str();
	}

      private:
	std::string text_;
};

// The last argument of everything that can fail: a std::error_code &, or nothing.
class on_error
{
      public:
	on_error() noexcept = default;
	on_error(std::error_code &code) noexcept : code_(&code) // NOLINT(google-explicit-constructor): that is what it is for
	{
	}

	// Takes a result of the C library. `has_text`: it left a sentence. Returns it.
	int operator()(int result, bool has_text = false) const
	{
		if (result < 0)
			fail(result, has_text);
		else
			good();
		return result;
	}
	// Not an error, but why there is nothing.
	void nothing(int result) const noexcept
	{
		if (code_ != nullptr)
			*code_ = make_error(result);
	}
	void good() const noexcept
	{
		if (code_ != nullptr)
			code_->clear();
	}

      private:
	void fail(int result, bool has_text) const
	{
		if (code_ != nullptr) {
			*code_ = make_error(result);
			return;
		}
#if defined(__cpp_exceptions)
		throw error(make_error(result), has_text ? shmb_text() : shmb_strerror(result));
#else
		std::fprintf(stderr, "shmbroker: %s\n", has_text ? shmb_text() : shmb_strerror(result));
		std::abort();
#endif
	}

	std::error_code *code_ = nullptr;
};

// An absolute time on CLOCK_MONOTONIC, which std::chrono::steady_clock is on Linux.
class deadline
{
      public:
	// NOLINTBEGIN(google-explicit-constructor): a duration or a time point is what a caller has
	template <class Rep, class Period> deadline(std::chrono::duration<Rep, Period> from_now) noexcept : ns_(shmb_now_ns())
	{
		auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(from_now).count();

		if (ns > 0)
			ns_ = static_cast<std::uint64_t>(ns) < UINT64_MAX - ns_ ? ns_ + static_cast<std::uint64_t>(ns) : SHMB_FOREVER;
	}
	deadline(std::chrono::steady_clock::time_point at) noexcept
	    : ns_(at.time_since_epoch().count() <= 0 ? SHMB_NO_WAIT
						     : static_cast<std::uint64_t>(std::chrono::nanoseconds(at.time_since_epoch()).count()))
	{
	}
	// NOLINTEND(google-explicit-constructor)
	static constexpr deadline raw(std::uint64_t ns) noexcept
	{
		return deadline(ns);
	}
	std::uint64_t ns() const noexcept
	{
		return ns_;
	}

      private:
	explicit constexpr deadline(std::uint64_t ns) noexcept : ns_(ns)
	{
	}
	std::uint64_t ns_;
};

inline constexpr deadline no_wait = deadline::raw(SHMB_NO_WAIT);
inline constexpr deadline forever = deadline::raw(SHMB_FOREVER);

// What a wait ends with (shmb_wait.h).
enum class wake {
	data,
	deadline,
	cancelled,
	writer_dead,   // its process ended without closing
	writer_closed, // in order, or it let go of the broker
	writer_hung,   // stopped, in a debugger, dumping core, or hung: word_of(status().writer)
	superseded, // the segment has a new generation: the handle has gone on to it; where nothing waits (no_wait, wait_set): follow() first
	removed,    // the segment was removed: close the handle and open the name again
	failed,	    // something else, of a wait also a new generation to which the handle cannot go on; the code passed says what
};

namespace detail
{

inline wake wake_of(int result, const on_error &ec)
{
	ec.good();
	switch (result) {
	case 0:
		return wake::data;
	case -ETIMEDOUT:
		return wake::deadline;
	case -ECANCELED:
		return wake::cancelled;
	case -EPIPE:
		return wake::writer_closed;
	case -EHOSTDOWN:
		return wake::writer_hung;
	case -EREMCHG:
		return wake::superseded;
	case -ESTALE:
		return wake::removed;
	case -EOWNERDEAD:
		return wake::writer_dead;
	default:
		ec(result, true);
		return wake::failed;
	}
}

// shmb_follow(): false where the next generation is not there yet, or a queue has items left.
inline bool follow(::shmb_waitable *reader, const on_error &ec)
{
	int result = shmb_follow(reader);

	if (result == -EAGAIN) {
		ec.nothing(result);
		return false;
	}
	return ec(result, true) == 0;
}

} // namespace detail

// What the broker last knew of a writer, in a word.
constexpr const char *word_of(::shmb_writer_condition writer) noexcept
{
	switch (writer) {
	case SHMB_WRITER_IS_NONE:
		return "none";
	case SHMB_WRITER_IS_ALIVE:
		return "alive";
	case SHMB_WRITER_IS_CLOSED:
		return "closed";
	case SHMB_WRITER_IS_DEAD:
		return "dead";
	case SHMB_WRITER_IS_GONE:
		return "gone";
	case SHMB_WRITER_IS_STOPPED:
		return "stopped";
	case SHMB_WRITER_IS_TRACED:
		return "traced";
	case SHMB_WRITER_IS_HUNG:
		return "hung";
	case SHMB_WRITER_IS_DUMPING:
		return "dumping";
	}
	return "unknown";
}

} // namespace shmbroker

#endif
