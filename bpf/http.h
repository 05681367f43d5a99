/* SPDX-License-Identifier: GPL-2.0 */
/* Does a buffer begin an HTTP/1 message? */
#pragma once

#include "capture.h"

#define LETTERS(a, b, c, d) \
	((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
#define START_LENGTH 8

struct start {
	__u32 first, second;
};

/* Keep the first letters of the second word only. */
#define ONE 0xffu
#define TWO 0xffffu
#define THREE 0xffffffu

static __always_inline bool is_request(const struct start *start)
{
	__u32 next = start->second;

	switch (start->first) {
	case LETTERS('G', 'E', 'T', ' '):
	case LETTERS('P', 'U', 'T', ' '):
		return true;
	case LETTERS('P', 'O', 'S', 'T'):
	case LETTERS('H', 'E', 'A', 'D'):
		return (next & ONE) == ' ';
	case LETTERS('P', 'A', 'T', 'C'):
		return (next & TWO) == LETTERS('H', ' ', 0, 0);
	case LETTERS('T', 'R', 'A', 'C'):
		return (next & TWO) == LETTERS('E', ' ', 0, 0);
	case LETTERS('D', 'E', 'L', 'E'):
		return (next & THREE) == LETTERS('T', 'E', ' ', 0);
	case LETTERS('O', 'P', 'T', 'I'):
		return next == LETTERS('O', 'N', 'S', ' ');
	case LETTERS('C', 'O', 'N', 'N'):
		return next == LETTERS('E', 'C', 'T', ' ');
	default:
		return false;
	}
}

static __always_inline bool is_response(const struct start *start)
{
	return start->first == LETTERS('H', 'T', 'T', 'P') &&
	       (start->second & THREE) == LETTERS('/', '1', '.', 0);
}

/* Whoever sends a request or receives a response is the client; ROLE_UNKNOWN: not HTTP. */
static __always_inline __u8 http_role(__u64 buffer, __u64 length, __u8 flow)
{
	struct start start = {};

	if (length < START_LENGTH)
		return ROLE_UNKNOWN;
	if (bpf_probe_read_user(&start, sizeof(start), (void *)buffer))
		return ROLE_UNKNOWN;
	if (is_request(&start))
		return flow == FLOW_SENT ? ROLE_CLIENT : ROLE_SERVER;
	if (is_response(&start))
		return flow == FLOW_SENT ? ROLE_SERVER : ROLE_CLIENT;
	return ROLE_UNKNOWN;
}

/* A TLS record: type 20-23, then version 3.x. */
static __always_inline bool is_tls_record(__u64 buffer, __u64 length)
{
	__u8 start[2] = {};

	if (length < 5 || bpf_probe_read_user(start, sizeof(start), (void *)buffer))
		return false;
	return start[0] >= 20 && start[0] <= 23 && start[1] == 3;
}
