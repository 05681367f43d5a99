/* SPDX-License-Identifier: GPL-2.0 */
/* The maps that all programs share. base.bpf.c creates them; the loader lends them to the rest. */
#pragma once

#include "capture.h"

const volatile struct settings settings = {};

/* Sizes are defaults; the loader sets them from the agent's settings. */
#define MAP(map_type, map_name, key_type, value_type, entries) \
	struct {                                               \
		__uint(type, map_type);                        \
		__uint(max_entries, entries);                  \
		__type(key, key_type);                         \
		__type(value, value_type);                     \
	} map_name SEC(".maps")

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

MAP(BPF_MAP_TYPE_PERCPU_ARRAY, drops, __u32, __u64, DROP_REASONS);
MAP(BPF_MAP_TYPE_HASH, excluded_pids, __u32, __u8, 4096);
MAP(BPF_MAP_TYPE_HASH, excluded_endpoints, struct address_key, __u8, 1024);
MAP(BPF_MAP_TYPE_LRU_HASH, connections, struct connection_key, struct connection, 65536);
MAP(BPF_MAP_TYPE_LRU_HASH, sockets, struct sock *, struct peers, 65536);
/* An entry stays for the thread's next call: writing in place is cheaper than insert and delete. */
MAP(BPF_MAP_TYPE_LRU_HASH, calls, __u64, struct call, 16384);
MAP(BPF_MAP_TYPE_LRU_HASH, ssl_sockets, struct ssl_key, struct endpoint, 65536);
MAP(BPF_MAP_TYPE_LRU_HASH, libraries, struct library_key, __u8, 1024);

static __always_inline void count_drop(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&drops, &reason);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline bool pid_excluded(__u32 tgid)
{
	return bpf_map_lookup_elem(&excluded_pids, &tgid) != NULL;
}

/* User space looks every few dozen milliseconds anyway; it is woken only when much waits. */
static __always_inline __u64 wake_flags(void)
{
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= settings.wake_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}
