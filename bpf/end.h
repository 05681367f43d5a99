/* SPDX-License-Identifier: GPL-2.0 */
/* Names of connections, and the record that one has ended. */
#pragma once

#include "maps.h"

/* Inodes of sockets have 32 bits, process numbers at most 22. */
#define TLS_SHIFT 31

static __always_inline __u64 connection_id(__u64 inode, __u32 tgid, bool tls)
{
	return inode << 32 | (__u64)tls << TLS_SHIFT | tgid;
}

static __always_inline void fill_head(struct record *head, __u64 connection, __u8 kind)
{
	head->connection = connection;
	head->monotonic_ns = bpf_ktime_get_ns();
	head->length = 0;
	head->captured = 0;
	head->kind = kind;
	head->flow = 0;
}

static __always_inline void tell_end(const struct connection *connection, __u32 tgid)
{
	struct record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record) {
		count_drop(DROP_RING_FULL);
		return;
	}
	fill_head(record, connection_id(connection->inode, tgid, connection->tls), KIND_CLOSE);
	bpf_ringbuf_submit(record, wake_flags());
}
