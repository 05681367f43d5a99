"""What can only be seen when the whole document is there: references, rules, dangers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from wire.config.decode import Decoder, near
from wire.config.model import Config, Credential, EventStore, ObjectStore
from wire.config.plugins import AccessLogs, DetectErrors, HttpCapture, Options, Qscan
from wire.events import MAX_HEADER_NAME, MAX_HEADERS
from wire.rules import FIELDS, Compiler, RuleError, is_known
from wire.s3.place import is_endpoint

_PLACEHOLDER: Final = re.compile(r"\{\{\s*(\w*)\s*\}\}")
_PLACEHOLDERS: Final = ("SCHEME", "ENDPOINT", "BUCKET", "DIGEST")
_MACRO_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_HEADER: Final = re.compile(rf"[!#$%&'*+\-.^_`|~0-9A-Za-z]{{1,{MAX_HEADER_NAME}}}\Z")
_SECRET: Final = re.compile(
    r"auth|cookie|token|secret|passw|pwd|signature|credential|session|jwt|assertion|otp\b"
    r"|(?<!idempotency-)key\b",
    re.IGNORECASE,
)
_STATUS: Final = re.compile(r"[1-9](?:\d\d|[xX]{2})\Z|[1-9]\d\d-[1-9]\d\d\Z")

_INSTEAD: Final = {
    "axiom": "use pulse, or stdout with a log shipper",
    "otel": "use stdout with a log shipper, or pulse",
    "qpoint": "use s3 or directory: payloads stay with you",
}
_OF_OTHERS: Final = {
    "stdout": ("token", "url", "endpoint", "ca_file", "dataset", "protocol", "headers", "tls"),
    "pulse": ("dataset", "protocol", "headers", "service_name", "environment", "tls"),
}
_OF_OTHER_STORES: Final = {
    "stdout": ("endpoint", "bucket", "region", "access_key", "secret_key", "path"),
    "s3": ("url", "token", "path"),
    "directory": ("endpoint", "bucket", "region", "access_key", "secret_key", "url", "token"),
}


def check(config: Config, reader: Decoder) -> None:
    """Report what is wrong or dangerous to ``reader``."""
    _stores(config, reader)
    rules = _macros(config, reader)
    for index, rule in enumerate(config.control.rules):
        place = f"control.rules[{index}]"
        _rule(rule.expr, f"{place}.expr", rules, reader)
        if not rule.actions:
            reader.warn(place, "has no actions, so it decides nothing: add allow or deny")
    _references(config, reader)
    for name, stack in config.stacks.items():
        for index, plugin in enumerate(stack.plugins):
            place = f"stacks.{name}.plugins[{index}].config"
            _plugin(plugin.config, place, config, rules, reader)
        _qscan_level(name, config, reader)
    for index, custom in enumerate(config.tap.filters.custom):
        if custom.strategy == "regex":
            _regex(custom.exe, f"tap.filters.custom[{index}].exe", rules, reader)
    _search_headers(config.qcloud.search_headers, reader)


def _search_headers(names: tuple[str, ...], reader: Decoder) -> None:
    """Values of these leave the customer's premises: nothing that lets somebody in may."""
    if len(names) > MAX_HEADERS:
        reader.error("qcloud.search_headers", f"at most {MAX_HEADERS} headers can be searched by")
    for index, name in enumerate(names):
        place = f"qcloud.search_headers[{index}]"
        if not _HEADER.match(name):
            reader.error(place, f"{name[:60]!r} is no name of a header")
        elif _SECRET.search(name):
            reader.error(place, f"{name} holds, or may hold, a credential or personal session: "
                         "its values never go to the platform")  # fmt: skip


# -- stores ----------------------------------------------------------------------------


def _stores(config: Config, reader: Decoder) -> None:
    services = config.services
    _twice((store.name for store in services.event_stores), "services.event_stores", reader)
    _twice((store.name for store in services.object_stores), "services.object_stores", reader)
    for index, event_store in enumerate(services.event_stores):
        _event_store(event_store, f"services.event_stores[{index}]", reader)
    for index, object_store in enumerate(services.object_stores):
        _object_store(object_store, f"services.object_stores[{index}]", reader)
    pulses = [index for index, one in enumerate(services.event_stores) if one.type == "pulse"]
    for index in pulses[1:]:
        reader.error(f"services.event_stores[{index}]", "one pulse store is all an agent can have")
    if services.qscan is not None and (services.qscan.url or services.qscan.token):
        reader.warn("services.qscan", "url and token are not used: samples go to the event store")


def _twice(names: Iterable[str], place: str, reader: Decoder) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            reader.error(f"{place}[{index}]", f"the id {name!r} is that of entry {seen[name] + 1} "
                         "as well: give each its own")  # fmt: skip
        seen.setdefault(name, index)


def _event_store(store: EventStore, place: str, reader: Decoder) -> None:
    if not _supported(store.type, place, reader):
        return
    _unused(store, place, _OF_OTHERS, reader)
    _secret(store.token, f"{place}.token", reader)
    if store.type != "pulse":
        return
    address = store.address
    if not address:
        reader.error(place, "url is missing: the address of the platform, https://…")
    if store.url and store.endpoint and store.url != store.endpoint:
        reader.error(place, "url and endpoint say different things; one is enough")
    if store.token is None:
        reader.error(place, "token is missing: the environment's registration token")
    if store.allow_insecure or address.startswith("http://"):
        reader.warn(place, f"{address} is spoken to in the clear: the token and all events can be "
                    "read on the way; use https://")  # fmt: skip


def _object_store(store: ObjectStore, place: str, reader: Decoder) -> None:
    if not _supported(store.type, place, reader):
        return
    _unused(store, place, _OF_OTHER_STORES, reader)
    _access_url(store, place, reader)
    for name in ("access_key", "secret_key", "session_token"):
        _secret(getattr(store, name), f"{place}.{name}", reader)
    if store.type == "directory" and not store.path.startswith("/"):
        reader.error(place, "path is missing: an absolute path of a folder for the objects")
    if store.type == "s3":
        _s3(store, place, reader)


def _s3(store: ObjectStore, place: str, reader: Decoder) -> None:
    if not store.bucket:
        reader.error(place, "bucket is missing")
    if not store.endpoint:
        reader.error(place, "endpoint is missing: host and port, s3.eu-central-1.amazonaws.com")
    elif "/" in store.endpoint or not is_endpoint(store.endpoint):
        reader.error(f"{place}.endpoint", "must be host and port alone, without scheme and path")
    if (store.access_key is None) != (store.secret_key is None):
        reader.error(place, "access_key and secret_key belong together: give both, or neither for "
                     "the node's ambient credentials")  # fmt: skip
    if store.insecure:
        reader.warn(f"{place}.insecure", "payloads and signatures travel in the clear; set it to "
                    "false")  # fmt: skip
    if store.kms_key_id and store.encryption != "aws:kms":
        reader.error(f"{place}.kms_key_id", "needs encryption: aws:kms")


def _supported(kind: str, place: str, reader: Decoder) -> bool:
    if kind not in _INSTEAD:
        return True
    message = f"stores of type {kind} are not supported: {_INSTEAD[kind]}"
    reader.error(f"{place}.type", message)
    return False


def _unused(
    store: EventStore | ObjectStore,
    place: str,
    others: Mapping[str, tuple[str, ...]],
    reader: Decoder,
) -> None:
    for name in others.get(store.type, ()):
        if getattr(store, name):
            reader.warn(f"{place}.{name}", f"means nothing to a store of type {store.type}")


def _secret(credential: Credential | None, place: str, reader: Decoder) -> None:
    if credential is None:
        return
    if credential.type == "text":
        reader.warn(place, "the secret stands in the file; use type: env and the name of a "
                    "variable")  # fmt: skip
    elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", credential.value):
        reader.error(place, "value must be the name of an environment variable")


def _access_url(store: ObjectStore, place: str, reader: Decoder) -> None:
    if not store.access_url:
        return
    names = _PLACEHOLDER.findall(store.access_url)
    for name in names:
        if name not in _PLACEHOLDERS:
            words = ", ".join(f"{{{{{known}}}}}" for known in _PLACEHOLDERS)
            reader.error(f"{place}.access_url", f"{{{{{name}}}}} is none of {words}")
    if "DIGEST" not in names:
        reader.warn(f"{place}.access_url", "without {{DIGEST}} every object has the same address")


# -- stacks and rules ------------------------------------------------------------------


def _references(config: Config, reader: Decoder) -> None:
    named = [(config.tap.http.stack, "tap.http.stack")]
    named += [
        (endpoint.http.stack, f"tap.endpoints[{index}].http.stack")
        for index, endpoint in enumerate(config.tap.endpoints)
    ]
    for name, place in named:
        if name and name not in config.stacks:
            words = near(name, config.stacks)
            reader.error(place, f"names {name!r}, which stacks does not define{words}")
    if config.stacks and not config.stack_names:
        reader.warn("stacks", "no stack is in use: tap.http.stack names the one for HTTP")
    domains: set[str] = set()
    for index, endpoint in enumerate(config.tap.endpoints):
        if endpoint.domain.lower() in domains:
            reader.warn(f"tap.endpoints[{index}].domain", "stands twice; the first one counts")
        domains.add(endpoint.domain.lower())
        if not endpoint.http.stack:
            reader.warn(
                f"tap.endpoints[{index}]", "names no stack, so its traffic is not processed"
            )


def _macros(config: Config, reader: Decoder) -> Compiler:
    macros: dict[str, str] = {}
    for index, macro in enumerate(config.rulekit.macros):
        place = f"rulekit.macros[{index}]"
        if not _MACRO_NAME.match(macro.name) or macro.name == "starts_with":
            reader.error(f"{place}.name", "must be a word of letters, digits, _ and -")
        if macro.name in macros:
            reader.error(f"{place}.name", f"the macro {macro.name} is defined twice")
        macros[macro.name] = macro.expr
    rules = Compiler(lambda _: None, macros)
    for index, macro in enumerate(config.rulekit.macros):
        _rule(macro.expr, f"rulekit.macros[{index}].expr", rules, reader)
    return rules


def _rule(text: str, place: str, rules: Compiler, reader: Decoder) -> None:
    try:
        rule = rules.rule(text)
    except RuleError as error:
        line, column = reader.position(place)
        scalar = reader.scalars.get(place)
        where = ""
        if scalar is not None and scalar.inner is not None:
            line, column = scalar.inner[0], scalar.inner[1] + error.offset
        else:
            where = f", at character {error.offset + 1} of the rule"
        reader.error(place, f"{error.message}{where}", (line, column))
        return
    for path in sorted(rule.fields):
        if not is_known(path):
            words = near(path, FIELDS)
            reader.unknown(place, f"there is no field {path}, so this never passes{words}")


def _regex(source: str, place: str, rules: Compiler, reader: Decoder) -> None:
    try:
        rules.expressions.searcher(source)
    except RuleError as error:
        reader.error(place, error.message)


def _plugin(options: Options, place: str, config: Config, rules: Compiler, reader: Decoder) -> None:
    if isinstance(options, HttpCapture | AccessLogs):
        for index, expr in enumerate([rule.expr for rule in options.rules]):
            _rule(expr, f"{place}.rules[{index}].expr", rules, reader)
    if isinstance(options, DetectErrors):
        _error_rules(options, place, rules, reader)
    store = getattr(options, "object_store_id", "")
    names = [one.name for one in config.services.object_stores]
    if store and store not in names:
        reader.error(
            f"{place}.object_store_id",
            f"names {store!r}, which services.object_stores does not have{near(store, names)}",
        )


def _error_rules(options: DetectErrors, place: str, rules: Compiler, reader: Decoder) -> None:
    for index, rule in enumerate(options.rules):
        here = f"{place}.rules[{index}]"
        for number, code in enumerate(rule.trigger_status_codes):
            if not _STATUS.match(code):
                reader.error(f"{here}.trigger_status_codes[{number}]",
                             f"{code[:40]!r} is no status; write 404, 5xx or 500-504")  # fmt: skip
        for name in ("only_urls", "exclude_urls"):
            for number, url in enumerate(getattr(rule, name)):
                if len(url) > 1 and url.startswith("/") and url.endswith("/"):
                    _regex(url[1:-1], f"{here}.{name}[{number}]", rules, reader)
        triggers = (rule.trigger_status_codes, rule.trigger_empty_body, rule.trigger_contains)
        if not any(triggers) and rule.trigger_duration is None:
            reader.warn(here, "has no trigger, so it never holds")


def _qscan_level(name: str, config: Config, reader: Decoder) -> None:
    """Samples are whole exchanges, whatever else of the stack keeps less."""
    options = [plugin.config for plugin in config.stacks[name].plugins]
    if not any(isinstance(one, Qscan) for one in options):
        return
    captures = [one for one in options if isinstance(one, HttpCapture)]
    if any(one.level == "full" for one in captures):
        return
    index = next(number for number, one in enumerate(options) if isinstance(one, Qscan))
    level = captures[0].level if captures else "none"
    reader.warn(
        f"stacks.{name}.plugins[{index}]",
        f"qscan finds little where http_capture keeps less than full (here: {level}): only the "
        "samples hold bodies; set level: full to have what it finds at hand",
    )
