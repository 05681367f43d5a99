"""A stack at work: what is kept of an exchange, and which plugins see it when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from agent.http.searched import header_lines
from agent.link.exchange import Exchange
from agent.logs import get_logger
from agent.plugins.access_logs import AccessLogsPlugin
from agent.plugins.base import NOTHING, Plugin, Tools
from agent.plugins.detect_errors import DetectErrorsPlugin
from agent.plugins.http_capture import HttpCapturePlugin
from agent.plugins.http_metrics import HttpMetricsPlugin
from agent.plugins.qscan import QscanPlugin
from agent.plugins.report_usage import ReportUsagePlugin
from agent.plugins.subject import Subject
from wire.config.model import Stack
from wire.events import RequestEvent

if TYPE_CHECKING:
    from agent.config.policy import Policy

_log = get_logger()

_PLUGINS: Final[dict[str, Callable[..., Plugin]]] = {
    "http_capture": HttpCapturePlugin,
    "access_logs": AccessLogsPlugin,
    "report_usage": ReportUsagePlugin,
    "detect_errors": DetectErrorsPlugin,
    "qscan": QscanPlugin,
    "http_metrics": HttpMetricsPlugin,
}
_OF_PAYLOAD: Final = (HttpCapturePlugin, QscanPlugin)


class StackPlan:
    """What an exchange is bound to when it begins, and ends under, whatever is reloaded."""

    __slots__ = ("keep_bodies", "keep_headers", "plugins", "policy", "sent_headers")

    def __init__(self, policy: Policy, plugins: Sequence[Plugin], *, payload: bool) -> None:
        needs = NOTHING
        for plugin in plugins:
            needs |= plugin.needs
        self.policy = policy
        self.plugins = tuple(plugins)
        self.sent_headers = policy.search_headers if payload else ()
        self.keep_headers = payload and (needs.headers or bool(self.sent_headers))
        self.keep_bodies = payload and needs.bodies

    def without_payload(self) -> StackPlan:
        """For programs of which nothing may be kept."""
        rest = [plugin for plugin in self.plugins if not isinstance(plugin, _OF_PAYLOAD)]
        return StackPlan(self.policy, rest, payload=False)

    def finish(self, event: RequestEvent, exchange: Exchange) -> None:
        """Hand a finished exchange to the plugins, and its event to the stores."""
        policy = self.policy
        if self.sent_headers:
            event.headers = header_lines(exchange, self.sent_headers)
        if self.plugins or policy.control:
            subject = Subject(event, exchange, exchange.about.who, exchange.about.tags)
            if policy.control and not policy.allows(subject):
                policy.counters.add("exchanges_denied")
                return
            for plugin in self.plugins:
                self._run(plugin, subject)
        policy.report(event)

    def _run(self, plugin: Plugin, subject: Subject) -> None:
        try:
            plugin.finished(subject, self.policy.emit)
        except Exception:  # noqa: BLE001  a fault of ours costs one exchange one plugin
            self.policy.counters.add("plugins.fault")
            _log.exception("a plugin failed; please report this", plugin=type(plugin).__name__)


def build_plugins(stack: Stack, tools: Tools) -> list[Plugin]:
    """In their order, without those that have nothing to do."""
    built = [_PLUGINS[plugin.type](plugin.config, tools) for plugin in stack.plugins]
    return [plugin for plugin in built if not plugin.idle]
