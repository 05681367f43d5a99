// SPDX-License-Identifier: GPL-2.0
/* DNS messages: whatever is sent to or from port 53, by UDP and TCP.
 *
 * Loaded while the configuration asks for the audit, and not at all otherwise. Datagrams are
 * told one by one, TCP as a stream. A socket that is not connected names its peer in each call;
 * whoever does not ask for the sender's address receives from whom it sent to.
 */
#include "calls.h"
#include "open.h"

#define DNS_PORT 53
#define MESSAGES_A_CALL 64
/* Of one buffer: a message over TCP has at most 65535 bytes. */
#define DNS_CHUNKS 4

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct dns_key);
	/* Whom the socket last sent to. */
	__type(value, struct peer);
} dns_sockets SEC(".maps");

enum dns_shape {
	DNS_NONE,
	DNS_BUFFER,
	DNS_VECTORS,
	DNS_MESSAGE,
	DNS_MESSAGES,
};

/* One message of one call. */
struct dns_message {
	struct endpoint at;
	__u64 thread;
	__u64 moment;
	/* The buffer, or the vectors. */
	__u64 base;
	__u64 vectors;
	/* Where the caller has the peer's address; 0: nowhere. */
	__u64 name;
	__u32 length;
	__u16 protocol;
	__u8 flow;
	__u8 scattered;
};

struct dns_part {
	__u64 connection;
	__u64 moment;
	__u64 buffer;
	__u32 length;
	__u32 wanted;
	struct peer peer;
	__u8 flow;
	__u8 last;
	__u8 pad[6];
};

static __always_inline __u8 dns_shape(long number)
{
	switch (number) {
	case __NR_read:
	case __NR_write:
	case __NR_recvfrom:
	case __NR_sendto:
		return DNS_BUFFER;
	case __NR_readv:
	case __NR_writev:
		return DNS_VECTORS;
	case __NR_recvmsg:
	case __NR_sendmsg:
		return DNS_MESSAGE;
	case __NR_recvmmsg:
	case __NR_sendmmsg:
		return DNS_MESSAGES;
	default:
		return DNS_NONE;
	}
}

static __always_inline __u8 dns_flow(long number)
{
	switch (number) {
	case __NR_write:
	case __NR_writev:
	case __NR_sendto:
	case __NR_sendmsg:
	case __NR_sendmmsg:
		return FLOW_SENT;
	default:
		return FLOW_RECEIVED;
	}
}

static __always_inline __u32 dns_flags(struct pt_regs *regs, long number)
{
	if (number == __NR_recvfrom || number == __NR_recvmmsg)
		return PT_REGS_PARM4_SYSCALL(regs);
	if (number == __NR_recvmsg)
		return PT_REGS_PARM3_SYSCALL(regs);
	return 0;
}

#define EMIT_DNS(room)                                                                     \
	do {                                                                               \
		struct dns_record *r = bpf_ringbuf_reserve(&events, sizeof(*r) + room, 0); \
		__u32 size = part->wanted;                                                 \
		if (!r) {                                                                  \
			count_drop(DROP_RING_FULL);                                        \
			return 0;                                                          \
		}                                                                          \
		r->head.connection = part->connection;                                     \
		r->head.monotonic_ns = part->moment;                                       \
		r->head.length = part->length;                                             \
		r->head.kind = KIND_DNS;                                                   \
		r->head.flow = part->flow;                                                 \
		r->peer = part->peer;                                                      \
		r->last = part->last;                                                      \
		barrier_var(size);                                                         \
		if (size > room)                                                           \
			size = room;                                                       \
		if (size && bpf_probe_read_user(r + 1, size, (void *)part->buffer)) {      \
			count_drop(DROP_UNREADABLE);                                       \
			size = 0;                                                          \
		}                                                                          \
		r->head.captured = size;                                                   \
		bpf_ringbuf_submit(r, wake_flags());                                       \
	} while (0)

__noinline int emit_part(struct dns_part *part)
{
	if (!part)
		return 0;
	if (part->wanted <= 512)
		EMIT_DNS(512);
	else if (part->wanted <= 2048)
		EMIT_DNS(2048);
	else
		EMIT_DNS(CHUNK_LIMIT);
	return 0;
}

/* One buffer in chunks; what is beyond them is only counted in the last one's length. */
__noinline int emit_span(struct dns_part *part, __u32 length, __u32 last)
{
	if (!part)
		return 0;
	part->last = 0;
	part->length = CHUNK_LIMIT;
	part->wanted = CHUNK_LIMIT;
	for (int i = 1; i < DNS_CHUNKS && length > CHUNK_LIMIT; i++) {
		emit_part(part);
		part->buffer += CHUNK_LIMIT;
		length -= CHUNK_LIMIT;
	}
	part->last = last;
	part->length = length;
	part->wanted = length < CHUNK_LIMIT ? length : CHUNK_LIMIT;
	return emit_part(part);
}

static __always_inline void peer_of_socket(struct peer *peer, struct sock *sk)
{
	peer->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	peer->port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (peer->family == AF_INET)
		BPF_CORE_READ_INTO((__be32 *)peer->address, sk, __sk_common.skc_daddr);
	else
		BPF_CORE_READ_INTO(&peer->address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
}

/* A socket address of user space: family, port, then IPv4 at 4 or IPv6 at 8. */
struct socket_address {
	__u16 family;
	__u16 port;
	__u8 rest[24];
};

static __always_inline bool peer_of_call(struct peer *peer, __u64 name)
{
	struct socket_address address = {};

	/* Those of IPv4 are shorter: what follows them may not be readable. */
	if (bpf_probe_read_user(&address, 8, (void *)name))
		return false;
	if (address.family == AF_INET)
		__builtin_memcpy(peer->address, address.rest, 4);
	else if (address.family != AF_INET6 ||
		 bpf_probe_read_user(peer->address, 16, (void *)name + 8))
		return false;
	peer->family = address.family;
	peer->port = bpf_ntohs(address.port);
	return true;
}

/* The other end of a message; its port stays 0 where nothing tells. */
static __always_inline void find_peer(struct peer *peer, const struct dns_message *message)
{
	struct dns_key key = {.inode = message->at.inode, .tgid = message->thread >> 32};
	struct peer *before;

	peer->protocol = message->protocol;
	if (message->protocol == IPPROTO_UDP && message->name && peer_of_call(peer, message->name))
		return;
	peer_of_socket(peer, message->at.sk);
	if (peer->port || message->flow == FLOW_SENT)
		return;
	before = bpf_map_lookup_elem(&dns_sockets, &key);
	if (before)
		*peer = *before;
}

/* The socket's name, told once to user space; 0: it is nobody's business. */
static __always_inline __u64 dns_connection(const struct dns_message *message,
					    const struct peer *peer)
{
	struct sock *sk = message->at.sk;
	__u32 tgid = message->thread >> 32;
	struct dns_key key = {.inode = message->at.inode, .tgid = tgid};
	__u64 id = connection_id(key.inode, tgid, false);
	bool known = bpf_map_lookup_elem(&dns_sockets, &key) != NULL;

	if (pid_excluded(tgid) || (settings.netns && netns_of(sk) != settings.netns))
		return 0;
	if (!known && !announce(sk, key.inode, tgid, ROLE_UNKNOWN, false, KIND_DNS_SOCKET))
		return 0;
	if (!known || message->flow == FLOW_SENT)
		bpf_map_update_elem(&dns_sockets, &key, peer, BPF_ANY);
	return id;
}

static __always_inline bool read_vector(__u64 vectors, __u32 index, struct iovec *vector)
{
	void *at = (void *)(vectors + index * sizeof(*vector));

	return !bpf_probe_read_user(vector, sizeof(*vector), at);
}

static __always_inline void emit_scattered(struct dns_part *part, const struct dns_message *message)
{
	__u32 left = message->length;
	struct iovec vector = {};

	for (__u32 i = 0; i < VECTORS_A_CALL; i++) {
		bool last = i + 1 == VECTORS_A_CALL || i + 1 >= message->vectors;
		__u32 size;

		if (!left || !read_vector(message->base, i, &vector))
			return;
		size = vector.length < left ? vector.length : left;
		left -= size;
		if (!size && !last)
			continue;
		if (last && left)
			count_drop(DROP_BEYOND);
		part->buffer = vector.base;
		emit_span(part, size, last || !left);
		if (last)
			return;
	}
}

/* Not static: verified once, not at every message of a call. */
__noinline int dns_message(struct dns_message *message)
{
	struct dns_part part = {};
	struct sock *sk;

	if (!message)
		return 0;
	sk = message->at.sk;
	find_peer(&part.peer, message);
	if (part.peer.port != DNS_PORT && BPF_CORE_READ(sk, __sk_common.skc_num) != DNS_PORT)
		return 0;
	part.connection = dns_connection(message, &part.peer);
	if (!part.connection)
		return 0;
	part.moment = message->moment;
	part.flow = message->flow;
	part.buffer = message->base;
	if (message->scattered)
		emit_scattered(&part, message);
	else
		emit_span(&part, message->length, true);
	return 0;
}

static __always_inline bool read_header(struct dns_message *message, __u64 at)
{
	struct msghdr header = {};

	if (bpf_probe_read_user(&header, sizeof(header), (void *)at))
		return false;
	message->base = header.vectors;
	message->vectors = header.vector_count;
	message->name = header.name;
	message->scattered = true;
	return true;
}

/* The header, and behind it how much of it was sent or received. */
#define MESSAGE_SIZE 64
#define MESSAGE_LENGTH_AT 56

static __always_inline void dns_messages(struct dns_message *message, __u64 at, __u32 count)
{
	__u64 moment = message->moment;

	if (count > MESSAGES_A_CALL)
		count_drop(DROP_BEYOND);
	for (__u32 i = 0; i < MESSAGES_A_CALL; i++) {
		if (i >= count || !read_header(message, at))
			return;
		if (bpf_probe_read_user(&message->length, sizeof(message->length),
					(void *)at + MESSAGE_LENGTH_AT))
			return;
		/* Tells apart the messages of one call. */
		message->moment = moment + i;
		dns_message(message);
		at += MESSAGE_SIZE;
	}
}

/* Most sockets are connected to somebody else, and told so without a look at the buffers. */
static __always_inline bool may_be_dns(struct dns_message *message)
{
	struct sock *sk = message->at.sk;
	__u16 local = BPF_CORE_READ(sk, __sk_common.skc_num);
	__u16 remote = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));

	message->protocol = protocol_of(sk);
	if (local == DNS_PORT || remote == DNS_PORT)
		return message->protocol == IPPROTO_TCP || message->protocol == IPPROTO_UDP;
	return message->protocol == IPPROTO_UDP && !remote;
}

static __always_inline void dns_transfer(struct pt_regs *regs, long number, __u8 shape, long result)
{
	struct dns_message message = {.flow = dns_flow(number), .length = result};
	__u64 buffer = PT_REGS_PARM2_SYSCALL(regs), size = PT_REGS_PARM3_SYSCALL(regs);

	if (dns_flags(regs, number) & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return;
	if (!find_socket(PT_REGS_PARM1_SYSCALL(regs), &message.at) || !may_be_dns(&message))
		return;
	message.thread = bpf_get_current_pid_tgid();
	message.moment = bpf_ktime_get_ns();
	message.base = buffer;
	message.vectors = size;
	message.scattered = shape != DNS_BUFFER;
	if (shape == DNS_MESSAGES) {
		dns_messages(&message, buffer, result);
		return;
	}
	if (shape == DNS_MESSAGE && !read_header(&message, buffer))
		return;
	if (number == __NR_sendto || number == __NR_recvfrom)
		message.name = PT_REGS_PARM5_SYSCALL(regs);
	/* With MSG_TRUNC the result is the datagram's length, not the buffer's. */
	if (shape == DNS_BUFFER && message.length > size)
		message.length = size;
	dns_message(&message);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(dns_call, struct pt_regs *regs, long result)
{
	long number;
	__u8 shape;

	if (result <= 0)
		return 0;
	number = call_number(regs);
	shape = dns_shape(number);
	if (shape != DNS_NONE)
		dns_transfer(regs, number, shape, result);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
