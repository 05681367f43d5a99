/* SPDX-License-Identifier: GPL-2.0 */
/* Bytes of one call become chunks of an HTTP connection. */
#pragma once

#include "http.h"
#include "open.h"

/* The verifier wants sizes that it knows, so the room comes in a few of them. */
#define EMIT(room)                                                                     \
	do {                                                                           \
		struct record *r = bpf_ringbuf_reserve(&events, sizeof(*r) + room, 0); \
		__u32 size = wanted;                                                   \
		if (!r) {                                                              \
			count_drop(DROP_RING_FULL);                                    \
			return 0;                                                      \
		}                                                                      \
		r->connection = connection;                                            \
		r->monotonic_ns = moment;                                              \
		r->length = length;                                                    \
		r->kind = KIND_DATA;                                                   \
		r->flow = lengths >> FLOW_SHIFT;                                       \
		barrier_var(size);                                                     \
		if (size > room)                                                       \
			size = room;                                                   \
		if (size && bpf_probe_read_user(r + 1, size, (void *)buffer)) {        \
			count_drop(DROP_UNREADABLE);                                   \
			size = 0;                                                      \
		}                                                                      \
		r->captured = size;                                                    \
		bpf_ringbuf_submit(r, wake_flags());                                   \
	} while (0)

/* Length, bytes of it to send along, and flow in one word: five arguments is all there is. */
#define LIMIT_SHIFT 32
#define FLOW_SHIFT 63
#define LENGTH_MASK 0xffffffffu
#define LIMIT_MASK 0x7fffffffu

static __always_inline __u64 pack_lengths(__u32 length, __u32 limit, __u8 flow)
{
	__u64 wanted = length < limit ? length : limit;

	return length | wanted << LIMIT_SHIFT | (__u64)flow << FLOW_SHIFT;
}

/* Not static: the verifier then looks at it once, not at every place that calls it. */
__noinline int emit(__u64 connection, __u64 moment, __u64 buffer, __u64 lengths)
{
	__u32 length = lengths & LENGTH_MASK;
	__u32 wanted = lengths >> LIMIT_SHIFT & LIMIT_MASK;

	if (wanted <= 256)
		EMIT(256);
	else if (wanted <= 512)
		EMIT(512);
	else if (wanted <= 1024)
		EMIT(1024);
	else if (wanted <= 4096)
		EMIT(4096);
	else
		EMIT(CHUNK_LIMIT);
	return 0;
}

/* Chunks of one buffer; what is not captured is missing from the end of the last one. */
__noinline int emit_buffer(__u64 connection, __u64 moment, __u64 buffer, __u64 lengths)
{
	__u32 left = lengths & LENGTH_MASK;
	__u32 wanted = lengths >> LIMIT_SHIFT & LIMIT_MASK;
	__u8 flow = lengths >> FLOW_SHIFT;

	for (int i = 0; i < CHUNKS_A_BUFFER && wanted > CHUNK_LIMIT; i++) {
		emit(connection, moment, buffer, pack_lengths(CHUNK_LIMIT, CHUNK_LIMIT, flow));
		buffer += CHUNK_LIMIT;
		left -= CHUNK_LIMIT;
		wanted -= CHUNK_LIMIT;
	}
	return emit(connection, moment, buffer, pack_lengths(left, wanted, flow));
}

/* The name of a connection that is known, or begun by this very message; 0: nobody wants it.
 *
 * On a TLS connection everything outside TLS calls is ciphertext. A plain one may turn into
 * TLS (a tunnel through a proxy): then it is a connection of its own.
 */
static __always_inline __u64 wanted_connection(const struct endpoint *at, __u32 tgid, bool tls,
					       __u64 buffer, __u64 length, __u8 flow)
{
	struct connection_key key = {.sk = at->sk, .tgid = tgid};
	struct connection *known = bpf_map_lookup_elem(&connections, &key);
	__u64 id = connection_id(at->inode, tgid, tls);
	__u8 role;

	if (known && known->inode == at->inode) {
		if (known->tls == tls)
			return pid_excluded(tgid) ? 0 : id;
		if (!tls)
			return 0;
	}
	role = http_role(buffer, length, flow);
	/* Processes are asked last: nearly all bytes on sockets are nobody's HTTP. */
	if (role == ROLE_UNKNOWN || pid_excluded(tgid))
		return 0;
	return open_connection((__u64)at->sk, at->inode, tgid, role, tls) ? id : 0;
}
