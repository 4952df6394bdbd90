// SPDX-License-Identifier: MIT
#ifndef SHMB_TYPE_HPP
#define SHMB_TYPE_HPP

// Payload types in C++, for shmb.hpp, which includes it.
//
// A type is declared once, next to its struct and in the same namespace, and found from there by the handles:
//
//   namespace robot {
//   SHMB_STRUCT(pose, (uint64, stamp_ns)(float64, position, 3)(float64, orientation, 4));
//   }
//   shmbroker::value_writer<robot::pose> writer(broker, "pose");
//
// SHMB_STRUCT_OF(ctype, tag, fields) does it for a struct that exists already; size, offsets and alignment are checked against the fields at compile
// time. A schema names the type by its tag, without the namespace, so that programs in C and Python that declare the same fields agree.

#include <type_traits>
#include <utility>

#include "shmb_error.hpp"

#define SHMB_STRUCT_DESCRIBE(ctype, tag, fields)                                                                                           \
	inline const ::shmb_type &shmb_type_of(const ctype *) noexcept                                                                     \
	{                                                                                                                                  \
		static const ::shmb_type described = { #tag, SHMB_TYPE_TEXT(fields), sizeof(ctype), alignof(ctype) };                      \
		return described;                                                                                                          \
	}                                                                                                                                  \
	static_assert(true, "a semicolon follows")

#define SHMB_STRUCT(tag, fields)                                                                                                           \
	struct tag {                                                                                                                       \
		SHMB_TYPE_MEMBERS(fields)                                                                                                  \
	};                                                                                                                                 \
	static_assert(1 SHMB_TYPE_NATURALS(fields), #tag ": a primitive is not naturally aligned on this machine");                        \
	SHMB_STRUCT_DESCRIBE(tag, tag, fields)

#define SHMB_STRUCT_OF(ctype, tag, fields)                                                                                                 \
	struct tag##_mirror {                                                                                                              \
		SHMB_TYPE_MEMBERS(fields)                                                                                                  \
	};                                                                                                                                 \
	inline void tag##_check() noexcept                                                                                                 \
	{                                                                                                                                  \
		typedef ctype shmb_type_given;                                                                                             \
		typedef tag##_mirror shmb_type_mirror;                                                                                     \
		static_assert(sizeof(shmb_type_given) == sizeof(shmb_type_mirror), #tag ": size differs from its fields");                 \
		static_assert(1 SHMB_TYPE_SAMES(fields), #tag ": a field lies elsewhere or has another size than declared");               \
		static_assert(1 SHMB_TYPE_NATURALS(fields), #tag ": a primitive is not naturally aligned on this machine");                \
	}                                                                                                                                  \
	SHMB_STRUCT_DESCRIBE(ctype, tag, fields)

namespace shmbroker
{

namespace detail
{

template <class T, class = void> struct is_described : std::false_type {
};
template <class T> struct is_described<T, std::void_t<decltype(shmb_type_of(static_cast<const T *>(nullptr)))>> : std::true_type {
};

template <class T> const ::shmb_type &type_of() noexcept
{
	static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>,
		      "a payload is plain bytes: trivially copyable, of standard layout");
	static_assert(is_described<T>::value, "declare the payload with SHMB_STRUCT or SHMB_STRUCT_OF, in the namespace of its struct");
	return shmb_type_of(static_cast<const T *>(nullptr));
}

// Owns a handle of the C library that ends with `Close`.
template <class Handle, Handle *(*Close)(Handle *)> class owner
{
      public:
	owner() noexcept = default;
	owner(owner &&other) noexcept : handle_(std::exchange(other.handle_, nullptr))
	{
	}
	owner &operator=(owner &&other) noexcept
	{
		if (this != &other) {
			Close(handle_);
			handle_ = std::exchange(other.handle_, nullptr);
		}
		return *this;
	}
	owner(const owner &) = delete;
	owner &operator=(const owner &) = delete;
	~owner()
	{
		Close(handle_);
	}
	explicit operator bool() const noexcept
	{
		return handle_ != nullptr;
	}
	// The handle for functions of the C library; stays owned.
	Handle *get() const noexcept
	{
		return handle_;
	}
	void close() noexcept
	{
		handle_ = Close(handle_);
	}

      protected:
	Handle *handle_ = nullptr;
};

} // namespace detail

// A type made at run time: from schema text, of opaque bytes, of images. For frames, whose payloads need not be structs.
class type : public detail::owner<::shmb_type, shmb_type_free>
{
      public:
	static type parse(const char *name, const char *schema, on_error ec = {})
	{
		type out;

		ec(shmb_type_parse(&out.handle_, name, schema), true);
		return out;
	}
	static type opaque(std::size_t bytes, on_error ec = {})
	{
		type out;

		ec(shmb_type_opaque(&out.handle_, bytes), true);
		return out;
	}
	static type image(const struct ::shmb_image_layout &layout, on_error ec = {})
	{
		type out;

		ec(shmb_image_type(&out.handle_, &layout), true);
		return out;
	}
	const ::shmb_type &operator*() const noexcept
	{
		return *handle_;
	}
};

// The size of a picture and how it lies in memory; `stride` 0: rows without padding.
inline struct ::shmb_image_layout image_layout(std::uint32_t width, std::uint32_t height, ::shmb_image_format format,
					       std::uint32_t stride = 0, on_error ec = {})
{
	struct ::shmb_image_layout out = {};

	ec(shmb_image_layout(&out, width, height, stride, format));
	return out;
}

} // namespace shmbroker

#endif
