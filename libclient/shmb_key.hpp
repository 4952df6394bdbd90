// SPDX-License-Identifier: MIT
#ifndef SHMB_KEY_HPP
#define SHMB_KEY_HPP

// Keys in C++, for shmb.hpp, which includes it: points in time, or in a count, each of its own clock; two clocks do not mix at compile time.
//
//   shmbroker::key<shmbroker::monotonic>   std::chrono::steady_clock's time points convert to it
//   shmbroker::key<shmbroker::realtime>    std::chrono::system_clock's time points convert to it (PTP, UTC)
//   shmbroker::key<shmbroker::sequence>    a count
//
// A raw number becomes a key only through a rule that says which numbers can be true (shmb_key.h has each rule's meaning):
//
//   auto rule = shmbroker::rule<shmbroker::monotonic>::plausible(10s, 1s);
//   if (auto at = shmbroker::key<shmbroker::monotonic>::make(message.stamp_ns, rule))
//           ring.closest(*at, 20ms);

#include <memory>
#include <vector>

#include "shmb_connection.hpp"

namespace shmbroker
{

struct no_clock {
};

// The functions of the C library for each clock, by the same names. `std_clock` is the one of std::chrono whose time points it takes.
#define SHMB_CPP_CLOCK(clock, chrono, number)                                                                                              \
	struct clock {                                                                                                                     \
		using std_clock = chrono;                                                                                                  \
		using c_key = ::shmb_key_##clock;                                                                                          \
		using c_rule = ::shmb_rule_##clock;                                                                                        \
		using c_found = ::shmb_found_##clock;                                                                                      \
		using c_bracket = ::shmb_bracket_##clock;                                                                                  \
		using c_join_part = ::shmb_join_part_##clock;                                                                              \
		static constexpr ::shmb_clock id = number;                                                                                 \
		static constexpr auto range = shmb_rule_range_##clock;                                                                     \
		static constexpr auto near = shmb_rule_near_##clock;                                                                       \
		static constexpr auto all = shmb_rule_all_##clock;                                                                         \
		static constexpr auto own = shmb_rule_own_##clock;                                                                         \
		static constexpr auto make = shmb_key_make_##clock;                                                                        \
		static constexpr auto value = shmb_key_value_##clock;                                                                      \
		static constexpr auto move = shmb_key_move_##clock;                                                                        \
		static constexpr auto compare = shmb_key_compare_##clock;                                                                  \
		static constexpr auto closest = shmb_ring_closest_##clock;                                                                 \
		static constexpr auto bracket = shmb_ring_bracket_##clock;                                                                 \
		static constexpr auto numbers = shmb_ring_range_##clock;                                                                   \
		static constexpr auto fresh = shmb_ring_fresh_##clock;                                                                     \
		static constexpr auto key_of = shmb_ring_key_##clock;                                                                      \
		static constexpr auto since = shmb_ring_since_##clock;                                                                     \
		static constexpr auto join = shmb_join_##clock;                                                                            \
		static constexpr auto frame_closest = shmb_frame_closest_##clock;                                                          \
		static constexpr auto frame_bracket = shmb_frame_bracket_##clock;                                                          \
		static constexpr auto frame_numbers = shmb_frame_range_##clock;                                                            \
		static constexpr auto frame_fresh = shmb_frame_fresh_##clock;                                                              \
		static constexpr auto frame_key_of = shmb_frame_key_##clock;                                                               \
		static constexpr auto frame_since = shmb_frame_since_##clock;                                                              \
		static constexpr auto frame_commit_at = shmb_frame_commit_at_##clock;                                                      \
	}
SHMB_CPP_CLOCK(monotonic, std::chrono::steady_clock, SHMB_CLOCK_MONOTONIC);
SHMB_CPP_CLOCK(realtime, std::chrono::system_clock, SHMB_CLOCK_REALTIME);
SHMB_CPP_CLOCK(sequence, no_clock, SHMB_CLOCK_SEQUENCE);
#undef SHMB_CPP_CLOCK

template <class Clock> class rule;

template <class Clock> class key
{
      public:
	// A time of the clock's own type; one before the clock's beginning is its beginning.
	template <class Std = typename Clock::std_clock, class Duration = typename Std::duration>
	key(std::chrono::time_point<Std, Duration> at) noexcept // NOLINT(google-explicit-constructor): it carries its clock
	{
		static_assert(std::is_same_v<Std, typename Clock::std_clock>, "a time point of another clock than the key's");
		auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
		auto any = Clock::range(0, UINT64_MAX);

		Clock::make(&raw_, ns > 0 ? static_cast<std::uint64_t>(ns) : 0, &any);
	}
	// Nothing where the rule refuses: std::errc::result_out_of_range, argument_out_of_domain (another unit or clock), or what your own rule says.
	static std::optional<key> make(std::uint64_t value, const rule<Clock> &rule, on_error ec = {});
	// One that the library returned.
	explicit key(typename Clock::c_key raw) noexcept : raw_(raw)
	{
	}

	std::uint64_t value() const noexcept
	{
		return Clock::value(raw_);
	}
	// Of the clock's own type; not for counts.
	auto time() const noexcept
	{
		return std::chrono::time_point<typename Clock::std_clock, std::chrono::nanoseconds>(
			std::chrono::nanoseconds(static_cast<std::int64_t>(value())));
	}
	// The key that much later, earlier where negative. Nothing below 0 and over 2^64 - 1.
	std::optional<key> moved(std::int64_t by) const noexcept
	{
		typename Clock::c_key out;

		if (Clock::move(&out, raw_, by) != 0)
			return std::nullopt;
		return key(out);
	}
	const typename Clock::c_key &get() const noexcept
	{
		return raw_;
	}
	friend bool operator==(key a, key b) noexcept
	{
		return Clock::compare(a.raw_, b.raw_) == 0;
	}
	friend bool operator!=(key a, key b) noexcept
	{
		return Clock::compare(a.raw_, b.raw_) != 0;
	}
	friend bool operator<(key a, key b) noexcept
	{
		return Clock::compare(a.raw_, b.raw_) < 0;
	}
	friend bool operator>(key a, key b) noexcept
	{
		return b < a;
	}
	friend bool operator<=(key a, key b) noexcept
	{
		return !(b < a);
	}
	friend bool operator>=(key a, key b) noexcept
	{
		return !(a < b);
	}

      private:
	typename Clock::c_key raw_ = {};
};

// What numbers can be true keys. Copies share what they are made of.
template <class Clock> class rule
{
      public:
	// Not longer ago and not further ahead than that when it is checked, and in nanoseconds of this clock.
	static rule plausible(std::chrono::nanoseconds max_age, std::chrono::nanoseconds max_ahead)
	{
		static_assert(!std::is_same_v<Clock, sequence>, "a count has no plausible time");
		auto age = static_cast<std::uint64_t>(max_age.count());
		auto ahead = static_cast<std::uint64_t>(max_ahead.count());

		if constexpr (std::is_same_v<Clock, monotonic>)
			return rule(shmb_rule_plausible_monotonic(age, ahead));
		else
			return rule(shmb_rule_plausible_realtime(age, ahead));
	}
	static rule range(std::uint64_t first, std::uint64_t last) noexcept
	{
		return rule(Clock::range(first, last));
	}
	static rule near(key<Clock> to, std::uint64_t distance) noexcept
	{
		return rule(Clock::near(to.get(), distance));
	}
	// Each of them, in their order.
	static rule all(std::initializer_list<rule> rules)
	{
		auto parts = std::make_shared<all_of>();

		for (const rule &one : rules) {
			parts->raw.push_back(one.raw_);
			parts->kept.push_back(one.kept_);
		}
		return rule(Clock::all(parts->raw.data(), parts->raw.size()), parts);
	}
	// check(uint64_t) returns 0 or the negative errno that refuses.
	template <class Check> static rule own(Check check)
	{
		auto kept = std::make_shared<Check>(std::move(check));

		return rule(Clock::own([](std::uint64_t value, void *user) { return (*static_cast<Check *>(user))(value); }, kept.get()),
			    kept);
	}
	const typename Clock::c_rule &get() const noexcept
	{
		return raw_;
	}

      private:
	struct all_of {
		std::vector<typename Clock::c_rule> raw;
		std::vector<std::shared_ptr<void>> kept;
	};
	explicit rule(typename Clock::c_rule raw, std::shared_ptr<void> kept = nullptr) : raw_(raw), kept_(std::move(kept))
	{
	}
	typename Clock::c_rule raw_;
	std::shared_ptr<void> kept_;
};

template <class Clock> std::optional<key<Clock>> key<Clock>::make(std::uint64_t value, const rule<Clock> &rule, on_error ec)
{
	typename Clock::c_key raw;
	int result = Clock::make(&raw, value, &rule.get());

	if (result != 0) {
		ec.nothing(result);
		return std::nullopt;
	}
	ec.good();
	return key(raw);
}

// An element found by its key.
template <class T, class Clock> struct found {
	T value;
	std::uint64_t number;
	key<Clock> at;
};

// The two neighbours of a time: before.at <= time < after.at; alpha is where between them it lies, 0 at before to 1 at after.
template <class T, class Clock> struct bracketed {
	found<T, Clock> before;
	found<T, Clock> after;
	double alpha;
};

} // namespace shmbroker

#endif
