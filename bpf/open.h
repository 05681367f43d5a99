/* SPDX-License-Identifier: GPL-2.0 */
/* Tells user space who a connection belongs to, once, from what the kernel knows.
 *
 * A curl has exited before user space could look into /proc, so the executable's path, the
 * control group and the user go along.
 */
#pragma once

#include "end.h"
#include "socket.h"

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

struct walk {
	struct dentry *dentry;
	struct mount *mount;
	__u64 used;
};

/* Copies one name and goes one step up; 0 at the root of the process's file system.
 *
 * Not static: the verifier looks at it once. Unrolled in place, the steps of the walk were
 * too much for Linux 6.1.
 */
__noinline int path_step(struct walk *walk, struct opened *opened)
{
	struct dentry *dentry;
	struct mount *mount, *outer;
	long size;

	if (!walk || !opened)
		return 0;
	dentry = walk->dentry;
	mount = walk->mount;
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		outer = BPF_CORE_READ(mount, mnt_parent);
		if (outer == mount)
			return 0;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = outer;
		return 1;
	}
	size = bpf_probe_read_kernel_str(opened->path + (walk->used & (PATH_SPACE - 1)),
					 NAME_LENGTH, BPF_CORE_READ(dentry, d_name.name));
	if (size > 0)
		walk->used += size;
	walk->dentry = BPF_CORE_READ(dentry, d_parent);
	return walk->used < PATH_SPACE;
}

static __always_inline void fill_path(struct opened *opened, struct task_struct *task)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct walk walk = {
		.dentry = BPF_CORE_READ(file, f_path.dentry),
		.mount = mount_of(BPF_CORE_READ(file, f_path.mnt)),
	};

	for (int part = 0; part < PATH_PARTS; part++)
		if (!path_step(&walk, opened))
			break;
	opened->path_length = walk.used;
}

static __always_inline void fill_process(struct opened *opened)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	const char *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, name);

	opened->tgid = bpf_get_current_pid_tgid() >> 32;
	opened->uid = (__u32)bpf_get_current_uid_gid();
	BPF_CORE_READ_STR_INTO(&opened->comm, task, group_leader, comm);
	opened->cgroup[0] = 0;
	bpf_probe_read_kernel_str(opened->cgroup, NAME_LENGTH, cgroup);
	fill_path(opened, task);
}

static __always_inline void fill_addresses(struct opened *opened, struct sock *sk)
{
	opened->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	opened->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	opened->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	__builtin_memset(opened->local, 0, sizeof(opened->local));
	__builtin_memset(opened->remote, 0, sizeof(opened->remote));
	if (opened->family == AF_INET) {
		BPF_CORE_READ_INTO((__be32 *)opened->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__be32 *)opened->remote, sk, __sk_common.skc_daddr);
		return;
	}
	BPF_CORE_READ_INTO(&opened->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	BPF_CORE_READ_INTO(&opened->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
}

static __always_inline __u32 netns_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline bool end_excluded(const __u8 *address, __u16 port)
{
	struct address_key key = {.port = port};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&excluded_endpoints, &key) != NULL;
}

static __always_inline bool endpoint_excluded(const struct opened *opened)
{
	return end_excluded(opened->remote, opened->remote_port) ||
	       end_excluded(opened->local, opened->local_port);
}

static __always_inline void remember_peer(struct sock *sk, __u64 inode, __u32 tgid)
{
	struct peers *peers = bpf_map_lookup_elem(&sockets, &sk);
	struct peers fresh = {.inode = inode, .next = 1, .tgid = {tgid}};

	if (!peers || peers->inode != inode) {
		bpf_map_update_elem(&sockets, &sk, &fresh, BPF_ANY);
		return;
	}
	peers->tgid[peers->next & (MAX_PEERS - 1)] = tgid;
	peers->next++;
}

static __always_inline bool announce(struct sock *sk, __u64 inode, __u32 tgid, __u8 role, __u8 tls,
				     __u8 kind)
{
	struct opened *opened = bpf_ringbuf_reserve(&events, sizeof(*opened), 0);

	if (!opened) {
		count_drop(DROP_RING_FULL);
		return false;
	}
	fill_head(&opened->head, connection_id(inode, tgid, tls), kind);
	fill_addresses(opened, sk);
	if (endpoint_excluded(opened)) {
		bpf_ringbuf_discard(opened, BPF_RB_NO_WAKEUP);
		return false;
	}
	opened->socket = (__u64)sk;
	opened->role = role;
	opened->tls = tls;
	opened->netns = netns_of(sk);
	fill_process(opened);
	bpf_ringbuf_submit(opened, BPF_RB_NO_WAKEUP);
	return true;
}

/* 0 when the connection is out of scope or could not be told. Not static: verified once. */
__noinline int open_connection(__u64 socket, __u64 inode, __u32 tgid, __u32 role, __u32 tls)
{
	struct sock *sk = (struct sock *)socket;
	struct connection_key key = {.sk = sk, .tgid = tgid};
	struct connection fresh = {.inode = inode, .tls = tls};
	struct connection *before = bpf_map_lookup_elem(&connections, &key);

	if (settings.netns && netns_of(sk) != settings.netns)
		return 0;
	/* A tunnel that now speaks TLS, or a socket whose end we missed. */
	if (before)
		tell_end(before, tgid);
	if (!announce(sk, inode, tgid, role, tls, KIND_OPEN))
		return 0;
	remember_peer(sk, inode, tgid);
	return !bpf_map_update_elem(&connections, &key, &fresh, BPF_ANY);
}
