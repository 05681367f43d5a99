// SPDX-License-Identifier: GPL-2.0
/* Creates the shared maps and holds no program, so that no verifier can refuse it. */
#include "maps.h"

char LICENSE[] SEC("license") = "GPL";
