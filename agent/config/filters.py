"""Which programs are left alone, by kind or by their file."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from wire.config.model import CustomFilter, Filters
from wire.rules.patterns import searcher

_RUNTIMES: Final = (
    "containerd", "containerd-shim*", "dockerd", "docker-proxy", "docker-init", "runc", "crun",
    "crio", "conmon*", "podman", "buildkitd", "nerdctl", "kata-*", "cri-dockerd", "ctr",
)  # fmt: skip
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "kubernetes": (
        "kubelet", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
        "kube-controllers", "kube-state-metrics", "cloud-controller-manager", "coredns", "etcd",
        "kubectl", "pause", "metrics-server", "calico-node", "bird", "felix", "cilium-*",
        "flanneld", "node-driver-registrar", "livenessprobe", "csi-*", "k3s*", "k0s",
        "konnectivity-*", "proxy-agent", "proxy-server",
    ),
    "container": _RUNTIMES,
    "container-runtimes": _RUNTIMES,
    "gke": (
        "gke-*", "gcfsd", "node-problem-detector", "fluent-bit-gke", "event-exporter",
        "google_*", "google-*", "metadata-proxy", "pdcsi*", "gce-pd-csi-driver", "gcp-*",
        "prometheus-to-sd", "ip-masq-agent", "netd", "otelsvc", "health-checker",
    ),
    "eks": (
        "aws-k8s-agent", "aws-node*", "amazon-ssm-agent", "ssm-agent-worker", "ssm-*",
        "eks-*", "aws-ebs-csi-driver", "aws-efs-csi-driver", "aws-vpc-cni*", "nodeadm",
        "ecr-credential-provider", "aws-iam-authenticator", "cni-metrics-helper",
    ),
    "qpoint": ("qtap*", "qpoint*", "qscan*", "qcontrol*", "qcloud*"),
}  # fmt: skip
"""Names of programs; a ``*`` stands at the end of a prefix."""

Matcher = Callable[[str], bool]


class Verdict(NamedTuple):
    """What of a program is left alone."""

    follow: bool = True
    """Its plain connections are looked at."""
    tls: bool = True
    """Those inside TLS are, too."""
    payload: bool = True
    """What it says may be kept."""
    dns: bool = True


ALL: Final = Verdict()
NONE: Final = Verdict(follow=False, tls=False, payload=False, dns=False)


class ProcessFilters:
    """``tap.filters``, ready."""

    def __init__(self, filters: Filters) -> None:
        patterns = [pattern for group in filters.groups for pattern in GROUPS[group]]
        self._names = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
        self._custom = [(_matcher(custom), frozenset(custom.only)) for custom in filters.custom]
        self.verdict = lru_cache(maxsize=4096)(self._verdict)

    def _verdict(self, exe: str) -> Verdict:
        name = exe.rpartition("/")[2]
        if name in self._names or (self._prefixes and name.startswith(self._prefixes)):
            return NONE
        left: set[str] = set()
        for matches, only in self._custom:
            if matches(exe):
                if not only:
                    return NONE
                left |= only
        if not left:
            return ALL
        return Verdict(follow="http" not in left, tls="tls" not in left and "http" not in left,
                       payload="data" not in left, dns="dns" not in left)  # fmt: skip


def _matcher(custom: CustomFilter) -> Matcher:
    """Raises ``RuleError``; a configuration that was parsed holds no such expression."""
    exe = custom.exe
    if custom.strategy == "regex":
        return searcher(exe)
    ways: dict[str, Matcher] = {
        "exact": lambda path: path == exe,
        "prefix": lambda path: path.startswith(exe),
        "suffix": lambda path: path.endswith(exe),
        "contains": lambda path: exe in path,
    }
    return ways[custom.strategy]
