/* SPDX-License-Identifier: GPL-2.0 */
/* From a file descriptor of the current task to its socket. */
#pragma once

#include "capture.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define FILE_TYPE_MASK 0170000
#define FILE_TYPE_SOCKET 0140000

static __always_inline struct file *file_of(__u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = task->files->fdt;
	struct file *file = NULL;

	if (fd >= table->max_fds)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file;
}

/* IPPROTO_… of a socket of IPv4 or IPv6; 0: of something else. */
static __always_inline __u16 protocol_of(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	if (family != AF_INET && family != AF_INET6)
		return 0;
	return BPF_CORE_READ(sk, sk_protocol);
}

/* False for anything but a socket. Descriptor 0 is as good as any other. */
static __always_inline bool find_socket(__u32 fd, struct endpoint *at)
{
	struct file *file = file_of(fd);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket;

	if ((BPF_CORE_READ(inode, i_mode) & FILE_TYPE_MASK) != FILE_TYPE_SOCKET)
		return false;
	socket = BPF_CORE_READ(file, private_data);
	at->sk = BPF_CORE_READ(socket, sk);
	at->inode = BPF_CORE_READ(inode, i_ino);
	return true;
}

/* False for anything but a TCP socket. */
static __always_inline bool find_endpoint(__u32 fd, struct endpoint *at)
{
	return find_socket(fd, at) && protocol_of(at->sk) == IPPROTO_TCP;
}
