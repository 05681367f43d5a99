/* SPDX-License-Identifier: GPL-2.0 */
/* Bytes of one call become chunks of an HTTP connection. */
#pragma once

#include "http.h"
#include "open.h"

struct piece {
	__u64 connection;
	__u64 monotonic_ns;
	__u64 buffer;
	__u32 length;
	/* Bytes of `length` to send along. */
	__u32 wanted;
	__u8 flow;
};

/* The verifier wants sizes that it knows, so the room comes in four of them. */
#define EMIT(room)                                                                       \
	do {                                                                             \
		struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r) + room, 0);   \
		__u32 size = piece->wanted;                                              \
		if (!r) {                                                                \
			count_drop(DROP_RING_FULL);                                      \
			return;                                                          \
		}                                                                        \
		r->connection = piece->connection;                                       \
		r->monotonic_ns = piece->monotonic_ns;                                   \
		r->length = piece->length;                                               \
		r->kind = KIND_DATA;                                                     \
		r->flow = piece->flow;                                                   \
		barrier_var(size);                                                       \
		if (size > room)                                                         \
			size = room;                                                     \
		if (size && bpf_probe_read_user(r + 1, size, (void *)piece->buffer)) {   \
			count_drop(DROP_UNREADABLE);                                     \
			size = 0;                                                        \
		}                                                                        \
		r->captured = size;                                                      \
		bpf_ringbuf_submit(r, wake_flags());                                     \
	} while (0)

static __noinline void emit(const struct piece *piece)
{
	if (piece->wanted <= 256)
		EMIT(256);
	else if (piece->wanted <= 1024)
		EMIT(1024);
	else if (piece->wanted <= 4096)
		EMIT(4096);
	else
		EMIT(CHUNK_LIMIT);
}

/* Chunks of one buffer, of which at most `limit` bytes go along; returns how many went. */
static __always_inline __u32 emit_buffer(struct piece *piece, __u32 length, __u32 limit)
{
	__u32 left = length, wanted = length < limit ? length : limit, sent = 0;

	for (int i = 0; i < CHUNKS_A_BUFFER; i++) {
		bool last = wanted <= CHUNK_LIMIT;

		piece->wanted = last ? wanted : CHUNK_LIMIT;
		/* What is not captured is missing from the end of the last chunk. */
		piece->length = last ? left : CHUNK_LIMIT;
		emit(piece);
		sent += piece->wanted;
		if (last)
			break;
		piece->buffer += CHUNK_LIMIT;
		left -= CHUNK_LIMIT;
		wanted -= CHUNK_LIMIT;
	}
	return sent;
}

/* Known, or begun by this very message; false: nobody wants these bytes. */
static __always_inline bool wanted_connection(const struct endpoint *at, __u32 tgid, bool tls,
					      __u64 buffer, __u64 length, __u8 flow)
{
	struct connection_key key = {.sk = at->sk, .tgid = tgid};
	struct connection *known = bpf_map_lookup_elem(&connections, &key);
	__u8 role;

	if (known && known->inode == at->inode)
		return known->tls == tls;
	role = http_role(buffer, length, flow);
	if (role == ROLE_UNKNOWN)
		return false;
	return open_connection(at, tgid, role, tls);
}
