// SPDX-License-Identifier: GPL-2.0
/* The end of a connection, told once to each process that used its socket. */
#include "end.h"

#define TCP_FIN_WAIT1 4
#define TCP_CLOSE 7
#define TCP_LAST_ACK 9
#define SHUTDOWN_BOTH 3

/* After close() nobody can read any more; after shutdown(SHUT_WR) the process still can. */
static __always_inline bool is_end(struct sock *sk, int state)
{
	if (state == TCP_CLOSE)
		return true;
	if (state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK)
		return false;
	return BPF_CORE_READ(sk, sk_shutdown) == SHUTDOWN_BOTH;
}

static __always_inline void end_connection(struct sock *sk, __u64 inode, __u32 tgid)
{
	struct connection_key key = {.sk = sk, .tgid = tgid};
	struct connection *known = bpf_map_lookup_elem(&connections, &key);

	if (!known || known->inode != inode)
		return;
	tell_end(known, tgid);
	bpf_map_delete_elem(&connections, &key);
}

SEC("raw_tp/inet_sock_set_state")
int socket_state(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (struct sock *)ctx->args[0];
	struct peers *peers;

	if (!is_end(sk, ctx->args[2]))
		return 0;
	peers = bpf_map_lookup_elem(&sockets, &sk);
	if (!peers)
		return 0;
	for (int i = 0; i < MAX_PEERS; i++)
		if (peers->tgid[i])
			end_connection(sk, peers->inode, peers->tgid[i]);
	bpf_map_delete_elem(&sockets, &sk);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
