// SPDX-License-Identifier: MIT
#ifndef SHMB_QUEUE_HPP
#define SHMB_QUEUE_HPP

// Queues in C++, for shmb.hpp, which includes it: every item once, in order, none lost (shmb_queue.h).

#include "shmb_ring.hpp"

namespace shmbroker
{

// A place for the next item. Ends with commit(), or at the end of its scope unpushed.
template <class T> class queue_claim
{
      public:
	queue_claim(::shmb_queue_producer *producer, T *item) noexcept : producer_(producer), item_(item)
	{
	}
	queue_claim(queue_claim &&other) noexcept : producer_(std::exchange(other.producer_, nullptr)), item_(other.item_)
	{
	}
	queue_claim &operator=(queue_claim &&) = delete;
	queue_claim(const queue_claim &) = delete;
	queue_claim &operator=(const queue_claim &) = delete;
	~queue_claim()
	{
		if (producer_ != nullptr)
			shmb_queue_abort(producer_);
	}
	T &operator*() const noexcept
	{
		return *item_;
	}
	T *operator->() const noexcept
	{
		return item_;
	}
	void commit(on_error ec = {})
	{
		ec(shmb_queue_commit(std::exchange(producer_, nullptr)));
	}

      private:
	::shmb_queue_producer *producer_;
	T *item_;
};

template <class T> class queue_producer : public detail::owner<::shmb_queue_producer, shmb_queue_producer_close>
{
      public:
	queue_producer(connection &broker, const char *name, const options &options = {}, on_error ec = {})
	{
		ec(shmb_queue_producer_open(&this->handle_, broker.get(), name, &detail::type_of<T>(), &options.raw()), true);
	}
	// False: full.
	bool push(const T &item, on_error ec = {})
	{
		int result = shmb_queue_push(this->handle_, &item);

		return pushed(result, result == -EAGAIN, ec);
	}
	// False: still full at the deadline.
	bool push(const T &item, deadline until, on_error ec = {})
	{
		int result = shmb_queue_push_until(this->handle_, &item, until.ns());

		return pushed(result, result == -ETIMEDOUT, ec);
	}
	// As many as there is room for; how many that were.
	std::size_t push_batch(const T *items, std::size_t count, on_error ec = {})
	{
		std::size_t done = 0;
		int result = shmb_queue_push_batch(this->handle_, items, count, &done);

		pushed(result, result == -EAGAIN, ec);
		return done;
	}
	// In place. Nothing: full.
	std::optional<queue_claim<T>> claim(on_error ec = {})
	{
		void *payload = nullptr;
		int result = shmb_queue_claim(this->handle_, &payload);

		if (!pushed(result, result == -EAGAIN, ec))
			return std::nullopt;
		return std::optional<queue_claim<T>>(std::in_place, this->handle_, static_cast<T *>(payload));
	}
	shmbroker::wake wait_room(deadline until, on_error ec = {})
	{
		return detail::wake_of(shmb_queue_wait_room(this->handle_, until.ns()), ec);
	}
	void heartbeat(on_error ec = {})
	{
		ec(shmb_queue_heartbeat(this->handle_));
	}
	std::uint64_t next() const noexcept
	{
		return shmb_queue_next_number(this->handle_);
	}
	shmbroker::waitable waitable() const noexcept
	{
		return shmbroker::waitable(shmb_queue_room_waitable(this->handle_));
	}

      private:
	static bool pushed(int result, bool is_full, const on_error &ec)
	{
		if (is_full) {
			ec.nothing(result);
			return false;
		}
		return ec(result) == 0;
	}
};

template <class T> class queue_consumer : public detail::owner<::shmb_queue_consumer, shmb_queue_consumer_close>
{
      public:
	queue_consumer(connection &broker, const char *name, deadline until = no_wait, on_error ec = {})
	{
		ec(shmb_queue_consumer_open(&this->handle_, broker.get(), name, &detail::type_of<T>(), until.ns()), true);
	}
	// The oldest item, which is consumed thereby. Nothing: empty, or (EREMCHG in a code that was passed) empty and replaced by a new queue.
	std::optional<sample<T>> pop(on_error ec = {})
	{
		return detail::read_sample<T>([this](T *to, ::shmb_sample *raw) { return shmb_queue_pop(this->handle_, to, raw); }, ec);
	}
	// Waits for it. Nothing: the deadline, or what became of the producer or queue, as a code that was passed says; EREMCHG: pop again, from the
	// queue's new generation.
	std::optional<sample<T>> pop(deadline until, on_error ec = {})
	{
		std::optional<sample<T>> out(std::in_place);
		::shmb_sample raw = {};
		int result = shmb_queue_pop_until(this->handle_, &out->value, &raw, until.ns());

		switch (result) {
		case 0:
			ec.good();
			static_cast<sample_info &>(*out) = sample_info(raw);
			return out;
		case -ETIMEDOUT:
		case -ECANCELED:
		case -EPIPE:
		case -EHOSTDOWN:
		case -EREMCHG:
		case -ESTALE:
		case -EOWNERDEAD:
			ec.nothing(result);
			return std::nullopt;
		default:
			ec(result, true);
			return std::nullopt;
		}
	}
	// In place: the item `ahead` places behind the oldest, valid until it is released. nullptr: there are not that many.
	const T *peek(std::uint32_t ahead = 0, sample_info *info = nullptr, on_error ec = {})
	{
		const void *payload = nullptr;
		::shmb_sample raw = {};

		if (!detail::is_there(shmb_queue_peek(this->handle_, ahead, &payload, &raw), ec))
			return nullptr;
		if (info != nullptr)
			*info = sample_info(raw);
		return static_cast<const T *>(payload);
	}
	// Consumes the oldest `count` items, which must have been peeked at.
	void release(std::uint32_t count = 1, on_error ec = {})
	{
		ec(shmb_queue_release(this->handle_, count));
	}
	shmbroker::wake wait(deadline until, on_error ec = {})
	{
		return detail::wake_of(shmb_queue_wait(this->handle_, until.ns()), ec);
	}
	// Number of the oldest item that is not consumed.
	std::uint64_t position() const noexcept
	{
		return shmb_queue_position(this->handle_);
	}
	::shmb_segment_status status(on_error ec = {})
	{
		::shmb_segment_status out = {};

		ec(shmb_queue_status(this->handle_, &out));
		return out;
	}
	// As waitable().follow(); false also while items are left, which must be consumed first.
	bool follow(on_error ec = {})
	{
		return detail::follow(shmb_queue_waitable(this->handle_), ec);
	}
	shmbroker::waitable waitable() const noexcept
	{
		return shmbroker::waitable(shmb_queue_waitable(this->handle_));
	}
};

} // namespace shmbroker

#endif
