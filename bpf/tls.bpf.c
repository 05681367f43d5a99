// SPDX-License-Identifier: GPL-2.0
/* Plaintext at the door of OpenSSL.
 *
 * A call is remembered by its thread; the system call that OpenSSL makes inside it names the
 * socket (sockets.bpf.c); the return sends the bytes. A read that OpenSSL answers from its own
 * buffer makes no system call: then the last socket of the same SSL object counts. Programs
 * that move the ciphertext themselves (Python's asyncio) make none at all: for them an SSL
 * object belongs to the socket that the thread received from just before.
 */
#include "emit.h"

static __always_inline int enter(__u64 ssl, __u64 buffer, __u64 length_out, __u8 flow)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	struct call fresh = {.ssl = ssl, .buffer = buffer, .length_out = length_out,
			     .active = 1, .flow = flow};

	if (call) {
		fresh.last = call->last;
		*call = fresh;
	} else if (bpf_map_update_elem(&calls, &thread, &fresh, BPF_ANY)) {
		count_drop(DROP_NO_MEMORY);
	}
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_read, __u64 ssl, __u64 buffer)
{
	return enter(ssl, buffer, 0, FLOW_RECEIVED);
}

SEC("uprobe")
int BPF_KPROBE(tls_write, __u64 ssl, __u64 buffer)
{
	return enter(ssl, buffer, 0, FLOW_SENT);
}

SEC("uprobe")
int BPF_KPROBE(tls_read_ex, __u64 ssl, __u64 buffer, __u64 size, __u64 length_out)
{
	return enter(ssl, buffer, length_out, FLOW_RECEIVED);
}

SEC("uprobe")
int BPF_KPROBE(tls_write_ex, __u64 ssl, __u64 buffer, __u64 size, __u64 length_out)
{
	return enter(ssl, buffer, length_out, FLOW_SENT);
}

SEC("uprobe")
int BPF_KPROBE(tls_handshake, __u64 ssl)
{
	return enter(ssl, 0, 0, FLOW_NONE);
}

static __always_inline void bind(struct ssl_key *key, const struct endpoint *known,
				 const struct endpoint *at)
{
	if (!known || known->sk != at->sk || known->inode != at->inode)
		bpf_map_update_elem(&ssl_sockets, key, at, BPF_ANY);
}

/* The socket of the SSL object; remembers what this call has taught about it. */
static __always_inline bool locate(struct call *call, __u32 tgid, struct endpoint *at)
{
	struct ssl_key key = {.ssl = call->ssl, .tgid = tgid};
	struct endpoint *known = bpf_map_lookup_elem(&ssl_sockets, &key);
	bool guess = call->flow == FLOW_NONE || (call->flow == FLOW_RECEIVED && !known);

	if (call->at.sk && (call->sure || !known))
		*at = call->at;
	else if (call->last.sk && guess)
		*at = call->last;
	else if (known)
		*at = *known;
	else
		return false;
	bind(&key, known, at);
	return true;
}

static __always_inline __u32 call_length(struct call *call, int result)
{
	__u64 length = 0;

	if (!call->length_out)
		return result;
	bpf_probe_read_user(&length, sizeof(length), (void *)call->length_out);
	return length;
}

static __always_inline void report(struct call *call, __u32 tgid, __u32 length)
{
	struct endpoint at = {};
	__u64 connection;

	if (!locate(call, tgid, &at)) {
		count_drop(DROP_NO_SOCKET);
		return;
	}
	connection = wanted_connection(&at, tgid, true, call->buffer, length, call->flow);
	if (connection)
		emit_buffer(connection, bpf_ktime_get_ns(), call->buffer,
			    pack_lengths(length, settings.call_limit, call->flow));
}

SEC("uretprobe")
int BPF_KRETPROBE(tls_return, int result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	struct endpoint at = {};
	__u32 length;

	if (!call || !call->active)
		return 0;
	call->active = 0;
	/* Also a handshake that must be continued has used its socket. */
	if (call->flow == FLOW_NONE)
		locate(call, thread >> 32, &at);
	if (call->flow == FLOW_NONE || result <= 0)
		return 0;
	length = call_length(call, result);
	if (length)
		report(call, thread >> 32, length);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
