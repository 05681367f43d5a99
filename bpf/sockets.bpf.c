// SPDX-License-Identifier: GPL-2.0
/* System calls on TCP sockets: which socket a TLS call uses, and plain HTTP.
 *
 * One program at the exit of system calls is enough: the arguments are still in the
 * registers, the result is known, and the caller's buffer is in memory.
 */
#include "calls.h"
#include "emit.h"

#define PROT_EXEC 4

enum shape {
	SHAPE_NONE,
	SHAPE_BUFFER,
	SHAPE_VECTORS,
	SHAPE_MESSAGE,
	SHAPE_UNSEEN,
};

struct transfer {
	struct endpoint at;
	__u64 base;
	__u64 vectors;
	__u32 length;
	__u32 tgid;
	__u8 flow;
	__u8 shape;
};

static __always_inline __u8 shape_of(long number)
{
	switch (number) {
	case __NR_read:
	case __NR_write:
	case __NR_recvfrom:
	case __NR_sendto:
		return SHAPE_BUFFER;
	case __NR_readv:
	case __NR_writev:
		return SHAPE_VECTORS;
	case __NR_recvmsg:
	case __NR_sendmsg:
		return SHAPE_MESSAGE;
	case __NR_sendfile:
		return SHAPE_UNSEEN;
	default:
		return SHAPE_NONE;
	}
}

static __always_inline __u8 flow_of(long number)
{
	switch (number) {
	case __NR_read:
	case __NR_readv:
	case __NR_recvfrom:
	case __NR_recvmsg:
		return FLOW_RECEIVED;
	default:
		return FLOW_SENT;
	}
}

/* Flags of the calls that have some; the others cannot peek. */
static __always_inline __u32 message_flags(struct pt_regs *regs, long number)
{
	if (number == __NR_recvfrom)
		return PT_REGS_PARM4_SYSCALL(regs);
	if (number == __NR_recvmsg)
		return PT_REGS_PARM3_SYSCALL(regs);
	return 0;
}

/* The inner call of a TLS call: ciphertext, of which only the socket is of use.
 *
 * A callback inside the TLS call may talk to somebody else in plain, so once a socket is
 * known only one that carries TLS records replaces it.
 */
static __always_inline void name_socket(struct call *call, const struct transfer *transfer)
{
	bool sure = is_tls_record(transfer->base, transfer->length);

	if (call->at.sk && !sure)
		return;
	call->at = transfer->at;
	call->sure |= sure;
}

static __always_inline bool read_vector(const struct transfer *transfer, __u32 index,
					struct iovec *vector)
{
	void *at = (void *)(transfer->base + index * sizeof(*vector));

	return !bpf_probe_read_user(vector, sizeof(*vector), at);
}

/* One chunk or more for each vector; the last one also stands for vectors beyond the limit. */
static __always_inline void send_vectors(const struct transfer *transfer, __u64 connection,
					 __u64 moment)
{
	__u32 left = transfer->length, limit = settings.call_limit;
	struct iovec vector = {};

	for (__u32 i = 0; i < VECTORS_A_CALL; i++) {
		bool last = i + 1 == VECTORS_A_CALL || i + 1 >= transfer->vectors;
		__u32 part, room;

		if (!left || !read_vector(transfer, i, &vector))
			break;
		part = vector.length < left ? vector.length : left;
		if (!part && !last)
			continue;
		room = part < limit ? part : limit;
		emit_buffer(connection, moment, vector.base,
			    pack_lengths(last ? left : part, room, transfer->flow));
		limit -= room;
		left -= part;
		if (last)
			break;
	}
}

/* Where the first bytes of the transfer lie, to tell HTTP from the rest. */
static __always_inline bool first_bytes(const struct transfer *transfer, struct iovec *first)
{
	first->base = transfer->base;
	first->length = transfer->length;
	if (transfer->shape == SHAPE_BUFFER)
		return true;
	if (transfer->shape == SHAPE_VECTORS)
		return read_vector(transfer, 0, first);
	first->length = 0;
	return true;
}

static __always_inline void send_plain(const struct transfer *transfer)
{
	__u32 limit = transfer->shape == SHAPE_BUFFER ? settings.call_limit : 0;
	struct iovec first = {};
	__u64 connection, moment;

	if (!first_bytes(transfer, &first))
		return;
	connection = wanted_connection(&transfer->at, transfer->tgid, false, first.base,
				       first.length, transfer->flow);
	if (!connection)
		return;
	moment = bpf_ktime_get_ns();
	if (transfer->shape == SHAPE_VECTORS)
		send_vectors(transfer, connection, moment);
	else
		emit_buffer(connection, moment, transfer->base,
			    pack_lengths(transfer->length, limit, transfer->flow));
}

static __always_inline void fill_buffers(struct transfer *transfer, struct pt_regs *regs,
					 __u32 flags)
{
	struct msghdr message = {};

	transfer->base = PT_REGS_PARM2_SYSCALL(regs);
	transfer->vectors = PT_REGS_PARM3_SYSCALL(regs);
	/* The kernel threw the bytes away and only counted them. */
	if (flags & MSG_TRUNC)
		transfer->shape = SHAPE_UNSEEN;
	if (transfer->shape != SHAPE_MESSAGE)
		return;
	transfer->shape = SHAPE_VECTORS;
	bpf_probe_read_user(&message, sizeof(message), (void *)transfer->base);
	transfer->base = message.vectors;
	transfer->vectors = message.vector_count;
}

static __always_inline void transferred(struct pt_regs *regs, long number, __u8 shape,
					__u32 length)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 flags = message_flags(regs, number);
	struct transfer transfer = {.length = length, .tgid = thread >> 32,
				    .flow = flow_of(number), .shape = shape};
	struct call *call;

	if (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return;
	if (!find_endpoint(PT_REGS_PARM1_SYSCALL(regs), &transfer.at))
		return;
	fill_buffers(&transfer, regs, flags);
	call = bpf_map_lookup_elem(&calls, &thread);
	if (call && call->active) {
		name_socket(call, &transfer);
		return;
	}
	if (call && transfer.flow == FLOW_RECEIVED &&
	    is_tls_record(transfer.base, transfer.length))
		call->last = transfer.at;
	else if (settings.plain_http)
		send_plain(&transfer);
}

/* "libssl", as the low six bytes of a word. */
#define LIBRARY_NAME 0x6c737362696cull
#define LIBRARY_NAME_MASK 0xffffffffffffull

/* A file mapped as code whose name says that it is a TLS library, seen for the first time. */
static __always_inline void mapped(struct pt_regs *regs, __u64 address)
{
	struct file *file = file_of(PT_REGS_PARM5_SYSCALL(regs));
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct library_key key = {.inode_address = (__u64)inode};
	struct library *library;
	__u64 name = 0;

	bpf_probe_read_kernel(&name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if ((name & LIBRARY_NAME_MASK) != LIBRARY_NAME)
		return;
	key.inode = BPF_CORE_READ(inode, i_ino);
	if (bpf_map_lookup_elem(&libraries, &key))
		return;
	library = bpf_ringbuf_reserve(&events, sizeof(*library), 0);
	if (!library)
		return;
	fill_head(&library->head, 0, KIND_LIBRARY);
	library->inode_address = key.inode_address;
	library->inode = key.inode;
	library->mapped_at = address;
	library->tgid = bpf_get_current_pid_tgid() >> 32;
	/* At once: the process is about to use it. */
	bpf_ringbuf_submit(library, BPF_RB_FORCE_WAKEUP);
}

/* With types (tp_btf) registers and task are read in place, without a helper call for each. */
SEC("tp_btf/sys_exit")
int BPF_PROG(system_call, struct pt_regs *regs, long result)
{
	long number;
	__u8 shape;

	if (result <= 0)
		return 0;
	number = call_number(regs);
	shape = shape_of(number);
	if (shape != SHAPE_NONE)
		transferred(regs, number, shape, result);
	else if (number == __NR_mmap && PT_REGS_PARM3_SYSCALL(regs) & PROT_EXEC)
		mapped(regs, result);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
