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
	// Publishes the first `length` bytes. On std::errc::message_size the frame stays on loan.
	void commit(std::size_t length, on_error ec = {})
	{
		int result = shmb_frame_commit(writer_, length);

		if (result != -EMSGSIZE)
			writer_ = nullptr;
		ec(result);
	}
	void abort() noexcept
	{
		if (writer_ != nullptr)
			shmb_frame_abort(std::exchange(writer_, nullptr));
	}

      private:
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

class frame_reader : public detail::owner<::shmb_frame_reader, shmb_frame_reader_close>
{
      public:
	// `type` nullptr: whatever is there.
	frame_reader(connection &broker, const char *name, const ::shmb_type *type = nullptr, deadline until = no_wait, on_error ec = {})
	{
		ec(shmb_frame_reader_open(&handle_, broker.get(), name, type, until.ns()), true);
	}
	// Nothing: none yet, nothing new, or (number) gone.
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
	// A copy; needs no cell. Nothing: none yet. std::errc::message_size: `size` is too small.
	std::optional<std::size_t> load_newest(void *buffer, std::size_t size, sample_info *info = nullptr, on_error ec = {})
	{
		::shmb_frame raw = {};

		if (!detail::is_there(shmb_frame_load_newest(handle_, buffer, size, &raw), ec))
			return std::nullopt;
		if (info != nullptr)
			*info = sample_info(::shmb_sample{ raw.number, raw.stamp_ns, raw.missed });
		return raw.length;
	}
	void seek(std::uint64_t number, on_error ec = {})
	{
		ec(shmb_frame_seek(handle_, number));
	}
	std::pair<std::uint64_t, std::uint64_t> bounds(on_error ec = {})
	{
		std::pair<std::uint64_t, std::uint64_t> out;

		ec(shmb_frame_bounds(handle_, &out.first, &out.second));
		return out;
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
	shmbroker::waitable waitable() const noexcept
	{
		return shmbroker::waitable(shmb_frame_waitable(handle_));
	}

      private:
	std::optional<pinned_frame> pinned(int result, const ::shmb_frame &raw, const on_error &ec)
	{
		if (!detail::is_found(result, ec))
			return std::nullopt;
		return std::optional<pinned_frame>(std::in_place, handle_, raw);
	}
};

} // namespace shmbroker

#endif
