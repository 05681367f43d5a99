"""Tags and filters of the portal's templates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.template.base import FilterExpression, Node, NodeList, Parser, Token
from django.template.context import Context
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from identity.selectors import AccountInfo
from portal import here
from portal.assets import asset_url
from portal.kit import formats, sparklines
from portal.kit.icons import ICONS
from portal.kit.urls import hidden_fields, with_query

register = template.Library()

register.filter("count", formats.count)
register.filter("compact", formats.compact)
register.filter("size", formats.size)
register.filter("ms", formats.milliseconds)
register.filter("rate", formats.rate)
register.filter("percent", formats.percent)
register.filter("ago", formats.ago)
register.simple_tag(asset_url, name="asset")


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """A time in the reader's zone, UTC on hover and for machines."""
    if moment is None:
        return formats.NONE
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        formats.iso(moment),
        formats.utc(moment),
        formats.when(moment),
    )


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A stroke icon; hidden from screen readers unless it has a label."""
    shape = ICONS[name]
    if label:
        return format_html(
            '<svg class="icon" viewBox="0 0 16 16" role="img" aria-label="{}"><path d="{}"/></svg>',
            label,
            shape,
        )
    return format_html(
        '<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="{}"/></svg>', shape
    )


@register.simple_tag
def sparkline(values: list[float | None], sentence: str = "") -> SafeString | str:
    """A line of the values in 96 × 28, described by the sentence."""
    return sparklines.sparkline(values, sentence)


@register.simple_tag
def bar(share: float) -> SafeString:
    """A thin bar, full at 1."""
    return format_html(
        '<svg class="bar" width="100%" height="4" aria-hidden="true">'
        '<rect class="ground" width="100%" height="4"/><rect width="{}%" height="4"/></svg>',
        f"{max(0.0, min(1.0, share)) * 100:.1f}",
    )


@register.simple_tag
def asset_path(name: str) -> str:
    """The address of a file that carries no hash, such as the icon of the site."""
    return static(name)


@register.simple_tag(takes_context=True)
def to(context: Context, name: str, *args: Any) -> str:
    """A page of the portal and account that the reader is in."""
    return str(context["here"].url(name, *args))


@register.simple_tag(takes_context=True)
def portal_url(context: Context, name: str) -> str:
    """A page of the portal that belongs to no account, such as the way out."""
    return reverse(f"{context['here'].portal}:{name}")


@register.simple_tag
def home_of(account: AccountInfo) -> str:
    """Where an account's own pages begin."""
    return here.home_of(account)


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """The page's own address with parameters changed; ``f__status`` is ``f.status``."""
    return with_query(
        context["request"], **{k: None if v is None else str(v) for k, v in changes.items()}
    )


@register.simple_tag(takes_context=True)
def carried(context: Context, *without: str) -> list[tuple[str, str]]:
    """The parameters that a form must keep, without those it sets itself."""
    return hidden_fields(context["request"], without=set(without))


class ComponentNode(Node):
    """Renders ``components/<name>.html`` with what the tag encloses as ``slot``."""

    def __init__(self, name: str, values: dict[str, FilterExpression], slot: NodeList) -> None:
        self._name = name
        self._values = values
        self.nodelist = slot

    def render(self, context: Context) -> SafeString:
        values: dict[str, Any] = {k: v.resolve(context) for k, v in self._values.items()}
        values["slot"] = self.nodelist.render(context)
        found = context.template.engine.get_template(  # type: ignore[union-attr]  # set while rendering
            f"components/{self._name}.html"
        )
        with context.push(**values):
            return found.render(context)


@register.tag
def component(parser: Parser, token: Token) -> ComponentNode:
    """``{% component "dialog" title="…" %}…{% endcomponent %}``."""
    _, name, *bits = token.split_contents()
    values = template.base.token_kwargs(bits, parser)
    slot = parser.parse(("endcomponent",))
    parser.delete_first_token()
    return ComponentNode(name.strip("\"'"), values, slot)


@register.filter
def same(value: object, other: object) -> bool:
    """Whether both are equal; for an argument, where ``if`` cannot stand."""
    return value == other


@register.filter
def add_text(value: object, other: object) -> str:
    """Both as text, one after the other."""
    return f"{value}{other}"
