"""Names of types and response codes (IANA, Domain Name System Parameters)."""

from __future__ import annotations

from typing import Final

ROOT: Final = 0
IN: Final = 1
A, NS, CNAME, SOA, PTR, MX, AAAA, SRV, DNAME, OPT = 1, 2, 5, 6, 12, 15, 28, 33, 39, 41
SVCB, HTTPS = 64, 65

_TYPES: Final = {
    A: "A", NS: "NS", CNAME: "CNAME", SOA: "SOA", PTR: "PTR", 13: "HINFO", MX: "MX", 16: "TXT",
    17: "RP", 24: "SIG", 25: "KEY", AAAA: "AAAA", 29: "LOC", SRV: "SRV", 35: "NAPTR", 37: "CERT",
    DNAME: "DNAME", OPT: "OPT", 43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC",
    48: "DNSKEY", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 59: "CDS",
    60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", SVCB: "SVCB", HTTPS: "HTTPS",
    99: "SPF", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI",
    257: "CAA",
}  # fmt: skip
_CODES: Final = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
    "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI",
)  # fmt: skip
_EXTENDED: Final = {
    16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG",
    22: "BADTRUNC", 23: "BADCOOKIE",
}  # fmt: skip


def type_name(number: int) -> str:
    """``TYPE65280`` for one without a name (RFC 3597)."""
    return _TYPES.get(number) or f"TYPE{number}"


def rcode_name(number: int) -> str:
    if number < len(_CODES):
        return _CODES[number]
    return _EXTENDED.get(number) or f"RCODE{number}"
