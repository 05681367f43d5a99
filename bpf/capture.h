/* SPDX-License-Identifier: GPL-2.0 */
/* What user space and the programs share: records, settings, limits.
 *
 * agent/capture/layout.py holds the same structures for Python; a test compares sizes.
 */
#pragma once

#include "kernel.h"

enum kind {
	KIND_DATA = 1,
	KIND_CLOSE = 2,
	KIND_OPEN = 3,
	KIND_LIBRARY = 4,
	KIND_DNS_SOCKET = 5,
	KIND_DNS = 6,
};

enum flow {
	FLOW_RECEIVED = 0,
	FLOW_SENT = 1,
	/* A handshake carries no bytes of interest; it tells which socket an SSL object has. */
	FLOW_NONE = 2,
};

enum role {
	ROLE_UNKNOWN = 0,
	ROLE_CLIENT = 1,
	ROLE_SERVER = 2,
};

/* Why a chunk did not reach user space; the index of the `drops` map. */
enum drop {
	DROP_RING_FULL,
	DROP_NO_SOCKET,
	DROP_NO_MEMORY,
	DROP_UNREADABLE,
	/* Messages or buffers of one call beyond what is looked at. */
	DROP_BEYOND,
	DROP_REASONS,
};

/* Written by user space before load; the verifier then removes what is off. */
struct settings {
	__u32 netns;
	__u32 call_limit;
	__u32 wake_bytes;
	__u32 plain_http;
};

#define CHUNK_LIMIT 16384
/* Chunks of one buffer: call_limit is at most this many times CHUNK_LIMIT. */
#define CHUNKS_A_BUFFER 16
#define VECTORS_A_CALL 16

struct record {
	__u64 connection;
	__u64 monotonic_ns;
	__u32 length;
	__u32 captured;
	__u8 kind;
	__u8 flow;
	__u8 pad[6];
};

#define NAME_LENGTH 128
#define PATH_PARTS 24
#define PATH_SPACE 512

/* Of one connection, before its first chunk. Addresses in network order, ports in host order. */
struct opened {
	struct record head;
	__u64 socket;
	__u32 tgid;
	__u32 uid;
	__u32 netns;
	__u16 family;
	__u16 local_port;
	__u16 remote_port;
	__u8 role;
	__u8 tls;
	__u32 path_length;
	__u8 local[16];
	__u8 remote[16];
	char comm[16];
	char cgroup[NAME_LENGTH];
	/* Names of the executable's path, the last one first, each ended by NUL. */
	char path[PATH_SPACE + NAME_LENGTH];
};

/* A process mapped code of a TLS library that was not seen before. */
struct library {
	struct record head;
	__u64 inode_address;
	__u64 inode;
	__u64 mapped_at;
	__u32 tgid;
	__u32 pad;
};

/* The other end of a message. Address in network order, port in host order. */
struct peer {
	__u8 address[16];
	__u16 family;
	__u16 port;
	__u16 protocol;
	__u16 pad;
};

/* Bytes of a DNS message follow; those of one message may come in several records. */
struct dns_record {
	struct record head;
	struct peer peer;
	/* No more of this datagram comes. */
	__u8 last;
	__u8 pad[7];
};

struct dns_key {
	__u64 inode;
	__u64 tgid;
};

struct connection_key {
	struct sock *sk;
	__u64 tgid;
};

struct connection {
	__u64 inode;
	__u64 tls;
};

/* A TCP socket and the inode of its file: the kernel reuses the first within microseconds. */
struct endpoint {
	struct sock *sk;
	__u64 inode;
};

/* A TLS call that a thread is in, and what of it outlives the call. */
struct call {
	__u64 ssl;
	__u64 buffer;
	__u64 length_out;
	/* Socket of a system call inside this call. */
	struct endpoint at;
	/* Socket that the thread last received TLS records from, outside of any TLS call. */
	struct endpoint last;
	__u8 active;
	__u8 flow;
	/* The socket carried TLS records inside this call. */
	__u8 sure;
	__u8 pad[5];
};

struct ssl_key {
	__u64 ssl;
	__u64 tgid;
};

struct library_key {
	__u64 inode_address;
	__u64 inode;
};

struct address_key {
	__u8 address[16];
	__u32 port;
};

#define MAX_PEERS 4
/* Processes that use one socket, so that its end is told to each. */
struct peers {
	__u64 inode;
	__u32 next;
	__u32 tgid[MAX_PEERS];
	__u32 pad;
};
