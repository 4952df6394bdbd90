/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TYPE_H
#define SHMB_TYPE_H

/*
 * The macros behind SHMB_TYPE and SHMB_TYPE_OF: included by shmb.h, which documents them. One list of fields becomes a struct, its schema
 * and the checks. The list is a row of tuples, `(primitive, name)` or `(primitive, name, count)`; two macros that call each other walk it
 * (each leaves the other's name before the next tuple), so that it may have any length.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SHMB_TYPE_ASSERT(condition, text) static_assert(condition, text)
#define SHMB_TYPE_ALIGNOF(type) alignof(type)
#else
#define SHMB_TYPE_ASSERT(condition, text) _Static_assert(condition, text)
#define SHMB_TYPE_ALIGNOF(type) _Alignof(type)
#endif

#define SHMB_TYPE_CAT(a, b) SHMB_TYPE_CAT_(a, b)
#define SHMB_TYPE_CAT_(a, b) a##b
#define SHMB_TYPE_STR(a) SHMB_TYPE_STR_(a)
#define SHMB_TYPE_STR_(a) #a

/* ROS 2 primitive -> C type and ROS name. `bool` may arrive here as what stdbool.h makes of it. */
#define SHMB_TYPE_C_bool bool
#define SHMB_TYPE_C__Bool bool
#define SHMB_TYPE_C_byte uint8_t
#define SHMB_TYPE_C_char uint8_t
#define SHMB_TYPE_C_int8 int8_t
#define SHMB_TYPE_C_uint8 uint8_t
#define SHMB_TYPE_C_int16 int16_t
#define SHMB_TYPE_C_uint16 uint16_t
#define SHMB_TYPE_C_int32 int32_t
#define SHMB_TYPE_C_uint32 uint32_t
#define SHMB_TYPE_C_int64 int64_t
#define SHMB_TYPE_C_uint64 uint64_t
#define SHMB_TYPE_C_float32 float
#define SHMB_TYPE_C_float64 double

#define SHMB_TYPE_ROS_bool "bool"
#define SHMB_TYPE_ROS__Bool "bool"
#define SHMB_TYPE_ROS_byte "byte"
#define SHMB_TYPE_ROS_char "char"
#define SHMB_TYPE_ROS_int8 "int8"
#define SHMB_TYPE_ROS_uint8 "uint8"
#define SHMB_TYPE_ROS_int16 "int16"
#define SHMB_TYPE_ROS_uint16 "uint16"
#define SHMB_TYPE_ROS_int32 "int32"
#define SHMB_TYPE_ROS_uint32 "uint32"
#define SHMB_TYPE_ROS_int64 "int64"
#define SHMB_TYPE_ROS_uint64 "uint64"
#define SHMB_TYPE_ROS_float32 "float32"
#define SHMB_TYPE_ROS_float64 "float64"

/* (primitive, name) or (primitive, name, count) -> the macro of that arity */
#define SHMB_TYPE_PICK(a, b, c, macro, ...) macro
#define SHMB_TYPE_MEMBER(...) SHMB_TYPE_PICK(__VA_ARGS__, SHMB_TYPE_MEMBER_ARRAY, SHMB_TYPE_MEMBER_ONE, 0)(__VA_ARGS__)
/* NOLINTBEGIN(bugprone-macro-parentheses): what is declared has none */
#define SHMB_TYPE_MEMBER_ONE(primitive, name) SHMB_TYPE_CAT(SHMB_TYPE_C_, primitive) name;
#define SHMB_TYPE_MEMBER_ARRAY(primitive, name, count) SHMB_TYPE_CAT(SHMB_TYPE_C_, primitive) name[count];
/* NOLINTEND(bugprone-macro-parentheses) */

#define SHMB_TYPE_LINE(...) SHMB_TYPE_PICK(__VA_ARGS__, SHMB_TYPE_LINE_ARRAY, SHMB_TYPE_LINE_ONE, 0)(__VA_ARGS__)
#define SHMB_TYPE_LINE_ONE(primitive, name) SHMB_TYPE_CAT(SHMB_TYPE_ROS_, primitive) " " #name "\n"
#define SHMB_TYPE_LINE_ARRAY(primitive, name, count) SHMB_TYPE_CAT(SHMB_TYPE_ROS_, primitive) "[" SHMB_TYPE_STR(count) "] " #name "\n"

#define SHMB_TYPE_NATURAL(...) SHMB_TYPE_PICK(__VA_ARGS__, SHMB_TYPE_NATURAL_ARRAY, SHMB_TYPE_NATURAL_ONE, 0)(__VA_ARGS__)
#define SHMB_TYPE_NATURAL_ONE(primitive, name)                                                                                             \
	&&SHMB_TYPE_ALIGNOF(SHMB_TYPE_CAT(SHMB_TYPE_C_, primitive)) == sizeof(SHMB_TYPE_CAT(SHMB_TYPE_C_, primitive))
#define SHMB_TYPE_NATURAL_ARRAY(primitive, name, count) SHMB_TYPE_NATURAL_ONE(primitive, name)

/* One walker for each use; A and B alternate. */
#define SHMB_TYPE_MEMBERS(fields) SHMB_TYPE_CAT(SHMB_TYPE_MEMBERS_A fields, _END)
#define SHMB_TYPE_MEMBERS_A(...) SHMB_TYPE_MEMBER(__VA_ARGS__) SHMB_TYPE_MEMBERS_B
#define SHMB_TYPE_MEMBERS_B(...) SHMB_TYPE_MEMBER(__VA_ARGS__) SHMB_TYPE_MEMBERS_A
#define SHMB_TYPE_MEMBERS_A_END
#define SHMB_TYPE_MEMBERS_B_END
#define SHMB_TYPE_TEXT(fields) SHMB_TYPE_CAT(SHMB_TYPE_TEXT_A fields, _END)
#define SHMB_TYPE_TEXT_A(...) SHMB_TYPE_LINE(__VA_ARGS__) SHMB_TYPE_TEXT_B
#define SHMB_TYPE_TEXT_B(...) SHMB_TYPE_LINE(__VA_ARGS__) SHMB_TYPE_TEXT_A
#define SHMB_TYPE_TEXT_A_END
#define SHMB_TYPE_TEXT_B_END
#define SHMB_TYPE_NATURALS(fields) SHMB_TYPE_CAT(SHMB_TYPE_NATURALS_A fields, _END)
#define SHMB_TYPE_NATURALS_A(...) SHMB_TYPE_NATURAL(__VA_ARGS__) SHMB_TYPE_NATURALS_B
#define SHMB_TYPE_NATURALS_B(...) SHMB_TYPE_NATURAL(__VA_ARGS__) SHMB_TYPE_NATURALS_A
#define SHMB_TYPE_NATURALS_A_END
#define SHMB_TYPE_NATURALS_B_END

#define SHMB_TYPE(tag, fields)                                                                                                             \
	struct tag {                                                                                                                       \
		SHMB_TYPE_MEMBERS(fields)                                                                                                  \
	};                                                                                                                                 \
	SHMB_TYPE_ASSERT(1 SHMB_TYPE_NATURALS(fields), #tag ": a primitive is not naturally aligned on this machine");                     \
	static const struct shmb_type tag##_type                                                                                           \
		__attribute__((unused)) = { #tag, SHMB_TYPE_TEXT(fields), sizeof(struct tag), SHMB_TYPE_ALIGNOF(struct tag) }

/* Offsets of an existing struct against those of its mirror. */
#define SHMB_TYPE_SAME(...) SHMB_TYPE_SAME_(__VA_ARGS__, 0)
#define SHMB_TYPE_SAME_(primitive, name, ...)                                                                                              \
	&&offsetof(shmb_type_given, name) == offsetof(shmb_type_mirror, name) &&                                                           \
		sizeof(((shmb_type_given *)0)->name) == sizeof(((shmb_type_mirror *)0)->name)
#define SHMB_TYPE_SAMES(fields) SHMB_TYPE_CAT(SHMB_TYPE_SAMES_A fields, _END)
#define SHMB_TYPE_SAMES_A(...) SHMB_TYPE_SAME(__VA_ARGS__) SHMB_TYPE_SAMES_B
#define SHMB_TYPE_SAMES_B(...) SHMB_TYPE_SAME(__VA_ARGS__) SHMB_TYPE_SAMES_A
#define SHMB_TYPE_SAMES_A_END
#define SHMB_TYPE_SAMES_B_END

#define SHMB_TYPE_OF(ctype, tag, fields)                                                                                                   \
	struct tag##_mirror {                                                                                                              \
		SHMB_TYPE_MEMBERS(fields)                                                                                                  \
	};                                                                                                                                 \
	static inline __attribute__((unused)) void tag##_check(void)                                                                       \
	{                                                                                                                                  \
		typedef ctype shmb_type_given;                                                                                             \
		typedef struct tag##_mirror shmb_type_mirror;                                                                              \
		SHMB_TYPE_ASSERT(sizeof(shmb_type_given) == sizeof(shmb_type_mirror), #tag ": size differs from its fields");              \
		SHMB_TYPE_ASSERT(1 SHMB_TYPE_SAMES(fields), #tag ": a field lies elsewhere or has another size than declared");            \
		SHMB_TYPE_ASSERT(1 SHMB_TYPE_NATURALS(fields), #tag ": a primitive is not naturally aligned on this machine");             \
	}                                                                                                                                  \
	static const struct shmb_type tag##_type                                                                                           \
		__attribute__((unused)) = { #tag, SHMB_TYPE_TEXT(fields), sizeof(ctype), SHMB_TYPE_ALIGNOF(ctype) }

#endif
