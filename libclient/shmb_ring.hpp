// SPDX-License-Identifier: MIT
#ifndef SHMB_RING_HPP
#define SHMB_RING_HPP

// Values, rings and loaders of them in C++, for shmb.hpp, which includes it. T is declared with SHMB_STRUCT.

#include <cerrno>

#include "shmb_key.hpp"

namespace shmbroker
{

// ---- value: the latest of something ----------------------------------------------------------------------------------------------------

template <class T> class value_writer : public detail::owner<::shmb_value_writer, shmb_value_writer_close>
{
      public:
	value_writer(connection &broker, const char *name, const options &options = {}, on_error ec = {})
	{
		ec(shmb_value_writer_open(&this->handle_, broker.get(), name, &detail::type_of<T>(), &options.raw()), true);
	}
	void store(const T &payload, on_error ec = {})
	{
		ec(shmb_value_store(this->handle_, &payload));
	}
	void heartbeat(on_error ec = {})
	{
		ec(shmb_value_heartbeat(this->handle_));
	}
	// Number of the next write.
	std::uint64_t next() const noexcept
	{
		return shmb_value_next(this->handle_);
	}
};

namespace detail
{

// Results of reads: there, not there (said to a code that was passed), or an error.
inline bool is_there(int result, const on_error &ec)
{
	switch (result) {
	case 0:
		ec.good();
		return true;
	case -ENODATA: // none yet, or nothing new
	case -EAGAIN:  // overtaken by the writer again and again
	case -EREMCHG: // nothing here any more, and never again: the segment has a new generation, follow() or wait
		ec.nothing(result);
		return false;
	default:
		ec(result);
		return false;
	}
}

// The same where an element is asked for that may be gone, or a time that nothing is close to.
inline bool is_found(int result, const on_error &ec)
{
	switch (result) {
	case -ERANGE: // nothing within the distance
	case -ETIME:  // everything is older: ask again later
	case -ESTALE: // everything is newer, or it was overwritten
		ec.nothing(result);
		return false;
	default:
		return is_there(result, ec);
	}
}

template <class T, class Call> std::optional<sample<T>> read_sample(Call call, const on_error &ec)
{
	std::optional<sample<T>> out(std::in_place);
	::shmb_sample raw = {};

	if (!is_there(call(&out->value, &raw), ec))
		return std::nullopt;
	static_cast<sample_info &>(*out) = sample_info(raw);
	return out;
}

template <class Call> bool read_into(Call call, sample_info *info, const on_error &ec)
{
	::shmb_sample raw = {};

	if (!is_there(call(&raw), ec))
		return false;
	if (info != nullptr)
		*info = sample_info(raw);
	return true;
}

} // namespace detail

template <class T> class value_reader : public detail::owner<::shmb_value_reader, shmb_value_reader_close>
{
      public:
	// Waits for the name until the deadline.
	value_reader(connection &broker, const char *name, deadline until = no_wait, on_error ec = {})
	{
		ec(shmb_value_reader_open(&this->handle_, broker.get(), name, &detail::type_of<T>(), until.ns()), true);
	}
	// The newest value; nothing where none was written yet, or the writer overtook this reader again and again.
	std::optional<sample<T>> load(on_error ec = {})
	{
		return detail::read_sample<T>([this](T *to, ::shmb_sample *raw) { return shmb_value_load(this->handle_, to, raw); }, ec);
	}
	// The same into the caller's own; false where there is none. What `out` holds then is of no meaning.
	bool load(T &out, sample_info *info = nullptr, on_error ec = {})
	{
		return detail::read_into([&](::shmb_sample *raw) { return shmb_value_load(this->handle_, &out, raw); }, info, ec);
	}
	// Waits until there is a newer value than the one loaded last.
	shmbroker::wake wait(deadline until, on_error ec = {})
	{
		return detail::wake_of(shmb_value_wait(this->handle_, until.ns()), ec);
	}
	::shmb_segment_status status(on_error ec = {})
	{
		::shmb_segment_status out = {};

		ec(shmb_value_status(this->handle_, &out));
		return out;
	}
	// As waitable().follow().
	bool follow(on_error ec = {})
	{
		return detail::follow(shmb_value_waitable(this->handle_), ec);
	}
	shmbroker::waitable waitable() const noexcept
	{
		return shmbroker::waitable(shmb_value_waitable(this->handle_));
	}
};

// ---- ring: the newest N - 1 of something -----------------------------------------------------------------------------------------------

template <class T> class ring_writer : public detail::owner<::shmb_ring_writer, shmb_ring_writer_close>
{
      public:
	ring_writer(connection &broker, const char *name, const options &options = {}, on_error ec = {})
	{
		ec(shmb_ring_writer_open(&this->handle_, broker.get(), name, &detail::type_of<T>(), &options.raw()), true);
	}
	void insert(const T &payload, on_error ec = {})
	{
		ec(shmb_ring_insert(this->handle_, &payload));
	}
	void heartbeat(on_error ec = {})
	{
		ec(shmb_ring_heartbeat(this->handle_));
	}
	// From the next insert on, keys may begin anew, lower than before.
	void restart_keys(on_error ec = {})
	{
		ec(shmb_ring_restart_keys(this->handle_));
	}
	std::uint64_t next() const noexcept
	{
		return shmb_ring_next_number(this->handle_);
	}
};

template <class T> class ring_reader : public detail::owner<::shmb_ring_reader, shmb_ring_reader_close>
{
      public:
	ring_reader(connection &broker, const char *name, deadline until = no_wait, on_error ec = {})
	{
		ec(shmb_ring_reader_open(&this->handle_, broker.get(), name, &detail::type_of<T>(), until.ns()), true);
	}

	std::optional<sample<T>> latest(on_error ec = {})
	{
		return detail::read_sample<T>([this](T *to, ::shmb_sample *raw) { return shmb_ring_latest(this->handle_, to, raw); }, ec);
	}
	bool latest(T &out, sample_info *info = nullptr, on_error ec = {})
	{
		return detail::read_into([&](::shmb_sample *raw) { return shmb_ring_latest(this->handle_, &out, raw); }, info, ec);
	}
	// In order; sample.missed says how many were lost before it. Nothing: nothing new, overtaken again and again, or (EREMCHG in a code that was passed) the
	// segment has a new generation: follow() or wait.
	std::optional<sample<T>> read_next(on_error ec = {})
	{
		return detail::read_sample<T>([this](T *to, ::shmb_sample *raw) { return shmb_ring_read_next(this->handle_, to, raw); },
					      ec);
	}
	bool read_next(T &out, sample_info *info = nullptr, on_error ec = {})
	{
		return detail::read_into([&](::shmb_sample *raw) { return shmb_ring_read_next(this->handle_, &out, raw); }, info, ec);
	}
	// This one. Nothing: not written yet, or overwritten.
	std::optional<sample<T>> read(std::uint64_t number, on_error ec = {})
	{
		std::optional<sample<T>> out(std::in_place);
		::shmb_sample raw = {};

		if (!detail::is_found(shmb_ring_read(this->handle_, number, &out->value, &raw), ec))
			return std::nullopt;
		static_cast<sample_info &>(*out) = sample_info(raw);
		return out;
	}
	// Up to `count` elements from `first` on, in order. `lost` (may be null) says how many of them are gone.
	std::vector<sample<T>> read_range(std::uint64_t first, std::size_t count, std::uint64_t *lost = nullptr, on_error ec = {})
	{
		std::vector<T> payloads(count);
		std::vector<::shmb_sample> raw(count);
		std::vector<sample<T>> out;
		std::size_t read = 0;

		if (detail::is_found(shmb_ring_read_range(this->handle_, first, count, payloads.data(), raw.data(), &read, lost), ec)) {
			out.resize(read);
			for (std::size_t i = 0; i < read; i++) {
				static_cast<sample_info &>(out[i]) = sample_info(raw[i]);
				out[i].value = payloads[i];
			}
		}
		return out;
	}
	void seek(std::uint64_t number, on_error ec = {})
	{
		ec(shmb_ring_seek(this->handle_, number));
	}
	void seek_oldest(on_error ec = {})
	{
		ec(shmb_ring_seek_oldest(this->handle_));
	}
	void seek_age(std::chrono::nanoseconds age, on_error ec = {})
	{
		ec(shmb_ring_seek_age(this->handle_, age.count() > 0 ? static_cast<std::uint64_t>(age.count()) : 0));
	}
	// Numbers that can be read now: from first to second - 1.
	std::pair<std::uint64_t, std::uint64_t> bounds(on_error ec = {})
	{
		std::pair<std::uint64_t, std::uint64_t> out;

		ec(shmb_ring_bounds(this->handle_, &out.first, &out.second));
		return out;
	}
	// How many elements this reader is behind.
	std::uint64_t lag(on_error ec = {})
	{
		std::uint64_t out = 0;

		ec(shmb_ring_lag(this->handle_, &out));
		return out;
	}

	// ---- in time (shmb_temporal.h); nothing, with the reason in a code that was passed: timer_expired newer ones may come, stale older ones are gone

	template <class Clock> std::optional<found<T, Clock>> closest(key<Clock> at, std::uint64_t max_distance, on_error ec = {})
	{
		typename Clock::c_found raw = {};
		T value;

		if (!detail::is_found(Clock::closest(this->handle_, at.get(), max_distance, &value, &raw), ec))
			return std::nullopt;
		return found<T, Clock>{ value, raw.number, key<Clock>(raw.key) };
	}
	template <class Clock>
	std::optional<found<T, Clock>> closest(key<Clock> at, std::chrono::nanoseconds max_distance, on_error ec = {})
	{
		static_assert(!std::is_same_v<Clock, sequence>, "a distance between counts is a number");
		return closest(at, static_cast<std::uint64_t>(max_distance.count()), ec);
	}
	template <class Clock> std::optional<bracketed<T, Clock>> bracket(key<Clock> at, std::uint64_t max_distance, on_error ec = {})
	{
		typename Clock::c_bracket raw = {};
		T before;
		T after;

		if (!detail::is_found(Clock::bracket(this->handle_, at.get(), max_distance, &before, &after, &raw), ec))
			return std::nullopt;
		return bracketed<T, Clock>{ { before, raw.before.number, key<Clock>(raw.before.key) },
					    { after, raw.after.number, key<Clock>(raw.after.key) },
					    raw.alpha };
	}
	template <class Clock>
	std::optional<bracketed<T, Clock>> bracket(key<Clock> at, std::chrono::nanoseconds max_distance, on_error ec = {})
	{
		static_assert(!std::is_same_v<Clock, sequence>, "a distance between counts is a number");
		return bracket(at, static_cast<std::uint64_t>(max_distance.count()), ec);
	}
	// The numbers of all elements with from <= key <= to, for read_range().
	template <class Clock> std::optional<::shmb_range> numbers(key<Clock> from, key<Clock> to, on_error ec = {})
	{
		::shmb_range out = {};

		if (!detail::is_found(Clock::numbers(this->handle_, from.get(), to.get(), &out), ec))
			return std::nullopt;
		return out;
	}
	// The newest, unless its key is below `oldest`.
	template <class Clock> std::optional<found<T, Clock>> fresh(key<Clock> oldest, on_error ec = {})
	{
		typename Clock::c_found raw = {};
		T value;

		if (!detail::is_found(Clock::fresh(this->handle_, oldest.get(), &value, &raw), ec))
			return std::nullopt;
		return found<T, Clock>{ value, raw.number, key<Clock>(raw.key) };
	}
	// The key of one element. Nothing: not written yet, or overwritten.
	template <class Clock> std::optional<key<Clock>> key_of(std::uint64_t number, on_error ec = {})
	{
		typename Clock::c_key raw = {};

		if (!detail::is_found(Clock::key_of(this->handle_, number, &raw), ec))
			return std::nullopt;
		return key<Clock>(raw);
	}
	// By which clock its elements are found; SHMB_CLOCK_NONE: not at all.
	::shmb_clock clock() const noexcept
	{
		return shmb_ring_clock(this->handle_);
	}
	// Sets the position to the first element that is not older.
	template <class Clock> void since(key<Clock> at, on_error ec = {})
	{
		ec(Clock::since(this->handle_, at.get()));
	}

	// Waits until there is an element this handle has not read.
	shmbroker::wake wait(deadline until, on_error ec = {})
	{
		return detail::wake_of(shmb_ring_wait(this->handle_, until.ns()), ec);
	}
	::shmb_segment_status status(on_error ec = {})
	{
		::shmb_segment_status out = {};

		ec(shmb_ring_status(this->handle_, &out));
		return out;
	}
	// As waitable().follow().
	bool follow(on_error ec = {})
	{
		return detail::follow(shmb_ring_waitable(this->handle_), ec);
	}
	shmbroker::waitable waitable() const noexcept
	{
		return shmbroker::waitable(shmb_ring_waitable(this->handle_));
	}
};

// ---- loader: a private snapshot that a thread keeps new ------------------------------------------------------------------------------------

// Borrows the reader: until the loader is closed nothing else may use it.
template <class T> class loader : public detail::owner<::shmb_loader, shmb_loader_close>
{
      public:
	explicit loader(value_reader<T> &reader, on_error ec = {})
	{
		ec(shmb_loader_open_value(&this->handle_, reader.get()), true);
	}
	explicit loader(ring_reader<T> &reader, on_error ec = {})
	{
		ec(shmb_loader_open_ring(&this->handle_, reader.get()), true);
	}
	// The newest element; stays as it is until the next call. nullptr: none yet.
	const T *snapshot(sample_info *info = nullptr, on_error ec = {})
	{
		const void *payload = nullptr;
		::shmb_sample raw = {};

		if (!detail::is_there(shmb_loader_snapshot(this->handle_, &payload, &raw), ec))
			return nullptr;
		if (info != nullptr)
			*info = sample_info(raw);
		return static_cast<const T *>(payload);
	}
	shmbroker::wake wait(deadline until, on_error ec = {})
	{
		return detail::wake_of(shmb_loader_wait(this->handle_, until.ns()), ec);
	}
};

} // namespace shmbroker

#endif
