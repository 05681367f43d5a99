/* SPDX-License-Identifier: GPL-2.0 */
/* What the exit of a system call tells of it. */
#pragma once

#include <asm/unistd.h>

#include "capture.h"

#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
/* Code segment of a 64-bit process; others number their system calls differently. */
#define USER_CODE_64 0x33

#if defined(__TARGET_ARCH_x86)
static __always_inline long call_number(struct pt_regs *regs)
{
	return regs->cs == USER_CODE_64 ? (long)regs->orig_ax : -1;
}
#else
static __always_inline long call_number(struct pt_regs *regs)
{
	return regs->syscallno;
}
#endif
