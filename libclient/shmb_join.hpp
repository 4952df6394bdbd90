// SPDX-License-Identifier: MIT
#ifndef SHMB_JOIN_HPP
#define SHMB_JOIN_HPP

// Several rings and frames at one time, in C++, for shmb.hpp, which includes it (shmb_join_CLOCK() in shmb_temporal.h).
//
//   if (auto all = shmbroker::join(time, 20'000'000, imu, shmbroker::around(wheels), camera)) {
//           auto &[turned, driven, picture] = *all;        // found<imu>, bracketed<wheels>, found_frame
//           fuse(turned.value, interpolate(driven.before.value, driven.after.value, driven.alpha), picture.frame.bytes());
//   }

#include <tuple>

#include "shmb_frame.hpp"

namespace shmbroker
{

// A reader that takes part with its bracket instead of its closest element.
template <class Reader> struct around {
	Reader &reader;

	explicit around(Reader &of) noexcept : reader(of)
	{
	}
};

namespace detail
{

// How each argument of a join becomes a part, with room for what is found, and what becomes of it.
template <class Clock, class Argument> struct join_slot;

template <class Clock, class T> struct join_slot<Clock, ring_reader<T>> {
	using result = found<T, Clock>;
	T value;

	void fill(typename Clock::c_join_part &part, ring_reader<T> &reader)
	{
		part.reader = reader.get();
		part.payload = &value;
	}
	result take(const typename Clock::c_join_part &part, ring_reader<T> &) const
	{
		return result{ value, part.found.before.number, key<Clock>(part.found.before.key) };
	}
};

template <class Clock, class T> struct join_slot<Clock, around<ring_reader<T>>> {
	using result = bracketed<T, Clock>;
	T before;
	T after;

	void fill(typename Clock::c_join_part &part, around<ring_reader<T>> &argument)
	{
		part.reader = argument.reader.get();
		part.how = SHMB_JOIN_BRACKET;
		part.payload = &before;
		part.payload_after = &after;
	}
	result take(const typename Clock::c_join_part &part, around<ring_reader<T>> &) const
	{
		return result{ { before, part.found.before.number, key<Clock>(part.found.before.key) },
			       { after, part.found.after.number, key<Clock>(part.found.after.key) },
			       part.found.alpha };
	}
};

template <class Clock> struct join_slot<Clock, frame_reader> {
	using result = found_frame<Clock>;
	::shmb_frame frame;

	void fill(typename Clock::c_join_part &part, frame_reader &reader)
	{
		part.frames = reader.get();
		part.frame = &frame;
	}
	result take(const typename Clock::c_join_part &part, frame_reader &reader) const
	{
		return result{ pinned_frame(reader.get(), frame), key<Clock>(part.found.before.key) };
	}
};

template <class Clock> struct join_slot<Clock, around<frame_reader>> {
	using result = bracketed_frames<Clock>;
	::shmb_frame before;
	::shmb_frame after;

	void fill(typename Clock::c_join_part &part, around<frame_reader> &argument)
	{
		part.frames = argument.reader.get();
		part.how = SHMB_JOIN_BRACKET;
		part.frame = &before;
		part.frame_after = &after;
	}
	result take(const typename Clock::c_join_part &part, around<frame_reader> &argument) const
	{
		return result{ { pinned_frame(argument.reader.get(), before), key<Clock>(part.found.before.key) },
			       { pinned_frame(argument.reader.get(), after), key<Clock>(part.found.after.key) },
			       part.found.alpha };
	}
};

template <class Clock, class... Argument> using join_result = std::optional<std::tuple<typename join_slot<Clock, Argument>::result...>>;

template <class Clock, std::size_t... I, class... Argument>
join_result<Clock, Argument...> join(key<Clock> at, std::uint64_t max_distance, const on_error &ec, std::index_sequence<I...>,
				     Argument &...arguments)
{
	std::tuple<join_slot<Clock, Argument>...> slots = {};
	typename Clock::c_join_part parts[sizeof...(Argument)] = {};

	((parts[I].max_distance = max_distance, std::get<I>(slots).fill(parts[I], arguments)), ...);
	if (!is_found(Clock::join(parts, sizeof...(Argument), at.get(), nullptr), ec))
		return std::nullopt;
	return join_result<Clock, Argument...>(std::in_place, std::get<I>(slots).take(parts[I], arguments)...);
}

} // namespace detail

// Of each of the readers, rings or frames, its element closest to one time, or with around() the two about it: all or nothing. The distance is in
// units of the key. A code that is passed, before the readers as they are any number, says why there is nothing.
template <class Clock, class... Reader>
detail::join_result<Clock, std::remove_reference_t<Reader>...> join(key<Clock> at, std::uint64_t max_distance, std::error_code &code,
								    Reader &&...readers)
{
	return detail::join(at, max_distance, code, std::index_sequence_for<Reader...>(), readers...);
}
template <class Clock, class First, class... Reader>
std::enable_if_t<!std::is_same_v<std::remove_reference_t<First>, std::error_code>,
		 detail::join_result<Clock, std::remove_reference_t<First>, std::remove_reference_t<Reader>...>>
join(key<Clock> at, std::uint64_t max_distance, First &&first, Reader &&...readers)
{
	return detail::join(at, max_distance, {}, std::index_sequence_for<First, Reader...>(), first, readers...);
}

} // namespace shmbroker

#endif
