// SPDX-License-Identifier: MIT
#ifndef SHMB_FRAME_HPP
#define SHMB_FRAME_HPP

// Frames in C++, for shmb.hpp, which includes it: large payloads filled and read where they lie (shmb_frame.h, shmb_image.h).
//
//   shmbroker::frame_writer camera(broker, "camera/front", *shmbroker::type::image(layout));
//   if (auto loan = camera.loan()) {
//           auto *image = loan->image(layout, number, stamp_ns);
//           fill(shmb_image_data(image));
//           loan->commit(layout.payload_bytes);
//   }                                               // not committed: given back
//
//   if (auto frame = reader.pin_newest())
//           show(frame->bytes(), frame->size());    // released at the end of its scope

#include "shmb_ring.hpp"

namespace shmbroker
{

class frame_options
{
      public:
	// The newest frames that can be pinned, 1 to 4096.
	frame_options &history(std::uint32_t frames) noexcept
	{
		raw_.history = frames;
		return *this;
	}
	// Frames held beyond these before a loan fails, 1 to 1024.
	frame_options &pins(std::uint32_t frames) noexcept
	{
		raw_.pins = frames;
		return *this;
	}
	frame_options &stamped(bool on = true) noexcept
	{
		raw_.stamped = on ? 1 : 0;
		return *this;
	}
	frame_options &wait(deadline until) noexcept
	{
		raw_.deadline_ns = until.ns();
		return *this;
	}
	// By which clock, and which field of the payload (of an image "stamp_ns" or "number"), frames are found in time; nullptr is the stamp. The text
	// is borrowed.
	frame_options &key(::shmb_clock clock, const char *field = nullptr) noexcept
	{
		raw_.key_clock = clock;
		raw_.key_field = field;
		return *this;
	}
	// By this clock, and each commit_at() states the key.
	frame_options &keys_given(::shmb_clock clock) noexcept
	{
		raw_.key_clock = clock;
		raw_.keys_given = 1;
		return *this;
	}
	const ::shmb_frame_options &raw() const noexcept
	{
		return raw_;
	}

      private:
	::shmb_frame_options raw_ = {};
};

// A slot to fill. Ends with commit(), or at the end of its scope unpublished.
class frame_loan
{
      public:
	frame_loan(::shmb_frame_writer *writer, void *payload, std::size_t capacity) noexcept
	    : writer_(writer), payload_(payload), capacity_(capacity)
	{
	}
	frame_loan(frame_loan &&other) noexcept
	    : writer_(std::exchange(other.writer_, nullptr)), payload_(other.payload_), capacity_(other.capacity_)
	{
	}
	frame_loan &operator=(frame_loan &&other) noexcept
	{
		if (this != &other) {
			abort();
			writer_ = std::exchange(other.writer_, nullptr);
			payload_ = other.payload_;
			capacity_ = other.capacity_;
		}
		return *this;
	}
	frame_loan(const frame_loan &) = delete;
	frame_loan &operator=(const frame_loan &) = delete;
	~frame_loan()
	{
		abort();
	}

	std::uint8_t *bytes() const noexcept
	{
		return static_cast<std::uint8_t *>(payload_);
	}
	std::size_t capacity() const noexcept
	{
		return capacity_;
	}
	// Room for an array of T; nullptr where not one fits.
	template <class T> T *as() const noexcept
	{
		static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 64, "payloads are plain bytes");
		return capacity_ >= sizeof(T) ? static_cast<T *>(payload_) : nullptr;
	}
	// Writes an image's header; its pixels are at shmb_image_data(). nullptr where it does not fit.
	::shmb_image *image(const struct ::shmb_image_layout &layout, std::uint64_t number, std::uint64_t stamp_ns) const noexcept
	{
		return layout.payload_bytes <= capacity_ ? shmb_image_init(payload_, &layout, number, stamp_ns) : nullptr;
	}
	// Publishes the first `length` bytes. Refused, and still on loan: std::errc::message_size too long, or too short for its key's field;
	// result_out_of_range, argument_out_of_domain a negative key, or lower than the one before; ENOKEY: keys are given, commit_at().
	void commit(std::size_t length, on_error ec = {})
	{
		committed(shmb_frame_commit(writer_, length), ec);
	}
	// The same, stating its key. Refused too: std::errc::cross_device_link, the segment has no given keys of this clock.
	template <class Clock> void commit_at(std::size_t length, key<Clock> at, on_error ec = {})
	{
		committed(Clock::frame_commit_at(writer_, length, at.get()), ec);
	}
	void abort() noexcept
	{
		if (writer_ != nullptr)
			shmb_frame_abort(std::exchange(writer_, nullptr));
	}

      private:
	void committed(int result, const on_error &ec)
	{
		if (result == 0 || result == -EINVAL || result == -ESTALE || result == -EOWNERDEAD)
			writer_ = nullptr;
		ec(result);
	}

	::shmb_frame_writer *writer_;
	void *payload_;
	std::size_t capacity_;
};

class frame_writer : public detail::owner<::shmb_frame_writer, shmb_frame_writer_close>
{
      public:
	// The type's size is the capacity of every frame.
	frame_writer(connection &broker, const char *name, const ::shmb_type &type, const frame_options &options = {}, on_error ec = {})
	{
		ec(shmb_frame_writer_open(&handle_, broker.get(), name, &type, &options.raw()), true);
	}
	// Nothing: readers hold every slot (std::errc::no_buffer_space in a code that was passed; shmb_text() names them).
	std::optional<frame_loan> loan(on_error ec = {})
	{
		void *payload = nullptr;
		std::size_t capacity = 0;
		int result = shmb_frame_loan(handle_, &payload, &capacity);

		if (result == -ENOBUFS) {
			ec.nothing(result);
			return std::nullopt;
		}
		if (ec(result, true) != 0)
			return std::nullopt;
		return frame_loan(handle_, payload, capacity);
	}
	void heartbeat(on_error ec = {})
	{
		ec(shmb_frame_heartbeat(handle_));
	}
	// From the next commit on, keys may begin anew, lower than before.
	void restart_keys(on_error ec = {})
	{
		ec(shmb_frame_restart_keys(handle_));
	}
	std::uint64_t next() const noexcept
	{
		return shmb_frame_next_number(handle_);
	}
};

// A frame that stays as it is until release() or the end of its scope.
class pinned_frame : public sample_info
{
      public:
	pinned_frame(::shmb_frame_reader *reader, const ::shmb_frame &raw) noexcept
	    : sample_info(::shmb_sample{ raw.number, raw.stamp_ns, raw.missed }), reader_(reader), raw_(raw)
	{
	}
	pinned_frame(pinned_frame &&other) noexcept : sample_info(other), reader_(std::exchange(other.reader_, nullptr)), raw_(other.raw_)
	{
	}
	pinned_frame &operator=(pinned_frame &&other) noexcept
	{
		if (this != &other) {
			drop();
			sample_info::operator=(other);
			reader_ = std::exchange(other.reader_, nullptr);
			raw_ = other.raw_;
		}
		return *this;
	}
	pinned_frame(const pinned_frame &) = delete;
	pinned_frame &operator=(const pinned_frame &) = delete;
	~pinned_frame()
	{
		drop();
	}

	const std::uint8_t *bytes() const noexcept
	{
		return static_cast<const std::uint8_t *>(raw_.payload);
	}
	std::size_t size() const noexcept
	{
		return raw_.length;
	}
	// As one T; nullptr where it has fewer bytes.
	template <class T> const T *as() const noexcept
	{
		static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 64, "payloads are plain bytes");
		return raw_.length >= sizeof(T) ? static_cast<const T *>(raw_.payload) : nullptr;
	}
	// As an image, checked; its pixels are at shmb_image_pixels(bytes()). Nothing: it is none.
	std::optional<struct ::shmb_image_layout> image() const noexcept
	{
		struct ::shmb_image_layout layout = {};

		if (shmb_image_check(raw_.payload, raw_.length, &layout) != 0)
			return std::nullopt;
		return layout;
	}
	// False: it was overwritten while it was held (a broken writer, or the broker gave this reader up), and what was computed from it is
	// worth nothing.
	bool release(on_error ec = {})
	{
		int result = shmb_frame_release(std::exchange(reader_, nullptr), &raw_);

		if (result == -ESTALE) {
			ec.nothing(result);
			return false;
		}
		return ec(result) == 0;
	}

      private:
	void drop() noexcept
	{
		if (reader_ != nullptr)
			shmb_frame_release(std::exchange(reader_, nullptr), &raw_);
	}
	::shmb_frame_reader *reader_;
	::shmb_frame raw_;
};

// A frame found by its key, pinned.
template <class Clock> struct found_frame {
	pinned_frame frame;
	key<Clock> at;
};

// The two frames around a time: before.at <= time < after.at; alpha is where between them it lies, 0 at before to 1 at after.
template <class Clock> struct bracketed_frames {
	found_frame<Clock> before;
	found_frame<Clock> after;
	double alpha;
};

class frame_reader : public detail::owner<::shmb_frame_reader, shmb_frame_reader_close>
{
      public:
	// `type` nullptr: whatever is there.
	frame_reader(connection &broker, const char *name, const ::shmb_type *type = nullptr, deadline until = no_wait, on_error ec = {})
	{
		ec(shmb_frame_reader_open(&handle_, broker.get(), name, type, until.ns()), true);
	}
	// Nothing: none yet, nothing new, (number) gone, overtaken again and again, or (next, EREMCHG in a code that was passed) the segment has a new generation.
	std::optional<pinned_frame> pin_newest(on_error ec = {})
	{
		::shmb_frame raw = {};

		return pinned(shmb_frame_pin_newest(handle_, &raw), raw, ec);
	}
	std::optional<pinned_frame> pin_next(on_error ec = {})
	{
		::shmb_frame raw = {};

		return pinned(shmb_frame_pin_next(handle_, &raw), raw, ec);
	}
	std::optional<pinned_frame> pin_number(std::uint64_t number, on_error ec = {})
	{
		::shmb_frame raw = {};

		return pinned(shmb_frame_pin_number(handle_, number, &raw), raw, ec);
	}
	// Copies; they need no cell. Nothing: as when pinning. std::errc::message_size: `size` is too small.
	std::optional<std::size_t> load_newest(void *buffer, std::size_t size, sample_info *info = nullptr, on_error ec = {})
	{
		::shmb_frame raw = {};

		return loaded(shmb_frame_load_newest(handle_, buffer, size, &raw), raw, info, ec);
	}
	std::optional<std::size_t> load_next(void *buffer, std::size_t size, sample_info *info = nullptr, on_error ec = {})
	{
		::shmb_frame raw = {};

		return loaded(shmb_frame_load_next(handle_, buffer, size, &raw), raw, info, ec);
	}
	std::optional<std::size_t> load_number(std::uint64_t number, void *buffer, std::size_t size, sample_info *info = nullptr,
					       on_error ec = {})
	{
		::shmb_frame raw = {};

		return loaded(shmb_frame_load_number(handle_, number, buffer, size, &raw), raw, info, ec);
	}
	void seek(std::uint64_t number, on_error ec = {})
	{
		ec(shmb_frame_seek(handle_, number));
	}
	void seek_oldest(on_error ec = {})
	{
		ec(shmb_frame_seek_oldest(handle_));
	}
	void seek_age(std::chrono::nanoseconds age, on_error ec = {})
	{
		ec(shmb_frame_seek_age(handle_, age.count() > 0 ? static_cast<std::uint64_t>(age.count()) : 0));
	}
	// How many frames this reader is behind.
	std::uint64_t lag(on_error ec = {})
	{
		std::uint64_t out = 0;

		ec(shmb_frame_lag(handle_, &out));
		return out;
	}
	std::pair<std::uint64_t, std::uint64_t> bounds(on_error ec = {})
	{
		std::pair<std::uint64_t, std::uint64_t> out;

		ec(shmb_frame_bounds(handle_, &out.first, &out.second));
		return out;
	}

	// ---- in time (shmb_temporal.h), as of rings; what is found is pinned

	template <class Clock> std::optional<found_frame<Clock>> closest(key<Clock> at, std::uint64_t max_distance, on_error ec = {})
	{
		typename Clock::c_found raw = {};
		::shmb_frame frame = {};

		if (!detail::is_found(Clock::frame_closest(handle_, at.get(), max_distance, &frame, &raw), ec))
			return std::nullopt;
		return found_frame<Clock>{ pinned_frame(handle_, frame), key<Clock>(raw.key) };
	}
	template <class Clock>
	std::optional<found_frame<Clock>> closest(key<Clock> at, std::chrono::nanoseconds max_distance, on_error ec = {})
	{
		static_assert(!std::is_same_v<Clock, sequence>, "a distance between counts is a number");
		return closest(at, static_cast<std::uint64_t>(max_distance.count()), ec);
	}
	template <class Clock> std::optional<bracketed_frames<Clock>> bracket(key<Clock> at, std::uint64_t max_distance, on_error ec = {})
	{
		typename Clock::c_bracket raw = {};
		::shmb_frame before = {};
		::shmb_frame after = {};

		if (!detail::is_found(Clock::frame_bracket(handle_, at.get(), max_distance, &before, &after, &raw), ec))
			return std::nullopt;
		return bracketed_frames<Clock>{ { pinned_frame(handle_, before), key<Clock>(raw.before.key) },
						{ pinned_frame(handle_, after), key<Clock>(raw.after.key) },
						raw.alpha };
	}
	template <class Clock>
	std::optional<bracketed_frames<Clock>> bracket(key<Clock> at, std::chrono::nanoseconds max_distance, on_error ec = {})
	{
		static_assert(!std::is_same_v<Clock, sequence>, "a distance between counts is a number");
		return bracket(at, static_cast<std::uint64_t>(max_distance.count()), ec);
	}
	// The numbers of all frames with from <= key <= to, for pin_number() and load_number().
	template <class Clock> std::optional<::shmb_range> numbers(key<Clock> from, key<Clock> to, on_error ec = {})
	{
		::shmb_range out = {};

		if (!detail::is_found(Clock::frame_numbers(handle_, from.get(), to.get(), &out), ec))
			return std::nullopt;
		return out;
	}
	// The newest, unless its key is below `oldest`.
	template <class Clock> std::optional<found_frame<Clock>> fresh(key<Clock> oldest, on_error ec = {})
	{
		typename Clock::c_found raw = {};
		::shmb_frame frame = {};

		if (!detail::is_found(Clock::frame_fresh(handle_, oldest.get(), &frame, &raw), ec))
			return std::nullopt;
		return found_frame<Clock>{ pinned_frame(handle_, frame), key<Clock>(raw.key) };
	}
	// The key of one frame. Nothing: not written yet, or gone.
	template <class Clock> std::optional<key<Clock>> key_of(std::uint64_t number, on_error ec = {})
	{
		typename Clock::c_key raw = {};

		if (!detail::is_found(Clock::frame_key_of(handle_, number, &raw), ec))
			return std::nullopt;
		return key<Clock>(raw);
	}
	// By which clock its frames are found; SHMB_CLOCK_NONE: not at all.
	::shmb_clock clock() const noexcept
	{
		return shmb_frame_clock(handle_);
	}
	// Sets the position to the first frame that is not older.
	template <class Clock> void since(key<Clock> at, on_error ec = {})
	{
		ec(Clock::frame_since(handle_, at.get()));
	}

	shmbroker::wake wait(deadline until, on_error ec = {})
	{
		return detail::wake_of(shmb_frame_wait(handle_, until.ns()), ec);
	}
	::shmb_segment_status status(on_error ec = {})
	{
		::shmb_segment_status out = {};

		ec(shmb_frame_status(handle_, &out));
		return out;
	}
	const ::shmb_type &type() const noexcept
	{
		return *shmb_frame_type(handle_);
	}
	// As waitable().follow(); frames that are held stay where they are.
	bool follow(on_error ec = {})
	{
		return detail::follow(shmb_frame_waitable(handle_), ec);
	}
	shmbroker::waitable waitable() const noexcept
	{
		return shmbroker::waitable(shmb_frame_waitable(handle_));
	}

      private:
	static std::optional<std::size_t> loaded(int result, const ::shmb_frame &raw, sample_info *info, const on_error &ec)
	{
		if (!detail::is_found(result, ec))
			return std::nullopt;
		if (info != nullptr)
			*info = sample_info(::shmb_sample{ raw.number, raw.stamp_ns, raw.missed });
		return raw.length;
	}
	std::optional<pinned_frame> pinned(int result, const ::shmb_frame &raw, const on_error &ec)
	{
		if (!detail::is_found(result, ec))
			return std::nullopt;
		return std::optional<pinned_frame>(std::in_place, handle_, raw);
	}
};

// What a frame_loader shows: of `size` bytes, as its writer committed them.
struct frame_snapshot : sample_info {
	const std::uint8_t *bytes;
	std::size_t size;
};

// shmb_loader_open_frame(): a private copy of the newest frame, kept new by a thread. Pins nothing. Borrows the reader: until it is closed nothing
// else may use that.
class frame_loader : public detail::owner<::shmb_loader, shmb_loader_close>
{
      public:
	explicit frame_loader(frame_reader &reader, on_error ec = {})
	{
		ec(shmb_loader_open_frame(&handle_, reader.get()), true);
	}
	// The newest frame; stays as it is until the next call. Nothing: none yet.
	std::optional<frame_snapshot> snapshot(on_error ec = {})
	{
		const void *payload = nullptr;
		::shmb_sample raw = {};

		if (!detail::is_there(shmb_loader_snapshot(handle_, &payload, &raw), ec))
			return std::nullopt;
		return frame_snapshot{ sample_info(raw), static_cast<const std::uint8_t *>(payload), shmb_loader_length(handle_) };
	}
	shmbroker::wake wait(deadline until, on_error ec = {})
	{
		return detail::wake_of(shmb_loader_wait(handle_, until.ns()), ec);
	}
};

} // namespace shmbroker

#endif
