"""What the pages show of the traffic. Every function takes the scope first.

A customer sees its own events. For a reseller or the cloud every answer is empty: they
read sums from ``pulse.metering``.
"""

from pulse.analytics.page import TrafficPage, traffic_page
from pulse.analytics.series import (
    Series,
    TimeSeries,
    Totals,
    latency_over_time,
    requests_over_time,
    status_over_time,
    totals,
)
from pulse.analytics.single import (
    PAGE_SIZE,
    RequestPage,
    request_detail,
    search_requests,
)
from pulse.analytics.steps import MAX_BUCKETS
from pulse.analytics.top import Ranking, TopRow, processes, rankings, top, vendors
from pulse.store.artifacts import Artifact, artifacts_of
from pulse.store.certificates import Certificate, latest_certificates
from pulse.store.filters import DIRECTIONS, STATUS_CLASSES, TrafficFilter
from pulse.store.inventory import ProcessRow
from pulse.store.lookups import (
    MOST_NAMES,
    RESULTS,
    LookupFilter,
    LookupTotals,
    NameRow,
    lookup_totals,
    names,
)
from pulse.store.reports import Report, reports_of
from pulse.store.requests import SORTS, Order, RequestDetail, RequestRow
from pulse.store.third_parties import (
    MOST_LISTED,
    CallerRow,
    PathRow,
    VendorRow,
    callers,
    paths,
)
from pulse.store.tops import DIMENSIONS

__all__ = [
    "DIMENSIONS",
    "DIRECTIONS",
    "MAX_BUCKETS",
    "MOST_LISTED",
    "MOST_NAMES",
    "PAGE_SIZE",
    "RESULTS",
    "SORTS",
    "STATUS_CLASSES",
    "Artifact",
    "CallerRow",
    "Certificate",
    "LookupFilter",
    "LookupTotals",
    "NameRow",
    "Order",
    "PathRow",
    "ProcessRow",
    "Ranking",
    "Report",
    "RequestDetail",
    "RequestPage",
    "RequestRow",
    "Series",
    "TimeSeries",
    "TopRow",
    "Totals",
    "TrafficFilter",
    "TrafficPage",
    "VendorRow",
    "artifacts_of",
    "callers",
    "latency_over_time",
    "latest_certificates",
    "lookup_totals",
    "names",
    "paths",
    "processes",
    "rankings",
    "reports_of",
    "request_detail",
    "requests_over_time",
    "search_requests",
    "status_over_time",
    "top",
    "totals",
    "traffic_page",
    "vendors",
]
